"""The training of the motion model (paper III-E, IV-A): its step, its state, what it shows.

The generator and the networks of the losses are frozen; what learns is a MotionModel. All random
numbers come from one torch.Generator on the CPU, drawn for the whole batch on every rank.
"""
from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import check_fits
from ..errors import LGFAError
from ..hashes import network_hash, text_hash
from ..motion.recurrent import draw_hidden
from . import augment, checkpoints, claim, loop, resume
from .average import Average
from .config import TrainConfig
from .data import Source
from .distributed import Ranks
from .objective import Objective, TrainingBatch
from .prompts import Prompts
from .vocabulary import remember


@dataclass(frozen=True)
class Progress:
    """What the progress callback is told after each step."""

    step: int                               # steps done
    iterations: int                         # steps in all
    values: dict[str, float]                # "total" and each term, before its weight
    seconds: float                          # a step, mean of this run
    seconds_left: float                     # to the end, estimated
    sheet: Path | None = None               # sample strips, when this step wrote them


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int                               # steps done
    stopped: bool                           # True: should_stop ended it
    values: dict[str, float]                # of the last step
    checkpoint: Path | None                 # the last one
    network: Path | None                    # motion.safetensors, None without a folder


class Trainer:
    """Trains `motion`; `run` may be called once."""

    def __init__(
        self,
        config: TrainConfig,
        motion: nn.Module,                  # MotionModel, learns in place
        generator: nn.Module,               # Generator, frozen
        source: Source,                     # stills
        prompts: Prompts,                   # sentences
        clip: nn.Module | None = None,      # CLIP of the loss, frozen; lends its encoders to a
        #                                     motion model that has none
        perceptual: nn.Module | None = None,    # frozen; needed where config.lpips > 0
        identity: nn.Module | None = None,      # frozen; needed where config.identity > 0
        out: str | Path | None = None,      # folder of all files; None = nothing is written
        ranks: Ranks | None = None,         # this process among others; None = alone, on motion's
        #                                     device
        progress: Callable[[Progress], None] | None = None,     # called on the first rank
        should_stop: Callable[[], bool] | None = None,          # asked before each step
        note: Callable[[str], None] | None = None,              # told of resuming and the like
        choices: Mapping[str, Any] | None = None,   # what the motion model was made with, by name;
        #                                     as equal as all settings when the training goes on
    ) -> None:
        self.config, self.motion, self.source, self.prompts = config, motion, source, prompts
        self.out = Path(out) if out is not None else None
        self.ranks = ranks or Ranks(device=next(motion.parameters()).device)
        self.progress, self.should_stop = progress, should_stop or (lambda: False)
        self.note = note or (lambda sentence: None)
        prompts.check_batch(config.batch)
        self.ranks.rows(config.batch)
        motion.words = None                 # of an earlier training; this one's come at its end

        # ComfyUI runs nodes in inference mode, whose tensors no gradient may touch.
        with torch.inference_mode(False), torch.enable_grad():
            self.objective = Objective(config, motion, generator, clip, perceptual, identity,
                                       self.ranks)
            self.optimizer = torch.optim.Adam(self._groups(), betas=(0.0, 0.999))
            self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self.average = Average(self.parameters if config.ema_decay else [], config.ema_decay)
            self.rates = loop.Rates(self.optimizer)
        check_fits("source of stills", source, generator.config)
        self.scaler = torch.amp.GradScaler(self.ranks.device.type,
                                           enabled=config.precision == "fp16")
        self.random = torch.Generator().manual_seed(config.seed)
        self._states = resume.RandomStates(self.random, self.ranks.device)
        self.values: dict[str, float] = {}      # of the last step
        self._log: checkpoints.Log | None = None
        self._sheet: Path | None = None         # what the last step wrote
        self._settings = self._all_settings(choices or {}) if self.out is not None else {}

    # ---- the loop

    def run(
        self,
        resume: bool = False,               # go on from the newest checkpoint, if there is one
    ) -> Result:
        """Trains to the last step or until should_stop.

        Raises LGFAError when a folder holds another training or one is at work there, when the
        settings of a resumed one differ, when a loss is no number any more, and when the disk is
        full; the last checkpoint then stays.
        """
        with contextlib.ExitStack() as held, torch.inference_mode(False), torch.enable_grad():
            held.callback(self.motion.eval)
            self.motion.train()
            files = None if self.out is None else self._take_folder(resume, held)
            end = loop.run(
                self.step, self.config.iterations, self, files, save_every=self.config.save_every,
                remedy="lower the learning rates, clip the gradient or train in fp32",
                begin=lambda done, saved: self._begin(done, saved, resume, held),
                log=None if files is None else self._write_step, tell=self._tell,
                should_stop=self.should_stop, note=self.note, ranks=self.ranks)
            network = self.ranks.on_first(lambda: self._give(files, end.step))
            self.ranks.wait()
            return Result(end.step, end.stopped, self.values, end.checkpoint, network)

    def step(
        self,
        number: int,                        # from 0
    ) -> dict[str, float]:
        """One step: rates, batch, losses, gradients, weights. Gives "total" and each term."""
        self._set_rates(number)
        terms = self.objective(self.draw())
        self.values = self._measure(terms)
        self._backward(terms["total"])
        self._update()
        return self.values

    def draw(self) -> TrainingBatch:
        """The next batch; draws for all ranks, keeps this rank's rows."""
        config, random = self.config, self.random
        rows = self.ranks.rows(config.batch)
        w_inv, image = self.source.draw(config.batch, random, rows)
        texts = self.prompts.draw(config.batch, random)[rows]
        settings = self.motion.config
        h1 = draw_hidden(config.batch, settings.hidden, settings.hidden_std, generator=random)
        middle = 1 + int(torch.randint(max(config.frames - 2, 1), (), generator=random))
        views = [augment.draw(config.augment, config.batch, random).rows(rows)
                 for _ in range(config.augment_views if config.augment else 0)]
        device = self.ranks.device
        return TrainingBatch(w_inv.to(device), None if image is None else image.to(device), texts,
                     h1[rows].to(device), middle, views)

    # ---- parts of a step

    def _set_rates(self, number: int) -> None:
        """Each group's own rate, times the share that this step has of it."""
        share = 0.5 + 0.5 * math.cos(math.pi * number / self.config.iterations)
        self.rates.set(self.config.rate_end + (1 - self.config.rate_end) * share)

    def _measure(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The terms' means over ranks; raises Diverged when one is no number."""
        means = self.ranks.mean(torch.stack([term.detach().float() for term in terms.values()]))
        values = dict(zip(terms, means.tolist(), strict=True))
        loop.check({f"the loss {name}": value for name, value in values.items()})
        return values

    def _backward(self, total: Tensor) -> None:
        """Gradients of all ranks' mean loss; raises Diverged when they are not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.ranks.mean_gradients(self.parameters)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip or float("inf"))
        # In fp16 the scaler leaves such a step out and tries with a smaller scale.
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise loop.Diverged("the gradient is not finite")

    def _update(self) -> None:
        """Steps the weights and their average."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update()

    # ---- around a step

    def _take_folder(
        self,
        resume: bool,
        held: contextlib.ExitStack,         # gives the folder back
    ) -> checkpoints.Numbered:
        """Its checkpoints, once the folder is this training's alone; LGFAError when it holds one
        that is not to go on."""
        mine = self.ranks.on_first(lambda: held.enter_context(claim.alone(self.out, self.note)))
        folder = self.out / "checkpoints"
        if not resume and checkpoints.paths(folder):
            raise LGFAError(f"{self.out} holds a training already: go on with it (--resume) or "
                            "name another folder.")
        return checkpoints.Numbered(folder, self.config.keep, mine.check if mine else lambda: None)

    def _begin(
        self,
        done: int,                          # steps that are done
        saved: Path | None,                 # the checkpoint that they come from
        resume: bool,
        held: contextlib.ExitStack,         # closes the log
    ) -> None:
        """Says where the training begins; all ranks begin alike; opens the log on the first."""
        ranks = self.ranks
        if self.out is not None:
            folder = self.out / "checkpoints"
            if saved is not None:
                self.note(f"the training goes on from step {done} ({saved.name}).")
            elif resume:
                self.note(f"{folder} holds no checkpoint yet: the training begins anew.")
            if float(ranks.mean(torch.tensor(float(done), device=ranks.device))) != done:
                raise LGFAError(f"the ranks do not see the same checkpoints in {folder}: give a "
                                "folder that all of them share.")
        ranks.share([*self.motion.parameters(), *self.motion.buffers(),
                     *self.average.means.values()])
        if self.out is not None:
            self._log = ranks.on_first(lambda: self._open_log(done, held))
        self._first, self._begun = done, time.monotonic()

    def _open_log(self, done: int, held: contextlib.ExitStack) -> checkpoints.Log:
        """The log up to this step; what a killed training left half written goes."""
        claim.clean(self.out)
        log = checkpoints.Log(self.out / "log.jsonl", done)
        held.callback(log.close)
        return log

    def _write_step(self, done: int, values: dict[str, float]) -> None:
        """What a step leaves in the folder beside its checkpoint: a log line, sample strips."""
        self._log.add(done, values)
        config = self.config
        due = loop.is_due(done, config.sample_every, config.iterations)
        self._sheet = self._sample(done) if due else None

    def _tell(self, done: int, values: dict[str, float]) -> None:
        if self.progress and self.ranks.first:
            seconds = (time.monotonic() - self._begun) / (done - self._first)
            left = seconds * (self.config.iterations - done)
            self.progress(Progress(done, self.config.iterations, values, seconds, left,
                                   self._sheet))

    # ---- its state

    def _all_settings(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """All that must be equal for a training to go on."""
        own, prompts = self.motion.clip_config, self.prompts
        codes = getattr(self.source, "encoder_hash", None)
        return {
            "train": asdict(self.config),
            "motion": asdict(self.motion.config),
            "encoder": {"lent": True} if own is None else asdict(own),
            "networks": {name: network_hash(network)[:16]
                         for name, network in self.objective.frozen().items()},
            "source": self.source.describe(),
            "prompts": f"{len(prompts.words)} words "
                       + text_hash("\n".join(prompts.sentences()))[:16],
            # .. and what older checkpoints do not hold, which go on all the same
            "choices": {**choices, **({"encoder": codes[:16]} if codes else {}), "words": text_hash(
                json.dumps([prompts.words, prompts.templates]))[:16]},
        }

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint holds, but for the step."""
        return {
            "values": self.values,
            "settings": self._settings,
            "motion": self.motion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": self._states.state_dict(),
        }

    def check(self, state: dict[str, Any]) -> None:
        """LGFAError unless a checkpoint's state can be taken up as a whole; Unlike when it is one
        of a training with other settings."""
        checkpoints.check_settings(state)
        checkpoints.compare(state["settings"], self._settings, TrainConfig.FREE)
        resume.check_values(state.get("values"))
        resume.check_tensors(state.get("motion"), self.motion.state_dict(), "motion model")
        scale = state["motion"]["latent_scale"]
        if not resume.is_same_scale(scale, self.motion.latent_scale):
            raise checkpoints.Unlike("the training cannot go on, since its offsets have other "
                                     "units: give the same choice of them (--offsets) and the "
                                     "same source, or begin in another folder.")
        self.average.check(state.get("average"))
        resume.check_optimizer(state.get("optimizer"), self.optimizer, state["step"],
                               self.scaler.is_enabled())
        resume.check_scaler(state.get("scaler"), self.scaler)
        self._states.check(state.get("random"))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes everything from a checkpoint, which `check` has found to be right."""
        self.motion.load_state_dict(state["motion"])
        resume.load_optimizer(self.optimizer, state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.average.load_state_dict(state["average"])
        self._states.load_state_dict(state["random"])
        self.objective.unit = self.objective.latent_unit()
        self.values = state["values"]

    # ---- what it shows and gives

    def _give(self, files: checkpoints.Numbered | None, done: int) -> Path | None:
        """The words that the model was taught, and with a folder the network by itself; both are
        those of averaged weights."""
        from .. import formats
        with self.average.applied():
            remember(self.motion, self.prompts, self.objective.lent)
            if files is None:
                return None
            files.guard()
            network = self.out / "motion.safetensors"
            formats.save(network, self.motion, {"step": done, "training": self._settings})
        return network

    @torch.no_grad()
    def _sample(self, done: int) -> Path | None:
        """Sample strips, always of the same stills and sentences; touches no random state."""
        from ..frames.render import to_frames
        from ..media.sheets import contact_sheet, save_picture, thumbnails
        config, objective, device = self.config, self.objective, self.ranks.device
        random = torch.Generator().manual_seed((config.seed + 1) % 2**64)
        count = min(config.sample_rows, len(self.prompts.words))
        w_inv, still = self.source.draw(count, random)
        w_inv, texts = w_inv.to(device), self.prompts.draw(count, random)
        still = None if not objective.sees else (
            objective.render(w_inv) if still is None else still.to(device))
        with self.average.applied():
            w_s = self.motion.content(w_inv, still, objective.lent)
            w = self.motion.trajectory(w_s, texts, still, config.sample_frames,
                                       clip=objective.lent)
        clips = [to_frames(thumbnails(torch.cat([objective.render(code[None]) for code in clip])))
                 for clip in w]
        sheet = contact_sheet(clips, texts, columns=config.sample_frames)
        return save_picture(self.out / "samples" / f"step-{done:08d}.png", sheet)

    # ---- preparation

    def _groups(self) -> list[dict[str, Any]]:
        """The optimiser's three rates; what has a rate of 0 is frozen."""
        config, motion = self.config, self.motion
        parts = [("clip", [motion.encoder], config.clip_rate),
                 ("motion", [motion.rnn], config.motion_rate),
                 ("mappers", [motion.v_mapper, motion.t_mapper], config.mapper_rate)]
        groups = []
        for name, modules, rate in parts:
            parameters = [p for m in modules if m is not None for p in m.parameters()]
            for parameter in parameters:
                parameter.requires_grad_(rate > 0)
            if parameters and rate > 0:
                groups.append({"params": parameters, "lr": rate, "rate": rate, "name": name})
        if not groups:
            raise LGFAError("all learning rates are 0: there is nothing to train.")
        return groups
