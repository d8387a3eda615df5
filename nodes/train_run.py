"""What the training nodes do between ComfyUI and lgfa's trainer."""
from __future__ import annotations

import dataclasses
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as management
import comfy.utils
import folder_paths
import torch
from torch import nn

from ..lgfa.errors import LGFAError, warn
from ..lgfa.nn import modules
from . import folders
from .load import load_motion
from .memory import PRECISIONS, Network, arithmetic, stop_if_interrupted
from .train_losses import Losses, own_losses
from .train_stills import CACHE, RUNS, Stills, confined

OFFSETS = {"whole picture": "all", "expressions only": "w", "raw": "raw"}
MOST_AT_ONCE = 16                           # clips of a batch that nobody gave a size
PREVIEW = 512                               # px of a preview's longer side
REDRAW = 0.7                                # seconds between previews
NO_MEMORY = "set render_chunk to 1, or batch to a smaller number"


@dataclass(frozen=True)
class Options:
    """Widgets of TrainMotionModel; their tooltips say what they mean."""

    words: str
    template: str
    name: str
    iterations: int
    batch: int
    frames: int
    mapper_rate: float
    motion_rate: float
    clip_rate: float
    rate_end: float
    gain: float
    render_chunk: int
    save_every: int
    sample_every: int
    resume: bool
    seed: int
    offsets: str
    precision: str


# ---- what the widgets say

def parse_words(words: str, template: str, batch: int) -> tuple[Any, int]:
    """Prompts and the size of a batch."""
    from ..lgfa.training.prompts import Prompts

    prompts = Prompts.parse(words, (template,))
    batch = batch or min(len(prompts.words), MOST_AT_ONCE)
    prompts.check_batch(batch)
    return prompts, batch


def check_name(name: str) -> str:
    """The name, if a file may have it."""
    if not re.fullmatch(r"[^\W_][\w .-]{0,62}[\w-]|[^\W_]", name):
        raise LGFAError(f"the name {name!r} is not usable: use up to 64 letters, digits, spaces, "
                        f"points, - and _, and begin with a letter or a digit.")
    if name.casefold() == CACHE:
        raise LGFAError(f"the name {name!r} is taken by the folder of encoded images: use "
                        f"another one.")
    return name


def _result_file(name: str) -> Path:
    """Where the trained model will lie; refuses a name under which loaders find another file."""
    file = name + folders.SUFFIX
    path = Path(confined(folders.KEY, file))
    for other in folder_paths.get_folder_paths(folders.KEY):
        found = Path(other) / file
        if found.is_file() and found.resolve() != path.resolve():
            raise LGFAError(f"there is a model {file} in {other} already: use another name.")
    return path


# ---- the training

def train(
    generator: Network,
    clip: Network,
    stills: Stills,
    losses: Losses | None,
    motion: Network | None,                 # to go on from
    options: Options,
) -> tuple[Network, Network, Any]:
    """The trained motion model, its CLIP, and the picture of its losses (PIL).

    Raises ComfyUI's exception when the user cancels; the checkpoint is written before.
    """
    from ..lgfa.devices import no_memory
    from ..lgfa.training.claim import check_free

    prompts, batch = parse_words(options.words, options.template, options.batch)
    result = _result_file(check_name(options.name))
    out = Path(confined(RUNS, options.name))
    check_free(out)
    if stills.source is None and stills.generator != generator.name:
        raise LGFAError(f"the source gives stills of {stills.generator}, the training has "
                        f"{generator.name}: connect the same generator to both.")
    try:
        with torch.inference_mode(False):
            trainer, gain = _trainer(generator, clip, stills, losses, motion, options, prompts,
                                     batch, out)
            ended = trainer.run(options.resume)
            if ended.stopped:
                _cancelled(options.name, ended)
            _publish(ended.network, result, gain, options, prompts)
    except (RuntimeError, MemoryError) as error:
        raise no_memory(error, NO_MEMORY) from error
    trained, its_clip = load_motion(result.name)
    return trained, its_clip, _picture(out, options)


def _trainer(generator: Network, clip: Network, stills: Stills, losses: Losses | None,
             motion: Network | None, options: Options, prompts: Any, batch: int,
             out: Path) -> tuple[Any, float]:
    """The trainer with networks of its own, and the gain that its result will get."""
    from ..lgfa.frames.arrange import working_bytes
    from ..lgfa.hashes import network_hash
    from ..lgfa.training import setup
    from ..lgfa.training.distributed import Ranks
    from ..lgfa.training.trainer import Trainer

    own = setup.own_training(generator.domain)
    config = _config(own, losses, options, batch, _seed(out, options))
    losses = losses or own_losses(generator, own, config)
    device = management.get_torch_device()
    management.free_memory(8 * working_bytes(generator.config, 2 * batch), device)

    # Sockets are shared: what learns, and what is moved or frozen for it, are copies.
    copies = {name: None if one is None else modules.private_copy(one.patcher.model).to(device)
              for name, one in (("generator", generator), ("clip", clip),
                                ("perceptual", losses.perceptual), ("identity", losses.identity))}
    source = stills.source or setup.samples(own, copies["generator"], stills.truncation)
    if motion is None:
        learner = _fresh(own, copies, source, prompts, config, stills, options)
        choices = {"offsets": OFFSETS[options.offsets]}
    else:
        learner = _going_on(motion, clip, copies["clip"]).to(device)
        choices = {"motion": network_hash(motion.patcher.model)[:16]}
        config = dataclasses.replace(config, frames=learner.config.train_frames)
    gain = options.gain or _own_gain(own if motion is None else None, options)
    report, should_stop = _reporter(out, options)
    trainer = Trainer(
        config, learner, copies["generator"], source, prompts, copies["clip"],
        copies["perceptual"], copies["identity"], out, Ranks(device=device),
        report, should_stop,
        lambda said: logging.info("LGFA: %s", said), choices)
    return trainer, gain


def _config(own: Any, losses: Losses | None, options: Options, batch: int, seed: int) -> Any:
    """Settings: the domain's own or the paper's, then the losses', then the widgets'."""
    from ..lgfa.training.config import TrainConfig

    if options.offsets not in OFFSETS or options.precision not in PRECISIONS:
        raise LGFAError(f"there is no choice {options.offsets!r} of offsets or "
                        f"{options.precision!r} of precision: choose again.")
    wide = OFFSETS[options.offsets] == "all"
    base = TrainConfig() if own is None else own.word_settings() if wide else own.settings()
    widgets = {name: getattr(options, name) for name in (
        "iterations", "frames", "mapper_rate", "motion_rate", "clip_rate", "rate_end",
        "render_chunk", "save_every", "sample_every")}
    return dataclasses.replace(
        base, **(losses.settings if losses else {}), **widgets, batch=batch, seed=seed,
        precision=_precision(options.precision), sample_rows=6, sample_frames=6)


def _own_gain(own: Any, options: Options) -> float:
    """What a domain does to fresh models after training."""
    if own is None:
        return 1.0
    return own.WORD_GAIN if OFFSETS[options.offsets] == "all" else own.GAIN


def _precision(choice: str) -> str:
    """Of the frozen networks: what ComfyUI holds the device to be able to."""
    dtype = arithmetic(choice, management.get_torch_device(), (torch.bfloat16, torch.float16))
    return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]


def _seed(out: Path, options: Options) -> int:
    """A training that goes on keeps its seed, which its checkpoint's random state has outgrown:
    ComfyUI draws another one for every run unless it is told not to."""
    from ..lgfa.training import checkpoints

    found = checkpoints.read_latest(out / "checkpoints", checkpoints.check_settings)
    if found is None:
        return options.seed % 2**63
    if not options.resume:
        raise LGFAError(f"there is a training {options.name!r} already, at step "
                        f"{found[1]['step']}: switch resume on to go on with it, or use another "
                        f"name.")
    return found[1]["settings"]["train"]["seed"]


def _fresh(own: Any, copies: dict[str, Any], source: Any, prompts: Any, config: Any,
           stills: Stills, options: Options) -> nn.Module:
    """A motion model with random weights."""
    from ..lgfa.training.setup import motion_choices, new_motion

    # Paper: with made-up stills nothing looks at the picture.
    blind = False if stills.source is None else None
    return new_motion(
        copies["generator"], copies["clip"], source, prompts, config.seed,
        offsets=OFFSETS[options.offsets],
        **motion_choices(own, config.frames, visual=blind, visual_mapper=blind))


def _going_on(motion: Network, clip: Network, judge: nn.Module) -> nn.Module:
    """A copy of a trained model, with its encoders in place again."""
    from ..lgfa.nn.modules import private_copy

    learner = private_copy(motion.patcher.model).requires_grad_(True)
    if learner.encoder is None:
        if motion.clip is not None and motion.clip != clip.name:
            raise LGFAError(f"the motion model {motion.name} understands only its own CLIP, but "
                            f"clip is {clip.name}: connect the CLIP that was loaded with it.")
        learner.adopt(judge)
    return learner


def _cancelled(name: str, ended: Any) -> None:
    """Says what is kept and leaves."""
    warn(f"the training {name!r} is cancelled at step {ended.step}. Run it again with resume on to "
         f"go on from {ended.checkpoint}.")
    stop_if_interrupted()
    raise management.InterruptProcessingException()


def _publish(network: Path, result: Path, gain: float, options: Options, prompts: Any) -> None:
    """Writes the trained model where the loaders list it, whole or not at all."""
    from ..lgfa import formats
    from ..lgfa.training.setup import enlarge

    motion = formats.load(network, "motion")
    enlarge(motion, gain)
    formats.save(result, motion, {"name": options.name, "gain": gain,
                                  "sentences": prompts.sentences()})


# ---- what is seen of it

def _reporter(out: Path, options: Options) -> tuple[Callable[[Any], None], Callable[[], bool]]:
    """Moves the progress bar and shows losses and samples below it; and whether to stop.

    ComfyUI's bar raises, and forgets the cancel, when it is told of progress after one: that must
    wait until the trainer has saved its last step.
    """
    bar, last, cancelled = comfy.utils.ProgressBar(options.iterations), [0.0], []

    def report(progress: Any) -> None:
        now, preview = time.monotonic(), None
        if progress.sheet or progress.step == progress.iterations or now - last[0] > REDRAW:
            last[0] = now
            preview = ("JPEG", _picture(out, options), PREVIEW)
        try:
            bar.update_absolute(progress.step, progress.iterations, preview)
        except management.InterruptProcessingException:
            cancelled.append(progress.step)

    return report, lambda: bool(cancelled) or management.processing_interrupted()


def _picture(out: Path, options: Options) -> Any:
    """Losses so far above the newest sample strips (PIL)."""
    from PIL import Image

    from ..lgfa.training.checkpoints import read_log
    from ..lgfa.training.curves import draw_losses, with_strips

    curves = draw_losses(read_log(out / "log.jsonl"), options.iterations, title=options.name)
    sheets = sorted((out / "samples").glob("step-*.png"))
    if not sheets:
        return curves
    with Image.open(sheets[-1]) as sheet:
        return with_strips(curves, sheet)
