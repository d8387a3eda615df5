"""The one training loop of the motion model (paper III-E, IV-A): step, log, sample, save, resume.

The generator and the networks of the losses are frozen; what learns is a MotionModel. All random
numbers come from one torch.Generator on the CPU, drawn for the whole batch on every rank.
"""
from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import LGFAError
from ..hashes import network_hash, text_hash
from ..motion.recurrent import draw_hidden
from . import augment, checkpoints, claim, resume
from .config import TrainConfig
from .data import Source
from .distributed import Ranks
from .objective import Objective, TrainingBatch
from .prompts import Prompts


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

        # ComfyUI runs nodes in inference mode, whose tensors no gradient may touch.
        with torch.inference_mode(False), torch.enable_grad():
            self.objective = Objective(config, motion, generator, clip, perceptual, identity,
                                       self.ranks)
            self.optimizer = torch.optim.Adam(self._groups(), betas=(0.0, 0.999))
            self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self.average = ([p.detach().clone() for p in self.parameters]
                            if config.ema_decay else [])
        if source.num_layers != generator.num_layers:
            raise LGFAError(f"the source gives {source.num_layers} codes an image, the generator "
                            f"takes {generator.num_layers}: they do not belong together.")
        length = getattr(source, "w_dim", generator.config.w_dim)
        if length != generator.config.w_dim:
            raise LGFAError(f"the source gives codes of length {length}, the generator takes "
                            f"{generator.config.w_dim}: they do not belong together.")
        self.scaler = torch.amp.GradScaler(self.ranks.device.type,
                                           enabled=config.precision == "fp16")
        self.random = torch.Generator().manual_seed(config.seed)
        self.step, self.values, self._saved = 0, {}, None
        self._claim: claim.Claim | None = None
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
            log = self._begin(resume, held)
            begun, first, stopped = time.monotonic(), self.step, False
            while self.step < self.config.iterations:
                stopped = self.ranks.any(self.should_stop())
                if stopped:
                    break
                self._set_rates()
                clips = self.draw()
                terms = self.objective(clips)
                self.values = self._measure(terms)
                self._backward(terms["total"])
                self._update()
                self.step += 1
                sheet = None if self.out is None else self.ranks.on_first(
                    lambda: self._write_step(log))
                self._tell(begun, first, sheet)
            return self._finish(stopped)

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

    def _set_rates(self) -> None:
        """Each group's own rate, times the share that this step has of it."""
        share = 0.5 + 0.5 * math.cos(math.pi * self.step / self.config.iterations)
        share = self.config.rate_end + (1 - self.config.rate_end) * share
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * share

    def _measure(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The terms' means over ranks; raises LGFAError when one is no number."""
        means = self.ranks.mean(torch.stack([term.detach().float() for term in terms.values()]))
        values = dict(zip(terms, means.tolist(), strict=True))
        broken = [name for name, value in values.items() if not abs(value) < float("inf")]
        if broken:
            raise self._diverged(f"the loss {broken[-1]} is no finite number")
        return values

    def _backward(self, total: Tensor) -> None:
        """Gradients of all ranks' mean loss."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.ranks.mean_gradients(self.parameters)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip or float("inf"))
        # In fp16 the scaler leaves such a step out and tries with a smaller scale.
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise self._diverged("the gradient is not finite")

    @torch.no_grad()
    def _update(self) -> None:
        """Steps the weights and their average."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        for mean, parameter in zip(self.average, self.parameters, strict=False):
            mean.lerp_(parameter, 1 - self.config.ema_decay)

    def _diverged(self, what: str) -> LGFAError:
        kept = f"the checkpoint {self._saved} is kept" if self._saved else "nothing was saved yet"
        return LGFAError(f"the training stops at step {self.step + 1}, since {what}: lower the "
                         f"learning rates, clip the gradient or train in fp32 ({kept}).")

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.config.iterations)

    def _tell(self, begun: float, first: int, sheet: Path | None) -> None:
        if self.progress and self.ranks.first:
            seconds = (time.monotonic() - begun) / (self.step - first)
            left = seconds * (self.config.iterations - self.step)
            self.progress(Progress(self.step, self.config.iterations, self.values, seconds, left,
                                   sheet))

    # ---- files

    def _begin(self, resume: bool, held: contextlib.ExitStack) -> checkpoints.Log | None:
        """Takes the folder, then the newest checkpoint or begins anew; opens the log on the first
        rank. `held` gives back what it took."""
        ranks = self.ranks
        self.motion.train()
        if self.out is not None:
            self._claim = ranks.on_first(
                lambda: held.enter_context(claim.alone(self.out, self.note)))
            folder = self.out / "checkpoints"
            if resume:
                self._resume(folder)
            elif checkpoints.paths(folder):
                raise LGFAError(f"{self.out} holds a training already: go on with it (--resume) or "
                                "name another folder.")
            if float(ranks.mean(torch.tensor(float(self.step), device=ranks.device))) != self.step:
                raise LGFAError(f"the ranks do not see the same checkpoints in {folder}: give a "
                                "folder that all of them share.")
        ranks.share([*self.motion.parameters(), *self.motion.buffers(), *self.average])
        return None if self.out is None else ranks.on_first(lambda: self._open_log(held))

    def _open_log(self, held: contextlib.ExitStack) -> checkpoints.Log:
        """The log up to this step; what a killed training left half written goes."""
        claim.clean(self.out)
        log = checkpoints.Log(self.out / "log.jsonl", self.step)
        held.callback(log.close)
        return log

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

    def _write_step(self, log: checkpoints.Log) -> Path | None:
        """All that this step leaves in the folder; gives the sample strips."""
        log.add(self.step, self.values)
        sheet = self._sample() if self._due(self.config.sample_every) else None
        if self._due(self.config.save_every):
            self._save()
        return sheet

    def _save(self) -> None:
        """Writes a checkpoint that holds everything."""
        device = self.ranks.device
        state = {
            "step": self.step,
            "values": self.values,
            "settings": self._settings,
            "motion": self.motion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "scaler": self.scaler.state_dict(),
            "random": {
                "training": self.random.get_state(),
                "torch": torch.get_rng_state(),
                "device": None if device.type == "cpu"
                          else torch.get_device_module(device).get_rng_state(),
            },
        }
        self._claim.check()
        self._saved = checkpoints.write(self.out / "checkpoints", state, self.config.keep)

    def _resume(self, folder: Path) -> None:
        """Takes everything from the newest whole checkpoint; LGFAError when the settings differ.
        Nothing is changed before all of it is found to be right."""
        found = checkpoints.read_latest(folder, self._check_state, self.note)
        if found is None:
            self.note(f"{folder} holds no checkpoint yet: the training begins anew.")
            return
        self._saved, state = found
        random = state["random"]
        self.motion.load_state_dict(state["motion"])
        resume.load_optimizer(self.optimizer, state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        for mean, stored in zip(self.average, state["average"], strict=True):
            mean.copy_(stored)
        self.random.set_state(random["training"])
        torch.set_rng_state(random["torch"])
        resume.set_device_random(self.ranks.device, random["device"])
        self.objective.unit = self.objective.latent_unit()
        self.step, self.values = state["step"], state["values"]
        self.note(f"the training goes on from step {self.step} ({self._saved.name}).")

    def _check_state(self, state: dict[str, Any]) -> None:
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
        resume.check_average(state.get("average"), self.average)
        resume.check_optimizer(state.get("optimizer"), self.optimizer, state["step"],
                               self.scaler.is_enabled())
        resume.check_scaler(state.get("scaler"), self.scaler)
        resume.check_random(state.get("random"))

    def _finish(self, stopped: bool) -> Result:
        """The last checkpoint, and the network by itself."""
        network = None if self.out is None else self.ranks.on_first(self._write_network)
        self.ranks.wait()
        return Result(self.step, stopped, self.values, self._saved, network)

    def _write_network(self) -> Path:
        """Writes what is not written yet at the end."""
        from .. import formats
        if self._saved is None or checkpoints.step_of(self._saved) != self.step:
            self._save()
        self._claim.check()
        network = self.out / "motion.safetensors"
        with self.averaged():
            formats.save(network, self.motion, {"step": self.step, "training": self._settings})
        return network

    @torch.no_grad()
    def _sample(self) -> Path | None:
        """Sample strips, always of the same stills and sentences; touches no random state."""
        from ..media.sheets import contact_sheet, save_picture
        config, objective, device = self.config, self.objective, self.ranks.device
        random = torch.Generator().manual_seed((config.seed + 1) % 2**64)
        count = min(config.sample_rows, len(self.prompts.words))
        w_inv, still = self.source.draw(count, random)
        w_inv, texts = w_inv.to(device), self.prompts.draw(count, random)
        still = None if not objective.sees else (
            objective.render(w_inv) if still is None else still.to(device))
        with self.averaged():
            w_s = self.motion.content(w_inv, still, objective.lent)
            w = self.motion.trajectory(w_s, texts, still, config.sample_frames,
                                       clip=objective.lent)
        clips = [small_frames(torch.cat([objective.render(code[None]) for code in clip]))
                 for clip in w]
        sheet = contact_sheet(clips, texts, columns=config.sample_frames)
        return save_picture(self.out / "samples" / f"step-{self.step:08d}.png", sheet)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in the network's place, where an average is kept."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for mean, parameter in zip(self.average, self.parameters, strict=False):
            mean.data, parameter.data = parameter.data, mean.data

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


def small_frames(
    pictures: Tensor,                       # [T, 3, R, R], -1..1
    side: int = 160,                        # larger ones are made this small
) -> Tensor:
    """Frames [T, H, W, 3] in 0..1 on the CPU."""
    from ..frames.render import to_frames
    if pictures.shape[-1] > side:
        pictures = nn.functional.interpolate(pictures.float(), (side, side), mode="bilinear",
                                             antialias=True)
    return to_frames(pictures)
