"""The command queue against a server that is broken, or means harm.

Whatever one request is answered with ends in one sentence: the row fails, or the table stops and
can go on; nothing is lost, nothing runs twice, no half file stays.
"""
from __future__ import annotations

import io
import json
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_comfy import workflow
from hostile_comfy import (
    CHUNKED,
    DRIPS,
    FLOODS,
    LENGTHS,
    OK,
    OTHERS,
    TEXTS,
    Elsewhere,
    HostileComfy,
    answer,
    drip,
    flood,
    frame,
)
from place import Place, served

from lgfa.bulk import bounded, state
from lgfa.bulk.comfyui import run, server, watch
from lgfa.bulk.show import Show
from lgfa.cli import entry

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("--header", "Authorization: Bearer SECRET", "--header", "X-Api-Key: K123",
           "--header", "Cookie: session=C456")


class Evil(Place):
    """A place with a table of three rows, of which one is evil."""

    def __init__(self, folder: Path, comfy: HostileComfy, capsys: pytest.CaptureFixture) -> None:
        super().__init__(folder, comfy)
        self.capsys = capsys
        self.csv("name,text", "a,good", "b,evil", "c,fine", "")

    def arguments(self, *more: object) -> list[str]:
        return super().arguments("--timeout", "0.4", "--retries", "0", *more)

    def run(self, *more: object) -> tuple[int, str]:
        """Exit code, and all that was said; nothing is left half done."""
        code = entry.main(self.arguments(*more))
        said = "".join(self.capsys.readouterr())
        assert "Traceback" not in said
        assert not list(self.out.glob(".*")) if self.out.exists() else True
        return code, said

    def only_b_fails(self, *more: object) -> str:
        """Runs; returns why the evil row failed. The others are finished."""
        code, said = self.run(*more)
        assert code == 1 and ", 1 failed;" in said, said
        assert self.files() == ["a.webp", "c.webp"]
        return said.partition("b: FAILED: ")[2].splitlines()[0]

    def made_good(self) -> None:
        """The same command against a server that is well: each row has run once by then."""
        self.comfy.attacks.clear()
        code, said = self.run()
        assert code == 0 and self.files() == ["a.webp", "b.webp", "c.webp"], said
        assert len(self.comfy.executed) == len(set(self.comfy.executed)) == 3


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileComfy]:
    yield from served(HostileComfy(), monkeypatch)


@pytest.fixture
def place(tmp_path: Path, comfy: HostileComfy, capsys: pytest.CaptureFixture) -> Evil:
    return Evil(tmp_path, comfy, capsys)


# ---- time

@pytest.mark.parametrize("kind", DRIPS)
def test_a_drip_of_an_answer_ends_in_time(place: Evil, kind: str) -> None:
    place.comfy.attacks["/queue"] = DRIPS[kind]
    code, said = place.run()
    assert code == 2 and "no whole answer within 0.4 s (--timeout)" in said, said
    assert not place.comfy.prompts


@pytest.mark.parametrize(("route", "kind"), [
    ("/history", "body"), ("/view", "a header"), ("/view", "body"), ("/view", "chunks"),
    ("/prompt", "a header"), ("/prompt", "chunks")])
def test_a_drip_for_one_row_ends_that_row(place: Evil, route: str, kind: str) -> None:
    place.comfy.attacks[route] = DRIPS[kind]
    assert "no whole answer within 0.4 s" in place.only_b_fails()
    place.made_good()


def test_a_slow_but_steady_result_is_fetched(place: Evil) -> None:
    """Its whole takes longer than --timeout, each MB of it does not."""
    def send(sock: Any) -> None:
        sock.sendall(OK + b"Content-Length: 3145728\r\n\r\n")
        for _ in range(6):
            sock.sendall(b"x" * 524288)
            time.sleep(0.4)

    place.comfy.attacks["/view"] = send
    code, said = place.run("--timeout", 2)
    assert code == 0 and (place.out / "b.webp").stat().st_size == 3145728, said


def test_a_drip_is_tried_again(place: Evil) -> None:
    place.comfy.attacks["/view"] = DRIPS["body"]
    assert "no whole answer within 0.1 s (--timeout) (3 tries)" in place.only_b_fails(
        "--retries", 2, "--timeout", 0.1)
    assert place.comfy.asked["attacked /view"] == 3


def test_interrupts_end_a_drip(place: Evil) -> None:
    place.comfy.attacks["/queue"] = DRIPS["body"]
    client = subprocess.Popen([sys.executable, "-m", "lgfa", *place.arguments("--timeout", 60)],
                              cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not place.comfy.asked["attacked /queue"]:
        time.sleep(0.02)
    client.send_signal(signal.SIGINT)
    assert client.communicate(timeout=20)[1].endswith("stopped.\n") and client.returncode == 130


def test_a_row_that_never_ends_is_stopped(place: Evil) -> None:
    """It is interrupted; those behind it have a time of their own."""
    (place.folder / "jobs.csv").write_text("name,text\na,good\nb,stuck evil\nc,fine\n")
    assert place.only_b_fails("--row-timeout", 0.5) == \
        "it ran for more than 0.5 s (--row-timeout)."
    assert len(place.comfy.interrupted) == 1


def test_the_time_of_rows_behind_begins_anew_when_one_begins(tmp_path: Path) -> None:
    """Or a slow look at the server would end them together with the row before them."""
    with state.State(tmp_path) as known:
        runner = run.Runner(server.Server("127.0.0.1:9"), None, [], known, tmp_path, Show(),
                            row_timeout=60.0)
        runner.flying = {name: run.Flight(None, since=time.monotonic() - 59) for name in "bc"}
        runner._wait_for(runner.flying["b"], "b", running=True)
    assert runner.flying["b"].running and not runner.flying["c"].running
    assert all(time.monotonic() - flight.since < 10 for flight in runner.flying.values())


def test_a_row_that_never_begins_is_taken_back(place: Evil) -> None:
    (place.folder / "jobs.csv").write_text("name,text\na,good\n")
    assert place.run()[0] == 0
    server.Server(place.comfy.address).submit(          # somebody else's
        {**workflow(), "2": {"inputs": {"text": "stuck"}}}, "other", "0" * 32)
    (place.folder / "jobs.csv").write_text("name,text\na,good\nb,evil\n")
    code, said = place.run("--row-timeout", 0.3)
    assert code == 1 and "b: FAILED: it waited for more than 0.3 s (--row-timeout)." in said
    assert place.comfy.interrupted == [] and place.comfy.pending == []
    assert [item[1] for item in place.comfy.running] == ["other"]


# ---- size

@pytest.mark.parametrize("route", ["/history", "/prompt"])
@pytest.mark.parametrize("kind", [*FLOODS, *LENGTHS])
def test_lengths_that_are_none(place: Evil, monkeypatch: pytest.MonkeyPatch, route: str,
                               kind: str) -> None:
    monkeypatch.setattr(server, "LARGEST", 1 << 20)
    place.comfy.attacks[route] = {**FLOODS, **LENGTHS}[kind]
    reason = place.only_b_fails("--timeout", 5)
    assert any(words in reason for words in ("larger than 1 MB", "announced", "cut off")), reason
    place.made_good()


@pytest.mark.parametrize("kind", [*FLOODS, *LENGTHS])
def test_results_without_measure(place: Evil, kind: str) -> None:
    place.comfy.attacks["/view"] = {**FLOODS, **LENGTHS}[kind]
    reason = place.only_b_fails("--timeout", 5, "--max-result", "2M")
    assert any(words in reason for words in (
        "larger than 2 MB: say a larger --max-result", "announced", "cut off")), reason
    place.made_good()


def test_results_are_as_large_as_allowed_and_as_there_is_room(
        place: Evil, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = place.run("--max-result", "1k")
    assert code == 1 and said.count("is larger than 1 kB: say a larger --max-result") == 3
    place.made_good()                                   # fetched, not made again
    monkeypatch.setattr(server, "ROOM", 1 << 62)        # a disk that is full
    for name in place.files():
        (place.out / name).unlink()
    code, said = place.run()
    assert code == 1 and said.count("is larger than the 0 bytes that the disk has room for") == 3


@pytest.mark.parametrize("route", ["/queue", "/ws"])
def test_memory_stays_bounded(place: Evil, route: str) -> None:
    """Endless chunks, and a websocket's ping of 2^40 bytes."""
    if route == "/queue":
        place.comfy.attacks["/queue"] = FLOODS["chunks"]
    else:
        place.comfy.delay = 0.3
        place.comfy.frames = flood(b"\x89\x7f" + (1 << 40).to_bytes(8, "big"), b"x" * 0x40000)
    limit = 700 << 20
    end = subprocess.run(
        [sys.executable, "-m", "lgfa", *place.arguments("--timeout", 20)], cwd=ROOT, text=True,
        capture_output=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    if route == "/queue":
        assert end.returncode == 2 and "/queue does not answer as ComfyUI does (it is larger " \
            "than 64 MB): look at --server.\n" in end.stderr, end
    else:
        assert end.returncode == 0 and not end.stderr and len(place.files()) == 3, end


# ---- contents

def attacks() -> dict[str, Any]:
    """All of them by a name."""
    kinds = {"drip": DRIPS, "flood": FLOODS, "length": LENGTHS, "other": OTHERS,
             "text": {name: answer(text) for name, text in TEXTS.items()}}
    return {f"{kind}: {name}": send for kind, sends in kinds.items()
            for name, send in sends.items()}


@pytest.mark.slow
@pytest.mark.parametrize("route", ["/queue", "/object_info", "/prompt", "/history", "/view",
                                   "/upload", "/ws"])
@pytest.mark.parametrize("kind", attacks())
def test_every_attack_on_every_route(place: Evil, route: str, kind: str) -> None:
    (place.folder / "face.png").write_text("anna")
    (place.folder / "jobs.csv").write_text("name,text,image\na,good,\nb,evil,face.png\nc,fine,\n")
    place.comfy.attacks[route] = attacks()[kind]
    code, said = place.run("--timeout", 0.5, "--max-result", "2M")
    assert code in ((2,) if route == "/queue" else (0, 1, 2)), said
    assert route in ("/queue", "/object_info") or {"a.webp", "c.webp"} <= set(place.files())
    if (route, kind) != ("/view", "other: no content"):         # that is an empty file
        place.made_good()


@pytest.mark.parametrize("route", ["/history", "/prompt"])
@pytest.mark.parametrize("kind", TEXTS)
def test_answers_that_are_none(place: Evil, route: str, kind: str) -> None:
    """A row whose sending is answered with nonsense runs all the same if the server has it."""
    place.comfy.attacks[route] = answer(TEXTS[kind])
    if route == "/prompt" and kind in ("null", "a number", "a list", "a text", "another's",
                                          "many digits"):
        assert "the server lost it" in place.only_b_fails()     # JSON, which seems to agree
    else:
        assert "does not answer as ComfyUI does" in place.only_b_fails("--timeout", 10)
    place.made_good()


@pytest.mark.parametrize("kind", TEXTS)
def test_a_queue_that_cannot_be_understood(place: Evil, kind: str) -> None:
    place.comfy.attacks["/queue"] = answer(TEXTS[kind])
    code, said = place.run("--timeout", 10)
    assert code == 2 and "/queue does not answer as ComfyUI does" in said
    assert said.count("\n") == 1


def test_a_queue_that_is_odd_for_a_while_and_for_ever(place: Evil) -> None:
    """The history tells what became of the rows; where it does not, the table can go on."""
    asked = 0

    def later(sock: Any) -> None:
        nonlocal asked
        asked += 1
        texts = {1: b'{"queue_running": [], "queue_pending": []}'}
        answer(texts.get(asked, TEXTS["deep lists"]))(sock)

    place.comfy.attacks["/queue"] = later
    code, said = place.run("--poll", 0.2)
    assert code == 0 and place.files() == ["a.webp", "b.webp", "c.webp"], said
    assert said.count("does not answer as ComfyUI does (it is nested deeper than 100") == 1

    (place.folder / "jobs.csv").write_text("name,text\nd,stuck\n")
    asked = 0
    code, said = place.run()
    assert code == 1 and "1 rows are left: the same command goes on" in said, said


SURROGATE = "\ud800.webp"
PATCHES: dict[str, Any] = {
    "messages 5": lambda e: e["status"].update(messages=5),
    "messages of odd shapes": lambda e: e["status"].update(messages=[5, [], [1, 2], [[], {}], {}]),
    "status 5": lambda e: e.update(status=5),
    "status null": lambda e: e.update(status=None),
    "timestamps of 400 digits": lambda e: e["status"].update(messages=[
        ["execution_start", {"timestamp": 10 ** 400}], ["x", {"timestamp": -(10 ** 400)}]]),
    "timestamps NaN": lambda e: e["status"].update(messages=[
        ["execution_start", {"timestamp": float("nan")}], ["x", {"timestamp": 1e308}]]),
    "a node called \u00b2": lambda e: e["outputs"].update({"\u00b2": e["outputs"].pop("10")}),
    "a node of 5000 digits": lambda e: e["outputs"].update({"9" * 5000: e["outputs"].pop("10")}),
    "odd outputs beside": lambda e: e["outputs"].update(
        {"a": 5, "b": None, "c": {"x": 5, "y": [None, 5, {"filename": 5}, {"filename": None}]}}),
    "numbers": lambda e: e["outputs"]["10"].update(text=[10 ** 4000, float("inf"), float("nan")]),
}
FAILING: dict[str, tuple[Any, str]] = {
    "outputs 5": (lambda e: e.update(outputs=5), "it finished without any file"),
    "outputs a list": (lambda e: e.update(outputs=[[]]), "it finished without any file"),
    "a surrogate": (lambda e: e["outputs"]["10"]["images"][0].update(filename=SURROGATE),
                    "the server names a file that cannot be asked for."),
    "a name of 100,000 characters": (
        lambda e: e["outputs"]["10"]["images"][0].update(filename="x" * 100_000), "414"),
    "types for names": (lambda e: e["outputs"]["10"]["images"][0].update(
        filename="gone", subfolder=[[5]], type={"a": 1}), "the server no longer has gone."),
    "an error of odd types": (lambda e: e["status"].update(messages=[
        ["execution_error", {"node_id": [5], "exception_message": {"a": 5},
                             "exception_type": 10 ** 300}]]), "node"),
    "an error of a megabyte": (lambda e: e["status"].update(messages=[
        ["execution_error", {"node_id": "3" * 9999, "exception_message": "\x1b[2J" * 250_000}]]),
        "node 3333"),
    "a status alone": (lambda e: e.update(status={"status_str": "error"}),
                       "the server says that it failed"),
}


@pytest.mark.parametrize("kind", PATCHES)
def test_oddities_beside_the_files_do_no_harm(place: Evil, kind: str) -> None:
    sys.set_int_max_str_digits(0)               # the server's: ours reads no such numbers
    try:
        place.comfy.patch = PATCHES[kind]
        code, said = place.run("--timeout", 10)
    finally:
        sys.set_int_max_str_digits(4300)
    assert code == 0 and place.files() == ["a.webp", "b.webp", "c.webp"], said


@pytest.mark.parametrize("kind", FAILING)
def test_a_history_that_tells_of_no_file(place: Evil, kind: str) -> None:
    place.comfy.patch, words = FAILING[kind]
    reason = place.only_b_fails("--timeout", 10)
    assert words in reason and len(reason) < 800 and reason.isprintable()


@pytest.mark.parametrize("errors", [
    5, [5], {"3": 5}, {"3": {"errors": 5}}, {"3": {"errors": [5, None]}},
    {"3": {"errors": [{"message": 5, "details": [[]]}]}}, {"\u00b2": {"errors": {"a": 1}}}])
def test_refusals_of_odd_shapes(place: Evil, errors: Any) -> None:
    for error in ({"message": "no", "details": 5}, {"message": [5]}, [5], 5, None):
        body = json.dumps({"error": error, "node_errors": errors}).encode()
        place.comfy.attacks["/prompt"] = answer(body, status="400 Bad Request")
        assert len(place.only_b_fails()) > 1
    place.comfy.attacks["/prompt"] = answer(json.dumps({"node_errors": errors}).encode())
    assert "the server lost it" in place.only_b_fails()


@pytest.mark.parametrize("status", ["500 Oops", "404 Not Found", "418 " + "x" * 50_000,
                                    "103 Early Hints", "401 No", "507 \u00fc\x1b[2J"])
def test_errors_for_one_row(place: Evil, status: str) -> None:
    for route in ("/view", "/prompt"):
        place.comfy.attacks[route] = answer(TEXTS["deep lists"], status=status)
        assert len(place.only_b_fails()) < 800
        place.comfy.attacks.clear()
        for name in place.out.iterdir():
            name.unlink()


@pytest.mark.parametrize("body", [b"5", b"{}", b'{"name": 5, "subfolder": "", "type": "input"}',
                                  b'{"name": "", "subfolder": "", "type": "input"}',
                                  TEXTS["deep lists"]])
def test_uploads_that_name_no_file(place: Evil, body: bytes) -> None:
    (place.folder / "face.png").write_bytes(b"x" * 3_000_000)
    (place.folder / "jobs.csv").write_text("name,text,image\na,x,\nb,y,face.png\nc,z,\n")
    place.comfy.attacks["/upload"] = answer(body)
    assert "names no file" in (reason := place.only_b_fails()) or "does not answer" in reason


def test_an_upload_that_is_refused_half_way(place: Evil) -> None:
    (place.folder / "face.png").write_bytes(b"x" * 30_000_000)
    (place.folder / "jobs.csv").write_text("name,text,image\na,x,\nb,y,face.png\nc,z,\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostileComfy.handler, "do_POST", refuse_uploads)
        assert "larger than the server takes" in place.only_b_fails("--timeout", 10)


def refuse_uploads(self: Any) -> None:
    if not self.path.startswith("/upload"):
        return self._route(self.rfile.read(int(self.headers["Content-Length"])))
    answer(b"", "Connection: close", status="413 Too Large")(self.connection)
    time.sleep(0.3)                             # the rest is not read
    self.close_connection = True


def test_nodes_whose_inputs_are_told_oddly(place: Evil) -> None:
    place.comfy.attacks["/object_info"] = answer(TEXTS["deep lists"])
    (place.folder / "face.png").write_text("anna")
    (place.folder / "jobs.csv").write_text("text,image\na,face.png\n")
    code, said = place.run()
    assert place.comfy.inputs["face.png"] == b"anna"
    assert code == 0 and "The types of FakeRender are guessed from the workflow." in said


# ---- redirects

@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    try:
        other = Elsewhere("127.0.0.2")
    except OSError:
        pytest.skip("this machine has one loopback address")
    yield other
    other.close()


def to(place: str, status: str = "302 Found") -> Any:
    return answer(b"", f"Location: {place}", status=status)


def secrets_in(headers: dict[str, str]) -> bool:
    return any(word in f"{headers}" for word in ("SECRET", "K123", "C456", "127.0.0.1"))


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_headers_stay_with_the_server(place: Evil, elsewhere: Elsewhere, status: str) -> None:
    place.comfy.attacks["/view"] = to(f"{elsewhere.address}/x", status)
    code, said = place.run(*SECRETS)
    assert code == 0, said
    ours = [headers for _, path, headers in place.comfy.seen if path.startswith("/view")]
    assert len(ours) == 3 and all(headers["X-Api-Key"] == "K123" for headers in ours)
    (method, path, headers), = elsewhere.seen
    assert (method, path) == ("GET", "/x") and not secrets_in(headers), headers


def test_another_port_is_another_server(place: Evil) -> None:
    other = Elsewhere("127.0.0.1")
    place.comfy.attacks["/view"] = to(f"{other.address}/x")
    assert place.run(*SECRETS)[0] == 0
    (_, _, headers), = other.seen
    other.close()
    assert "SECRET" not in str(headers) and "K123" not in str(headers)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 T", "308 P"])
def test_a_post_stays_a_post(place: Evil, elsewhere: Elsewhere, status: str) -> None:
    place.comfy.attacks["/prompt"] = to(f"{elsewhere.address}/x", status)
    reason = place.only_b_fails(*SECRETS)
    assert reason == (f"the server sends us on to {elsewhere.address}/x: if that is where it is, "
                      "give its address as --server.")
    assert elsewhere.seen == []
    place.comfy.attacks["/prompt"] = to("/queue/prompt", status)
    if status[:3] in ("307", "308"):
        place.run(*SECRETS)
        assert any(
            (method, path, headers.get("X-Api-Key")) == ("POST", "/queue/prompt", "K123")
            for method, path, headers in place.comfy.seen)
    else:
        assert "give its address as --server" in place.only_b_fails()


@pytest.mark.parametrize(("target", "said"), [
    ("/view?filename=a", "sends us on more than 5 times"),
    ("file:///etc/passwd", "no address"), ("ftp://127.0.0.1/x", "no address"),
    ("data:,x", "no address"), ("http://[::1/", "no address"), ("http://a..b/", "no address"),
    (f"http://{'a' * 64}.com/", "no address"), ("http://127.0.0.1:99999/", "no address"),
    ("http://127.0.0.1:x/", "no address"), ("http://u:p@127.0.0.1/", "no address"),
    ("http://a\x01b/", "no address"),
    ("http://\u00fc\u00b2\u00ff/", "no address"), ("http://127.0.0.1:9/", "refused"),
    ("x" * 60_000, "sends us on more than 5 times")])
def test_redirects_to_odd_places(place: Evil, target: str, said: str) -> None:
    place.comfy.attacks["/view"] = to(target)
    if "5 times" in said and target.startswith("x"):
        place.comfy.attacks[f"/{target}"] = to("/view?filename=a")
    reason = place.only_b_fails()
    assert said in reason and len(reason) < 700, reason
    place.made_good()


# ---- websocket

@pytest.mark.parametrize("data", [
    frame(9, b"x" * 126), b"\x89\x7f" + (1 << 40).to_bytes(8, "big"),       # long pings
    frame(9, b"x", final=False), b"\x81\x81maskx", b"\xc1\x01x", b"\x83\x01x", b"\x8f\x01x",
    frame(0, b"x"), frame(1, b"x", final=False) + frame(1, b"x"),
    b"\x81\x7f" + (1 << 63).to_bytes(8, "big"), b"\x82\x7f" + (1 << 40).to_bytes(8, "big"),
    frame(1, b"x" * (1 << 22), final=False) + 4 * frame(0, b"x" * (1 << 22), final=False)])
def test_frames_that_no_server_may_send(data: bytes) -> None:
    stream = io.BytesIO(data + b"x" * 100)
    with pytest.raises(ConnectionError, match="frame|fragment|too large"):
        list(watch.messages(stream, None))
    assert stream.tell() < len(data) + 100              # it was given up, not skipped


def test_fragments_are_put_together() -> None:
    class Answers(list):
        sendall = list.append

    sock = Answers()
    data = (frame(1, b"ab", final=False) + frame(9, b"hi") + frame(0, b"", final=False)
            + frame(0, b"c") + frame(2, b"p" * 70_000) + frame(1, b"d") + frame(8, b""))
    assert list(watch.messages(io.BytesIO(data), sock)) == [b"abc", b"d"]
    assert len(sock) == 1 and len(sock[0]) == 8         # a pong, masked


def test_messages_of_any_shape(place: Evil, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread dies with a traceback, and the rows are finished."""
    def progress(value: str) -> bytes:
        return b'{"type": "progress", "data": {"prompt_id": "p", "max": 1, "value": %s}}' % (
            value.encode())

    texts = [progress(value) for value in ("[5]", "9" * 5000, "1e400", "NaN", '"x"', "null", "{}")]
    texts += [*TEXTS.values(), b'{"type": [], "data": {"prompt_id": {}}}', b'{"data": 5}',
              b'{"type": "execution_error", "data": {"prompt_id": "p", "exception_message": [5]}}']
    heard = iter(texts * 2)

    def send(sock: Any) -> None:
        text = next(heard, None)
        sock.sendall(frame(1, text) if text is not None else b"\x8f\x00")

    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    monkeypatch.setattr(watch.Watch.__init__, "__defaults__", (0.005,))
    place.comfy.frames, place.comfy.delay = send, 0.3
    code, said = place.run("--timeout", 10)
    assert code == 0 and died == [], said
    assert next(heard, None) is None or place.comfy.asked["/ws"] > 5


def test_what_the_websocket_tells_is_bounded() -> None:
    ears = watch.Watch("http://127.0.0.1:9", "0" * 32, {})
    for kind in ("progress", "execution_error"):
        for count in range(3000):
            ears._heard({"type": kind, "data": {"prompt_id": f"p{count}", "value": 1, "max": 2,
                                                "exception_message": "x" * 10_000}})
    assert len(ears.blocked) == 1000 and "p2999" in ears.blocked
    assert max(map(len, ears.blocked.values())) == 2000
    ears._heard({"type": "progress", "data": {"prompt_id": "x" * 100_000, "value": 1, "max": 2}})
    assert all(len(key) < 10 for key in ears.progress)


@pytest.mark.parametrize("attack", [DRIPS["headers"], FLOODS["no length"], answer(b""),
                                    drip(CHUNKED), to("http://127.0.0.1:9/")])
def test_handshakes_of_any_kind(place: Evil, attack: Any, monkeypatch: pytest.MonkeyPatch
                                ) -> None:
    monkeypatch.setattr(watch, "HANDSHAKE_SECONDS", 0.2)
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    place.comfy.attacks["/ws"] = attack
    assert place.run()[0] == 0 and died == []


# ---- files of our own side

def test_a_state_of_any_contents(place: Evil) -> None:
    """Lines that cannot be understood are left out; none is believed to name other files."""
    assert place.run()[0] == 0
    before = (place.out / state.FILE).read_bytes()
    other = place.folder / "mine.webp"
    other.write_text("mine")
    lines = [b"[" * 5000, b"[" * 5000 + b"]" * 5000, b"9" * 5000, b"\x00", b"\xff\xfe", b"5",
             b'"x"', b"null", b"{}", b'{"event": []}', b'{"event": "client", "id": 5}',
             b'{"event": "done", "row": "a"}', b'{"event": "done", "row": "a", "files": 5}',
             b'{"event": "odd", "row": "a", "files": []}', b'{"event": "queued", "row": "a", '
             b'"digest": "x", "prompt_id": "\\ud800"}',
             b'{"event": "saving", "row": "a", "files": ["../mine.webp", "\\u0000", "/x"]}']
    (place.out / state.FILE).write_bytes(b"\n".join([*lines, before.rstrip(b"\n"), *lines, b""]))
    code, said = place.run()
    assert code == 0 and "3 were finished before" in said, said
    (place.folder / "jobs.csv").write_text("name,text\na,changed\nb,evil\nc,fine\n")
    assert place.run()[0] == 0 and other.read_text() == "mine"


def test_two_rows_under_one_prompt_run_both(place: Evil) -> None:
    from lgfa.bulk.comfyui import jobs
    from lgfa.bulk.comfyui.workflow import read

    rows = jobs.read(place.folder / "jobs.csv", read(place.folder / "flow.json"))
    with state.State(place.out) as known:
        for row in rows:
            known.queued(row.name, row.digest, "same")
    code, said = place.run()
    assert code == 0 and place.files() == ["a.webp", "b.webp", "c.webp"], said


@pytest.mark.parametrize(("text", "said"), [
    (b"[" * 100_000, "nested deeper than 100 levels"), (b'{"1": ' * 400 + b"1" + b"}" * 400,
                                                       "nested deeper than 100 levels"),
    (b'{"1": {"class_type": "X", "inputs": {"a": %s}}}' % (b"9" * 5000), "number of 5000 digits"),
    (b'{"1": {"class_type": "X", "inputs": {"a": NaN}}}', "holds NaN"),
    (b'{"1": {"class_type": "X", "inputs": {"a": 1e400}}}', "1e400, which is too large"),
    (b'{"1": {"class_type": "\\ud800", "inputs": {}}}', "half a character"),
    (b"\x00\x01\x02", "no JSON file"), (b"\xff\xff\xff", "no JSON file")])
def test_workflows_of_any_contents(place: Evil, text: bytes, said: str) -> None:
    (place.folder / "flow.json").write_bytes(text)
    code, told = place.run()
    assert code == 2 and said in told and told.count("\n") == 1


def test_a_workflow_of_very_many_inputs_is_looked_up_at_once(place: Evil) -> None:
    """Names are looked up, not compared with each other: 10,000 of them take a second."""
    tree = workflow()
    tree["3"]["inputs"].update({f"n{i}": i for i in range(10_000)})
    (place.folder / "flow.json").write_text(json.dumps(tree))
    code, said = place.run("--list-columns")
    assert code == 0 and said.count("\n") > 10_000
    (place.folder / "jobs.csv").write_text("x" * 100_000 + "\n1\n")
    code, said = place.run()
    assert code == 2 and "is no input of this workflow" in said and len(said) < 2500


def test_the_limits_of_one_text() -> None:
    assert bounded.parse(b'{"a": [1e400, -Infinity, %s]}' % (b"-" + b"9" * 50)) == {
        "a": [float("inf"), float("-inf"), float("-inf")]}
    assert bounded.parse(b"18446744073709551615", strict=True) == 2 ** 64 - 1
    for text in (b" " * (bounded.LARGEST + 1), b"[" + b"1," * bounded.MOST_VALUES + b"1]"):
        with pytest.raises(ValueError, match="larger than 64 MB|more than 4,000,000 values"):
            bounded.parse(text)
    deepest = b"[" * 100 + b"]" * 100
    assert len(bounded.parse(deepest)) == 1
    with pytest.raises(ValueError, match="deeper"):
        bounded.parse(b"[" + deepest + b"]")


# ---- a machine without PyTorch

@pytest.mark.parametrize("away", [True, False])
def test_where_nothing_is_installed_the_reason_is_told(place: Evil, away: bool) -> None:
    code = ("import sys\n"
            "class Nothing:\n"
            "    def find_spec(self, name, *_):\n"
            "        if name.split('.')[0] in ('torch', 'numpy', 'PIL', 'open_clip', 'tqdm'):\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
            "sys.meta_path.insert(0, Nothing())\n"
            "from lgfa.cli import entry\n"
            "sys.exit(entry.main(sys.argv[1:]))\n")
    place.comfy.attacks["/history"] = answer(TEXTS["deep lists"])
    more = ("--server", "127.0.0.1:9") if away else ()
    end = subprocess.run([sys.executable, "-S", "-c", code, *place.arguments(*more)], cwd=ROOT,
                         capture_output=True, text=True, timeout=60)
    if away:
        assert end.returncode == 2 and "cannot be reached: Connection refused." in end.stderr
    else:
        assert end.returncode == 1 and "b: FAILED: " in end.stdout and not end.stderr, end


@pytest.mark.parametrize(("option", "value", "said"), [
    ("--server", "http://[::1", "no address like"), ("--server", "http://a..b", "no address like"),
    ("--server", "http://x/a b", "no address like"), ("--server", "http://u:p@x", "leave the name"),
    ("--server", "file:///etc", "no address like"), ("--server", "http://x:99999", "no address"),
    ("--header", "Two words: x", "write it as"), ("--header", "X: \u20ac", "HTTP cannot send"),
    ("--header", "Content-Length: 5", "sets this itself"), ("--max-result", "0", "not a size"),
    ("--max-result", "lots", "not a size"), ("--row-timeout", "-1", "not a number of seconds"),
    ("--timeout", "nan", "not a number of seconds")])
def test_options_that_cannot_be_used(place: Evil, option: str, value: str, said: str) -> None:
    try:
        code, told = place.run(option, value)
    except SystemExit as stop:
        code, told = stop.code, "".join(place.capsys.readouterr())
    assert code == 2 and said in told and told.count("\n") == 1
