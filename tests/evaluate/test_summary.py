"""From records to figures, on records whose figures are known."""
from __future__ import annotations

import pytest
import torch

from lgfa.evaluate import plan, summary
from lgfa.evaluate.records import Record
from lgfa.evaluate.summary import Result

CLIPS = 2 * len(plan.EXPRESSIONS)


def result(method: str = "lgfa", scale: float = 1.0) -> Result:
    """Two clips of every expression: the first person's succeed, the second's end neutral."""
    jobs = plan.main(CLIPS, 0)
    records = []
    for job in jobs:
        good = job.index < len(plan.EXPRESSIONS)
        way = torch.linspace(0, 1, 4).view(-1, 1, 1) * torch.eye(8)[job.index % 2] * scale
        records.append(Record(
            {"recognised": float(good), **({"acd": 0.5} if good else {})},
            [job.targets[-1] if good else 0],
            {"progress": [0.0, 1.0 if good else 0.5]}, {}, 2.0 + good,
            {"latents": way.expand(-1, 3, -1) + job.index}))
    return Result(method, "main", jobs, records, 7.5)


def test_means_are_of_the_clips_that_have_the_metric() -> None:
    one = result()
    value, low, high = one.interval("recognised")
    assert value == pytest.approx(0.5) and 0.2 < low < 0.5 < high < 0.8
    assert one.interval("acd")[0] == 0.5 and len(one.values("acd")) == CLIPS // 2
    assert one.interval("not measured") is None
    assert one.seconds() == pytest.approx(2.5)


def test_asked_expressions_are_counted_as_they_are_seen() -> None:
    one = result()
    counts = summary.seen_as(one)
    assert sum(map(sum, counts)) == CLIPS and sum(counts[0]) == 0       # nobody asked for neutral
    for row, target in enumerate(job.targets[-1] for job in one.jobs[:len(plan.EXPRESSIONS)]):
        assert counts[target][target] == 1 and counts[target][0] == 1
        assert one.asked(target) == [row, row + len(plan.EXPRESSIONS)]


def test_the_entry_of_a_report() -> None:
    entry = summary.summarise(result(), {"fd": [1.0, 0.9, 1.1]})
    assert entry["clips"] == CLIPS and entry["training_minutes"] == 7.5
    assert entry["metrics"]["fd"] == [1.0, 0.9, 1.1] and set(entry["metrics"]) == {
        "recognised", "acd", "fd"}
    assert entry["accuracy"] == dict.fromkeys(plan.EXPRESSIONS, 0.5)


def test_curves_are_means_with_the_interval_of_the_mean() -> None:
    found = summary.curves(result())["progress"]
    assert found["mean"] == [0.0, 0.75] and found["low"][0] == found["high"][0] == 0.0
    error = 0.25 * (CLIPS / (CLIPS - 1)) ** 0.5 / CLIPS**0.5
    assert found["high"][1] == pytest.approx(0.75 + 1.96 * error)
    assert found["low"][1] == pytest.approx(0.75 - 1.96 * error)


def test_paths_lie_in_the_plane_of_the_moves_whatever_their_length() -> None:
    drawn = summary.paths([result(), result("other", scale=5.0)], people=1)
    assert set(drawn) == {"lgfa", "other"} and set(drawn["lgfa"]) == set(plan.EXPRESSIONS)
    for name in plan.EXPRESSIONS:
        (ours,), (theirs,) = drawn["lgfa"][name], drawn["other"][name]
        assert torch.tensor(ours[0]).abs().max() < 1e-9                 # from the still
        length, longer = (torch.tensor(one[-1]).norm().item() for one in (ours, theirs))
        assert length == pytest.approx(3**0.5, rel=1e-6)                # nothing of it is lost
        assert longer == pytest.approx(5 * length, rel=1e-6)


def test_without_latents_no_paths() -> None:
    one = result()
    bare = [Record(record.metrics, record.seen, record.curves) for record in one.records]
    assert summary.paths([Result("lgfa", "main", one.jobs, bare, 0.0)]) == {}
