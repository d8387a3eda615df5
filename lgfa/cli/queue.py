"""The command queue: a table of jobs for a ComfyUI server."""
from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from ..errors import LGFAError
from .arguments import number, whole

QUEUE = """\
Runs a workflow once for each row of a table, on a ComfyUI server, and fetches the results.
It needs neither PyTorch nor ComfyUI on this machine.

The workflow is in API format: one of workflows/api, or your own (in ComfyUI: Workflow > Export
(API)). The table is a CSV file; its first line names the inputs that the rows set.
"""

QUEUE_MORE = """\
columns:
  text                  the one input of this name in the workflow
  Animate Face (LGFA).text, LGFA_AnimateFace.text, 5.text
                        the same by the node's title, class or id, when several nodes have it
  name                  what the row's files are called (default: the number of the row)
  --list-columns says which a workflow has. A column that is unknown, or means several inputs, is
  refused before anything is queued. An empty cell keeps the workflow's own value. In a column of
  images (video, audio) stand paths relative to the CSV; the files are uploaded.

example: jobs.csv
    name,text,frames,seed
    smile,The person is smiling,16,1
    angry_slow,The person is angry,48,1
    wink,"The person is winking, happily",16,2

    python -m lgfa queue --server http://127.0.0.1:8188 --jobs jobs.csv --out results \\
        --workflow workflows/api/animate.json

  writes results/smile.mp4, .. A row with several files numbers them: smile.mp4, smile_2.png.
  Pictures are given the same way: a column image with faces/anna.png in its cells.

limits:
  --timeout is for one answer as a whole, however it trickles in; files may take as long for each
  MB. An answer that cannot be understood ends its row, and is asked for again by the next run of
  the same command. The headers of --header go to the server alone, never to where it sends us on.

stopping and going on:
  The same command goes on after Ctrl-C, a crash or a lost server: finished rows are not repeated,
  rows that are on the server are picked up, failed and changed rows run again. What is known lies
  in queue.state.jsonl in the results' folder; remove it to begin anew.

exit code: 0 all rows are finished, 1 some failed or the server went away, 2 wrong usage (nothing
was queued), 130 Ctrl-C.
"""

TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"          # a header's name
SECONDS = number(0, 1e6, "a number of seconds")
OURS = ("connection", "content-length", "content-type", "transfer-encoding", "upgrade")


def add_parser(subparsers: Any) -> None:
    """Adds `queue`; it sets `handler`, a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "queue", help="run a workflow for each row of a table, on a ComfyUI server",
        description=QUEUE, epilog=QUEUE_MORE)
    parser.add_argument("--server", default="http://127.0.0.1:8188", metavar="URL",
                        help="address of ComfyUI (default: http://127.0.0.1:8188)")
    parser.add_argument("--workflow", type=Path, required=True, metavar="FILE",
                        help="workflow in API format, .json")
    parser.add_argument("--jobs", type=Path, metavar="FILE", help="table of jobs, .csv")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the results go")
    group = parser.add_argument_group("looking first")
    group.add_argument("--list-columns", action="store_true",
                       help="print the columns that the workflow can have, with its own values")
    group.add_argument("--dry-run", action="store_true",
                       help="check everything and print what would be queued")
    group = parser.add_argument_group("how it is done")
    group.add_argument("--jobs-at-once", type=whole(1), default=4, metavar="N",
                       help="rows on the server at a time (default: 4)")
    group.add_argument("--previews", action="store_true",
                       help="fetch previews too, not only what is saved")
    group.add_argument("--strict", action="store_true",
                       help="a row fails, and none of its files are fetched, when a sentence of it "
                            "is like no word that the server's motion model knows; else its line "
                            "says so")
    group.add_argument("--overwrite", action="store_true",
                       help="replace files of the same names that this command did not write")
    group.add_argument("--retries", type=whole(0), default=6, metavar="N",
                       help="how often a lost connection is tried again, after 0.5, 1, 2, .. 15 "
                            "seconds (default: 6)")
    group.add_argument("--timeout", type=SECONDS, default=60.0, metavar="SECONDS",
                       help="how long one answer of the server may take, from the connection to "
                            "its last byte; files: each MB of them, up or down (default: 60)")
    group.add_argument("--row-timeout", type=SECONDS, metavar="SECONDS",
                       help="how long a row may run on the server, or wait there while no other "
                            "row of the table begins or ends; it is then stopped there and fails "
                            "(default: no limit)")
    group.add_argument("--max-result", type=_size, default="4G", metavar="SIZE",
                       help="the largest file to fetch, like 500M or 20G; also never more than "
                            "the disk has room for (default: 4G)")
    group.add_argument("--poll", type=SECONDS, default=1.0, metavar="SECONDS",
                       help="how often to look at the server (default: 1)")
    group.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'",
                       help="sent with each request, for servers behind a key; may be repeated")
    parser.set_defaults(handler=queue)


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([kmgt]?)i?b?", text.strip().lower())
    size = int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " ")) if found else 0
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size above 0 like 500M or 4G")
    return size


def queue(args: argparse.Namespace) -> int:
    """Runs the table; returns the exit code. LGFAError before anything is queued is code 2."""
    from ..bulk.comfyui import jobs, results, workflow
    from ..bulk.comfyui.server import Server
    from ..bulk.show import Show
    from ..bulk.state import State

    show = Show()
    looking = args.dry_run or args.list_columns
    server = Server(args.server, 0 if looking else args.retries, args.timeout,
                    _headers(args.header), show.warn, args.max_result)
    flow = workflow.read(args.workflow)
    if not args.list_columns:
        for option in ("jobs", "out"):
            if getattr(args, option) is None:
                raise LGFAError(f"say --{option} too (python -m lgfa queue --help shows an "
                                "example).")
    _ask_types(server, flow, show, looking)
    if args.list_columns:
        return _list(flow, show)
    rows = jobs.read(args.jobs, flow)
    if args.dry_run:
        return _dry_run(args, rows, show)
    with State(args.out) as state:
        if not args.overwrite:
            results.check_folder(args.out, rows, state.rows)
        return _run(args, server, flow, rows, state, show)


def _ask_types(server: Any, flow: Any, show: Any, looking: bool) -> None:
    """Gives the workflow the server's word on its inputs. LGFAError when it lacks nodes.

    Without a server one can still look at a table: types are then those of the values.
    """
    from ..bulk.errors import Away, Refused

    def asked(kind: str) -> Any:
        try:
            return server.node_info(kind)
        except Refused as error:
            show.warn(f"{error} The types of {kind} are guessed from the workflow.")
            return {}

    try:
        server.queue()
        infos = {kind: asked(kind) for kind in flow.classes}
    except Away:
        if not looking:
            raise
        show.warn(f"{server.address} cannot be reached: types are guessed from the workflow.")
        return
    missing = [kind for kind, info in infos.items() if info is None]
    if missing:
        raise LGFAError(f"{server.address} lacks the nodes {', '.join(missing)}: install the "
                        "custom nodes that the workflow needs and restart ComfyUI.")
    flow.infos = infos


def _run(args: argparse.Namespace, server: Any, flow: Any, rows: Any, state: Any,
         show: Any) -> int:
    """The run itself, and its summary."""
    from ..bulk.comfyui.run import Runner

    runner = Runner(server, flow, rows, state, args.out, show, args.jobs_at_once, args.poll,
                    args.previews, args.row_timeout, args.strict)
    try:
        tally = runner.run()
    except KeyboardInterrupt:
        show.line(f"{runner.left} rows are left, {len(runner.flying)} of them on the server, "
                  "which goes on with these: the same command picks them up.")
        raise
    if tally.stopped:
        show.warn(f"{tally.stopped} {runner.left} rows are left: the same command goes on.")
    before = f", {tally.before} were finished before" if tally.before else ""
    show.line(f"{tally.total} rows: {tally.done} done{before}, {len(tally.failed)} failed; "
              f"{tally.files} files in {args.out}")
    if tally.doubtful:
        show.line(f"{tally.doubtful} of the rows that are done have a sentence that the motion "
                  "model does not surely know: look at their lines.")
    if tally.failed:
        more = len(tally.failed) - 20
        show.line(f"failed: {', '.join(tally.failed[:20])}{f' and {more} more' * (more > 0)} "
                  "(the same command tries them again)")
    return tally.code


def _dry_run(args: argparse.Namespace, rows: Any, show: Any) -> int:
    """Prints each row and what would be done with it."""
    from ..bulk import state
    from ..bulk.comfyui import results
    from ..bulk.comfyui.rows import plan

    known = state.peek(args.out)
    if not args.overwrite:
        results.check_folder(args.out, rows, known.rows)
    plans = plan(rows, known, args.out)
    for job in rows:
        uploads = {f"{node}.{key}" for node, key in job.uploads}
        changes = ", ".join(f"{key}={value!r}{' (upload)' * (key in uploads)}"
                            for key, value in job.changes.items())
        show.line(f"{job.name} [{plans[job.name]}] {changes or 'as the workflow is'}")
    count = sum(what != "finished" for what in plans.values())
    show.line(f"{len(rows)} rows: {count} to run; nothing was queued.")
    return 0


def _list(flow: Any, show: Any) -> int:
    """Prints all columns."""
    for name, widget in flow.columns():
        show.line(f"{name:<40} {widget.kind:<8} {widget.value!r:<.60} "
                  f"- {flow.name(widget.node)}")
    return 0


def _headers(lines: list[str]) -> dict[str, str]:
    """--header's lines as a dict; LGFAError when one is none, or is not ours to set."""
    out: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon or not re.fullmatch(TOKEN, name) or not line.isprintable():
            raise LGFAError(f"--header {line!r}: write it as 'Name: value'.")
        if not all(ord(c) < 256 for c in value):
            raise LGFAError(f"--header {name}: its value holds a sign that HTTP cannot send.")
        if name.lower() in OURS:
            raise LGFAError(f"--header {name}: each request sets this itself: leave it out.")
        out[name] = value.strip()
    return out
