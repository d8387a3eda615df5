"""What the queue tells of a row's sentences, which the server's motion model knows or not."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_comfy import FakeComfy
from place import Place, served

from lgfa.bulk import state
from lgfa.bulk.comfyui import results
from lgfa.cli import entry
from lgfa.motion.understanding import Understanding


def told(text: str) -> list[dict[str, Any]]:
    """What our node writes for a sentence."""
    verdict = "unknown" if "tango" in text else "unsure" if "grin" in text else "known"
    nearest = (("winking", 0.4123), ("sad", 0.25))
    return [Understanding(text, verdict, nearest, 14).plain()]


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeComfy]:
    server = FakeComfy()
    server.understood = told
    yield from served(server, monkeypatch)


@pytest.fixture
def place(tmp_path: Path, comfy: FakeComfy) -> Place:
    found = Place(tmp_path, comfy)
    found.csv("name,text", "smile,smiling", "dance,dancing the tango", "grin,a grin")
    return found


def noted(place: Place) -> dict[str, list[dict[str, Any]]]:
    """What queue.state.jsonl says of the rows that are done."""
    lines = map(json.loads, (place.out / state.FILE).read_text().splitlines())
    return {line["row"]: line["understood"] for line in lines if line["event"] == "done"}


def test_a_rows_line_says_what_is_not_surely_known(
    place: Place, capsys: pytest.CaptureFixture,
) -> None:
    assert entry.main(place.arguments()) == 0
    out = capsys.readouterr().out
    lines = {name: next(line for line in out.splitlines() if f" {name}: " in line)
             for name in ("smile", "dance", "grin")}
    assert lines["smile"].endswith("smile.webp")
    assert lines["dance"].endswith("dance.webp - 'dancing the tango' is like none of the 14 words "
                                   "that this model knows; nearest: winking 0.41")
    assert "grin.webp - 'a grin' is perhaps 'winking' (0.41)" in lines["grin"]
    assert "2 of the rows that are done have a sentence" in out.splitlines()[-1]
    assert place.files() == ["dance.webp", "grin.webp", "smile.webp"]


def test_the_state_keeps_it_by_row(place: Place) -> None:
    assert entry.main(place.arguments()) == 0
    found = noted(place)
    assert {name: [one["verdict"] for one in told] for name, told in found.items()} == {
        "smile": ["known"], "dance": ["unknown"], "grin": ["unsure"]}
    assert found["dance"][0]["nearest"] == [["winking", 0.4123], ["sad", 0.25]]
    assert found["dance"][0]["text"] == "dancing the tango"
    assert state.peek(place.out).rows["dance"].status == "done"     # read as before


def test_strict_fails_the_row_and_fetches_nothing(
    place: Place, capsys: pytest.CaptureFixture,
) -> None:
    assert entry.main(place.arguments("--strict")) == 1
    out = capsys.readouterr().out
    assert "dance: FAILED: 'dancing the tango' is like none of the 14 words" in out
    assert "(--strict)" in out and "3 rows: 2 done, 1 failed" in out
    assert place.files() == ["grin.webp", "smile.webp"]
    # without it the same command finishes the row
    assert entry.main(place.arguments()) == 0
    assert place.files() == ["dance.webp", "grin.webp", "smile.webp"]


def test_nothing_is_said_where_the_server_says_nothing(
    place: Place, comfy: FakeComfy, capsys: pytest.CaptureFixture,
) -> None:
    comfy.understood = None
    assert entry.main(place.arguments("--strict")) == 0
    out = capsys.readouterr().out
    assert " - '" not in out and "surely" not in out and "3 done" in out
    assert "understood" not in (place.out / state.FILE).read_text()


ODD = [
    None, 3, "text", {}, [], [3, None, "x"], [{}], [{"verdict": "perhaps"}], [{"verdict": []}],
    {"0": told("tango")}, [[told("tango")]],
]


@pytest.mark.parametrize("answer", ODD, ids=repr)
def test_what_is_no_understanding_is_left_out(
    place: Place, comfy: FakeComfy, capsys: pytest.CaptureFixture, answer: Any,
) -> None:
    comfy.understood = lambda text: answer
    assert entry.main(place.arguments("--strict")) == 0
    assert "3 rows: 3 done, 0 failed" in capsys.readouterr().out


def test_a_servers_words_are_short_one_line_and_numbers_are_numbers() -> None:
    odd = {"text": "a\nb" * 10_000, "verdict": "unknown", "sentence": "x\r\ny" * 10_000,
           "nearest": [["w" * 10_000, 0.5], ["a", float("nan")], ["b", "c"], ["d", 1], 7]}
    entry_ = {"outputs": {"10": {"understood": [odd] * 3}, "9": {"understood": [odd] * 500}}}
    one, = results.understood(entry_)
    assert len(json.dumps(one)) < 2000 and "\n" not in one["text"] + one["sentence"]
    assert [name[:3] for name, _ in one["nearest"]] == ["www"]
    assert len(results.doubts([one])) < 700
    bare, = results.understood({"outputs": {"1": {"understood": [
        {"verdict": "unknown", "text": "tango"}]}}})
    assert bare["sentence"] == "unknown: 'tango'" and bare["nearest"] == []
    many = [{"verdict": "known", "text": str(i)} for i in range(1000)]
    assert len(results.understood({"outputs": {"1": {"understood": many}}})) == 100
