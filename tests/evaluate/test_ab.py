"""The A/B sheet: what is written, judged in a headless Chromium, and counted."""
from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lgfa.cli import entry
from lgfa.errors import LGFAError
from lgfa.evaluate.report import ab_page as ab

NAMES = ("lgfa-model", "styleclip-opt")
RED, BLUE = (230, 40, 40), (40, 40, 230)    # clips of the first and of the second method
TEXTS = ("The person is smiling", "The person says </script><b>", "The person is @DATA@")


def clip(color: tuple[int, int, int], frames: int = 5, side: int = 48) -> torch.Tensor:
    """Every frame brighter than the one before: [T, side, side, 3]."""
    shade = torch.linspace(0.4, 1, frames)[:, None, None, None]
    return (torch.tensor(color) / 255 * shade).expand(frames, side, side, 3)


def sheet(folder: Path, seed: int = 3) -> Path:
    pairs = [ab.Pair(text, clip(RED), clip(BLUE), f"job {i}") for i, text in enumerate(TEXTS)]
    return ab.write(folder, pairs, *NAMES, seed=seed, title="Which is better & why?")


def data_of(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


# ---------------------------------------------------------------- the file

def test_page_holds_the_clips_and_hides_the_methods(tmp_path: Path) -> None:
    path = sheet(tmp_path)
    text, data = path.read_text(encoding="utf-8"), data_of(path)
    for name in NAMES:
        assert name not in text and name not in path.name
    assert "<title>Which is better &amp; why?</title>" in text
    assert not re.search(r"https?:|src=|@import|url\(", text.split('id="data"')[0])
    assert [pair["text"] for pair in data["pairs"]] == list(TEXTS)
    secret = json.loads(bytes(byte ^ ord(data["sheet"][i % 16]) for i, byte in
                              enumerate(base64.b64decode(data["hidden"]))))
    assert secret["names"] == list(NAMES)
    for pair, swapped in zip(data["pairs"], secret["swapped"], strict=True):
        assert (pair["frames"], pair["columns"], pair["width"]) == (5, 3, 48)
        for k, coded in enumerate(pair["clips"]):
            picture = Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGB")
            assert picture.size == (3 * 48, 2 * 48)
            last = picture.getpixel((48 + 24, 48 + 24))     # frame 5: second row, second column
            expected = (RED, BLUE)[k ^ swapped]
            assert max(abs(a - b) for a, b in zip(last, expected, strict=True)) < 12


def test_order_follows_the_seed(tmp_path: Path) -> None:
    pages = [sheet(tmp_path, seed) for seed in (3, 3, 4)]
    assert pages[0] == pages[1] and data_of(pages[0])["sheet"] != data_of(pages[2])["sheet"]
    pairs = [ab.Pair("x", clip(RED, 1, 8), clip(BLUE, 1, 8))] * 40
    firsts = [pair["clips"][0] for pair in data_of(ab.write(tmp_path, pairs, "a1", "b1"))["pairs"]]
    assert 8 < firsts.count(firsts[0]) < 32                 # stored in mixed order


def test_large_frames_shrink_and_odd_pairs_are_refused(tmp_path: Path) -> None:
    wide = torch.zeros(1, 300, 1024, 3)
    pair = data_of(ab.write(tmp_path, [ab.Pair("x", wide, wide)], "one", "two"))["pairs"][0]
    assert (pair["width"], pair["height"]) == (512, 150)
    for pairs, names, title, said in (
            ([], ("one", "two"), "t", "needs pairs"),
            ([ab.Pair("x", wide, wide)], ("one", "one"), "t", "different methods"),
            ([ab.Pair("x", wide, wide)], ("one", "two"), "Is TWO better?", "names the method two"),
            ([ab.Pair("x", wide, wide, "one 7")], ("one", "two"), "t", "names the method one"),
            ([ab.Pair("x", wide, clip(RED))], ("one", "two"), "t", "alike in frames and size"),
            ([ab.Pair("x", wide[0], wide)], ("one", "two"), "t", r"must be \[T,H,W,3\]")):
        with pytest.raises(LGFAError, match=said):
            ab.write(tmp_path, pairs, *names, title=title)


# ---------------------------------------------------------------- counting

def choices(token: str, picks: list[str], **more: Any) -> dict[str, Any]:
    """What a rater hands in: one pair for each letter pair such as "aab"; "-" is no vote."""
    name = {"a": "one", "b": "two", "-": None}
    answers = [{"pair": i, "left": "one", "right": "two",
                "choices": dict(zip(ab.DIMENSIONS, (name[c] for c in pick), strict=True))}
               for i, pick in enumerate(picks)]
    return {"format": ab.FORMAT, "version": ab.VERSION, "sheet": "0123456789abcdef", "seed": 0,
            "title": "t", "methods": ["one", "two"], "pairs": 4, "rater": token, "token": token,
            "saved": "2026-01-01T00:00:00.000Z", "answers": answers, **more}


def store(path: Path, found: Any) -> Path:
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_votes_are_counted_with_wilsons_interval(tmp_path: Path) -> None:
    old = store(tmp_path / "old.json", choices("x", ["bbb"] * 4))
    new = store(tmp_path / "new.json", choices("x", ["aab", "aab", "aa-", "ab-"],
                                               saved="2026-01-02T00:00:00.000Z"))
    other = store(tmp_path / "other.json", choices("y", ["bab"]))
    for files in ([old, new, other], [new, other, old]):
        found = ab.summarise(files)
        assert (found["raters"], found["sittings"], found["votes"], found["pairs_judged"]) == \
            (2, 2, 13, 4)
        quality = found["dimensions"]["quality"]
        assert quality["votes"] == 5 and quality["preferred"]["one"][0] == 0.8
        assert found["dimensions"]["alignment"]["preferred"]["one"][0] == 0
        assert found["left"][0] == pytest.approx(8 / 13)
    # by hand: 0.8 of 5, z = 1.96: middle 1.1842, reach 0.5196, scale 1.7683
    assert quality["preferred"]["one"][1:] == pytest.approx([0.3755, 0.9638], abs=2e-4)
    assert quality["preferred"]["two"][1:] == pytest.approx([1 - 0.9638, 1 - 0.3755], abs=2e-4)
    assert ab.wilson(0, 0) is None and ab.wilson(0, 5)[1] == 0 and ab.wilson(5, 5)[2] == 1


def test_files_that_do_not_belong_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    good = store(tmp_path / "good.json", choices("x", ["aab"]))
    assert entry.main(["ab-summary", str(good), "--out", str(tmp_path / "sum.json")]) == 0
    said = capsys.readouterr().out
    assert "1 rater, 3 votes on 1 of 4 pairs" in said and "one  100.0% (20.7% to 100.0%)" in said
    assert json.loads((tmp_path / "sum.json").read_text())["votes"] == 3
    for found, expected in (
            (choices("y", ["aab"], sheet="f" * 16), "belongs to another sheet"),
            (choices("y", ["aab"], version=9), "is of version 9"),
            (choices("y", ["aab"], methods=["one", "three"], answers=[
                {"pair": 0, "left": "one", "choices": {"quality": "two"}}]), "is damaged"),
            ({**choices("y", []), "token": None}, "is damaged"),
            ([1], "is not a file of choices"), ({"format": "x"}, "is not a file of choices")):
        assert entry.main(["ab-summary", str(good), str(store(tmp_path / "b.json", found))]) == 2
        err = capsys.readouterr().err
        assert expected in err and err.count("\n") == 1
    assert entry.main(["ab-summary", str(tmp_path / "missing.json")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_no_choices_can_be_so_odd_that_they_leave_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture,
) -> None:
    odd = [None, 5, -1.5, 10**4000, "", "\x1b[31m\ud800", [], ["x", "x"], [[], {}], [1, 2], {},
           {"quality": []}, {"quality": ["one"]}, True]
    whole = choices("x", ["aab"])
    tried = [{**whole, key: value} for key in whole for value in odd]
    tried += [{**whole, "answers": [{**whole["answers"][0], key: value}]}
              for key in whole["answers"][0] for value in odd]
    tried += [{**whole, "answers": [value]} for value in odd]
    for found in tried:
        code = entry.main(["ab-summary", str(store(tmp_path / "a.json", found))])
        said = capsys.readouterr()
        assert code in (0, 2) and "\x1b" not in said.out + said.err
        assert code == 0 or said.err.count("\n") == 1
    for text in (b"", b"[" * 100_000, b"\xff\xfe", b"9" * 5000, b"\xef\xbb\xbf5", b"NaN"):
        (tmp_path / "a.json").write_bytes(text)
        assert entry.main(["ab-summary", str(tmp_path / "a.json")]) == 2
    assert entry.main(["ab-summary", str(tmp_path)]) == 2         # a folder


# ---------------------------------------------------------------- in a browser

@pytest.fixture
def page(tmp_path: Path, repo: Path) -> Iterator[Any]:
    """The sheet in a headless Chromium."""
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("no aiohttp, which speaks to the browser: pip install aiohttp")
    sys.path.insert(0, str(repo / "tests" / "integration"))
    try:
        from browser import Browser, find_chromium
    finally:
        sys.path.pop(0)
    if find_chromium() is None:
        pytest.skip("no Chromium: install one or name it by LGFA_CHROMIUM")

    class Tab(Browser):
        def open(self, url: str) -> None:
            self.call("Page.navigate", url=url)
            self.until(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

        def press(self, key: str) -> None:
            for kind in ("keyDown", "keyUp"):
                text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)

    with Tab(tmp_path / "profile", sheet(tmp_path).as_uri(), (1000, 900)) as browser:
        browser.call("Browser.setDownloadBehavior", behavior="allow",
                     downloadPath=str(tmp_path / "downloads"))
        yield browser


def left_is_red(page: Any) -> bool:
    """Waits for the clips, and looks at the left one."""
    page.until("document.getElementById('vote').dataset.frame !== undefined"
               " && document.getElementById('left').width === 48")
    red, _, blue, _ = page.js("[...document.getElementById('left').getContext('2d')"
                              ".getImageData(24, 24, 1, 1).data]")
    return red > blue


def wait_for_file(folder: Path, count: int) -> list[Path]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        files = sorted(folder.glob("choices-*.json"), key=lambda f: f.stat().st_mtime)
        if len(files) == count:
            return files
        time.sleep(0.1)
    raise TimeoutError(f"no {count} files of choices in {folder}")


def click(page: Any, name: str) -> None:
    page.js(f"document.getElementById('{name}').click()")


def test_a_sheet_is_judged_reloaded_downloaded_and_counted(page: Any, tmp_path: Path) -> None:
    page.js("document.getElementById('rater').value = 'Rater 7'")
    click(page, "begin")
    seen = []
    for number in range(3):
        page.until(f"document.getElementById('count').textContent.startsWith('pair {number + 1} ')")
        page.js("delete document.getElementById('vote').dataset.frame; start()")
        first = "1" if left_is_red(page) else "2"   # quality: red; consistency: blue
        seen.append(page.js("document.getElementById('text').textContent"))
        assert page.js("document.getElementById('next').disabled")
        page.press(first)
        page.press("2" if first == "1" else "1")
        if number == 1:                             # a reload forgets nothing
            page.call("Page.reload")
            page.until("document.readyState === 'complete' && document.getElementById('count')"
                       ".textContent.startsWith('pair 2 ')")
            assert page.js("document.querySelectorAll('input:checked').length") == 2
        page.js(f"document.querySelectorAll('[name=alignment]')[{int(first) - 1}].click()")
        shot(page, tmp_path, f"ab-{number}")
        page.press("Enter")
    assert sorted(seen) == sorted(TEXTS)            # as text, not as markup
    page.until("!document.getElementById('end').hidden")
    shot(page, tmp_path, "ab-end")

    click(page, "review")                           # think again about the last one
    page.until("!document.getElementById('vote').hidden")
    click(page, "back")
    page.until("document.getElementById('count').textContent.startsWith('pair 2 ')")
    assert page.js("document.querySelectorAll('input:checked').length") == 3
    click(page, "save")
    file, = wait_for_file(tmp_path / "downloads", 1)
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["rater"] == "Rater 7" and found["complete"] and "Rater_7" in file.name
    assert found["methods"] == list(NAMES) and not any(name in file.name for name in NAMES)
    assert {answer["key"] for answer in found["answers"]} == {"job 0", "job 1", "job 2"}
    assert all(re.match(r"20\d\d-.*Z$", t) for a in found["answers"] for t in a["times"].values())

    counted = ab.summarise([file])
    shares = {name: one["preferred"]["lgfa-model"][0]
              for name, one in counted["dimensions"].items()}
    assert shares == {"quality": 1.0, "consistency": 0.0, "alignment": 1.0}
    assert [line for line in page.console if line[0] == "error"] == []


def test_another_person_starts_anew_with_balanced_sides(page: Any, tmp_path: Path) -> None:
    lefts = page.js("Array.from({length: 200}, () => fresh('x').first.join(''))")
    assert {sum(map(int, first)) for first in lefts} == {1, 2}       # of three: half, rounded
    assert len(set(lefts)) == 6
    assert len(set(page.js("Array.from({length: 200}, () => fresh('x').order.join(''))"))) == 6
    click(page, "begin")
    page.press("1")
    click(page, "save")
    first, = wait_for_file(tmp_path / "downloads", 1)
    page.js("confirm = () => true; document.getElementById('other').click()")
    assert page.js("document.getElementById('start').hidden") is False
    assert page.js("localStorage.length") == 0
    click(page, "begin")
    page.press("2")
    click(page, "save")
    both = wait_for_file(tmp_path / "downloads", 2)
    counted = ab.summarise(both)
    assert (counted["sittings"], counted["votes"], counted["left"][0]) == (2, 2, 0.5)
    assert json.loads(first.read_text())["complete"] is False


def shot(page: Any, folder: Path, name: str) -> None:
    """A screenshot into $LGFA_SCREENSHOTS, or among the test's files."""
    place = Path(os.environ.get("LGFA_SCREENSHOTS") or folder)
    place.mkdir(parents=True, exist_ok=True)
    page.picture(place / f"{name}.jpg")
