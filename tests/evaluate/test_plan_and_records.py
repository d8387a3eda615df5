"""Jobs of an evaluation, and the records that it goes on from."""
import dataclasses
import json

import pytest
import safetensors.torch
import torch

from lgfa.errors import LGFAError
from lgfa.evaluate import plan, records
from lgfa.evaluate.records import Record, Store
from lgfa.toon import captions
from lgfa.toon.parameters import BACKDROP, EXPRESSION_NAMES, HAIR


def test_every_expression_is_asked_equally_often_and_people_are_unseen():
    jobs = plan.jobs("main", 26)
    assert [job.index for job in jobs] == list(range(26))
    asked = [job.targets[0] for job in jobs]
    assert sorted(asked) == sorted([i for i in range(14) if i != 0] * 2)
    assert {job.person for job in jobs} == {78_000, 78_001}
    assert all(EXPRESSION_NAMES[job.targets[0]] in captions.PHRASES for job in jobs)
    assert jobs[0].texts == ("The person is smiling",)


def test_paraphrases_are_sentences_of_no_training():
    trained = {text.casefold() for group in captions.zero_shot("expression") for text in group}
    jobs = plan.jobs("paraphrase", 26)
    assert len({job.texts for job in jobs}) == 26
    assert not trained & {job.texts[0].casefold() for job in jobs}


def test_another_seed_means_other_people_and_motions():
    one, other = (plan.jobs("main", 13, seed) for seed in (0, 1))
    assert not {job.person for job in one} & {job.person for job in other}
    assert not {job.seed for job in one} & {job.seed for job in other}


def test_chains_have_a_target_for_each_sentence():
    for job in plan.jobs("chain", 8):
        assert len(job.texts) == len(job.targets) == 2


def test_beyond_asks_for_attributes_that_exist():
    sizes = {"hair": len(HAIR), "age": 3, "backdrop": len(BACKDROP)}
    jobs = plan.jobs("beyond", 32)
    assert {job.wanted[0] for job in jobs} == set(sizes)
    assert all(job.wanted[1] < sizes[job.wanted[0]] for job in jobs)


@pytest.mark.parametrize("clips", [0, -1, True, 2.5, 10**6])
def test_refuses_numbers_of_clips_that_make_no_sense(clips):
    with pytest.raises(LGFAError, match="number of clips"):
        plan.jobs("main", clips)


def a_record():
    return Record({"recognised": 1.0, "acd_toon": 0.25}, [3], {"progress": [0.0, 0.5]},
                  {"hair": 2}, 0.5, {"set.fd_toon": torch.randn(2, 3)})


def test_a_record_comes_back_as_it_was(tmp_path):
    job, records = plan.jobs("main", 1)[0], Store(tmp_path, "stamp")
    assert not records.has(job)
    records.write(job, a_record())
    assert records.has(job)
    back = records.read(job)
    assert back.metrics == a_record().metrics and back.seen == [3] and back.read == {"hair": 2}
    assert back.curves == {"progress": [0.0, 0.5]} and list(back.tensors) == ["set.fd_toon"]


def test_a_record_of_another_method_or_job_does_not_count(tmp_path):
    job = plan.jobs("main", 1)[0]
    Store(tmp_path, "stamp").write(job, a_record())
    assert not Store(tmp_path, "another").has(job)
    assert not Store(tmp_path, "stamp").has(dataclasses.replace(job, seed=5))


def test_a_broken_record_is_made_again_and_never_read(tmp_path):
    job, records = plan.jobs("main", 1)[0], Store(tmp_path, "stamp")
    records.write(job, a_record())
    whole = records.path(job).read_bytes()
    records.path(job).write_bytes(whole[:len(whole) // 2])
    assert not records.has(job)
    with pytest.raises(LGFAError, match="run the evaluation again"):
        records.read(job)


def written(tmp_path):
    """(job, store, the file's tensors, its metadata)."""
    job, made = plan.jobs("main", 1)[0], Store(tmp_path, "stamp")
    made.write(job, a_record())
    with safetensors.safe_open(made.path(job), "pt") as file:
        return job, made, {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


@pytest.mark.parametrize("header", [
    "[]", "5", "null", "\"x\"", "{}", "[" * 100_000, '{"mark": 5}', '{"mark": [], "record": 7}',
    "{", "9" * 5000, "\ud800"])
def test_any_json_in_place_of_a_records_own_is_made_again(tmp_path, header):
    job, made, tensors, metadata = written(tmp_path)
    header = header.encode("utf-8", "replace").decode()
    safetensors.torch.save_file(tensors, made.path(job), {**metadata, records.KEY: header})
    assert not made.has(job)
    with pytest.raises(LGFAError, match="run the evaluation again"):
        made.read(job)
    made.write(job, a_record())
    assert made.has(job) and made.read(job).seen == [3]


@pytest.mark.parametrize("change", [
    {"metrics": 5}, {"metrics": {"recognised": "much"}}, {"seen": [99]}, {"curves": [1]},
    {"seconds": None}, {"unknown": 1}])
def test_a_record_that_was_changed_is_made_again(tmp_path, change):
    job, made, tensors, metadata = written(tmp_path)
    header = json.loads(metadata[records.KEY])
    header["record"] |= change
    safetensors.torch.save_file(tensors, made.path(job),
                                {**metadata, records.KEY: json.dumps(header)})
    assert not made.has(job)


def test_changed_missing_and_added_tensors_are_noticed(tmp_path):
    job, made, tensors, metadata = written(tmp_path)
    first = next(iter(tensors))
    for changed in ({first: tensors[first] + 1e-6}, {first: tensors[first].T.contiguous()}, {},
                    {**tensors, "more": torch.zeros(1)}, {first: tensors[first].double()}):
        safetensors.torch.save_file(changed, made.path(job), metadata)
        assert not made.has(job)
    safetensors.torch.save_file(tensors, made.path(job), metadata)
    assert made.has(job)


def test_every_flipped_bit_of_a_record_is_noticed(tmp_path):
    job, made, _, _ = written(tmp_path)
    whole = made.path(job).read_bytes()
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        made.path(job).write_bytes(broken)
        found = records.load(made.path(job))
        # blanks that fill the header up say nothing
        assert found is None or found[0]["record"] == json.loads(
            json.dumps(dataclasses.asdict(a_record()) | {"tensors": {}})), place
    for size in range(0, len(whole), 29):
        made.path(job).write_bytes(whole[:size])
        assert records.load(made.path(job)) is None
    made.path(job).unlink()
    made.path(job).mkdir()
    assert records.load(made.path(job)) is None
