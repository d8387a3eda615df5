"""Latent optimisation: its rate and losses by hand, a batch against single clips, refusals."""
from __future__ import annotations

import copy
import math

import pytest
import torch

from lgfa import Animator
from lgfa.errors import LGFAError
from lgfa.methods.baselines import Parts, baseline
from lgfa.methods.method import Embedded, Prompt
from lgfa.methods.styleclip import optimisation as opt


@pytest.fixture
def w_s(parts) -> torch.Tensor:
    with torch.no_grad():
        return parts.generator.mapping(torch.randn(2, 12, generator=torch.Generator()
                                                   .manual_seed(0)))


def few(**others) -> opt.Settings:
    return opt.Settings(**{"steps": 8, "l2": 1e-3, "half": False, **others})


def test_the_rate_rises_stays_and_falls_along_a_cosine():
    assert opt.rate_at(0.0) == 0.0
    assert opt.rate_at(0.025) == pytest.approx(0.5)
    assert opt.rate_at(0.05) == opt.rate_at(0.5) == opt.rate_at(0.75) == pytest.approx(1.0)
    assert opt.rate_at(0.875) == pytest.approx(0.5)
    assert opt.rate_at(1 - 0.25 / 3) == pytest.approx(0.5 - 0.5 * math.cos(math.pi / 3))
    assert opt.rate_at(0.6, rampdown=0.8, rampup=0.1) == pytest.approx(0.5)


def test_losses_by_hand():
    v, z = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    assert torch.allclose(opt.text_loss(v, z), torch.tensor([1.0, 0.0]), atol=1e-6)

    w_s, w = torch.zeros(2, 3, 2), torch.zeros(2, 3, 2)
    w[1, 0], w[1, 2, 1] = torch.tensor([3.0, 4.0]), 2.0
    assert opt.distance(w, w_s).tolist() == [0.0, 29.0]            # 9 + 16 + 4, a sum
    assert opt.distance(w, w_s, torch.tensor([3.0, 2.0])).tolist() == [0.0, 6.0]   # 1 + 4 + 1


def test_the_terms_have_their_weights(parts, w_s):
    method = opt.Optimisation(parts, few(l2=0.5, identity=0.25))
    terms = {"text": torch.tensor([1.0]), "l2": torch.tensor([2.0]), "identity": torch.tensor([4.])}
    assert method.total(terms).tolist() == [3.0]

    # at the start only the sentence is charged
    z_t = method.embed(None, Prompt("a smile")).z_t.expand(2, -1)
    with torch.no_grad():
        at_start = method.terms(w_s, w_s, z_t, method._person(w_s))
        picture = parts.clip.encode_image(parts.generator.synthesis(w_s))
    assert at_start["l2"].abs().max() == 0 and at_start["identity"].abs().max() < 1e-6
    assert torch.allclose(at_start["text"], 1 - (picture * z_t).sum(1), atol=1e-6)


@pytest.mark.parametrize("changes", [{}, {"units": "std"}, {"identity": 0.0}, {"half": True}])
def test_it_lowers_its_loss(parts, w_s, changes):
    seen = []
    method = opt.Optimisation(parts, few(steps=20, **changes))
    z_t = method.embed(None, Prompt("smiling")).z_t
    method.edit(w_s, z_t, lambda step, terms: seen.append(terms))
    assert len(seen) == 20
    assert seen[-1]["total"] < seen[0]["total"] - 0.01
    assert seen[-1]["text"] < seen[0]["text"]


def test_a_batch_gives_what_single_clips_give(parts, w_s):
    method = opt.Optimisation(parts, few())
    z = torch.cat([method.embed(None, Prompt(text)).z_t for text in ("smiling", "angry")])
    both = method.edit(w_s, z)
    single = torch.cat([method.edit(w_s[i:i + 1], z[i:i + 1]) for i in range(2)])
    assert (both - w_s).abs().max() > 0.1
    assert torch.allclose(both, single, atol=1e-3)


def test_the_distance_holds_the_code_back(parts, w_s):
    z = opt.Optimisation(parts, few()).embed(None, Prompt("smiling")).z_t
    free, held = (opt.Optimisation(parts, few(l2=l2)).edit(w_s, z) for l2 in (0.0, 10.0))
    assert (held - w_s).norm() < 0.5 * (free - w_s).norm()


def test_a_clip_begins_at_the_still_and_goes_straight(parts, w_s):
    method = opt.Optimisation(parts, few())
    z = method.embed(None, Prompt("smiling")).z_t
    path = method(w_s[:1], Embedded(None, z), 5, seed=0)
    assert path.shape == (1, 5, *w_s.shape[1:])
    assert torch.equal(path[:, 0], w_s[:1])
    assert torch.allclose(path[:, -1], method.edit(w_s[:1], z), atol=1e-6)
    steps = path.diff(dim=1)
    assert torch.allclose(steps, steps[:, :1].expand_as(steps), atol=1e-5)
    assert torch.equal(path, method(w_s[:1], Embedded(None, z), 5, seed=3))
    assert torch.equal(method(w_s[:1], Embedded(None, z), 1, seed=0)[:, 0], w_s[:1])


def test_an_animator_takes_it(parts):
    method = opt.Optimisation(parts, few(steps=2))
    clip = Animator(parts.generator, clip=parts.clip, motion=method).animate(
        torch.zeros(parts.generator.num_layers, parts.generator.config.w_dim), "smiling", frames=3)
    assert clip.frames.shape == (3, 16, 16, 3)


def test_the_networks_stay_as_they_were(parts, w_s):
    learning = copy.deepcopy(parts.generator).requires_grad_(True)
    before = {k: v.clone() for k, v in learning.state_dict().items()}
    method = opt.Optimisation(Parts(learning, parts.clip, parts.identity), few(steps=2))
    with torch.inference_mode():
        z = method.embed(None, Prompt("smiling")).z_t
        method.edit(w_s, z)
    assert all(p.requires_grad and p.grad is None for p in learning.parameters())
    assert all(torch.equal(v, before[k]) for k, v in learning.state_dict().items())


def test_the_table_knows_it(parts, tmp_path):
    entry = baseline("styleclip-opt")
    assert entry.units(["smiling"]) == []
    method = entry.load(parts, tmp_path, ["smiling"])
    assert isinstance(method, opt.Optimisation) and method.settings == opt.TUNED
    assert (opt.Settings().l2, opt.Settings().identity, opt.Settings().steps) == (0.08, 0.05, 300)
    with pytest.raises(LGFAError, match="nothing to train"):
        entry.train("x", parts, tmp_path)
    with pytest.raises(LGFAError, match="styleclip-opt"):
        baseline("styleclip")


def test_refusals(parts, w_s):
    with pytest.raises(LGFAError, match="units"):
        opt.Settings(units="white")
    with pytest.raises(LGFAError, match="a step"):
        opt.Settings(steps=0)
    with pytest.raises(LGFAError, match="identity"):
        opt.Optimisation(Parts(parts.generator, parts.clip), few())
    method = opt.Optimisation(parts, few())
    z = method.embed(None, Prompt("smiling")).z_t
    with pytest.raises(LGFAError, match="codes"):
        method.edit(w_s[:, :-1], z)
    with pytest.raises(LGFAError, match="sentences"):
        method.edit(w_s[:1], z.expand(2, -1))


def test_clips_prepared_together_are_those_made_alone(parts, w_s):
    method, texts = opt.Optimisation(parts, few()), ["smiling", "crying"]
    z_t = [method.embed(None, Prompt(text)).z_t for text in texts]
    alone = [method(w_s[i:i + 1], Embedded(None, z_t[i]), 3, 0) for i in range(2)]
    method.begin(w_s, [Prompt(text) for text in texts])
    for i in range(2):
        kept = method._begun[opt._name(w_s[i:i + 1], z_t[i])]
        together = method(w_s[i:i + 1], Embedded(None, z_t[i]), 3, 0)
        assert torch.equal(together[:, -1], kept)           # it was not optimised again
        torch.testing.assert_close(together, alone[i], rtol=1e-3, atol=1e-3)
