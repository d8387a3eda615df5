"""The commands about files: inspect, convert, models."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..errors import LGFAError, short

PARTS = {"encoder": "encoder", "decoder": "generator"}      # --part -> kind of network


def add_parsers(subparsers: Any) -> None:
    """Adds the three commands; each sets `handler`, a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "inspect", help="say what a checkpoint is",
        description="Says what a checkpoint is: its format, network, settings and weights.\n"
                    "Nothing stored in the file is run.")
    parser.add_argument("file", help="any checkpoint, a domain (toon) or a known model's name")
    parser.add_argument("--keys", action="store_true", help="list every weight with its shape")
    parser.set_defaults(handler=inspect)

    parser = subparsers.add_parser(
        "convert", help="turn a checkpoint into .safetensors",
        description="Converts a checkpoint into our .safetensors, which loads faster and carries\n"
                    "its network's settings. Every key and shape is compared first.")
    parser.add_argument("input", help="rosinality .pt, NVIDIA .pkl, e4e .pt, IR-SE50 .pth, the "
                                      "authors' LGFA .pth, OpenAI CLIP .pt, .safetensors, or "
                                      "NAME:FILE for open_clip's weights and its name of them")
    parser.add_argument("output", help="where to write, .. .safetensors")
    parser.add_argument("--part", choices=sorted(PARTS),
                        help="which network of a file that holds two (e4e)")
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.set_defaults(handler=convert)

    parser = subparsers.add_parser(
        "models", help="list the known public models, or download one",
        description="Lists the known public models. `models download NAME` fetches one, goes on\n"
                    "after an interruption and verifies it; nothing is ever downloaded unasked.\n"
                    "Files go to $LGFA_HOME, or ~/.cache/lgfa.")
    parser.add_argument("action", nargs="?", choices=["list", "download"], default="list",
                        help="what to do (default: list)")
    parser.add_argument("name", nargs="?", help="the model to download")
    parser.set_defaults(handler=models)


# ---- inspect

def inspect(args: argparse.Namespace) -> None:
    """Prints what a file is. LGFAError when it is nothing that we know or can use."""
    from .. import formats
    from ..errors import reading
    from ..formats import names, recognition

    kinds = names.domain_kinds(args.file) if not os.path.exists(args.file) else []
    for path in [names.resolve(args.file, kind) for kind in kinds or [None]]:
        with reading(path):
            tree = formats.read(path)
            found = recognition.candidates(tree)
            if not found:
                formats.recognise(tree)         # says what is known and what is there
            print(path)
            for form in found:
                report(tree, form, several=len(found) > 1, keys=args.keys)


def report(tree: Any, form: Any, several: bool = False, keys: bool = False) -> None:
    """Prints one network of a file; LGFAError when it is broken or refused."""
    from ..formats import build, recognition, trees

    config, weights = build.examine(tree, form)      # the comparisons are those that loading makes
    part = next((p for p, kind in PARTS.items() if kind == form.kind), None)
    row("format", form.name)
    row("network", recognition.what(form.kind) + (f" (--part {part})" if several and part else ""))
    for one in config if isinstance(config, tuple) else (config,):
        if one is not None:
            row("settings", settings(one))
    count = sum(tensor.numel() for tensor in weights.values())
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    types = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in weights.values()}))
    row("weights", f"{count:,} numbers in {len(weights)} tensors, {types}, {size / 1e6:,.1f} MB")
    for key, value in trees.info(tree).items():
        row("info", LGFAError(f"{key}: {value}"))   # without the terminal codes of others
    if keys:
        for name, tensor in weights.items():
            print(f"    {name} {list(tensor.shape)}")


def settings(config: Any) -> str:
    """A network's settings in one line; long lists, as of words, are cut."""
    return ", ".join(f"{key}={short(value, 400)}" for key, value in vars(config).items())


def row(title: str, text: object) -> None:
    """Prints one line of a report."""
    print(f"  {title:<9} {text}")


# ---- convert

def convert(args: argparse.Namespace) -> None:
    """Writes one network of a file as our safetensors."""
    import torch

    from .. import formats
    from ..errors import reading
    from ..formats import build, names, recognition, trees
    from ..formats.loading import load_clip

    clip, file = bare_clip(args.input)
    source, target = names.resolve(file), Path(args.output)
    if target.suffix != ".safetensors":
        raise LGFAError(f"{target}: name the output .. .safetensors, the one format written.")
    if target.exists() and source.exists() and os.path.samefile(source, target):
        raise LGFAError("input and output are the same file: name another output.")
    with reading(source):
        if clip is not None:
            network, kind, before, name = load_clip(args.input), "clip", {}, f"open_clip {clip}"
        else:
            tree = formats.read(source)
            form = chosen(tree, args.part)
            network, kind, name = build.from_tree(tree, form), form.kind, form.name
            before = trees.info(tree)

    info = {**before, "source": source.name, "source_format": name}
    formats.save(target, network, info, torch.float16 if args.half else None)
    print(f"{target}: {recognition.what(kind)}, {target.stat().st_size / 1e6:,.1f} MB")


def bare_clip(spec: str) -> tuple[str | None, str]:
    """open_clip's name and the file of weights in "NAME:FILE"; (None, spec) for plain files."""
    name, colon, file = spec.partition(":")
    if not colon or not file or os.path.exists(spec):
        return None, spec
    from ..formats.open_clip import names

    return (name, file) if name in names() else (None, spec)


def chosen(tree: Any, part: str | None) -> Any:
    """The format to convert by; LGFAError when a file holds two networks and none is named."""
    from ..formats import recognition

    if part is not None:
        return recognition.recognise(tree, PARTS[part])
    found = [form for form in recognition.candidates(tree) if form.kind in PARTS.values()]
    if len(found) > 1:
        words = " or ".join(f"--part {p} ({recognition.what(kind)})" for p, kind in PARTS.items())
        raise LGFAError(f"the file holds two networks: add {words}.")
    return recognition.recognise(tree)


# ---- models

def models(args: argparse.Namespace) -> None:
    """Prints the table, or downloads one model."""
    from ..formats import public

    if args.action == "download":
        if args.name is None:
            raise LGFAError(f"say which model: {', '.join(public.MODELS)}.")
        fetch(args.name)
        return
    if args.name is not None:
        raise LGFAError(f"use `models download {args.name}` to fetch it.")
    for name, model in public.MODELS.items():
        path = public.folder() / model.file
        print(f"{name}  [{'present' if path.is_file() else 'not downloaded'}]")
        row("for", model.what)
        row("format", model.format)
        row("size", size_of(model))
        row("licence", model.licence)
        row("address", model.address)
        row("sha256", model.sha256 if model.sha256 and len(model.sha256) == 64 else
            f"begins with {model.sha256}" if model.sha256 else "unknown")
    print(f"\nFiles go to {public.folder()} (set LGFA_HOME to change it); "
          f"get one with `python -m lgfa models download NAME`.")


def size_of(model: Any) -> str:
    """A model's size in words."""
    if model.size is not None:
        return f"{model.size / 1e6:,.1f} MB"
    return f"about {model.megabytes} MB" if model.megabytes else "unknown"


def fetch(name: str) -> None:
    """Downloads a model with a progress bar."""
    from tqdm import tqdm

    from ..formats import download as table
    from ..formats import public

    model = public.known(name)
    if public.is_present(name):
        print(f"{public.folder() / model.file} is there already.")
        return
    print(f"{model.file}: licence {model.licence}")
    with tqdm(total=model.size, unit="B", unit_scale=True, desc=model.file) as bar:
        def progress(done: int, total: int | None) -> None:
            bar.total = total or bar.total
            bar.update(done - bar.n)

        try:
            path = table.download(name, progress)
        except KeyboardInterrupt:
            bar.write("the same command goes on from what is there.", file=sys.stderr)
            raise
    print(path)
