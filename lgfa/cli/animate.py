"""The commands that make pictures: animate, demo."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..config import EASINGS
from ..errors import LGFAError
from . import arguments

ANIMATE = """\
Animates a still by one or more sentences and writes the clip.

The still is a photograph or drawing (--image), a face that the generator invents (--sample), or
the last frame of stored latents (--latents). Several --text follow each other, each expression
starting where the one before ended. Frame 1 is the still. The clip has exactly --frames frames,
whatever else is asked.
"""

ANIMATE_EXAMPLES = """\
examples:
  a face that nobody photographed, smiling, as an animated picture
    python -m lgfa animate --sample 7 --text "The person is smiling" --out smile.webp

  a picture of a toon face
    python -m lgfa animate --image face.png --text "The person is winking" --out wink.gif

  one expression after another, as a video; the latents are kept
    python -m lgfa animate --sample 7 --text "The person is crying" \\
        --text "The person is pouting" --frames 32 --out chain.mp4 --save-latents chain.safetensors

  going on from there, and back again so that it repeats
    python -m lgfa animate --latents chain.safetensors --text "The person is smiling" \\
        --ping-pong --hold 4 --frames 40 --out more.webp

  the same latents once more, softer and slower, without any sentence
    python -m lgfa animate --latents chain.safetensors --strength 0.6 --frames 64 --out soft.mp4

  real photographs with one's own checkpoints
    python -m lgfa animate --generator ffhq.safetensors --encoder e4e.safetensors \\
        --motion motion.safetensors --image aligned.png --text "The person is smiling" --out a.mp4

output by suffix:
  .webp .gif     animated picture        .mp4 .webm   video (H.264, VP9)
  .png           all frames in a row     no suffix    folder of frame_00001.png, ..
"""

DEMO = """\
Animates the bundled toon domain: one clip of a smile, one that runs through several expressions,
and a contact sheet of one person with each of them. Prints where they lie. No download is needed.
"""


def add_parsers(subparsers: Any) -> None:
    """Adds `animate` and `demo`; each sets `handler`, a function of the parsed arguments."""
    parser = subparsers.add_parser(
        "animate", help="a still and a sentence become a clip", description=ANIMATE,
        epilog=ANIMATE_EXAMPLES)
    _add_input(parser.add_argument_group("what is animated (one of them)"))
    _add_motion(parser.add_argument_group("how it moves"))
    _add_networks(parser.add_argument_group("networks"))
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(handler=animate)

    parser = subparsers.add_parser("demo", help="see what it does", description=DEMO)
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), metavar="FOLDER",
                        help="where the results go (default: outputs/demo)")
    parser.add_argument("--seed", type=arguments.seed, default=7,
                        help=f"which face, {arguments.SEEDS} (default: 7)")
    parser.add_argument("--device", help="cpu, cuda, mps, .. (default: an accelerator if any)")
    parser.set_defaults(handler=demo)


def _add_input(group: Any) -> None:
    still = group.add_mutually_exclusive_group(required=True)
    still.add_argument("--image", metavar="FILE",
                       help="any picture: its centre square is used, transparency becomes white")
    still.add_argument("--sample", type=arguments.seed, metavar="SEED",
                       help=f"a face that the generator invents; the same seed, the same face "
                            f"({arguments.SEEDS})")
    still.add_argument("--latents", metavar="FILE",
                       help="stored latents: with --text go on from their last frame, "
                            "without it render them again")
    group.add_argument("--text", action="append", metavar="SENTENCE",
                       help='"The person is smiling"; repeat it for one expression after another')
    group.add_argument("--strict", action="store_true",
                       help="refuse a --text that is like no word that the motion model knows "
                            "(python -m lgfa words lists them), instead of a warning")
    group.add_argument("--truncation", type=float, default=0.7, metavar="PSI",
                       help="how far --sample strays from the average face of a generator "
                            "without a domain (default: 0.7)")


def _add_motion(group: Any) -> None:
    group.add_argument("--frames", type=int, metavar="N",
                       help="frames of the whole clip (default: 16; --latents alone: as stored)")
    group.add_argument("--fps", type=float, help="frames a second (default: 10, or as stored)")
    group.add_argument("--seed", type=arguments.seed, default=0,
                       help=f"another seed, another performance, {arguments.SEEDS} (default: 0)")
    group.add_argument("--strength", type=float, default=1.0, metavar="X",
                       help="0 = still, 1 = as trained, beyond = exaggerated (default: 1)")
    group.add_argument("--easing", choices=EASINGS, default="none", metavar="NAME",
                       help=f"timing along the way: {', '.join(EASINGS)} (default: none, "
                            f"the model's own)")
    group.add_argument("--hold", type=int, default=0, metavar="N",
                       help="frames for which each expression rests (default: 0)")
    group.add_argument("--add", action="store_true",
                       help="a later --text adds to what came before, which else fades while it "
                            "comes")
    back = group.add_mutually_exclusive_group()
    back.add_argument("--loop", action="store_true",
                      help="softly back to the still, so that the clip repeats without a seam")
    back.add_argument("--ping-pong", action="store_true",
                      help="back by the same way and timing")


def _add_networks(group: Any) -> None:
    group.add_argument("--domain", metavar="NAME",
                       help="a set of networks that belong together (default: toon, "
                            "unless networks are given)")
    formats = {"generator": "rosinality .pt, NVIDIA .pkl, e4e .pt or .safetensors",
               "encoder": "e4e .pt or .safetensors; only --image needs it",
               "motion": ".safetensors or the authors' .pth",
               "clip": "only for a motion model without its own: file, NAME/TAG or NAME:FILE of "
                       "open_clip (RN50/openai); a tag is downloaded if it is not there"}
    for kind, text in formats.items():
        group.add_argument(f"--{kind}", metavar="FILE", help=text)
    group.add_argument("--device", help="cpu, cuda, mps, .. (default: an accelerator if any)")
    group.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32",
                       help="arithmetic of rendering (default: float32)")


def _add_output(group: Any) -> None:
    group.add_argument("--out", required=True, metavar="PATH", help="the suffix says the format")
    group.add_argument("--save-latents", metavar="FILE", help="the trajectory as .safetensors")
    group.add_argument("--chunk", type=int, default=8, metavar="N",
                       help="frames rendered at once; halved when memory runs out (default: 8)")
    group.add_argument("--noise", choices=("const", "random", "none"), default="const",
                       help="the generator's noise maps (default: const)")
    group.add_argument("--quiet", action="store_true", help="no progress, no report")


# ---- animate

def animate(args: argparse.Namespace) -> None:
    """Everything that can be refused is refused before a network is loaded."""
    from ..media.clips import check_target, write
    from ..motion.understanding import refuse_unknown

    if not args.text and args.latents is None:
        raise LGFAError('there is no sentence: add --text "The person is smiling".')
    stored, info = _stored(args)
    count = args.frames if args.frames is not None else (16 if args.text else len(stored))
    fps = args.fps if args.fps is not None else info.get("fps", 10.0)
    _check(args, count)
    check_target(args.out, fps, count)

    animator = _animator(args)
    if args.strict and args.text:
        refuse_unknown(animator.understand(args.text), "say it otherwise, or leave out --strict")
    latents = _latents(args, animator, stored, count)
    frames = animator.render(latents, args.chunk, args.noise, None if args.quiet else _progress)
    write(args.out, frames, fps, len(latents))
    if args.save_latents:
        from ..formats.latents import save_latents

        texts = [*info.get("texts", ()), *(args.text or ())]
        save_latents(args.save_latents, latents, fps=fps, texts=texts, seed=args.seed)
    if not args.quiet:
        print(f"{args.out}: {len(latents)} frames of {animator.generator.resolution} px, "
              f"{len(latents) / fps:.1f} s")
        if args.save_latents:
            print(f"{args.save_latents}: latents {list(latents.shape)}")


def _stored(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Latents of --latents and what was noted beside them, checked."""
    if args.latents is None:
        return None, {}
    from ..formats.latents import load_latents
    from ..media.clips import is_rate

    latents, info = load_latents(args.latents)
    fps, texts = info.get("fps"), info.get("texts")
    known: dict[str, Any] = {}
    if is_rate(fps):                        # strange notes are as good as none
        known["fps"] = float(fps)
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        known["texts"] = texts
    return latents, known


def _check(args: argparse.Namespace, count: int) -> None:
    """Refuses what cannot work, before anything is loaded."""
    from ..config import check_number
    from ..formats.latents import check_latents_target
    from ..media.clips import check_place
    from ..methods.method import as_prompts
    from ..trajectory.timing import check_motion

    if args.text:
        as_prompts(args.text)
    check_number(args.truncation, "the truncation")
    check_motion(count, args.seed, args.strength, args.easing, args.hold, args.loop,
                 args.ping_pong, len(args.text or [""]))
    if args.chunk < 1:
        raise LGFAError(f"--chunk must be at least 1, not {args.chunk}.")
    if args.save_latents:
        check_place(check_latents_target(args.save_latents))


def _animator(args: argparse.Namespace) -> Any:
    """The networks that this command needs, and no other."""
    import torch

    from ..animate import Animator

    parts = ["generator"] + ["encoder"] * (args.image is not None) + ["motion"] * bool(args.text)
    files = {kind: getattr(args, kind) for kind in ("generator", "encoder", "motion", "clip")}
    given = any(files.values())
    domain = args.domain if args.domain is not None or given else "toon"
    files = {kind: file for kind, file in files.items() if kind in (*parts, "clip")}
    missing = [kind for kind in parts if domain is None and not files[kind]]
    if missing:
        raise LGFAError(f"add {' and '.join('--' + kind for kind in missing)}, or --domain toon "
                        f"for those that are not given.")
    return Animator.from_pretrained(
        domain, args.device, getattr(torch, args.dtype), parts, **files)


def _latents(args: argparse.Namespace, animator: Any, stored: Any, count: int) -> Any:
    """The trajectory [T, L, w_dim] that the arguments describe."""
    motion = {"strength": args.strength, "easing": args.easing, "hold": args.hold,
              "loop": args.loop, "ping_pong": args.ping_pong}
    if not args.text:
        from ..trajectory.timing import retime

        return retime(stored, count, **motion)
    start = args.image
    if args.latents is not None:
        start = stored[-1]
    elif args.sample is not None:
        start = animator.sample(args.sample, args.truncation)
    return animator.trajectory(start, args.text, count, args.seed, add=args.add, **motion)


def _progress(done: int, total: int) -> None:
    """One line that counts up, where somebody is looking."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\rframe {done} of {total}", end=end, file=sys.stderr, flush=True)


# ---- demo

def demo(args: argparse.Namespace) -> None:
    """Clips and a contact sheet of the bundled domain."""
    from ..animate import Animator
    from ..media.clips import check_target, write
    from ..media.sheets import contact_sheet, save_picture
    from ..registry import DOMAINS

    domain = DOMAINS["toon"]
    out = args.out
    paths = {name: out / name for name in ("smile.webp", "expressions.webp", "contact_sheet.png")}
    for path in paths.values():
        check_target(path)
    animator = Animator.from_pretrained(domain.name, args.device)
    still = animator.sample(args.seed)
    texts = [domain.template.replace("{}", word) for word in domain.words]

    smile = animator.animate(still, texts[0], frames=32, ping_pong=True, hold=6, fps=12)
    write(paths["smile.webp"], smile, smile.fps)
    clips = [animator.animate(still, text, frames=16, fps=12) for text in texts]
    write(paths["expressions.webp"], _tour(clips), 12)
    title = "Frame 1 is the still; the last is the expression."
    if domain.unheard:
        title += " Nothing was trained on the last row's sentence."
        texts += domain.unheard
        clips += [animator.animate(still, text, frames=16, fps=12) for text in domain.unheard]
    sheet = contact_sheet(clips, texts, title=title)
    save_picture(paths["contact_sheet.png"], sheet)

    titles = ("animation", "expressions", "contact sheet")
    for title, path in zip(titles, paths.values(), strict=True):
        print(f"{title + ':':<15} {path.resolve()}")


def _tour(clips: Iterable[Any]) -> Iterable[Any]:
    """Every clip there, a rest, and back."""
    for clip in clips:
        yield clip.frames
        yield clip.frames[-1:].expand(6, -1, -1, -1)
        yield clip.frames.flip(0)
