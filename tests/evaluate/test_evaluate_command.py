"""`python -m lgfa evaluate` as it is typed."""
import json
import subprocess
import sys

import pytest

from lgfa.cli.entry import main
from lgfa.cli.evaluate import command


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--methods", "lgfa,stylclip-opt"], "no method 'stylclip-opt'"),
    (["--tables", "main,everything"], "no table 'everything'"),
    (["--clips", "0"], "number of clips"),
    (["--methods", "lgfa", "--ab", "lgfa,mocogan-hd"], "--ab compares two of the methods"),
    (["--threads", "-1"], "--threads must be"),
])
def test_a_mistake_ends_in_one_sentence_and_writes_nothing(arguments, sentence, tmp_path, capsys):
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_noted_command_can_be_typed_again_and_tells_no_folder():
    assert command(["evaluate", "--methods", "lgfa", "--out", "/home/me/report"]) == \
        "python -m lgfa evaluate --methods lgfa --out report"


@pytest.mark.slow
def test_two_processes_write_one_report_and_a_page_to_compare(tmp_path):
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lgfa",
           "evaluate", "--methods", "lgfa,styleclip-opt", "--tables", "main", "--clips", "3",
           "--frames", "4", "--ab", "lgfa,styleclip-opt", "--out", str(tmp_path),
           "--device", "cpu"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {name: entry["clips"] for name, entry in report["methods"].items()} == \
        {"lgfa": 3, "styleclip-opt": 3}
    assert report["processes"] == 2
    assert list(tmp_path.glob("*.html"))
