"""The command `train`: a motion model for a generator, from stills and sentences."""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

from ..config import AUGMENTATIONS, CONT_FORMS, LPIPS_FRAMES, SCHEDULES
from ..errors import LGFAError, printable
from ..signals import asking

DESCRIPTION = """\
Trains the motion model (paper III-E, IV-A) and writes into --out:
  motion.safetensors     the trained model, for `animate --motion`, at the end or when stopped
  checkpoints/           everything that --resume needs
  samples/               strips of frames, every --sample-every steps
  log.jsonl              every loss at every step
Settings not given are the paper's, or those of a domain's own model (printed at the start).
Ctrl-C, SIGTERM and a closed terminal save and end; a killed training loses the steps since its
last checkpoint. One training at a time has a folder.
Several accelerators: torchrun --nproc-per-node 4 -m lgfa train .. (the same training, shared)."""

EXAMPLES = """\
examples:
  python -m lgfa train --domain toon --source samples --iterations 2000 --out runs/toon
  python -m lgfa train --domain toon --source samples --iterations 4000 --out runs/toon --resume
  python -m lgfa train --generator ffhq.pt --encoder e4e.pt --clip ViT-B-32/openai \\
      --encoder-clip RN50/openai --perceptual lpips.safetensors \\
      --source folder:aligned_faces --prompts words.txt --out runs/ffhq --precision bf16
a prompt file (lines: words with their paraphrases; without templates whole sentences):
  template: The person is {}
  smiling | happy | grinning
  angry"""

NO_MEMORY = "try --render-chunk 1, --precision bf16 (accelerators) or a smaller --batch"

#: setting of TrainConfig -> (group, help); its type and default come from there, and so do the
#: weights of the losses
SETTINGS = {
    "iterations": ("length", "steps in all"),
    "batch": ("length", "clips a step, each with another word; over all ranks together"),
    "frames": ("length", "frames of a training clip"),
    "seed": ("length", "of every random draw"),
    "clip_rate": ("learning", "rate of the CLIP encoders; 0 leaves them as they are, and the "
                              "model's file then holds none: --clip is needed to animate"),
    "motion_rate": ("learning", "rate of the recurrent motion generator"),
    "mapper_rate": ("learning", "rate of the mappers"),
    "rate_end": ("learning", "part of the rates left at the last step; 1 = constant rates (paper)"),
    "grad_clip": ("learning", "largest gradient norm; 0 = any"),
    "ema_decay": ("learning", "average of the weights to export, such as 0.999; 0 = none"),
    "path_order": ("losses", "of the path's difference: 2, 1 or 0 (ablation)"),
    "cont_form": ("losses", f"{', or '.join(CONT_FORMS)} (ablation)"),
    "tau": ("losses", "temperature of the contrastive loss"),
    "lpips_frames": ("losses", f"frames it looks at: of {', '.join(LPIPS_FRAMES)}"),
    "latent_units": ("losses", "units of both distances in W: raw, std (its spread), white, auto"),
    "augment": ("losses", f"changes before the loss CLIP: of {', '.join(AUGMENTATIONS)}"),
    "augment_views": ("losses", "changed copies of a frame"),
    "precision": ("cost", "of the frozen networks: fp32, or bf16 / fp16 on accelerators"),
    "render_chunk": ("cost", "frames kept for the gradient at a time, such as 1 where memory is "
                             "short (a third slower); 0 = all"),
    "save_every": ("output", "steps between checkpoints; 0 = at the end only"),
    "keep": ("output", "checkpoints kept"),
    "sample_every": ("output", "steps between sample strips; 0 = none"),
    "sample_rows": ("output", "clips in a strip"),
    "sample_frames": ("output", "frames of each"),
}

#: network that a loss may need -> (its option, what it is)
JUDGES = {"perceptual": ("perceptual", "an LPIPS trunk"),
          "identity": ("identity_network", "an identity network")}


def add_train_parser(
    subparsers: Any,                        # of argparse
) -> None:
    """Adds `train`; its handler is a function of the parsed arguments."""
    from ..training.config import WEIGHTS, TrainConfig
    parser = subparsers.add_parser(
        "train", help="train a motion model", description=DESCRIPTION, epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(handler=train)
    _add_networks(parser.add_argument_group("networks (a domain's name or a file each)"))
    _add_data(parser.add_argument_group("stills and sentences"))
    _add_model(parser.add_argument_group("motion model"))
    out = parser.add_argument_group("output")
    out.add_argument("--out", required=True, metavar="FOLDER", help="where everything is written")
    out.add_argument("--resume", action="store_true",
                     help="go on from the newest checkpoint, or begin where there is none")
    groups = {"output": out}
    for field in dataclasses.fields(TrainConfig):
        name, text = SETTINGS.get(field.name) or (
            "losses", f"weight of {WEIGHTS[field.name].metadata['weight']}")
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        _add_setting(groups[name], field, text)
    groups["cost"].add_argument("--device", help="cpu, cuda, mps (default: an accelerator if any)")


def _add_setting(group: Any, field: dataclasses.Field, text: str) -> None:
    """One option for a field of TrainConfig; None where it is not given."""
    option, default = "--" + field.name.replace("_", "-"), field.default
    if isinstance(default, tuple):
        shown = " ".join(default) or "none"
        group.add_argument(option, nargs="*", metavar="NAME", help=f"{text} (default: {shown})")
    else:
        group.add_argument(option, type=type(default),
                           metavar={int: "N", float: "X"}.get(type(default), "NAME"),
                           help=f"{text} (default: {default})")


def _add_networks(group: Any) -> None:
    group.add_argument("--domain", metavar="NAME",
                       help="takes each network that is not named below from models/NAME; "
                            "bundled: toon (default: toon, unless --generator is given)")
    group.add_argument("--generator", metavar="FILE", help="StyleGAN2, frozen")
    group.add_argument("--encoder", metavar="FILE", help="e4e, for --source folder:PATH")
    group.add_argument("--clip", metavar="NAME", help="CLIP of the loss, frozen")
    group.add_argument("--encoder-clip", metavar="NAME",
                       help="CLIP whose copy is trained (default: that of the loss)")
    group.add_argument("--perceptual", metavar="FILE", help="LPIPS trunk")
    group.add_argument("--identity-network", metavar="FILE", help="for --identity above 0")


def _add_data(group: Any) -> None:
    group.add_argument("--source", default="samples", metavar="WHAT",
                       help="samples (of the generator), folder:PATH (aligned images, through the "
                            "encoder) or latents:FILE (default: samples)")
    group.add_argument("--truncation", type=float, default=0.7, metavar="X",
                       help="of samples, 0 .. 1; domains with a sampler of their own ignore it "
                            "(default: 0.7)")
    group.add_argument("--cache", metavar="FOLDER",
                       help="where a folder's encoded images are kept (default: PATH/.lgfa)")
    group.add_argument("--prompts", metavar="FILE",
                       help="sentences to train on (default: the domain's, else the paper's 28 "
                            "words in \"The person is {}\")")


def _add_model(group: Any) -> None:
    group.add_argument("--schedule", choices=SCHEDULES,
                       help="sizes of the motion's steps (default: even)")
    group.add_argument("--no-visual", action="store_true",
                       help="the model never sees the still, only its code (paper: other domains)")
    group.add_argument("--offsets", choices=("raw", "w", "all"),
                       help="units of the mappers' output: W's own (raw), or through the root of "
                            "the covariance of W as the domain knows it (w: in toon, within one "
                            "person) or of all of W (all) (default: w for toon, else raw)")
    group.add_argument("--shared-layers", action="store_true",
                       help="one offset for all layers of the generator")


# ---- the command

def train(args: argparse.Namespace) -> None:
    """Loads, trains, says what it does. Raises LGFAError for anything that does not fit."""
    from .. import devices
    from ..training import claim, distributed, setup
    from ..training.config import TrainConfig
    from ..training.trainer import Trainer

    claim.check_place(args.out)
    domain = args.domain or (None if args.generator else "toon")
    own = setup.own_training(None if args.generator else domain)
    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(TrainConfig)}
    given = {name: value for name, value in given.items() if value is not None}
    special = setup.special_settings(own.settings() if own else None)
    config = TrainConfig(**{**special, **given})
    here, asked = distributed.start(args.device), []
    say = _speaker(here.first, asked)
    try:
        here.on_first(lambda: claim.check_free(args.out))       # before minutes of encoding
        if special.keys() - given.keys():
            say(f"settings of the domain {domain}: " + ", ".join(
                f"{name} {value}" for name, value in special.items() if name not in given))
        networks = _load_networks(args, config, domain, here.device)
        prompts = _prompts(args.prompts, own)
        source = _source(args, own, networks, here, say)
        motion = _motion(args, config, own, networks, source, prompts)
        with asking(asked) as stopping:
            trainer = Trainer(
                config, motion, networks["generator"], source, prompts, networks["clip"],
                networks["perceptual"], networks["identity"], args.out, here,
                _reporter(say), stopping, say, _choices(args, own, networks))
            try:
                result = trainer.run(args.resume)
            except (RuntimeError, MemoryError) as error:
                raise devices.no_memory(distributed.lost(error, here), NO_MEMORY) from error
        ended = "stopped" if result.stopped else "finished"
        say(f"{ended} at step {result.step}: {result.network}")
        if result.stopped:
            say("the same command with --resume goes on from here.")
    finally:
        distributed.stop()


def _load_networks(args: Any, config: Any, domain: str | None, device: Any) -> dict[str, Any]:
    """The frozen networks that this training needs, by name; None for the others."""
    from ..formats import load
    from ..formats.loading import load_clip
    from ..training.losses import terms_of

    def named(option: str, what: str) -> str:
        name = getattr(args, option) or domain
        if name is None:
            raise LGFAError(f"the training needs {what}: give --{option.replace('_', '-')}.")
        return name

    networks = {
        "generator": load(named("generator", "a generator"), "generator", device),
        "clip": load_clip(named("clip", "a CLIP"), device),
        "perceptual": None, "identity": None, "encoder": None, "encoder_clip": None,
    }
    if args.encoder_clip:
        networks["encoder_clip"] = load_clip(args.encoder_clip, device)
    for term in terms_of(config):
        if term.network in JUDGES and networks[term.network] is None:
            option, what = JUDGES[term.network]
            name = named(option, f"{what} (or --{term.name.replace('_', '-')} 0)")
            networks[term.network] = load(name, term.network, device)
    if args.source.startswith("folder:"):
        networks["encoder"] = load(named("encoder", "an encoder"), "encoder", device)
    return networks


def _prompts(file: str | None, own: Any) -> Any:
    """From a file, or the domain's own, or the paper's."""
    from ..training.prompts import Prompts
    from ..training.setup import own_prompts
    return Prompts.read(file) if file else own_prompts(own)


def _source(args: Any, own: Any, networks: dict[str, Any], here: Any, say: Any) -> Any:
    """The stills that --source names."""
    from ..training.data import FolderSource, LatentSource
    from ..training.setup import samples
    generator = networks["generator"]
    kind, _, path = args.source.partition(":")
    if kind == "samples" and not path:
        return samples(own, generator, args.truncation)
    if kind == "latents" and path:
        return LatentSource(path)
    if kind == "folder" and path:
        def progress(done: int, total: int) -> None:
            if done % 50 == 0 or done == total:
                say(f"images encoded: {done} of {total}")
        return FolderSource(path, networks["encoder"], generator.resolution, args.cache, say,
                            progress, (here.rank, here.size))
    raise LGFAError(f"the source {args.source!r} is unknown: use samples, folder:PATH or "
                    "latents:FILE.")


def _motion(
    args: Any,
    config: Any,
    own: Any,
    networks: dict[str, Any],
    source: Any,
    prompts: Any,
) -> Any:
    """A fresh motion model: the domain's own choices, then what was asked for."""
    from ..training.setup import motion_choices, new_motion
    blind = False if args.no_visual else None
    choices = motion_choices(own, config.frames, schedule=args.schedule, visual=blind,
                             visual_mapper=blind, shared_layers=args.shared_layers or None)
    return new_motion(
        networks["generator"], networks["encoder_clip"] or networks["clip"], source, prompts,
        seed=config.seed,
        own_encoders=config.clip_rate > 0 or networks["encoder_clip"] is not None,
        offsets=_offsets(args, own), **choices)


def _offsets(args: Any, own: Any) -> str:
    return args.offsets or ("w" if own else "raw")


def _choices(args: Any, own: Any, networks: dict[str, Any]) -> dict[str, Any]:
    """What made the motion model and does not show in its settings."""
    from ..hashes import network_hash
    taught = networks["encoder_clip"] or networks["clip"]
    return {"offsets": _offsets(args, own), "encoder_clip": network_hash(taught)[:16]}


# ---- talking

def _speaker(
    first: bool,                            # the first rank speaks for all
    asked: list[int],                       # signals that came: then nobody may be listening any
    #                                         more, and the training is to be saved all the same
) -> Callable[[str], None]:
    """Prints sentences."""
    def say(sentence: str) -> None:
        if first:
            with contextlib.suppress(*([OSError] if asked else [])):
                print(printable(sentence), flush=True)
    return say


def _reporter(say: Callable[[str], None]) -> Callable[[Any], None]:
    """Prints the losses at most every few seconds."""
    last = [0.0]

    def report(progress: Any) -> None:
        now = time.monotonic()
        ends = progress.step == progress.iterations
        if not (progress.sheet or ends) and now - last[0] < 5:
            return
        last[0] = now
        values = "  ".join(f"{name} {value:.4g}" for name, value in progress.values.items())
        say(f"{progress.step:>{len(str(progress.iterations))}}/{progress.iterations}  {values}  "
            f"{progress.seconds:.2f} s/step  {_clock(progress.seconds_left)} left"
            + (f"  {progress.sheet}" if progress.sheet else ""))
    return report


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
