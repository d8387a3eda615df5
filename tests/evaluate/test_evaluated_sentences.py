"""What an evaluation tells of its sentences: by clip, in the report, and --strict."""
from __future__ import annotations

from pathlib import Path

import pytest
from example_report import example
from tiny import teach

from lgfa import formats
from lgfa.errors import LGFAError
from lgfa.evaluate import plan
from lgfa.evaluate.contenders import Subject
from lgfa.evaluate.evaluation import Evaluation, Options
from lgfa.evaluate.measure import run
from lgfa.evaluate.report import markdown
from lgfa.evaluate.summary import Result, understood
from lgfa.methods.method import as_method

WORDS = {"smiling": "The person is smiling", "crying": "The person is crying"}


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    options = Options(("lgfa",), ("main",), clips=2, frames=3, strict=True,
                      out=tmp_path_factory.mktemp("evaluation"))
    return Evaluation(options, note=lambda sentence: None)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """The bundled model, as if it had been taught two words, of which it is very sure."""
    motion = teach(formats.load("toon", "motion"), WORDS, 0.9999, 0.9995)
    return Subject("lgfa", as_method(motion), "stamp", 0.0)


@pytest.fixture
def loaded(subject: Subject, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The workshop's only method."""
    monkeypatch.setattr(evaluation.workshop, "load", lambda name, texts: subject)
    return subject


@pytest.mark.filterwarnings("ignore:.*none of the 2 words")
def test_records_and_report_tell_of_each_sentence(
    evaluation: Evaluation, subject: Subject, tmp_path: Path,
) -> None:
    jobs = [plan.jobs("main", 2)[0], plan.jobs("chain", 2)[1]]      # smiling; smiling, surprised
    store = run(evaluation.maker, subject, jobs, 8, tmp_path)
    records = [store.read(job) for job in jobs]
    told = [[(one["text"], one["verdict"]) for one in record.understood] for record in records]
    assert told == [[("The person is smiling", "known")],
                    [("The person is smiling", "known"), ("The person is surprised", "unknown")]]
    assert records[0].understood[0]["nearest"][0] == ["smiling", pytest.approx(1, abs=1e-3)]

    rows = understood([Result("lgfa", "main", jobs, records, 0.0)])
    assert [(row["method"], row["suite"], row["text"], row["verdict"]) for row in rows] == [
        ("lgfa", "main", *one) for one in told[1]]
    report = {**example(), "understood": rows}
    page = markdown.write(report, tmp_path).read_text(encoding="utf-8")
    assert "## What the sentences were taken for" in page
    assert "| lgfa | main | 1 | 0 | 1 |" in page
    assert "| lgfa | main | The person is surprised | unknown | " in page
    assert "| The person is smiling |" not in page      # it is known: counted, not listed


def test_methods_that_do_not_say_leave_no_trace(tmp_path: Path) -> None:
    for report in (example(), {**example(), "understood": []}):
        page = markdown.write(report, tmp_path).read_text(encoding="utf-8")
        assert "taken for" not in page


def test_strict_ends_before_the_first_clip(evaluation: Evaluation, loaded: Subject) -> None:
    with pytest.raises(LGFAError, match=r"'The person is laughing' is like none of the 2 words "
                                        r".*: LGFA \(bundled\) cannot show it \(--strict\)"):
        evaluation.run()
    assert not list(evaluation.options.out.rglob("*.safetensors"))
