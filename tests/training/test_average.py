"""Averaged weights: by hand in float64, applied and taken back, stored and taken up."""
from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from lgfa.errors import LGFAError
from lgfa.training.average import Average, warming


def network() -> nn.Module:
    """Weights, statistics and a counter; two layers share their weights."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 4))
    net[3].weight = net[2].weight
    return net


def learn(net: nn.Module, step: int) -> None:
    """Moves everything that a step would."""
    net(torch.randn(5, 4, generator=torch.Generator().manual_seed(step)))
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(step)))


def state(net: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(net.state_dict())


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_follows_the_formula():
    net, seen = network(), []
    average = Average(net, 0.9)
    wanted = {name: value.double() for name, value in state(net).items()}
    for step in range(6):
        learn(net, step)
        average.update()
        seen.append(state(net))
        wanted = {name: 0.9 * wanted[name] + 0.1 * value.double()
                  for name, value in seen[-1].items()}
    found = average.state_dict()
    assert int(found.pop("1.num_batches_tracked")) == 6             # counted, not averaged
    for name, value in found.items():
        torch.testing.assert_close(value.double(), wanted[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, seen[-1][name]), name


def test_a_decay_may_depend_on_the_step():
    decay = warming(0.95)
    assert [decay(step) for step in (0, 1, 90, 1000)] == [0.1, 2 / 11, 0.91, 0.95]
    weight = nn.Parameter(torch.tensor([0.0]))
    average = Average([weight], decay)
    weight.data.fill_(1)
    average.update(0)
    assert average.state_dict()[0].item() == pytest.approx(0.9)
    average.update(90)
    assert average.state_dict()[0].item() == pytest.approx(1 - 0.1 * 0.91)


def averaged(followed: str) -> tuple[nn.Module, Average]:
    """A network and an average of all of it, or of two weights, that are not equal any more."""
    net = network()
    average = Average(net if followed == "network" else [net[2].weight, net[0].bias], 0.5)
    for step in range(2):
        learn(net, step)
        average.update(step)
    return net, average


@pytest.mark.parametrize("followed", ["network", "weights"])
@pytest.mark.parametrize("fails", [False, True])
def test_applied_and_taken_back(followed, fails):
    net, average = averaged(followed)
    raw, means = state(net), copy.deepcopy(average.state_dict())
    with_means = means if isinstance(means, dict) else {
        **raw, "2.weight": means[0], "3.weight": means[0], "0.bias": means[1]}
    places = [weight.data_ptr() for weight in net.parameters()]
    try:
        with average.applied():
            assert equal(state(net), with_means) and not equal(raw, with_means)
            if fails:
                raise RuntimeError("half way")
    except RuntimeError:
        assert fails
    assert equal(state(net), raw) and [w.data_ptr() for w in net.parameters()] == places
    again = average.state_dict()
    assert equal(again, means) if isinstance(means, dict) else all(map(torch.equal, again, means))


def test_applied_averages_compute_as_a_copy_would():
    net, average = averaged("network")
    other = network()
    other.load_state_dict(average.state_dict())
    x = torch.randn(7, 4)
    with torch.no_grad(), average.applied():
        found = net(x)                      # trains: the averaged statistics move, not the raw ones
    assert torch.equal(found, other(x))
    assert int(average.means["1.num_batches_tracked"]) == 3
    assert int(net[1].num_batches_tracked) == 2


def test_a_training_goes_on_after_applied():
    """The optimiser knows its weights by identity: a swap must not lose them."""
    ends = []
    for look in (False, True):
        net = network()
        average, adam = Average(net, 0.9), torch.optim.Adam(net.parameters(), 0.1)
        for step in range(4):
            x = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
            adam.zero_grad()
            net(x).square().mean().backward()
            if look:
                with average.applied():     # between gradient and step: gradients stay, too
                    pass
            adam.step()
            average.update(step)
        ends.append((state(net), average.state_dict()))
    assert equal(ends[0][0], ends[1][0]) and equal(ends[0][1], ends[1][1])


def test_install():
    net, average = averaged("network")
    weights = list(net.parameters())
    average.install()
    assert equal(state(net), average.state_dict())
    assert all(one is two for one, two in zip(weights, net.parameters(), strict=True))
    learn(net, 9)                           # .. as copies
    assert not equal(state(net), average.state_dict())


def means_of(average: Average) -> list[Tensor]:
    stored = average.state_dict()
    return [*stored.values()] if isinstance(stored, dict) else stored


@pytest.mark.parametrize("followed", ["network", "weights"])
def test_stored_and_taken_up(followed):
    _, average = averaged(followed)
    _, other = averaged(followed)
    for mean in means_of(other):
        mean.zero_()
    stored = copy.deepcopy(average.state_dict())
    other.check(stored)
    other.load_state_dict(stored)
    for value in stored.values() if isinstance(stored, dict) else stored:
        value.zero_()                       # it shares no memory with what was read
    assert all(map(torch.equal, means_of(other), means_of(average)))


@pytest.mark.parametrize("followed, change", [
    ("network", lambda stored: stored.pop("0.bias")),
    ("network", lambda stored: stored["0.bias"].fill_(float("nan"))),
    ("network", lambda stored: stored.update({"0.bias": torch.zeros(3)})),
    ("network", lambda stored: stored.update(more=torch.zeros(3))),
    ("weights", lambda stored: stored.pop()),
    ("weights", lambda stored: stored.append(torch.zeros(4))),
    ("weights", lambda stored: stored[0].fill_(float("inf"))),
    ("weights", lambda stored: stored.reverse()),
])
def test_other_averages_are_refused(followed, change):
    _, average = averaged(followed)
    stored = copy.deepcopy(average.state_dict())
    change(stored)
    with pytest.raises(LGFAError, match="its average"):
        average.check(stored)
    for wrong in (None, 5, "x", [] if followed == "network" else {}):
        with pytest.raises(LGFAError, match="its average"):
            average.check(wrong)


def test_of_nothing_it_does_nothing():
    average = Average([], 0.0)
    average.update()
    with average.applied():
        average.install()
    average.check([])
    average.load_state_dict([])
    assert average.state_dict() == []


def test_memory_format_stays():
    net = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    average = Average(net, 0.5)
    strides = net.weight.stride()
    with average.applied():
        assert net.weight.stride() == strides
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
