"""MoCoGAN-HD: its walk, principal axes, losses by hand, training, drawn videos, and the
checkpoints of its published code (format.py)."""
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import LAYERS, W_DIM, tiny_generator

from lgfa import formats
from lgfa.animate import Animator
from lgfa.config import GeneratorConfig, check_fits
from lgfa.drawn.parameters import limits
from lgfa.errors import LGFAError
from lgfa.formats import kinds
from lgfa.frames.stylegan2 import Generator
from lgfa.methods.baselines import Parts, baseline
from lgfa.methods.method import Embedded, Prompt
from lgfa.methods.mocogan_hd import critics, training
from lgfa.methods.mocogan_hd.motion import Mocogan, MocoganConfig, MotionGenerator
from lgfa.toon import parameters, sampling, videos
from lgfa.training import checkpoints

SMALL = training.Settings(
    steps=3, batch=2, frames=6, window=4, resolution=16, components=5, samples=200, pool=6,
    memory=8, penalty_every=2, critic_steps=1, precision="fp32", save_every=1)


def small_motion(**others: object) -> MotionGenerator:
    torch.manual_seed(5)
    motion = MotionGenerator(MocoganConfig(W_DIM, 7, 4, **{"num_layers": LAYERS, **others}))
    axes = torch.linalg.qr(torch.randn(W_DIM, 4))[0].t()
    motion.components.copy_(axes)
    motion.deviations.copy_(torch.tensor([4.0, 3.0, 2.0, 1.0]))
    torch.nn.init.normal_(motion.coefficients.weight)
    return motion.eval()


def toon_generator() -> Generator:
    """A small one that takes the toon domain's z."""
    torch.manual_seed(0)
    return Generator(GeneratorConfig(16, (8, 8, 8), 512, W_DIM, mapping_layers=2)).eval()


# ---------------------------------------------------------------- the walk

@torch.no_grad()
def test_steps_follow_the_formula():
    motion = small_motion()
    w, noise = torch.randn(2, W_DIM), torch.randn(2, 3, W_DIM)
    offsets, states = motion(w, noise)
    h, c = motion.initial(w)
    place = torch.zeros(2, W_DIM)
    for i in range(3):
        h, c = motion.cell(noise[:, i], (h, c))
        share = torch.tanh(h @ motion.coefficients.weight.t() + motion.coefficients.bias)
        place = place + 0.2 * (share * motion.deviations) @ motion.components
        assert torch.allclose(offsets[:, i + 1], place, atol=1e-5)
    assert torch.equal(states[:, -1], torch.cat([h, c], 1)) and states.shape == (2, 3, 14)
    assert not offsets[:, 0].any()


def test_a_step_is_bounded_along_each_axis():
    offsets, _ = small_motion()(10 * torch.randn(4, W_DIM), 10 * torch.randn(4, 5, W_DIM))
    along = offsets.diff(dim=1) @ small_motion().components.t()
    assert bool((along.abs() <= 0.2 * small_motion().deviations + 1e-4).all())


def test_method_starts_at_the_still_and_obeys_the_seed():
    method = Mocogan(small_motion())
    w_s = torch.randn(1, LAYERS, W_DIM)
    read = method.embed(None, Prompt("anything"))
    assert read.z_v is None and read.z_t.shape == (1, 1) and method.content(w_s, read) is w_s
    path = method(w_s, read, 9, seed=3)
    assert path.shape == (1, 9, LAYERS, W_DIM) and torch.equal(path[:, 0], w_s)
    assert torch.equal(path, method(w_s, read, 9, seed=3))
    assert not torch.equal(path, method(w_s, read, 9, seed=4))
    moved = path - w_s[:, None]                     # alike in all layers
    assert torch.allclose(moved, moved[:, :, :1].expand_as(moved), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_any_number_of_frames_goes_on_from_fewer(frames):
    method, w_s = Mocogan(small_motion()), torch.randn(1, LAYERS, W_DIM)
    path, longer = (method(w_s, Embedded(None, torch.zeros(1, 1)), n, 0) for n in (frames, 40))
    assert path.shape[1] == frames and torch.allclose(path, longer[:, :frames], atol=1e-6)


def test_shapes_are_refused_in_a_sentence():
    motion = small_motion()
    with pytest.raises(LGFAError, match="takes codes"):
        motion(torch.zeros(2, W_DIM + 1), torch.zeros(2, 3, W_DIM))
    with pytest.raises(LGFAError, match="one code"):
        Mocogan(motion)(torch.zeros(2, LAYERS, W_DIM), Embedded(None, torch.zeros(1, 1)), 3, 0)
    with pytest.raises(LGFAError, match="no more components"):
        MocoganConfig(w_dim=4, components=5)


# ---------------------------------------------------------------- losses by hand

def test_hinge():
    real, made = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 1.0])
    assert float(critics.hinge_critic(real, made)) == (0 + 0.5) / 2 + (0 + 2) / 2
    assert float(critics.hinge_maker(made)) == 1.0


def test_relativistic():
    real, made = torch.tensor([3.0, 1.0]), torch.tensor([0.0, 2.0])       # means 2 and 1
    # real - 1 - 1 = 1, -1; made - 2 = -2, 0
    assert float(critics.relativistic([real], [made])) == ((1 + 1) / 2 + (4 + 0) / 2) / 2
    # made - 2 - 1 = -3, -1; real - 1 = 2, 0
    assert float(critics.relativistic([made], [real])) == ((9 + 1) / 2 + (4 + 0) / 2) / 2
    assert float(critics.relativistic([real] * 2, [made] * 2)) == 3.0


def test_contrastive():
    one, other = torch.eye(2), 5 * torch.eye(2)             # partners alike, all others apart
    wanted = -math.log(math.exp(2) / (math.exp(2) + 2))     # tau 0.5: logits 2, 0, 0
    assert float(critics.contrastive(one, other, tau=0.5)) == pytest.approx(wanted, rel=1e-5)
    memory = torch.tensor([[-1.0, -1.0]])                   # a logit of -sqrt(2) more
    wanted = -math.log(math.exp(2) / (math.exp(2) + 2 + math.exp(-math.sqrt(2))))
    assert float(critics.contrastive(one, other, memory, 0.5)) == pytest.approx(wanted, rel=1e-5)


def test_matching_and_mutual():
    a, b = torch.tensor([[1.0, 0], [0, 2]]), torch.tensor([[2.0, 0], [3, 0]])
    assert float(critics.matching(a, b)) == pytest.approx(-0.5)
    noise = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    guess = torch.tensor([[[0.0, -4.0]]], requires_grad=True)
    loss = critics.mutual(guess, noise)
    loss.backward()
    assert loss.item() == pytest.approx(1.0) and noise.grad is None


def test_slope_penalty():
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    # of the mean of x^2 the gradient is x: (5 + 9) / 2; of two scales of 3 x_1, (6)^2
    assert critics.slope_penalty(torch.square, x).item() == 7.0
    assert critics.slope_penalty(lambda x: [3 * x[:, :1]] * 2, x).item() == 36.0


def test_neighbours_are_judged_together():
    x = torch.tensor([[1.0, 2], [3, -2], [5, 5], [5, 9]])
    assert critics.pair_difference(x).tolist() == [[2, 4], [2, 4], [0, 4], [0, 4]]


def test_memory_is_a_ring():
    memory = critics.Memory(3, 1)
    assert memory.kept().shape == (0, 1)
    memory.add(torch.tensor([[1.0], [2]]))
    assert memory.kept().flatten().tolist() == [1, 2]
    memory.add(torch.tensor([[3.0], [4]]))
    assert memory.kept().flatten().tolist() == [4, 2, 3]


@pytest.mark.parametrize("side", [16, 64])
def test_critics_shapes(side):
    score, about = critics.ImageCritic(side, projection=9)(torch.randn(2, 3, side, side))
    assert score.shape == (2,) and about.shape == (2, 9)
    coarse = side // 8
    video = torch.randn(2, 6, 3, side, side)
    said = critics.VideoCritic((4, 4, 4))(video, video[:, 0])
    assert [s.shape for s in said] == [(2, 1, coarse, coarse), (2, 1, coarse // 2, coarse // 2)]


# ---------------------------------------------------------------- training

def test_training_moves_what_it_should():
    generator = toon_generator().requires_grad_(False)
    lesson = training.Training(generator, SMALL)
    nets = {"motion": lesson.motion, "video": lesson.video, "image": lesson.image}
    learn = {name: list(net.parameters()) for name, net in nets.items()}
    means = {"average": lesson.average, "follower": lesson.follower}
    learn |= {name: [mean.means[key] for key, _ in mean.followed.named_parameters()]
              for name, mean in means.items()}
    before = {name: [w.detach().clone() for w in weights] for name, weights in learn.items()}
    frozen = {k: v.clone() for k, v in generator.state_dict().items()}
    terms = lesson.step(0)
    for name, now in learn.items():
        changed = sum(not torch.equal(a, b) for a, b in zip(now, before[name], strict=True))
        assert changed >= len(now) - 2, name
    assert all(torch.equal(v, frozen[k]) for k, v in generator.state_dict().items())
    assert {"video", "picture", "match", "mutual", "video critic", "slope", "picture critic",
            "contrast", "moved"} == set(terms)
    assert all(math.isfinite(v) for v in terms.values())
    assert "slope" not in lesson.step(1)                          # every second step only


def test_rates_fall_in_the_second_half():
    lesson = training.Training(toon_generator(), SMALL)
    found = []
    for done in (0.0, 0.5, 0.75, 1.0):
        lesson.set_rates(done)
        found.append(lesson.motion_optimiser.param_groups[0]["lr"] / SMALL.rate)
        assert lesson.critic_optimiser.param_groups[0]["lr"] / SMALL.critic_rate == found[-1]
    assert found == pytest.approx([1, 1, 0.525, 0.05])


def weights_of(motion: torch.nn.Module) -> torch.Tensor:
    return torch.cat([w.flatten() for w in motion.state_dict().values()])


def test_a_stopped_training_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    whole = training.train_motion(toon_generator(), tmp_path / "a", SMALL, print)
    step = training.Training.step

    def interrupted(self, number):
        if number == 2:
            raise KeyboardInterrupt
        return step(self, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Training, "step", interrupted)
        training.train_motion(toon_generator(), tmp_path / "b", SMALL, print)
    lines: list[str] = []
    rest = training.train_motion(toon_generator(), tmp_path / "b", SMALL, lines.append)
    assert torch.equal(weights_of(whole.network), weights_of(rest.network))
    assert len(lines) == 1 and "3/3" in lines[0]
    with pytest.raises(LGFAError, match="other settings"):
        training.train_motion(toon_generator(), tmp_path / "b",
                                      replace(SMALL, match=1.0), print)

    # a checkpoint of no use changes nothing, and is named
    newest = checkpoints.paths(tmp_path / "b")[-1]
    state = torch.load(newest, weights_only=True)
    state["video"].popitem()
    torch.save(state, newest)
    for older in checkpoints.paths(tmp_path / "b")[:-1]:
        older.unlink()
    with pytest.raises(LGFAError, match="none of the 1 checkpoints .*its video has not the parts"):
        training.train_motion(toon_generator(), tmp_path / "b", SMALL, lines.append)
    assert f"{newest.name} is left out" in lines[-1]


@pytest.mark.parametrize("value", [2e6, float("nan")])
def test_divergence_keeps_the_last_checkpoint(tmp_path, monkeypatch, value):
    step = training.Training.step
    monkeypatch.setattr(training.Training, "step", lambda self, number: {
        **step(self, number), "video": value if number == 1 else 0.0})
    with pytest.raises(LGFAError, match="MoCoGAN-HD's training stops at step 2, since video is .*"
                                        "lower the rates.*step-00000001.pt is kept"):
        training.train_motion(toon_generator(), tmp_path, SMALL, print)
    assert [path.name for path in checkpoints.paths(tmp_path)] == ["step-00000001.pt"]


def test_baseline_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "Settings",
                        lambda: replace(SMALL, steps=100, pool=100, components=W_DIM))
    entry = baseline("mocogan-hd")
    parts = Parts(toon_generator(), None, domain="toon")
    assert entry.units(["a", "b"]) == ["motion"]
    file = entry.train("motion", parts, tmp_path, lambda line: None, scale=0.01)
    assert file == tmp_path / "motion.safetensors" and list(tmp_path.iterdir()) == [file]
    info = formats.read(file)["lgfa"]["info"]
    assert info["training"]["steps"] == 1 and info["minutes"] >= 0
    method = entry.load(parts, tmp_path, ["a"])
    animator = Animator(parts.generator, motion=method)
    still = torch.randn(LAYERS, W_DIM)
    assert torch.equal(animator.trajectory(still, ["a", "b"], 8)[0], still)
    with pytest.raises(LGFAError, match="only the toon domain"):
        entry.train("motion", Parts(toon_generator(), None), tmp_path, print, 0.01)


def test_judged_frames_lie_in_the_clip():
    rng = torch.Generator().manual_seed(0)
    found = [training.chosen_frames(16, 6, rng).tolist() for _ in range(40)]
    assert [0, 3, 6, 9, 12, 15] in found
    runs = [f for f in found if f[1] == f[0] + 1]
    assert len(runs) > 5 and all(f == list(range(f[0], f[0] + 6)) for f in runs)
    assert min(f[0] for f in runs) >= 0 and max(f[-1] for f in runs) <= 15


# ---------------------------------------------------------------- checkpoints

def public(folder, rows: int = W_DIM, prefix: str = "") -> MotionGenerator:
    """A checkpoint as the published code writes it, its axes beside it; returns ours."""
    motion = small_motion(num_layers=None)
    own = motion.state_dict()
    out = {"w": own["coefficients.weight"].t().contiguous(), "b": own["coefficients.bias"]}
    for theirs, ours in (("enc_cell", "initial"), ("cell", "cell"), ("fc1", "guess_hidden"),
                         ("fc2", "guess_noise")):
        out |= {f"{theirs}.{k.split('.')[1]}": v for k, v in own.items()
                if k.startswith(f"{ours}.")}
    torch.save({prefix + k: v for k, v in out.items()}, folder / "modelR_epoch_9.pth")
    axes, deviations = np.random.default_rng(0).normal(size=(rows, W_DIM)), np.arange(rows) + 1.0
    count = min(4, rows)
    axes[:count], deviations[:count] = own["components"][:count], own["deviations"][:count]
    np.save(folder / "pca_comp.npy", axes)
    np.save(folder / "pca_stdev.npy", deviations)
    return motion


@pytest.mark.parametrize("prefix", ["", "module."])
def test_public_checkpoint_loads(tmp_path, prefix):
    ours = public(tmp_path, prefix=prefix)
    loaded = formats.load(tmp_path / "modelR_epoch_9.pth", "mocogan")
    assert loaded.config == MocoganConfig(W_DIM, 7, 4) and kinds.kind_of(loaded) == "mocogan"
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in ours.state_dict().items())
    formats.save(tmp_path / "m.safetensors", loaded)
    again = formats.load(tmp_path / "m.safetensors")
    assert again.config == loaded.config and torch.equal(weights_of(again), weights_of(loaded))


def test_public_checkpoint_animates_any_generator_of_its_width(tmp_path):
    public(tmp_path)
    formats.save(tmp_path / "g.safetensors", tiny_generator())
    animator = Animator.from_pretrained(None, device="cpu", generator=tmp_path / "g.safetensors",
                                        motion=tmp_path / "modelR_epoch_9.pth")
    clip = animator.animate(torch.zeros(LAYERS, W_DIM), "anything", frames=4)
    assert clip.frames.shape == (4, 16, 16, 3)
    with pytest.raises(LGFAError, match="do not belong together"):
        check_fits("motion model", animator.method, tiny_generator(w_dim=W_DIM + 8).config)


def test_public_checkpoint_without_its_axes(tmp_path):
    public(tmp_path)
    (tmp_path / "pca_stdev.npy").unlink()
    with pytest.raises(LGFAError, match="pca_comp.npy and pca_stdev.npy beside it"):
        formats.load(tmp_path / "modelR_epoch_9.pth")
    public(tmp_path, rows=3)
    with pytest.raises(LGFAError, match="walks along 4 axes of 24"):
        formats.load(tmp_path / "modelR_epoch_9.pth")
    (tmp_path / "pca_comp.npy").write_bytes(b"nothing")
    with pytest.raises(LGFAError, match="no array of numbers"):
        formats.load(tmp_path / "modelR_epoch_9.pth")


@pytest.mark.parametrize("tree", [
    {"module.netD.scale0_layer0.0.weight": torch.zeros(2)},
    {f"module.{k}": torch.zeros(2) for k in ("q_real", "q_fake", "q_ptr", "modelD.x")}])
def test_critics_of_the_published_code_are_refused(tmp_path, tree):
    torch.save(tree, tmp_path / "modelD.pth")
    with pytest.raises(LGFAError, match="give modelR_epoch_N.pth"):
        formats.load(tmp_path / "modelD.pth", "motion")


def test_a_motion_generator_is_no_generator(tmp_path):
    formats.save(tmp_path / "m.safetensors", small_motion())
    with pytest.raises(LGFAError, match="image generator is needed"):
        formats.load(tmp_path / "m.safetensors", "generator")


# ---------------------------------------------------------------- drawn videos

def test_videos():
    made = videos.videos(3, 5, 16, torch.Generator().manual_seed(1))
    again = videos.videos(3, 5, 16, torch.Generator().manual_seed(1))
    assert made.shape == (3, 5, 3, 16, 16) and made.dtype == torch.float32
    assert float(made.min()) >= -1 and float(made.max()) <= 1 and torch.equal(made, again)
    assert not torch.equal(made, videos.videos(3, 5, 16, torch.Generator().manual_seed(2)))


def test_courses_start_neutral_stay_in_range_and_keep_the_person():
    path = videos.courses(200, 16, torch.Generator().manual_seed(0))
    assert path.shape == (200, 16, parameters.K)
    neutral = parameters.expression_table()[0, parameters.EXPRESSION_SLICE]
    assert torch.allclose(path[:, 0, parameters.EXPRESSION_SLICE], neutral.expand(200, -1))
    people = path[:, :, :parameters.EXPRESSION_SLICE.start]
    assert torch.allclose(people, people[:, :1].expand_as(people), atol=1e-6)
    low, high = limits(parameters.PARAMETERS)
    assert bool((path >= low - 1e-5).all()) and bool((path <= high + 1e-5).all())
    assert not path[:, :, [parameters.INDEX[n] for n in parameters.POSE]].any()


def test_courses_move_smoothly_and_variously():
    path = videos.courses(200, 16, torch.Generator().manual_seed(0))
    lids = [parameters.INDEX[n] for n in videos.LIDS]
    rest = [i for i in range(parameters.K) if i not in lids]
    span = torch.tensor([p.high - p.low for p in parameters.PARAMETERS])
    assert float((path.diff(dim=1) / span)[:, :, rest].abs().max()) < 0.5
    moved = (path - path[:, :1]).abs().amax(2)                      # no eye blinks at the end
    assert float(moved.amax(1).min()) > 0.3                         # everybody shows something
    back = moved[:, -1] < 0.05
    assert 0.1 < float(back.float().mean()) < 0.3                   # some calm down
    end = F.normalize((path[:, -1] - path[:, 0])[~back], dim=1)
    assert float((end @ end.t()).mean()) < 0.5                      # not all do the same


def test_given_people_stay_who_they_are():
    rng = torch.Generator().manual_seed(0)
    people = sampling.identities(2, rng).repeat_interleave(2, 0)
    path = videos.courses(4, 5, rng, people)
    assert torch.allclose(path[:, 0], people) and not torch.allclose(path[0], path[1])


def test_time_is_a_share_of_the_video():
    one, two = (videos.courses(4, n, torch.Generator().manual_seed(3)) for n in (5, 9))
    assert torch.allclose(one, two[:, ::2], atol=1e-5)
