"""A whole evaluation on the bundled networks, with few clips: what it writes and what it keeps."""
import json

import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.evaluate import contenders
from lgfa.evaluate.contenders import VARIANT, Workshop
from lgfa.evaluate.evaluation import Evaluation, Options
from lgfa.evaluate.measure import VERSION, Maker, run
from lgfa.evaluate.records import Store
from lgfa.evaluate.report import markdown, tables
from lgfa.methods.method import Embedded, Method, Prompt
from lgfa.registry import BASELINES

SMALL = {"clips": 2, "frames": 4, "drawings": 12, "draws": 3}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """Of the bundled model, with few clips."""
    folder = tmp_path_factory.mktemp("evaluation")
    options = Options(("lgfa",), ("main", "longer", "stills"), out=folder, **SMALL)
    return Evaluation(options, note=lambda sentence: None)


@pytest.fixture(scope="module")
def done(evaluation):
    """(folder, report)."""
    return evaluation.options.out, evaluation.run()


def test_the_report_holds_what_was_measured(done):
    folder, report = done
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == report
    entry = report["methods"]["lgfa"]
    value, low, high = entry["metrics"]["recognised"]
    assert 0 <= low <= value <= high <= 1
    assert entry["metrics"]["fd_toon"][0] > 0
    assert sum(map(sum, entry["seen_as"])) == SMALL["clips"]
    assert len(entry["curves"]["progress"]["mean"]) == 4
    assert entry["curves"]["progress"]["mean"][0] == pytest.approx(0, abs=1e-4)
    assert {"table-1", "section-4c", "longer", "stills"} <= {t["name"] for t in report["tables"]}


def test_bars_say_how_they_were_met(done):
    bars = done[1]["bars"]
    recognised = done[1]["methods"]["lgfa"]["metrics"]["recognised"][0]
    assert bars[0]["value"] == recognised and bars[0]["met"] == (recognised >= 0.85)


def test_the_page_shows_every_table_and_its_pictures_are_there(done):
    folder, report = done
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert all(table["title"] in page for table in report["tables"])
    assert list((folder / "plots").glob("*.png"))
    assert all((folder / strip["file"]).is_file() for strip in report["strips"])


def test_a_repeated_run_makes_no_clip_again_and_says_the_same(done, evaluation):
    folder, report = done
    files = {path: path.stat().st_mtime_ns for path in (folder / "work").rglob("*.safetensors")}
    assert len(files) == 4 * SMALL["clips"] + 1
    again = evaluation.run()
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert again["tables"] == report["tables"]


def test_methods_bear_the_names_and_papers_of_the_registry(done, tmp_path):
    assert done[1]["methods"]["lgfa"]["paper"] is None      # of this project
    for name, row in BASELINES.items():
        found = contenders.label(name), contenders.about(name), contenders.paper(name)
        assert found == (row.title, row.what, row.paper)
    assert contenders.label("lgfa") == "LGFA (bundled)"
    assert contenders.label(VARIANT + "batch-2") == VARIANT + "batch-2"
    shown = {"methods": {name: {"paper": contenders.paper(name)} for name in contenders.known()}}
    page = markdown.write(shown, tmp_path).read_text(encoding="utf-8")
    assert all(row.paper in page for row in BASELINES.values())


def test_a_method_is_told_of_the_clips_that_will_be_asked_for(evaluation):
    class Told(Method):
        w_dim, told = 512, []

        def begin(self, stills, prompts):
            self.told.append((stills, [prompt.text for prompt in prompts]))

    subject = contenders.Subject("told", Told(), "x", 0.0)
    jobs, chained = evaluation.jobs("main")[:3], evaluation.jobs("chain")[:2]
    assert 0 < evaluation.maker.begin(subject, jobs) < 1
    (stills, texts), = Told.told
    assert texts == [job.texts[0] for job in jobs]
    assert torch.equal(stills, torch.cat([evaluation.maker.still(job) for job in jobs]))
    assert evaluation.maker.begin(subject, chained) == 0 and len(Told.told) == 1


def test_each_process_makes_its_own_clips(evaluation, tmp_path):
    """Two that share a folder: the second's half first, then the first finds it there."""
    subject, jobs = evaluation.workshop.load("lgfa", []), evaluation.jobs("main")
    made = []

    class Watched(Maker):
        def record(self, subject, job, *settings):
            made.append(job.index)
            return super().record(subject, job, *settings)

    maker = Watched(evaluation.parts.generator, None, evaluation.eyes)
    second = Store(tmp_path, f"{subject.stamp} 4 False {VERSION}")
    second.write(jobs[1], maker.record(subject, jobs[1], 4))
    store = run(maker, subject, jobs[:2], 4, tmp_path, rank=0, size=2)
    assert made == [1, 0] and all(store.has(job) for job in jobs[:2])


def test_a_still_clip_leaves_the_expression_unreached(evaluation):
    """The truth is measured, not assumed: a method that does nothing reaches nothing."""

    class Nothing(Method):
        w_dim = 512

        def embed(self, still, prompt):
            return Embedded(None, torch.zeros(1, 1))

        def __call__(self, w_s, embedded, frames, seed):
            return w_s[:, None].expand(-1, frames, -1, -1)

    job = evaluation.jobs("main")[0]
    subject = contenders.Subject("nothing", Nothing(), "x", 0.0)
    record = evaluation.maker.record(subject, job, 4)
    assert record.metrics["recognised"] == 0
    assert record.metrics["progress"] == pytest.approx(0, abs=1e-5)
    assert record.metrics["jerk_pixels"] == 0
    assert record.metrics["acd_toon"] == pytest.approx(0, abs=1e-5)


def test_variants_are_trained_when_they_are_missing(evaluation, tmp_path):
    """A few steps of two of the ablations, found again afterwards."""
    notes = []
    workshop = Workshop(evaluation.parts, tmp_path, scale=1e-6, note=notes.append)
    name = VARIANT + "batch-2"
    workshop.prepare([(name, [])])
    assert workshop.load(name, []).stamp
    before = len(notes)
    workshop.prepare([(name, []), ("styleclip-opt", ["The person is sad"])])    # needs nothing
    assert len(notes) == before == 2


def test_other_step_sizes_are_the_bundled_network(evaluation):
    """At the frames of its training every schedule takes the same steps; at more they differ."""
    lengths = {}
    for name in ("lgfa", *contenders.SCHEDULES):
        motion = evaluation.workshop.load(name, []).method.motion
        with torch.no_grad():
            z_t = motion.encode_text(["The person is smiling"])
            trained = motion.rnn(z_t, motion.config.train_frames, seed=0, training=True)
            shown = motion.rnn(z_t, 16, seed=0, training=False)
        lengths[name] = (float(trained[:, -1].norm()), float(shown[:, -1].norm()))
    trained = [pair[0] for pair in lengths.values()]
    assert max(trained) == pytest.approx(min(trained), rel=1e-5)
    assert lengths["lgfa:schedule-authors"][1] < lengths["lgfa"][1] < \
        lengths["lgfa:schedule-paper"][1]


def test_a_straight_line_has_the_ends_of_our_own_clip(evaluation):
    still = evaluation.maker.still(evaluation.jobs("main")[0])
    paths = []
    for name in ("lgfa", "lgfa:straight"):
        method = evaluation.workshop.load(name, []).method
        read = method.embed(None, Prompt("The person is sad"))
        with torch.no_grad():
            paths.append(method(still, read, 6, 3)[0])
    torch.testing.assert_close(paths[0][[0, -1]], paths[1][[0, -1]], rtol=0, atol=1e-5)
    assert float(paths[1].diff(n=2, dim=0).abs().max()) < 1e-5


@pytest.mark.parametrize(("change", "sentence"), [
    ({"methods": ("lgfa", "mocogan")}, "no method 'mocogan'"),
    ({"methods": ()}, "no method to evaluate"),
    ({"topics": ("table-1",)}, "no table 'table-1'"),
    ({"frames": 2}, "3 to 1000 frames"),
    ({"clips": 0}, "number of clips"),
    ({"domain": "ffhq"}, "truth is known for the domain toon"),
    ({"scale": 0.0}, "scale of trainings"),
])
def test_refuses_with_a_sentence(change, sentence):
    with pytest.raises(LGFAError, match=sentence):
        Options(**{"methods": ("lgfa",), **change})


def test_every_table_runs_what_it_shows():
    """No table names a method that does not exist."""
    for topic in tables.TOPICS.values():
        for suite, name in topic.runs(tuple(contenders.known()[:5])):
            contenders.check([name])
            assert suite in tables.TOPICS or suite
