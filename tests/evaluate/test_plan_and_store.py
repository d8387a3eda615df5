"""Jobs of an evaluation, and the records that it goes on from."""
import dataclasses

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.evaluate import plan
from lgfa.evaluate.store import Record, Store
from lgfa.toon import captions
from lgfa.toon import table as tb


def test_every_expression_is_asked_equally_often_and_people_are_unseen():
    jobs = plan.jobs("main", 26)
    assert [job.index for job in jobs] == list(range(26))
    asked = [job.targets[0] for job in jobs]
    assert sorted(asked) == sorted([i for i in range(14) if i != 0] * 2)
    assert {job.person for job in jobs} == {78_000, 78_001}
    assert all(tb.EXPRESSION_NAMES[job.targets[0]] in captions.PHRASES for job in jobs)
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
    sizes = {"hair": len(tb.HAIR), "age": 3, "backdrop": len(tb.BACKDROP)}
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
    job, store = plan.jobs("main", 1)[0], Store(tmp_path, "stamp")
    assert not store.has(job)
    store.write(job, a_record())
    assert store.has(job)
    back = store.read(job)
    assert back.metrics == a_record().metrics and back.seen == [3] and back.read == {"hair": 2}
    assert back.curves == {"progress": [0.0, 0.5]} and list(back.tensors) == ["set.fd_toon"]


def test_a_record_of_another_method_or_job_does_not_count(tmp_path):
    job = plan.jobs("main", 1)[0]
    Store(tmp_path, "stamp").write(job, a_record())
    assert not Store(tmp_path, "another").has(job)
    assert not Store(tmp_path, "stamp").has(dataclasses.replace(job, seed=5))


def test_a_broken_record_is_made_again_and_never_read(tmp_path):
    job, store = plan.jobs("main", 1)[0], Store(tmp_path, "stamp")
    store.write(job, a_record())
    whole = store.path(job).read_bytes()
    store.path(job).write_bytes(whole[:len(whole) // 2])
    assert not store.has(job)
    with pytest.raises(LGFAError, match="run the evaluation again"):
        store.read(job)
