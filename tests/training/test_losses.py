"""Every loss against an answer worked out by hand, and its gradients against differences."""
from __future__ import annotations

import math
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from lgfa.errors import LGFAError
from lgfa.training import losses
from lgfa.training.config import WEIGHTS, TrainConfig


def clip_of(*numbers: float) -> torch.Tensor:
    """One number per frame -> [1, T, 2, 3], all layers and channels alike."""
    return torch.tensor(numbers, dtype=torch.float32).reshape(1, -1, 1, 1).expand(1, -1, 2, 3)


# ---- trajectories

def test_w_reg_by_hand():
    w, w_s = clip_of(0, 1, 3), torch.zeros(1, 2, 3)
    assert losses.w_reg(w, w_s).item() == pytest.approx((0 + 1 + 9) / 3)
    assert losses.w_reg(w + 5, w_s + 5).item() == pytest.approx(10 / 3)
    assert losses.w_reg(w[0], w_s[0]).item() == pytest.approx(10 / 3)
    unit = torch.tensor([1.0, 2.0, 0.5])                        # mean of 1, 1/4, 4 is 1.75
    assert losses.w_reg(w, w_s, unit).item() == pytest.approx(10 / 3 * 1.75)


def test_path_reg_by_hand():
    w = clip_of(0, 1, 3, 4)                                     # steps 1 2 1, their steps 1 -1
    assert losses.path_reg(w).item() == pytest.approx(1)
    assert losses.path_reg(w, order=1).item() == pytest.approx((1 + 4 + 1) / 3)
    assert losses.path_reg(w, order=0).item() == 0
    assert losses.path_reg(w, unit=torch.tensor([2.0] * 3)).item() == pytest.approx(1 / 4)
    even = clip_of(0, 2, 4, 6)
    assert losses.path_reg(even).item() == 0 and losses.path_reg(even, 1).item() == 4


@pytest.mark.parametrize("frames, order", [(1, 2), (2, 2), (1, 1), (5, 0)])
def test_path_reg_of_short_clips(frames, order):
    w = torch.randn(1, frames, 2, 3, requires_grad=True)
    loss = losses.path_reg(w, order)
    loss.backward()
    assert loss.item() == 0 and not w.grad.any()


def test_path_reg_has_three_orders():
    with pytest.raises(LGFAError, match="order 2, 1 or 0"):
        losses.path_reg(clip_of(0, 1), order=3)


def test_means_do_not_depend_on_size():
    w = clip_of(0, 1, 3, 4)
    large = w.repeat(3, 1, 5, 7)
    assert losses.path_reg(large).item() == pytest.approx(losses.path_reg(w).item())
    assert losses.w_reg(large, large[:, 0]).item() == pytest.approx(
        losses.w_reg(w, w[:, 0]).item())


# ---- language

def test_contrastive_by_hand():
    t = torch.eye(3)
    # All right: -log(e^(1/tau) / (e^(1/tau) + 2)); no difference: log 3.
    for tau in (1.0, 0.5):
        wanted = math.log(math.exp(1 / tau) + 2) - 1 / tau
        assert losses.contrastive(t, t, tau).item() == pytest.approx(wanted, rel=1e-6)
    same = F.normalize(torch.ones(3, 3), dim=1)
    assert losses.contrastive(same, t).item() == pytest.approx(math.log(3), rel=1e-6)
    assert losses.contrastive(t.roll(1, 0), t).item() == pytest.approx(1 / 0.07, rel=1e-4)


def test_contrastive_is_over_the_texts():
    """Rows are images, the sum in the denominator runs over sentences (paper eq. 11)."""
    v = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    t = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    wanted = [math.log(1 + math.exp(-0.4)), math.log(1 + math.exp(0.4))]
    assert losses.contrastive(v, t, 1.0).item() == pytest.approx(sum(wanted) / 2, rel=1e-6)


def test_pairwise_by_hand():
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    t = torch.tensor([[1.0, 0.0], [0.6, -0.8]])
    assert losses.pairwise(v, t).item() == pytest.approx((0 + 1.8) / 2)


# ---- images

def test_perceptual_by_hand():
    frames, source = torch.zeros(2, 3, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    frames[1, 2] = 3.0                                          # one of six frames is off by 3
    def metric(a, b):
        return (a - b).square().mean(dim=(1, 2, 3))
    assert losses.perceptual(frames, source, metric).item() == pytest.approx(9 / 6)
    assert losses.perceptual(frames + source[:, None], source, metric).item() == pytest.approx(1.5)


def test_identity_by_hand():
    def network(x):                                             # direction of the mean colour
        return F.normalize(x.mean(dim=(2, 3)), dim=1)
    source = torch.zeros(1, 3, 2, 2)
    source[:, 0] = 1                                            # red
    frames = torch.zeros(1, 2, 3, 2, 2)
    frames[:, 0, 0], frames[:, 1, 1] = 5, 1                     # red: 0; green: 1
    assert losses.identity(frames, source, network).item() == pytest.approx(0.5)
    source.requires_grad_(True)
    assert not losses.identity(frames, source, network).requires_grad


# ---- gradients

def test_gradients():
    torch.manual_seed(0)
    def double(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    w, w_s, v, t = double(2, 4, 2, 3), double(2, 2, 3), double(3, 4), double(3, 4)
    unit = torch.rand(3, dtype=torch.float64) + 0.5
    frames, source = double(2, 2, 3, 2, 2), double(2, 3, 2, 2)
    def metric(a, b):
        return (a - b).square().mean(dim=(1, 2, 3))
    def network(x):
        return F.normalize(x.flatten(1), dim=1)
    for loss, given in [
        (losses.w_reg, (w, w_s)),
        (lambda a, b: losses.w_reg(a, b, unit), (w, w_s)),
        (losses.path_reg, (w,)),
        (lambda a: losses.path_reg(a, 1, unit), (w,)),
        (lambda a, b: losses.contrastive(a, b, 0.5), (v, t)),
        (losses.pairwise, (v, t)),
        (lambda a, b: losses.perceptual(a, b, metric), (frames, source)),
        (lambda a: losses.identity(a, source.detach(), network), (frames,)),
    ]:
        assert gradcheck(loss, given) and gradgradcheck(loss, given)


# ---- the rows

def test_every_term_has_a_weight_and_every_weight_its_term() -> None:
    assert {term.name for term in losses.TERMS} == set(WEIGHTS)
    assert len({term.colour for term in losses.TERMS}) == len(losses.TERMS) == len(WEIGHTS)
    for term in losses.TERMS:
        names = getattr(TrainConfig(), term.frames) if isinstance(term.frames, str) else term.frames
        assert set(names) <= {"first", "last", "random"}
        assert term.network in ("", "clip", "perceptual", "identity")
        assert names or not (term.still or term.network), f"{term.name} sees no frame"


def test_what_counts_of_a_training() -> None:
    def names(**settings: object) -> list[str]:
        return [term.name for term in losses.terms_of(TrainConfig(**settings))]

    assert names() == ["w_reg", "path_reg", "cont", "lpips"]
    assert names(identity=0.1, w_reg=0) == ["path_reg", "cont", "lpips", "identity"]
    assert names(path_order=0, lpips_frames=()) == ["w_reg", "cont"]
    with pytest.raises(LGFAError, match="nothing to learn"):
        names(w_reg=0, path_order=0, cont=0, lpips_frames=())
    for weight in WEIGHTS:
        with pytest.raises(LGFAError, match=f"{weight} is -1.*0 or a positive number"):
            TrainConfig(**{weight: -1.0})


# ---- several ranks

def _rank(rank: int, port: int, v: torch.Tensor, t: torch.Tensor, results) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    mine = slice(2 * rank, 2 * rank + 2)
    v, t = v[mine].clone().requires_grad_(), t[mine].clone().requires_grad_()
    loss = losses.contrastive(v, t, gather=True)
    loss.backward()
    results[rank] = (loss.item(), v.grad.numpy(), t.grad.numpy())
    dist.destroy_process_group()


def test_gathered_pairs_are_one_batch():
    """Two ranks of two pairs: the loss and the mean gradient of one process with four pairs."""
    torch.manual_seed(0)
    v, t = F.normalize(torch.randn(2, 4, 8), dim=-1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_rank, (port, v, t, results), nprocs=2)
        parts = [results[rank] for rank in range(2)]

    v, t = v.clone().requires_grad_(), t.clone().requires_grad_()
    whole = losses.contrastive(v, t)
    whole.backward()
    for rank, (loss, grad_v, grad_t) in enumerate(parts):
        assert loss == pytest.approx(whole.item(), rel=1e-6)
        # The mean over two ranks halves what only one of them has.
        mine = slice(2 * rank, 2 * rank + 2)
        torch.testing.assert_close(torch.from_numpy(grad_v) / 2, v.grad[mine])
        torch.testing.assert_close(torch.from_numpy(grad_t) / 2, t.grad[mine])


def test_gather_without_ranks_is_the_plain_loss():
    v, t = F.normalize(torch.randn(2, 4, 8), dim=-1)
    assert torch.equal(losses.contrastive(v, t, gather=True), losses.contrastive(v, t))
