"""From a batch to the total: every term against its formula, spelled out over the real networks."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_scenarios import networks

from lgfa.errors import LGFAError
from lgfa.frames.latent_space import samples
from lgfa.training import augment, losses
from lgfa.training.config import WEIGHTS, TrainConfig
from lgfa.training.distributed import Ranks
from lgfa.training.objective import Objective, TrainingBatch

TEXTS = ["smiling", "angry", "sad"]
FRAMES, MIDDLE = 5, 2
BLIND = {"visual": False, "visual_mapper": False}


class Face(nn.Module):
    """A face recognition of one layer: images [B, 3, H, W] -> unit vectors [B, 8]."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            self.layer = nn.Conv2d(3, 8, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.layer(x).relu().mean(dim=(2, 3)), dim=-1)


def objective(motion: dict[str, Any] | None = None, missing: tuple[str, ...] = (),
              **settings: Any) -> Objective:
    """An objective in which only the weights that are given count."""
    parts = {**networks(train_frames=FRAMES, **(motion or {})), "identity": Face()}
    parts |= dict.fromkeys(missing)
    config = TrainConfig(**{"frames": FRAMES, **dict.fromkeys(WEIGHTS, 0.0), **settings})
    return Objective(config, parts["motion"], parts["generator"], parts["clip"],
                     parts["perceptual"], parts["identity"], Ranks())


def batch(one: Objective, image: bool = False, views: int = 0) -> TrainingBatch:
    """Three clips, their stills drawn or given."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        w_inv = one.generator.mapping(torch.randn(3, 16, generator=random))
    still = torch.rand(3, 3, 16, 16, generator=random) * 2 - 1 if image else None
    draws = [augment.draw(("crop", "colour", "noise"), 3, random) for _ in range(views)]
    return TrainingBatch(w_inv, still, TEXTS, torch.randn(3, 16, generator=random), MIDDLE, draws)


def path(one: Objective, clips: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Stills [3, 3, 16, 16], w_s [3, L, d] and w(1..T) [3, T, L, d], stage by stage (eq. 1-7)."""
    motion, still = one.motion, clips.image
    if still is None:
        still = one.generator.synthesis(clips.w_inv).detach()
    z_t, z_v = motion.encode_text(TEXTS), motion.encode_image(still)
    w_s = clips.w_inv
    if motion.v_mapper is not None:
        w_s = w_s + motion.v_mapper(z_v, motion.latent_scale)
    first = z_t + z_v.detach() if motion.config.visual else z_t
    codes = motion.rnn(first, FRAMES, h1=clips.h1, training=True)
    dw = motion.t_mapper(codes, motion.latent_scale)
    return still, w_s, w_s[:, None] + dw - dw[:, :1]


def close(found: Tensor, wanted: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted).to(found), rtol=1e-4, atol=1e-7)


# ---- each term

def by_w_reg(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    return sum(((w[:, i] - w_s) ** 2).sum() for i in range(FRAMES)) / w.numel()


def by_path_reg(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    bends = [(w[:, i + 2] - w[:, i + 1]) - (w[:, i + 1] - w[:, i]) for i in range(FRAMES - 2)]
    return sum((bend ** 2).sum() for bend in bends) / (w[:, 0].numel() * len(bends))


def by_cont(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    v = one.clip.encode_image(one.generator.synthesis(w[:, -1]))
    t = torch.cat([one.clip.encode_text([text]) for text in TEXTS])
    match = (v @ t.T / one.config.tau).exp()
    return -sum((match[k, k] / match[k].sum()).log() for k in range(3)) / 3


def by_pairwise(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    v = one.clip.encode_image(one.generator.synthesis(w[:, -1]))
    t = torch.cat([one.clip.encode_text([text]) for text in TEXTS])
    return sum(1 - v[k] @ t[k] for k in range(3)) / 3


def by_lpips(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    distances = [one.perceptual(one.generator.synthesis(w[:, i]), still) for i in (0, FRAMES - 1)]
    return torch.cat(distances).mean()


def by_identity(one: Objective, still: Tensor, w_s: Tensor, w: Tensor) -> Tensor:
    face, person = one.identity(one.generator.synthesis(w[:, -1])), one.identity(still)
    return 1 - (face * person).sum(dim=-1).mean()


BY_HAND: list[tuple[str, Callable[..., Tensor], dict[str, Any]]] = [
    ("w_reg", by_w_reg, {}),
    ("path_reg", by_path_reg, {}),
    ("cont", by_cont, {"tau": 0.5}),
    ("cont", by_pairwise, {"cont_form": "pairwise"}),
    ("lpips", by_lpips, {}),
    ("identity", by_identity, {}),
]


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("term, formula, settings", BY_HAND)
def test_a_term_is_its_formula(term, formula, settings, image) -> None:
    one = objective(**settings, **{term: 0.5})
    clips = batch(one, image)
    found = one(clips)
    assert list(found) == ["total", term]
    wanted = formula(one, *path(one, clips))
    assert wanted.item() > 0
    close(found[term], wanted)
    close(found["total"], 0.5 * wanted)
    found["total"].backward()
    assert any(p.grad is not None and p.grad.any() for p in one.motion.parameters())
    assert all(p.grad is None for network in one.frozen().values() for p in network.parameters())


def test_the_total_is_the_weighted_sum() -> None:
    weights = {"w_reg": 2.0, "path_reg": 3.0, "cont": 0.5, "lpips": 0.25, "identity": 4.0}
    one = objective(**weights)
    found = one(batch(one))
    assert list(found) == ["total", *weights] == ["total", *(term.name for term in losses.TERMS)]
    close(found["total"], sum(weight * found[name] for name, weight in weights.items()))


def test_first_order() -> None:
    one = objective(path_reg=1.0, path_order=1)
    clips = batch(one)
    _, _, w = path(one, clips)
    close(one(clips)["path_reg"], (w[:, 1:] - w[:, :-1]).square().mean())


def test_views_are_averaged_before_they_are_compared() -> None:
    one = objective(cont=1.0, tau=0.01)
    clips = batch(one, views=2)
    last = one.generator.synthesis(path(one, clips)[2][:, -1])
    v = [one.clip.encode_image(augment.apply(last, draws)) for draws in clips.views]
    t = torch.cat([one.clip.encode_text([text]) for text in TEXTS])
    mean, alone = (F.cross_entropy(F.normalize(x, dim=-1) @ t.T / 0.01, torch.arange(3))
                   for x in (v[0] + v[1], v[0]))
    close(one(clips)["cont"], mean)
    assert (mean - alone).abs() > 5e-3 * mean       # .. which one view alone does not give


# ---- what is left out

@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Objective], dict[str, int]]:
    """counted(objective) -> how often each of its frozen networks is called from now on."""
    def watch(one: Objective) -> dict[str, int]:
        calls = dict.fromkeys(("pictures", "clip", "perceptual", "identity"), 0)

        def counting(name: str, call: Callable) -> Callable:
            def counted(x: Any, *more: Any) -> Tensor:
                calls[name] += len(x) if name == "pictures" else 1
                return call(x, *more)
            return counted

        for name, network, method in (
            ("pictures", one.generator.synthesis, "forward"), ("clip", one.clip, "encode_image"),
            ("clip", one.clip, "encode_text"), ("perceptual", one.perceptual, "forward"),
            ("identity", one.identity, "forward"),
        ):
            monkeypatch.setattr(network, method, counting(name, getattr(network, method)))
        return calls
    return watch


@pytest.mark.parametrize("settings, motion, wanted", [
    ({"w_reg": 1.0}, BLIND, (0, 0, 0, 0)),
    ({"w_reg": 1.0}, {}, (3, 0, 0, 0)),                             # the model sees its still
    ({"cont": 1.0}, BLIND, (3, 4, 0, 0)),                           # three sentences, one batch
    ({"lpips": 1.0}, {}, (3 + 6, 0, 1, 0)),
    ({"lpips": 1.0}, BLIND, (3 + 3, 0, 1, 0)),                      # frame 1 is the still itself
    ({"identity": 1.0}, BLIND, (3 + 3, 0, 0, 2)),                   # faces of frames and of stills
    ({"w_reg": 1.0, "lpips": 1.0, "lpips_frames": ()}, BLIND, (0, 0, 0, 0)),
    ({"w_reg": 1.0, "path_reg": 1.0, "path_order": 0}, BLIND, (0, 0, 0, 0)),
    ({"cont": 1.0, "lpips": 1.0, "identity": 1.0}, BLIND, (3 + 3, 4, 1, 2)),    # drawn once
])
def test_what_has_no_weight_costs_nothing(counted, settings, motion, wanted) -> None:
    one = objective(motion, **settings)
    clips, calls = batch(one), counted(one)
    found = one(clips)
    assert tuple(calls.values()) == wanted
    assert found.keys() - {"total"} == {name for name in WEIGHTS if one.config.counts(name)}


def test_sentences_are_read_once(counted) -> None:
    one = objective(cont=1.0)
    clips, calls = batch(one), counted(one)
    first, again = one(clips), one(clips)
    assert calls["clip"] == 3 + 2 and torch.equal(first["cont"], again["cont"])


def test_encoders_are_lent_to_a_model_that_has_none() -> None:
    parts = networks(train_frames=FRAMES)
    parts["motion"].encoder = None
    config = TrainConfig(frames=FRAMES, **{**dict.fromkeys(WEIGHTS, 0.0), "w_reg": 1.0})
    lent = Objective(config, parts["motion"], parts["generator"], parts["clip"], None, None,
                     Ranks())
    own = objective(w_reg=1.0)          # its encoders are a copy of that CLIP
    clips = batch(own)
    close(lent(clips)["w_reg"], own(clips)["w_reg"])


# ---- frames

@pytest.mark.parametrize("names, middle, wanted", [
    (("first",), MIDDLE, [0]), (("last",), MIDDLE, [4]), (("random",), MIDDLE, [2]),
    (("last", "first"), MIDDLE, [0, 4]), (("first", "last", "random"), MIDDLE, [0, 2, 4]),
    (("last", "random"), FRAMES - 1, [4]),
])
def test_lpips_looks_at_the_frames_that_are_named(names, middle, wanted) -> None:
    one = objective(lpips=1.0, lpips_frames=names)
    clips = dataclasses.replace(batch(one), middle=middle)
    still, _, w = path(one, clips)
    distances = [one.perceptual(one.generator.synthesis(w[:, i]), still) for i in wanted]
    close(one(clips)["lpips"], torch.cat(distances).mean())


@pytest.mark.parametrize("image, wanted", [(False, [4]), (True, [0, 4])])
def test_a_first_frame_that_is_the_still_is_skipped(image, wanted) -> None:
    one = objective(BLIND, lpips=1.0)
    clips = batch(one, image)
    still, _, w = path(one, clips)
    distances = [one.perceptual(one.generator.synthesis(w[:, i]), still) for i in wanted]
    close(one(clips)["lpips"], torch.cat(distances).mean())
    first = objective(BLIND, lpips=1.0, lpips_frames=("first",), w_reg=1.0)
    assert ("lpips" in first(batch(first, image))) == image


# ---- units

def test_units_of_the_latents() -> None:
    """Raw, over the spread of each number, and by the inverse covariance."""
    def offsets(one: Objective) -> tuple[Tensor, Tensor]:
        clips = batch(one)
        with torch.no_grad():
            _, w_s, w = path(one, clips)
            return one(clips)["w_reg"], (w - w_s[:, None]).flatten(0, 2)

    for name in ("raw", "auto"):
        found, off = offsets(objective(w_reg=1.0, latent_units=name))
        close(found, off.square().mean())

    one = objective(w_reg=1.0, latent_units="std")
    w = samples(one.generator)
    found, off = offsets(one)
    close(found, (off / w.std(dim=0)).square().mean())

    # A model whose offsets go through the root of W's covariance knows W by itself.
    c = torch.cov(w.double().T)
    live = torch.linalg.eigvalsh(c).sqrt()
    share = float((live > 1e-3 * live.max()).double().mean())
    for name in ("auto", "std", "white", "raw"):
        one = objective(w_reg=1.0, latent_units=name)
        one.motion.set_latent_scale(w)
        one.unit = one.latent_unit()
        found, off = offsets(one)
        if name == "white":
            wanted = (off.double() @ torch.linalg.pinv(c, rtol=1e-6) * off).sum(1).mean() / (
                16 * share)
            torch.testing.assert_close(float(found), float(wanted), rtol=2e-2, atol=0)
        else:
            close(found, (off / (1 if name == "raw" else c.diag().sqrt())).square().mean())


# ---- what does not fit

@pytest.mark.parametrize("term, network", [
    ("cont", "clip"), ("lpips", "perceptual"), ("identity", "identity")])
def test_a_network_that_a_term_needs_is_missed(term, network) -> None:
    with pytest.raises(LGFAError, match=f"loss {term} has a weight of 0.5, but there is no "
                                        f"{network} network: give one or set it to 0"):
        objective(missing=(network,), w_reg=1.0, **{term: 0.5})
    assert network not in objective(missing=(network,), w_reg=1.0).frozen()


def test_a_term_that_looks_at_nothing_needs_no_network() -> None:
    objective(missing=("perceptual",), w_reg=1.0, lpips=1.0, lpips_frames=())


def test_networks_that_do_not_belong_together() -> None:
    with pytest.raises(LGFAError, match="do not belong together"):
        objective({"num_layers": 8}, w_reg=1.0)
    with pytest.raises(LGFAError, match="made for training clips of 5 frames, the settings say 4"):
        objective(w_reg=1.0, frames=4)
    parts = networks(train_frames=FRAMES)
    config = TrainConfig(frames=FRAMES, lpips=0)
    with pytest.raises(LGFAError, match="must not learn: give the motion model a copy"):
        Objective(config, parts["motion"], parts["generator"], parts["motion"].encoder, None, None,
                  Ranks())
