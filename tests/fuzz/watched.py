"""A process in which files are read while it is watched: for network, programs, memory and time.

    python tests/fuzz/watched.py            one line of JSON in, one out, until its input ends

Each line {"file": .., "reader": ..} is answered by {"outcome", "text", "seconds", "growth"}:
"read", "refused" (the one sentence that a user gets) or what must not happen: "traceback",
"network" or "code" (a program, a stored module or a foreign import was about to run).
"""
from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
           "urllib.Request", "http.client.connect")
CODE = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile",
        "subprocess.Popen", "pty.spawn", "ctypes.dlopen", "webbrowser.open", "shutil.rmtree")
SLACK = 64 * 2**20              # bytes of memory beside four times a file's size
PICTURE = 3 * 2**29            # .. of a picture's, which is unpacked: 128 megapixels at most
SECONDS = 10.0                  # of work; waiting for other programs on the machine is left out


class Forbidden(BaseException):
    """Raised where something was about to happen that no file may cause; no `except` of ours
    takes it for a broken file."""


def watch(seen: list[str]) -> None:
    """Notes and stops what no file may cause, for the rest of this process's life."""
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        kind = "network" if event in NETWORK else "code" if event in CODE else None
        if event == "import" and str(arguments[0]).split(".")[0] in ("antigravity", "transformers",
                                                                     "huggingface_hub"):
            kind = "code"
        if kind:
            seen.append(kind)
            raise Forbidden(f"{event} {arguments}")
    sys.addaudithook(hook)


def readers() -> dict[str, Any]:
    """Every way in which the program looks into a file, by name."""
    import argparse
    import contextlib
    import io

    from lgfa import formats
    from lgfa.cli import files
    from lgfa.errors import reading
    from lgfa.formats import build, latents, loading, recognition
    from lgfa.formats.unpickle import reader
    from lgfa.media import images
    from lgfa.training import prompts
    from lgfa.trajectory import timeline

    def inspect(file: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            files.inspect(argparse.Namespace(file=file, keys=True))

    def load(file: str) -> None:
        with reading(file):
            tree = formats.read(file)
            for form in recognition.candidates(tree) or [recognition.recognise(tree)]:
                build.from_tree(tree, form)

    def timeline_of(file: str) -> None:
        timeline.parse(Path(file).read_text(encoding="utf-8", errors="replace"))

    return {
        "inspect": inspect, "load": load, "unpickle": reader.read,
        "load_clip": loading.load_clip,
        "named_clip": lambda file: loading.load_clip(f"ViT-B-32:{file}"),
        "latents": latents.load_latents, "training_latents": latents.load_codes,
        "image": images.read_image, "prompts": prompts.Prompts.read, "timeline": timeline_of,
        "queue_table": _queue_table, "queue_workflow": _queue_workflow, "npy": _npy,
    }


def _queue_table(file: str) -> None:
    from lgfa.bulk.comfyui import jobs
    jobs.table(Path(file))


def _queue_workflow(file: str) -> None:
    from lgfa.bulk.comfyui import workflow
    workflow.read(Path(file))


def _npy(file: str) -> None:
    from lgfa.formats import npy
    npy.read(Path(file), 2)


def memory(name: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
    except OSError:
        return 0


def forget_peak() -> None:
    """The highest memory so far becomes the present one, where Linux can do that."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def look(file: str, reader: Any, seen: list[str]) -> dict[str, Any]:
    """Reads one file and says what came of it."""
    from lgfa.errors import LGFAError

    seen.clear()
    forget_peak()
    before, begun = memory("VmRSS"), time.process_time()
    try:
        reader(file)
        outcome, text = "read", ""
    except LGFAError as error:
        outcome, text = "refused", str(error)
    except Forbidden as error:
        outcome, text = "code", str(error)
    except BaseException as error:          # whatever it is, it is the finding
        outcome, text = "traceback", f"{type(error).__name__}: {str(error)[:300]}"
    if seen:
        outcome = seen[0]
    return {"outcome": outcome, "text": text, "seconds": time.process_time() - begun,
            "growth": max(0, memory("VmHWM") - before)}


def main() -> None:
    import resource
    import warnings

    warnings.simplefilter("ignore")
    sys.path.insert(0, str(ROOT))
    import torch

    torch.set_num_threads(1)
    known = readers()

    # What readers import late is loaded before the watch begins: it takes memory of its own.
    import lpips  # noqa: F401
    import open_clip  # noqa: F401

    from lgfa import registry
    from lgfa.formats.recognition import all_formats

    all_formats()
    for kind in registry.KINDS.values():
        registry.named(kind.network)
    room = 12 * 2**30
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    answers, seen = os.fdopen(os.dup(1), "w"), []
    os.dup2(2, 1)                           # nothing else may speak on the line of answers
    watch(seen)
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(look(asked["file"], known[asked["reader"]], seen)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
