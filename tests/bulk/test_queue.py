"""The command queue against a server that behaves, and misbehaves, as ComfyUI does."""
from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_comfy import INFOS, FakeComfy, workflow
from place import Place, served

from lgfa.bulk import state
from lgfa.bulk.comfyui import jobs as table
from lgfa.bulk.comfyui import results, server
from lgfa.bulk.comfyui.workflow import Workflow, read
from lgfa.cli import entry
from lgfa.errors import LGFAError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeComfy]:
    yield from served(FakeComfy(), monkeypatch)


class Queue(Place):
    """A place whose queue is run in this process."""

    def run(self, *more: object) -> int:
        return entry.main(self.arguments(*more))

    def result(self, name: str) -> list:
        """[text, contents of the image, number of the file, seed] that a result was made of."""
        return json.loads((self.out / name).read_text().rstrip("."))


@pytest.fixture
def place(tmp_path: Path, comfy: FakeComfy) -> Queue:
    return Queue(tmp_path, comfy)


# ---- the table

def flow(**nodes: dict) -> Workflow:
    return Workflow({**workflow(), **nodes}, {k: {"input": {"required": v}}
                                              for k, v in INFOS.items()})


def test_columns_by_input_title_class_and_id() -> None:
    for name in ("text", "Encode Text.text", "FakeEncode.text", "2.text"):
        widget = flow().resolve(name)
        assert (widget.node, widget.input, widget.kind) == ("2", "text", "STRING")
    assert flow().resolve("image").kind == "FILE"       # the renderer's image is a connection
    assert flow().resolve("strength").kind == "FLOAT"   # though the file says 1
    names = [name for name, _ in flow().columns()]
    assert names == ["image", "text", "frames", "strength", "loop", "mode", "seed",
                     "filename_prefix"]


def test_columns_that_cannot_be_used() -> None:
    twice = flow(**{"5": {"class_type": "FakeEncode", "inputs": {"text": "b"}}})
    with pytest.raises(LGFAError, match=r"can mean 2\.text \(Encode Text\), 5\.text"):
        twice.resolve("text")
    assert [name for name, _ in twice.columns() if name.endswith("text")] == [
        "Encode Text.text", "5.text"]
    with pytest.raises(LGFAError, match="no input of this workflow: there are frames"):
        flow().resolve("frame")
    with pytest.raises(LGFAError, match=r"connected to node 1 \(Load Image, LoadImage\)"):
        flow().resolve("3.image")


@pytest.mark.parametrize(("text", "column", "value"), [
    ("7.0", "frames", 7), ("1E2", "frames", 100), ("18446744073709551615", "seed", 2 ** 64 - 1),
    ("0.5", "strength", 0.5), ("2", "strength", 2), ("TRUE", "loop", True), ("no", "loop", False),
    ("3", "mode", 3), ("other", "mode", "other"), (" two\nlines ", "text", " two\nlines "),
])
def test_values_take_the_type_of_the_input(text: str, column: str, value: object) -> None:
    got = table.convert(text, flow().resolve(column), Path("."))
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(("text", "column", "said"), [
    ("7.5", "frames", "'7.5' is not a whole number"), ("0,5", "strength", "write 0.5"),
    ("nan", "strength", "can be used"), ("1e400", "strength", "can be used"),
    ("1e999999999", "seed", "can be used"), ("maybe", "loop", "not true or false"),
    ("gone.png", "image", "there is no file .*gone.png"),
])
def test_values_that_do_not_fit(text: str, column: str, said: str) -> None:
    with pytest.raises(LGFAError, match=said):
        table.convert(text, flow().resolve(column), Path("."))


def test_spreadsheets_of_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text('name;text;\n\na;"x; y\nz";\nb;;\n', encoding="utf-16")
    first, second = table.read(path, flow())
    assert first.prompt["2"]["inputs"]["text"] == "x; y\nz"
    assert second.prompt["2"]["inputs"]["text"] == "smiling"        # an empty cell
    path.write_text("\ufefftext\tseed\r\nhallo \u00e4\t3\r\n", encoding="utf-8", newline="")
    only, = table.read(path, flow())
    assert only.name == "1" and only.changes == {"2.text": "hallo \u00e4", "3.seed": 3}


@pytest.mark.parametrize("text", [
    "Name,Text,Frames\na,smiling,2\n", "NAME;TEXT;FRAMES\r\na;smiling;2\r\n",
    "name\ttext\tframes\ra\tsmiling\t2\r", "sep=;\nname;text;frames\na;smiling;2\n",
    '"sep=;"\r\nname;text;frames\r\na;smiling;2', "SEP=\t\nname\ttext\tframes\na\tsmiling\t2",
    "sep=,;;\nname,text,frames\na,smiling,2", "sep=|\nname|text|frames\na|smiling|2",
    "\n\n ; ; \nname;text;frames;;\n;;;;\na;smiling;2;;\n\n;;\n",
    "\ufeff\u00a0Name\u00a0, \"Text\" ,\u201cFrames\u201d\na,smiling,\u00a02\n",
    '"name","text","frames"\n"a","smiling","2"\n',
    'name;"Encode Text.text";Render.frames\na;smiling;2,0\n'.replace("2,0", "2.0"),
    "name,encode\u00a0 text.TEXT,3.Frames\na,smiling,2e0\n",
    "\t\t\tname\ttext\tframes\n\t\t\ta\tsmiling\t2\n",
])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_habits_of_spreadsheets(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "jobs.csv"
    mark = "\ufeff" if encoding[6:] in ("-le", "-be") else ""
    path.write_bytes((mark + text).encode(encoding))
    only, = table.read(path, flow())
    assert only.name == "a" and only.changes == {"2.text": "smiling", "3.frames": 2}


def test_capitals_count_where_names_differ_in_nothing_else() -> None:
    two = flow(**{"5": {"class_type": "FakeEncode", "inputs": {"Text": "b", "Name": "c"}}})
    assert (two.resolve("text").node, two.resolve("Text").node) == ("2", "5")
    with pytest.raises(LGFAError, match=r"'TEXT' can mean 2\.text .*, 5\.Text"):
        two.resolve("TEXT")
    assert table.named_by(["Name", "text"], two) is None        # an input has this name
    assert table.named_by(["Name", "text"], flow()) == "Name"
    assert table.named_by(["Name", "name"], two) == "name"


def test_the_line_of_a_complaint_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("\nsep=;\nframes\n1\nx\n")
    with pytest.raises(LGFAError, match=r"row 2 \(line 5\)"):
        table.read(path, flow())


def test_the_table_of_a_spreadsheet_is_taken(place: Queue, shared: Path) -> None:
    data = (shared / "cases" / "capital_header.csv").read_bytes()
    (place.folder / "jobs.csv").write_bytes(data)
    assert place.run() == 0 and place.files() == ["a.webp"]


@pytest.mark.parametrize(("text", "said"), [
    ("text\n", "no jobs in it"), ("", "no jobs in it"), ("text\na,b\n", "line 2 has more cells"),
    ("text,\na,b\n", "column 2 has no name"), ("text,2.text\na,b\n", "set the same thing"),
    ("name\na\nA\n", "rows 1 and 2 are both named"), ("name\nx/y\n", "row 1 .line 2., column name"),
    ("name\na\na_2\n", "could give files of the same name"), ("name\nNUL\n", "cannot be a file"),
    ("frames,seed\n1,2\nx,2\n3,y\n", r"row 2 \(line 3\), column 3.frames .Render.: 'x'.*row 3"),
    ('text\n"a\n', "cannot be read"), ("text\na\0b\n", "holds zero bytes"),
    ("text\n" + "x" * (1 << 20) + "y\n", "line 2 cannot be read: field larger than"),
    ('text,frames\n"a,1\nb,2\n' + "c,3\n" * 300_000, "is a quotation mark missing"),
    ("Text,2.text\na,b\n", "set the same thing"), ("x" * 100_000 + "\n1\n", "'xxx.* no input"),
    ("image\n" + "x" * 5000 + "\n", "there is no file"), ("name\nqueue.state\n", "is kept for"),
    ("frames\n" + "9" * 5000 + "\n", "can be used"), ("frames\n9" + "x" * 5000 + "\n", "9xxx"),
])
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    with pytest.raises(LGFAError, match=said):
        table.read(path, flow())


@pytest.mark.parametrize(("data", "said"), [
    ("text\nh\u00e4\n".encode("cp1252"), "not in UTF-8: save it as \"CSV UTF-8\""),
    ("text\nhi\n".encode("utf-32"), "not in UTF-8"),
    ("text\nhi\n".encode("utf-16-le"), "holds zero bytes"),
    (b"\xff\xfet\x00\x00\xd8", "not in UTF-8"), (b"\x89PNG\r\n\x1a\n\x00", "not in UTF-8")])
def test_tables_in_other_encodings(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "jobs.csv"
    path.write_bytes(data)
    with pytest.raises(LGFAError, match=said) as caught:
        table.read(path, flow())
    assert len(str(caught.value)) < 400


def test_only_the_api_format_is_a_workflow(tmp_path: Path) -> None:
    path = tmp_path / "flow.json"
    for text, said in (('{"nodes": [], "links": []}', "Export .API."), ("[]", "no workflow"),
                       ('{"1": {"inputs": {}}}', "'1' is no node"), ("{", "no JSON")):
        path.write_text(text)
        with pytest.raises(LGFAError, match=said):
            read(path)


# ---- runs

def test_rows_become_files(place: Queue, capsys: pytest.CaptureFixture) -> None:
    for folder, content in (("a", "anna"), ("b", "ben")):
        (place.folder / folder).mkdir()
        (place.folder / folder / "face.png").write_text(content)
    place.csv("name,text,seed,image", "x,smiling,1,a/face.png", "y,several,2,b/face.png",
              ",gifs,3,a/face.png", "z,angry,4,")
    assert place.run("--jobs-at-once", 2) == 0
    assert place.files() == ["3.webp", "x.webp", "y.webp", "y_2.webp", "y_3.webp", "z.webp"]
    assert place.result("x.webp") == ["smiling", "anna", 0, 1]
    assert place.result("y_3.webp") == ["several", "ben", 2, 2]     # uploaded under another name
    assert place.result("3.webp")[1] == "anna" and place.result("z.webp")[1] == "example"
    assert place.comfy.asked["/upload"] == 2 and place.comfy.deepest <= 2
    said = capsys.readouterr().out
    assert "[1/4] x: done in 1.5 s: x.webp\n" in said
    assert "4 rows: 4 done, 0 failed; 6 files in" in said
    assert place.run() == 0 and place.comfy.asked["/prompt"] == 4   # nothing is repeated
    assert "4 were finished before" in capsys.readouterr().out


def test_each_failure_has_the_servers_reason(place: Queue, capsys: pytest.CaptureFixture) -> None:
    place.csv("name,text,frames", "a,boom,", "b,,101", "c,interrupt,", "d,partial,", "e,fine,",
              "f,blocked,")
    # The reason for f comes over the websocket alone: it has to be open before.
    place.comfy.delay = 0.1
    assert place.run() == 1
    said = capsys.readouterr().out
    for text in ("a: FAILED: node 3 (Render, FakeRender): the face is too small.\n",
                 "b: FAILED: node 3 (Render, FakeRender): Value 101 bigger than max of 100: frames",
                 "c: FAILED: it was interrupted on the server, at node 3",
                 "d: FAILED: 1 file(s) came, but a part was refused: node 3",
                 "f: FAILED: Execution Blocked: no CLIP in it", "e: done in",
                 "6 rows: 1 done, 5 failed; 1 files", "failed: b, a, c, d, f ("):
        assert text in said, (text, said)
    assert place.files() == ["d.webp", "e.webp"]
    assert place.run() == 1 and place.comfy.asked["/prompt"] == 6 + 5       # e is not repeated


def test_changed_rows_run_again_and_leave_nothing_behind(place: Queue) -> None:
    (place.folder / "face.png").write_text("one")
    place.csv("name,text,image", "a,several,face.png", "b,x,face.png", "c,y,")
    assert place.run() == 0 and "a_3.webp" in place.files()
    (place.folder / "face.png").write_text("two")
    place.csv("name,text,image", "a,single,face.png", "b,x,face.png", "c,y,")
    assert place.run() == 0
    assert place.files() == ["a.webp", "b.webp", "c.webp"]
    assert place.result("b.webp")[1] == "two"
    assert place.comfy.asked["/prompt"] == 5
    (place.out / "c.webp").unlink()                     # the server still has it
    assert place.run() == 0 and place.files()[-1] == "c.webp"
    assert place.comfy.asked["/prompt"] == 5


def test_lost_connections(place: Queue, capsys: pytest.CaptureFixture) -> None:
    (place.folder / "face.png").write_text("anna")
    place.csv("text,image", *[f"t{i},face.png" for i in range(6)])
    place.comfy.faults.update({"before /prompt": 1, "after /prompt": 2, "before /queue": 2,
                               "503 /history": 2, "cut /view": 2, "after /upload": 1})
    assert place.run() == 0
    assert len(place.files()) == 6
    assert sorted(p["2"]["inputs"]["text"] for p in place.comfy.prompts) == [
        f"t{i}" for i in range(6)]                      # none ran twice
    assert all(count == 0 for count in place.comfy.faults.values())
    said = capsys.readouterr().err
    assert "Remote end closed connection" in said and "the answer was cut off; trying" in said
    assert not [p for p in place.out.iterdir() if ".tmp" in p.name]


def test_history_that_is_late(place: Queue) -> None:
    place.csv("text", "a", "b")
    place.comfy.lag = 0.3                               # 3 polls
    assert place.run("--poll", 0.1) == 0 and len(place.comfy.executed) == 2


def test_server_that_starts_anew_and_server_that_stays_away(
        place: Queue, capsys: pytest.CaptureFixture) -> None:
    place.csv("text", "a", "b", "c")
    place.comfy.delay = 0.3
    client = subprocess.Popen([sys.executable, "-m", "lgfa", *place.arguments("--retries", 1)],
                              cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(place.comfy.pending + place.comfy.running) == 3)
    place.comfy.forget()
    said, _ = client.communicate(timeout=60)
    assert client.returncode == 0 and "1: the server no longer knows it" in said
    assert len(place.files()) == 3

    place.csv("text", "d", "e")
    client = subprocess.Popen([sys.executable, "-m", "lgfa", *place.arguments("--retries", 1)],
                              cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(place.comfy.pending + place.comfy.running) == 2)
    place.comfy.close()
    _, said = client.communicate(timeout=60)
    assert client.returncode == 1 and "2 rows are left: the same command goes on" in said
    assert place.run("--retries", 0) == 2               # away from the beginning
    assert "cannot be reached: Connection refused" in capsys.readouterr().err


def wait_for(true: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_killed_half_way_and_resumed(place: Queue, kill: signal.Signals) -> None:
    place.csv("name,text", *[f"n{i},t{i}" for i in range(16)])
    place.comfy.delay = 0.05
    command = [sys.executable, "-m", "lgfa", *place.arguments("--jobs-at-once", 5)]
    client = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(place.comfy.executed) >= 6)
    client.send_signal(kill)
    said, _ = client.communicate(timeout=60)
    assert client.returncode == (130 if kill == signal.SIGINT else -kill)
    if kill == signal.SIGINT:
        assert "on the server, which goes on with these" in said
    with open(place.out / state.FILE, "ab") as file:
        file.write(b'{"event": "done", "row": "n15", "fi')          # a line that was cut off
    before = place.comfy.asked["/prompt"]
    assert 6 <= before < 16
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert end.returncode == 0, end
    assert place.files() == sorted(f"n{i}.webp" for i in range(16))
    assert [place.result(f"n{i}.webp")[0] for i in range(16)] == [f"t{i}" for i in range(16)]
    assert len(place.comfy.executed) == len(set(place.comfy.executed)) == 16
    assert place.comfy.asked["/prompt"] == 16


def test_killed_between_sending_and_the_answer(place: Queue) -> None:
    """The line in the state comes first, so a row is sent again only if it never arrived."""
    place.csv("text", "arrived", "never")
    rows = table.read(place.folder / "jobs.csv", flow())
    place.comfy.delay = 0.2
    with state.State(place.out) as known:
        known.queued("1", rows[0].digest, "id-1")
        known.queued("2", rows[1].digest, "id-2")
        server.Server(place.comfy.address).submit(rows[0].prompt, "id-1", known.client_id)
    assert place.run() == 0
    assert "id-1" in place.comfy.executed and "id-2" not in place.comfy.executed
    assert len(place.comfy.executed) == 2


def test_half_a_download_is_swept_up(place: Queue) -> None:
    """A kill while a result came leaves its temporary file; other hidden files are not ours."""
    place.csv("name", "a", "b")
    with state.State(place.out) as known:
        known.saving("a", ["a.webp"])
    left, mine = place.out / ".a.0a1b2c3d.tmp.webp", place.out / ".mine.tmp.webp"
    left.write_bytes(b"half")
    mine.write_bytes(b"whole")
    assert place.run() == 0
    assert not left.exists() and mine.exists()


def test_one_queue_to_a_folder_and_no_strangers_files(
        place: Queue, capsys: pytest.CaptureFixture) -> None:
    place.csv("name", "a", "b")
    with state.State(place.out):
        assert place.run() == 2
    assert "another queue is at work" in capsys.readouterr().err
    (place.out / "B_2.PNG").write_text("mine")
    assert place.run() == 2 and place.comfy.asked["/prompt"] == 0
    assert "holds B_2.PNG, which this queue did not write" in capsys.readouterr().err
    assert place.run("--overwrite") == 0 and place.files() == ["B_2.PNG", "a.webp", "b.webp"]
    assert results.in_the_way(place.out, ["b_"]) == []


def test_looking_first(place: Queue, capsys: pytest.CaptureFixture) -> None:
    (place.folder / "face.png").write_text("anna")
    place.csv("name,image,frames,strength", "a,face.png,3,0.5", "b,,,")
    for address in (place.comfy.address, "127.0.0.1:9"):
        assert entry.main([*place.arguments("--dry-run"), "--server", address]) == 0
        said = capsys.readouterr().out
        assert "a [new] 1.image='" in said and "face.png' (upload), 3.frames=3, 3.strength=0.5" in \
            said
        assert "b [new] as the workflow is\n2 rows: 2 to run; nothing was queued." in said
    assert entry.main(["queue", "--server", place.comfy.address, "--workflow", str(place.flow),
                     "--list-columns"]) == 0
    assert "frames   " in capsys.readouterr().out
    assert not place.out.exists() and not place.comfy.asked["/prompt"]
    assert not place.comfy.asked["/upload"]


def test_refused_before_anything_is_queued(place: Queue, capsys: pytest.CaptureFixture) -> None:
    def said(*more: object) -> str:
        assert place.run(*more) == 2
        return capsys.readouterr().err

    assert "jobs.csv: there is no such file" in said()
    place.csv("nonsense", "1")
    assert "column 'nonsense' is no input" in said()
    assert "no address like" in said("--server", "ftp://x")
    assert "write it as 'Name: value'" in said("--header", "nonsense")
    tree = workflow()
    tree["4"] = {"class_type": "LGFA_Unknown", "inputs": {}}
    place.flow.write_text(json.dumps(tree))
    assert "lacks the nodes LGFA_Unknown" in said()
    with pytest.raises(SystemExit):
        place.run("--jobs-at-once", 0)
    assert not place.out.exists() and not place.comfy.asked["/prompt"]


def test_a_terminal_sees_how_far_a_row_is(place: Queue, monkeypatch: pytest.MonkeyPatch,
                                         capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    place.csv("name", "a", "b", "c")
    place.comfy.delay = 0.3
    assert place.run() == 0
    assert "running: b 3/16; 1 queued, 0 to come" in capsys.readouterr().out
    assert place.comfy.asked["pong bytes"] >= 8         # pings were answered, masked


def test_standard_library_only() -> None:
    code = ("import sys, lgfa.cli.entry, lgfa.bulk.comfyui.run, lgfa.bulk.comfyui.jobs; "
            "lgfa.cli.entry.build_parser(); "
            "print([m for m in ('torch', 'numpy', 'PIL', 'open_clip') if m in sys.modules])")
    end = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert end.stdout.strip() == "[]", end


def test_every_kind_of_output_is_found() -> None:
    def one(name: str, kind: str = "output") -> dict:
        return {"filename": name, "subfolder": "", "type": kind}

    entry = {"outputs": {"10": {"audio": [one("c.flac")], "text": ["x"]},
                         "9": {"video": [one("a.mp4"), one("a.mp4")], "animated": [True]},
                         "3": {"images": [one("t.png", "temp")]}}}
    assert [f["filename"] for f in results.outputs(entry)] == ["a.mp4", "c.flac"]
    assert len(results.outputs(entry, previews=True)) == 3
    del entry["outputs"]["9"], entry["outputs"]["10"]
    assert [f["filename"] for f in results.outputs(entry)] == ["t.png"]
    assert results.names("r", [one("x.../../y"), one("b.tar.gz")]) == ["r", "r_2.gz"]


def test_a_disk_without_locks_is_told_from_another_queue(
    place: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:
    def none(file: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(state, "lock", none)
    place.csv("name,text", "a,smiling")
    assert place.run() == 2
    assert "lies on a disk without locks (no locks available): choose another --out." in \
        capsys.readouterr().err
