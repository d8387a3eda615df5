"""Plots, report.md and strips out of a report's figures."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from example_report import MAIN, WORDS, example
from PIL import Image

from lgfa.errors import LGFAError
from lgfa.evaluate.report import markdown, plots, strips
from lgfa.evaluate.report.markdown import cell, grid, number


def test_every_plot_is_a_readable_picture_and_stale_ones_go(tmp_path: Path) -> None:
    written = plots.write_all(example(), tmp_path)
    assert [path.stem for path in written] == ["metrics", "accuracy", "seen_as", "curves", "paths"]
    for path in written:
        with Image.open(path) as picture:
            assert 600 < picture.width < 1400 and 200 < picture.height < 1200
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    less = example(("lgfa",))
    del less["methods"]["lgfa"]["paths"], less["methods"]["lgfa"]["curves"]
    assert [path.stem for path in plots.write_all(less, tmp_path)] == \
        ["metrics", "accuracy", "seen_as"]
    assert sorted(path.stem for path in tmp_path.glob("plots/*")) == \
        ["accuracy", "metrics", "seen_as"]


def test_plots_show_the_main_methods_and_no_figures_draw_nothing() -> None:
    report = example()
    report["main"] = ["mocogan-hd", "lgfa", "not there"]
    assert list(plots.shown(report)) == ["mocogan-hd", "lgfa"]
    del report["main"]
    assert tuple(plots.shown(report)) == MAIN
    ticks = [t.get_text() for t in plots.accuracy(report).axes[0].get_xticklabels()]
    assert ticks == [*WORDS, "mean"]
    report["methods"] = {"lgfa": {"metrics": {"recognised": [None, None, None]}}}
    assert all(draw(report) is None for _, draw in plots.PLOTS.values())


def test_every_curve_has_a_panel() -> None:
    panels = plots.curves(example(("lgfa", "mocogan-hd"))).axes
    assert [ax.get_title() for ax in panels] == list(plots.CURVES.values())
    assert all(len(ax.lines) == 2 for ax in panels)
    assert panels[-1].lines[0].get_ydata()[-1] == pytest.approx(0.3)    # CLIP score of lgfa


def test_bars_have_the_values_and_intervals_given() -> None:
    report = example(("lgfa", "mocogan-hd"))
    report["methods"]["mocogan-hd"]["metrics"] = {"acd_toon": 0.5}      # no interval
    panels = {ax.get_title().split()[0]: ax for ax in plots.metrics(report).axes}
    assert panels["recognised"].get_title().endswith("\N{RIGHTWARDS ARROW} better")
    assert panels["acd_toon"].get_title().endswith("\N{LEFTWARDS ARROW} better")
    assert [bar.get_width() for bar in panels["acd_toon"].patches] == [0.21, 0.5]
    assert list(panels["acd_toon"].lines[0].get_xdata()) == pytest.approx([0.1974, 0.2247])
    assert [bar.get_width() for bar in panels["recognised"].patches] == [0.9]


def test_paths_begin_at_the_still_on_shared_axes() -> None:
    report = example(("lgfa", "mocogan-hd"))
    shifted = report["methods"]["mocogan-hd"]["paths"]["smiling"]
    report["methods"]["mocogan-hd"]["paths"] = {"smiling": [[[x + 90, y - 70] for x, y in clip]
                                                            for clip in shifted]}
    left, right = plots.paths(report).axes
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert abs(right.get_xlim()[0]) < 20
    assert all(line.get_xdata()[0] == 0 for line in right.lines)


def test_missing_matplotlib_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(LGFAError, match="pip install matplotlib"):
        plots.ready()


def test_report_holds_every_part_and_links_only_what_is_there(tmp_path: Path) -> None:
    report = example()
    for name in plots.PLOTS:
        (tmp_path / "plots").mkdir(exist_ok=True)
        (tmp_path / f"plots/{name}.png").touch()
    strips.strip(tmp_path / report["strips"][0]["file"], [("lgfa", torch.rand(4, 16, 16, 3))])
    text = markdown.write(report, tmp_path).read_text(encoding="utf-8")
    for part in ("# Evaluation", "## Bars", "1 of 2 are met", "**MISSED**", "### Table I",
                 "| lgfa | **14.20 (13.35-15.19)** | **0.900 (0.846-0.963)** | 3 |",
                 "## Where this agrees with the paper, and where not", "does not collapse",
                 "## What the metrics mean", "`acd_toon`", "## Notes", "One processor."):
        assert part in text, part
    links = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert len(links) == 6 and "strips/main%20clips.webp" in links
    assert all(not link.startswith("/") and (tmp_path / link.replace("%20", " ")).is_file()
               for link in links)


def test_report_of_almost_nothing(tmp_path: Path) -> None:
    assert markdown.write({}, tmp_path).read_text(encoding="utf-8") == "# Evaluation\n"
    one = {"methods": {"lgfa": {"clips": 3}}, "findings": [], "strips": [{"file": "gone.webp"}]}
    text = markdown.write(one, tmp_path).read_text(encoding="utf-8")
    assert "| lgfa | 3 |" in text and "gone" not in text
    assert "Nothing to compare in this run." in text


def test_numbers_are_written_sensibly() -> None:
    assert [number(v) for v in (0.9941, 14.2049, 120.06, 48123.4, 0.02, 1e-5, 0.0, 7, None,
                                float("nan"), True, "a|b")] == \
        ["0.994", "14.20", "120.1", "48123", "0.0200", "1.0e-05", "0", "7", "-", "-", "yes",
         r"a\|b"]
    assert cell([0.994, 0.981, 1.0]) == "0.994 (0.981-1.000)"
    assert cell([0.1, -0.2, 0.4]) == "0.100 (-0.200 to 0.400)" and cell([0.5]) == "0.500"


def test_the_best_of_a_column_is_bold() -> None:
    table = grid(["m", "fd", "hits"], [["a", [2.0, 1.0, 3.0], 0.5], ["b", 1.0, None],
                                       ["c", "-", 0.5]], [None, "lower", "higher"])
    assert table.splitlines()[1:] == [
        "| --- | ---: | ---: |", "| a | 2.000 (1.000-3.000) | **0.500** |",
        "| b | **1.000** | - |", "| c | - | **0.500** |"]


def test_strips_stay_below_their_limit(tmp_path: Path) -> None:
    noise = torch.rand(9, 200, 100, 3, generator=torch.Generator().manual_seed(0))
    rows = [(f"row {i}", noise) for i in range(3)]
    path = strips.strip(tmp_path / "a/many.webp", rows, "title", columns=4, most=40_000)
    assert 10_000 < path.stat().st_size <= 40_000
    with Image.open(path) as picture:           # 4 x 80 px, 3 x 160 px, gaps, labels
        assert 0.53 < picture.width / picture.height < 0.6
    plain = torch.arange(10).div(9)[:, None, None, None].expand(10, 32, 32, 3)
    with Image.open(strips.compare(tmp_path / "two.webp", {"a": plain, "b": plain}, "smile",
                                   columns=3)) as picture:
        assert picture.width == 3 * 32 + 4 * 6
        row = [picture.convert("L").getpixel((6 + 16 + 38 * i, picture.height - 22))
               for i in range(3)]
    assert row[0] < 10 and 100 < row[1] < 155 and row[2] > 245
    with pytest.raises(LGFAError, match="written as .webp"):
        strips.strip(tmp_path / "a.png", [("a", plain)])
    with pytest.raises(LGFAError, match="without frames"):
        strips.strip(tmp_path / "a.webp", [("a", plain[:0])])
