"""Mutates files of every format and reads them in a watched process.

    python tests/fuzz/run.py --count 3000 --seed 0 [--keep FOLDER] [--only NAME]

prints a table: format, files tried, read, refused, and each kind of failure. What failed is kept in
the folder, under the seed and number that make it again. Exit code 1 if anything failed.
"""
from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "formats"), str(HERE.parents[1])]

import mutations  # noqa: E402
from samples import samples  # noqa: E402
from watcher import FAILURES, Watcher  # noqa: E402

WHOLE = "as it is"
TEXTS = ("timeline",)           # what these read has no file's name to say


def fuzz(count: int, seed: int, folder: Path, keep: Path | None = None, only: str = "",
         say=lambda text: None) -> tuple[dict[str, Counter], list[str]]:
    """Outcomes by format, and a line for each failure; the same seed, the same files."""
    known = [one for one in samples(folder) if only in one.name]
    table: dict[str, Counter] = {one.name: Counter() for one in known}
    failures = []
    with Watcher() as watcher:
        for one in known:                       # as they are: else all damage would be refused
            file = folder / f"whole_{one.name}"
            file.write_bytes(one.data)
            answer = watcher.look(file, one.readers[0])
            table[one.name][WHOLE] = answer.outcome
            if answer.outcome in FAILURES:
                failures.append(f"{one.name} as it is: {answer.outcome} {answer.text}")
        for number in range(count):
            one = known[number % len(known)]
            rng = Random(f"{seed} {number}")
            kind, data = mutations.mutate(one.data, rng)
            reader = rng.choice(one.readers)
            file = folder / f"{seed}_{number}_{one.name}"
            file.write_bytes(data)
            answer = watcher.look(file, reader)
            table[one.name][answer.outcome] += 1
            unnamed = answer.outcome == "refused" and file.name not in answer.text
            if answer.outcome in FAILURES or unnamed and reader not in TEXTS:
                failures.append(f"{file.name} ({kind}, {reader}): {answer.outcome} after "
                                f"{answer.seconds:.1f} s, {answer.growth / 2**20:.0f} MiB: "
                                f"{answer.text}")
                say(failures[-1])
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, keep)
            file.unlink()
    return table, failures


def show(table: dict[str, Counter]) -> str:
    """The table as text."""
    columns = ("read", "refused", *FAILURES)
    lines = [f"{'format':<28}{'tried':>7}" + "".join(f"{name:>11}" for name in columns)
             + f"   {WHOLE}"]
    total: Counter = Counter()
    for name, outcomes in table.items():
        counts = {column: outcomes[column] for column in columns}
        total.update(counts)
        lines.append(f"{name:<28}{sum(counts.values()):>7}"
                     + "".join(f"{counts[column]:>11}" for column in columns)
                     + f"   {outcomes[WHOLE]}")
    lines.append(f"{'all':<28}{sum(total.values()):>7}"
                 + "".join(f"{total[column]:>11}" for column in columns))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="mutated files (default: 3000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("--only", default="", help="formats whose name holds this")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table, failures = fuzz(args.count, args.seed, Path(folder), args.keep, args.only, print)
    print(show(table))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
