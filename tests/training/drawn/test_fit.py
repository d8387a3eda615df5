"""A training by fit: it learns, goes on bit for bit, and refuses another training's checkpoint."""
from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lgfa.errors import LGFAError
from lgfa.training.drawn.fit import fit
from lgfa.training.loop import Trained

STORED = Path(__file__).parent / "data" / "line.ckpt"   # of 20 steps, by the release before Parts


class Normed(nn.Module):
    """Weights, averaged buffers, a counter, and a layer with a rate of its own."""

    def __init__(self) -> None:
        super().__init__()
        # no bias before a norm: its gradient is rounding alone, which differs between machines
        self.first, self.norm = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(x))))


def regression(folder: Path, steps: int, stop_after: int | None = None, bad: int | None = None,
               ) -> Trained:
    """Sums of three numbers; loses its power at a step, or meets a number that is none."""
    torch.manual_seed(0)
    network, rng = Normed(), torch.Generator().manual_seed(1)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        if step == stop_after:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=rng)
        error = (network(x) - x.sum(1, keepdim=True)).square().mean()
        error = error * (float("nan") if step == bad else 1)
        return error, {"root": float(error.detach()) ** 0.5}

    groups = [{"params": [*network.first.parameters(), *network.norm.parameters()]},
              {"params": [*network.last.parameters()], "lr": 2e-2, "weight_decay": 0.0}]
    return fit("line", network, loss, steps, 1e-2, folder, rng, groups=groups, weight_decay=1e-2,
               save_every=5, warmup=2, log_every=10)


def same(one: Trained, two: Trained) -> bool:
    """Whether two trainings gave the same bits, buffers included."""
    a, b = one.network.state_dict(), two.network.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns(tmp_path, capsys):
    begin, end = regression(tmp_path / "a", 1), regression(tmp_path / "b", 200)
    x = torch.randn(256, 3, generator=torch.Generator().manual_seed(9))

    def error(trained: Trained) -> float:
        with torch.no_grad():
            return float((trained.network(x) - x.sum(1, keepdim=True)).square().mean())

    assert error(end) < 0.3 * error(begin)
    assert end.minutes > 0 and not end.network.training
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 20                         # the last step counts always
    assert all(re.fullmatch(r"line \d+/(1|200) 0\.\d min loss [\d.e-]+ root [\d.e-]+", line)
               for line in lines)


@pytest.mark.parametrize("stop", [3, 5, 23])
def test_resuming_is_bit_for_bit(tmp_path, stop):
    straight = regression(tmp_path / "a", 40)
    with pytest.raises(KeyboardInterrupt):
        regression(tmp_path / "b", 40, stop_after=stop)
    resumed = regression(tmp_path / "b", 40)
    assert same(straight, resumed)
    a, b = (torch.load(tmp_path / one / "line.ckpt", weights_only=True) for one in "ab")
    assert list(a["network"]) == list(b["network"]) and a["step"] == b["step"] == 40
    assert torch.equal(a["rng"], b["rng"])
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["line.ckpt"]


def test_a_finished_training_is_given_as_it_is(tmp_path):
    done = regression(tmp_path, 10)
    assert same(done, regression(tmp_path, 10, stop_after=0))


def test_checkpoints_of_the_last_release_go_on(tmp_path):
    """Near, not equal: the file comes from another machine than these steps."""
    shutil.copy(STORED, tmp_path)
    rest = regression(tmp_path, 40).network.state_dict()
    for name, value in regression(tmp_path / "whole", 40).network.state_dict().items():
        torch.testing.assert_close(rest[name], value, rtol=1e-4, atol=1e-6)


def test_checkpoints_hold_what_they_always_held(tmp_path):
    regression(tmp_path, 5)
    state = torch.load(tmp_path / "line.ckpt", weights_only=True)
    assert state.keys() == {"network", "optimizer", "average", "rng", "step", "seconds"}
    assert state["average"].keys() == state["network"].keys() == Normed().state_dict().keys()


@pytest.mark.parametrize("change", [
    lambda state: state.pop("rng"),
    lambda state: state["network"]["first.weight"].fill_(float("nan")),
    lambda state: state.update(optimizer={}), lambda state: state.update(rng=torch.zeros(3)),
    lambda state: state.update(step="many"), lambda state: state.update(step=-1),
    lambda state: state.update(seconds=float("nan")), lambda state: state.pop("seconds"),
    lambda state: state["average"].clear(), None,
])
def test_it_says_which_checkpoint_is_of_no_use(tmp_path, change):
    regression(tmp_path, 5)
    path = tmp_path / "line.ckpt"
    if change is None:
        path.write_bytes(path.read_bytes()[:900])
    else:
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)
    with pytest.raises(LGFAError, match="line.ckpt.* Remove it to begin this training again"):
        regression(tmp_path, 10)


def test_divergence_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(LGFAError, match="line stops at step 8, since .*no finite number.*kept"):
        regression(tmp_path, 40, bad=7)
    assert torch.load(tmp_path / "line.ckpt", weights_only=True)["step"] == 5
    assert same(regression(tmp_path, 40), regression(tmp_path / "whole", 40))
