"""Bars and sentences, made from figures that are known."""
from __future__ import annotations

from lgfa.evaluate import plan
from lgfa.evaluate.contenders import OWN, STRAIGHT, VARIANT
from lgfa.evaluate.records import Record
from lgfa.evaluate.report import findings
from lgfa.evaluate.report.tables import Figures
from lgfa.evaluate.summary import Result


def figures(**methods: dict[str, float]) -> Figures:
    """Every clip of a method has these metrics; "suite__name" for other suites than the main."""
    results = {}
    for key, metrics in methods.items():
        suite, _, name = key.rpartition("__")
        names = {"own": OWN, "straight": STRAIGHT}
        name = names.get(name, name.replace("v_", VARIANT, 1).replace("_", "-"))
        jobs = plan.main(4, 0)
        records = [Record(metrics, [job.targets[-1]]) for job in jobs]
        results[(suite or "main", name)] = Result(name, suite or "main", jobs, records, 1.0)
    main = tuple(name for suite, name in results if suite == "main")
    return Figures(results, {}, {}, main, 10, {})


def sentence(one: Figures, words: str) -> str:
    """The only finding with these words."""
    found, = [text for text in findings.findings(one) if words in text]
    return found


def test_bars_are_met_or_missed() -> None:
    one = figures(own={"recognised": 1.0, "acd_toon": 0.5, "jerk_pixels": 2.0},
                  mocogan_hd={"recognised": 1.0, "acd_toon": 1.0, "jerk_pixels": 1.0},
                  straight={"recognised": 0.5}, paraphrase__own={"recognised": 0.5})
    bars = {bar["what"].split(",")[0]: bar for bar in findings.bars(one)}
    own = bars["LGFA reaches the asked expression"]
    assert own["met"] and own["value"] == 1.0 and own["bar"] == ">= 0.85"
    assert "4 clips" in next(bar["what"] for bar in findings.bars(one))
    assert not bars["LGFA with paraphrases never seen in training"]["met"]
    acd = bars["ACD of LGFA / MoCoGAN-HD's"]
    assert acd["met"] and acd["value"] == 0.5 and acd["note"] == "0.5 against 1"
    assert not bars["jerk in the pictures"]["met"]
    more = [bar for bar in findings.bars(one) if "more often than" in bar["what"]]
    assert len(more) == 1 and not more[0]["met"]            # as often is not more often


def test_nothing_is_said_without_figures() -> None:
    assert findings.bars(figures(straight={"recognised": 1.0})) == []
    assert findings.findings(figures(own={"recognised": 1.0})) == []


def test_agreement_with_the_paper_follows_the_figures() -> None:
    for own, words in ((0.9, "the same is found"), (0.1, "this is NOT found")):
        one = figures(own={"recognised": own}, styleclip_opt={"recognised": 0.5})
        said = sentence(one, "say the sentence better")
        assert words in said and f"recognised {own:.3f} against 0.500" in said


def test_batches() -> None:
    shares = {"v_batch_2": 0.1, "v_batch_4": 0.9, "v_batch_8": 0.8}
    one = figures(**{name: {"recognised": share} for name, share in shares.items()})
    said = sentence(one, "a batch of 2 fails")
    assert "the same is found" in said and "2: 0.100, 4: 0.900, 8: 0.800" in said
    one = figures(**{name: {"recognised": 0.9} for name in shares})
    assert "NOT" in sentence(one, "a batch of 2 fails")


def test_longer_sequences() -> None:
    row = {"recognised_1": 0.9, "recognised_2": 0.8, "identity_last": 0.1}
    assert "the same is found: first expression 0.900" in sentence(
        figures(chain__own=row), "longer sequences")
    said = sentence(figures(chain__own={**row, "recognised_2": 0.5},
                            added__own={"recognised_2": 0.25}), "longer sequences")
    assert "NOT" in said and said.endswith("only added to the first: second 0.250.")
