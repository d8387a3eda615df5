"""Global directions: styles into codes, relevance by hand, the choice of channels, public files."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from tiny import EMBED, tiny_clip_config, tiny_generator
from torch import Tensor, nn

from lgfa import Animator
from lgfa.config import GeneratorConfig
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.frames.stylegan2 import Generator
from lgfa.methods.baselines import Parts, baseline
from lgfa.methods.method import Embedded, Prompt
from lgfa.methods.styleclip import directions as styleclip
from lgfa.methods.styleclip import relevance as directions

COUNT = 40                                  # style channels of the tiny generator: 5 x 8
FEW = directions.Settings(pictures=12, samples=256, half=False)


class Colours(nn.Module):
    """In a CLIP's place: sees the mean colour of a picture, reads names of colours."""

    embed_dim = 4
    words = ("red", "green", "blue", "plain")

    def encode_image(self, x: Tensor) -> Tensor:
        colour = x.float().mean((2, 3))
        return nn.functional.normalize(torch.cat([colour, torch.ones(len(x), 1)], 1), dim=1)

    def encode_text(self, texts: list[str]) -> Tensor:
        rows = [[float(word in text) for word in self.words] for text in texts]
        return nn.functional.normalize(torch.tensor(rows), dim=1)


COLOUR_SETTINGS = {"neutral": "plain", "templates": ("{}",)}


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(tiny_generator(), Colours())


@pytest.fixture(scope="module")
def real() -> Parts:
    generator = tiny_generator()
    torch.manual_seed(5)
    return Parts(generator, CLIP(tiny_clip_config()).eval())


@pytest.fixture(scope="module")
def found(parts) -> styleclip.Directions:
    return directions.measure(parts, FEW, lambda line: None)


def codes(generator: Generator, count: int = 2) -> Tensor:
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return generator.mapping(z)


# ---- style space

def test_changed_styles_draw_what_changed_biases_draw(parts):
    generator, w = parts.generator, codes(parts.generator)
    by_hand = copy.deepcopy(generator)
    with torch.no_grad():
        by_hand.synthesis.convs[2].affine.bias[3] += 0.7
        want, before = by_hand.synthesis(w), generator.synthesis(w)
        add = torch.zeros(8).index_fill(0, torch.tensor(3), 0.7)
        with styleclip.changed(generator.synthesis, {2: lambda style: style + add}):
            got = generator.synthesis(w)
        assert torch.allclose(got, want, atol=1e-6)
        assert (got - before).abs().max() > 1e-3
        assert torch.equal(generator.synthesis(w), before)


def test_codes_do_what_styles_do_and_leave_to_rgb_alone(parts):
    synthesis, w = parts.generator.synthesis, codes(parts.generator)
    rng = torch.Generator().manual_seed(3)
    ds = [0.5 * torch.randn(8, generator=rng) for _ in range(5)]
    ds[2] = torch.zeros(8)
    with torch.no_grad():
        changes = {i: (lambda style, d=d: style + d) for i, d in enumerate(ds)}
        with styleclip.changed(synthesis, changes):
            want = synthesis(w)
        dw = styleclip.to_codes(synthesis, ds)
        assert torch.allclose(synthesis(w + dw), want, atol=1e-4)
        assert (want - synthesis(w)).abs().max() > 0.01
        moved = styleclip.styles(synthesis, w + dw) - styleclip.styles(synthesis, w)
        assert torch.allclose(moved, torch.cat(ds).expand(2, -1), atol=1e-4)
        for level, rgb in enumerate(synthesis.to_rgbs):
            code = w[:, 2 * level + 1]
            assert torch.allclose(rgb.affine(code + dw[2 * level + 1]), rgb.affine(code), atol=1e-4)
    assert torch.equal(dw[2], torch.zeros(24)) and torch.equal(dw[5], torch.zeros(24))


def test_channels_beyond_a_codes_length_are_met_as_nearly_as_can_be():
    torch.manual_seed(0)
    synthesis = Generator(GeneratorConfig(8, (16, 16), 12, 10, mapping_layers=1)).synthesis
    want = torch.randn(16)
    dw = styleclip.to_codes(synthesis, [want])
    a = synthesis.convs[0].affine.weight.detach() / 10 ** 0.5
    best = torch.linalg.pinv(a.double()) @ want.double()
    assert torch.allclose(dw[0].double(), best, atol=1e-4)


def test_channels_are_split_by_layer(parts):
    synthesis = parts.generator.synthesis
    assert styleclip.widths(synthesis) == [8] * 5
    assert [len(part) for part in styleclip.split(torch.arange(COUNT), synthesis)] == [8] * 5
    assert styleclip.split(torch.arange(16), synthesis)[1].tolist() == list(range(8, 16))
    for count in (12, 48):
        with pytest.raises(LGFAError, match=f"{count} style channels"):
            styleclip.split(torch.arange(count), synthesis)


# ---- relevance

def test_direction_by_hand():
    low = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    high = torch.tensor([[1.0, 3.0, 0], [1.0, 0, 0.5]])           # steps of any length count alike
    assert torch.allclose(directions.direction(low, high),
                          torch.tensor([0, 0.5 ** 0.5, 0.5 ** 0.5]))
    assert directions.direction(low, low).tolist() == [0, 0, 0]


def test_relevance_of_a_channel_by_hand(parts, found):
    assert found.relevance.shape == (COUNT, 4) and found.std.shape == (COUNT,)
    assert torch.allclose(found.relevance.norm(dim=1), torch.ones(COUNT), atol=1e-5)

    # channel 2 of convolution 3, held at its two ends by weights of zero and a bias
    generator = copy.deepcopy(parts.generator)
    mean, std = directions.statistics(parts, FEW)
    w = directions.stills(parts, FEW)
    seen = []
    with torch.no_grad():
        for sign in (-5, 5):
            affine = generator.synthesis.convs[3].affine
            affine.weight[2], affine.bias[2] = 0, mean[26] + sign * std[26]
            seen.append(parts.clip.encode_image(generator.synthesis(w)))
    steps = seen[1] - seen[0]
    want = (steps / steps.norm(dim=1, keepdim=True)).mean(0)
    assert torch.allclose(found.relevance[26], want / want.norm(), atol=1e-4)
    assert torch.allclose(found.std, std)


def test_statistics_are_those_of_styles(parts):
    mean, std = directions.statistics(parts, FEW)
    z = torch.randn(FEW.samples, 12, generator=torch.Generator().manual_seed(directions.SEED))
    with torch.no_grad():
        w = parts.generator.mapping(z, FEW.truncation)
        style = parts.generator.synthesis.convs[1].affine(w[:, 1])
    assert torch.allclose(mean[8:16], style.mean(0), atol=1e-5)
    assert torch.allclose(std[8:16], style.std(0), atol=1e-5)


# ---- from a sentence to an edit

def test_channels_are_chosen_by_relevance():
    relevance = torch.tensor([[1.0, 0], [0.6, 0.8], [-0.8, 0.6], [0.1, -1]])
    dt = torch.tensor([1.0, 0])

    def weights(**others) -> list[float]:
        return styleclip.chosen(relevance, dt, styleclip.Settings(**others)).tolist()

    assert weights(beta=0.5) == pytest.approx([1, 0.6, -0.8, 0])
    assert weights(beta=0.7) == pytest.approx([1, 0, -0.8, 0])
    assert weights(channels=1) == pytest.approx([1, 0, 0, 0])
    assert weights(channels=3) == pytest.approx([1, 0.6, -0.8, 0])
    assert weights(channels=99) == pytest.approx([1, 0.6, -0.8, 0.1])
    with pytest.raises(LGFAError, match="lower beta"):
        weights(beta=1.1)


def test_a_text_direction_by_hand(real):
    settings = styleclip.Settings(neutral="a face", templates=("{}", "a drawing of {}"))
    with torch.no_grad():
        def mean(words: str) -> Tensor:
            v = real.clip.encode_text([words, f"a drawing of {words}"]).sum(0)
            return v / v.norm()

        want = mean("a smile") - mean("a face")
    got = styleclip.text_direction(real.clip, "a smile", settings)
    assert torch.allclose(got, want / want.norm(), atol=1e-5)
    with pytest.raises(LGFAError, match="neutral"):
        styleclip.text_direction(real.clip, "a face", settings)


def blue_generator() -> Generator:
    """Blue is drawn by the last convolution's output 0 alone, which weighs input 5, always bright,
    against input 6, always dark: the layer's style channels 5 and 6 are its blue ones, opposed."""
    generator = copy.deepcopy(tiny_generator())
    synthesis = generator.synthesis
    with torch.no_grad():
        for rgb in synthesis.to_rgbs:
            rgb.weight[2] = 0
        synthesis.to_rgbs[-1].weight[:, 0] = torch.tensor([0.0, 0.0, 0.3])[:, None, None]
        synthesis.to_rgbs[-1].affine.weight[0] = 0      # a style of 1 whatever the code
        synthesis.convs[3].bias[5], synthesis.convs[3].bias[6] = 10.0, -10.0
        synthesis.convs[4].weight[0], synthesis.convs[4].weight[1:, 5:7] = 0, 0
        synthesis.convs[4].weight[0, 5:7, 1, 1] = 1
    return generator


def test_a_channel_with_a_known_effect_is_found():
    parts = Parts(blue_generator(), Colours())
    found = directions.measure(parts, FEW, lambda line: None)
    blue = found.relevance[:, 2]
    others = [i for i in range(32, 40) if i not in (37, 38)]
    assert min(blue[37], -blue[38]) > max(0.4, 1.5 * blue[others].abs().max())

    # of these two alone, the way to "blue" is up with one and down with the other
    alone = styleclip.Directions(torch.zeros_like(found.relevance), found.std)
    alone.relevance[37:39] = found.relevance[37:39]
    method = styleclip.GlobalDirection(parts.generator, parts.clip, alone,
                                       styleclip.Settings(alpha=2, channels=2, **COLOUR_SETTINGS))
    z_t = method.embed(None, Prompt("blue")).z_t
    ds = method.styles(z_t)[4]
    assert ds[5] > 0 > ds[6] and int(ds.ne(0).sum()) == 2
    w = codes(parts.generator, 8)
    with torch.no_grad():
        before, after = (parts.generator.synthesis(v)[:, 2].mean((1, 2))
                         for v in (w, w + method.offset(z_t)))
    assert (after > before).float().mean() >= 0.8 and (after - before).mean() > 0.5


def test_alpha_scales_the_edit(parts, found):
    one, two = (styleclip.GlobalDirection(
        parts.generator, parts.clip, found,
        styleclip.Settings(alpha=alpha, **COLOUR_SETTINGS)) for alpha in (1.0, 2.0))
    z_t = one.embed(None, Prompt("red")).z_t
    assert torch.allclose(2 * one.offset(z_t), two.offset(z_t), atol=1e-5)
    largest = torch.cat(one.styles(z_t)).abs() / found.std
    assert float(largest.max()) == pytest.approx(1.0, abs=1e-5)


def test_a_clip_begins_at_the_still_and_goes_straight(parts, found):
    method = styleclip.GlobalDirection(parts.generator, parts.clip, found,
                                       styleclip.Settings(**COLOUR_SETTINGS))
    w, z_t = codes(parts.generator, 1), method.embed(None, Prompt("red")).z_t
    path = method(w, Embedded(None, z_t), 5, seed=0)
    assert torch.equal(path[:, 0], w)
    assert torch.allclose(path[:, -1], w + method.offset(z_t), atol=1e-6)
    assert torch.allclose(path[:, 2], (path[:, 0] + path[:, -1]) / 2, atol=1e-5)
    assert torch.equal(path, method(w, Embedded(None, z_t), 5, seed=1))


# ---- files

def test_the_table_measures_and_loads(real, tmp_path):
    entry = baseline("styleclip-global")
    assert entry.units(["smiling", "angry"]) == ["directions"]
    with pytest.raises(LGFAError, match="measure it first"):
        entry.load(real, tmp_path, ["smiling"])
    path = entry.train("directions", real, tmp_path, lambda line: None, 0.1)
    method = entry.load(real, tmp_path, ["smiling"])
    assert method.directions.relevance.shape == (COUNT, EMBED)
    clip = Animator(real.generator, clip=real.clip, motion=method).animate(
        codes(real.generator, 1)[0], "smiling", frames=3)
    assert clip.frames.shape == (3, 16, 16, 3)
    assert directions.read(path, real).std.shape == (COUNT,)


def public(folder, count: int = COUNT, layers: int = 8) -> Tensor:
    """fs3.npy and S_mean_std as the published tools write them; the convolutions' deviations."""
    rng = np.random.default_rng(0)
    std = [rng.random(8).astype("float32") for _ in range(layers)]
    np.save(folder / "fs3.npy", rng.normal(size=(count, EMBED)).astype("float32"))
    with open(folder / "S_mean_std", "wb") as file:
        pickle.dump([[0 * row for row in std], std], file)
    return torch.cat([torch.from_numpy(std[i]) for i in (0, 2, 3, 5, 6) if i < layers])


def test_public_files_load(real, tmp_path):
    std = public(tmp_path)
    found = directions.read(tmp_path / "fs3.npy", real)
    assert torch.equal(found.relevance, torch.from_numpy(np.load(tmp_path / "fs3.npy")))
    assert torch.equal(found.std, std)

    # without the finest convolutions, and without the pickle: deviations are measured
    public(tmp_path, count=24)
    assert torch.equal(directions.read(tmp_path / "fs3.npy", real).std, std[:24])
    (tmp_path / "S_mean_std").unlink()
    found = directions.read(tmp_path / "fs3.npy", real)
    assert torch.allclose(found.std, directions.statistics(real, directions.Settings())[1][:24])
    method = styleclip.GlobalDirection(real.generator, real.clip, found)
    z_t = method.embed(None, Prompt("smiling")).z_t
    assert torch.equal(method.offset(z_t)[3:], torch.zeros(3, 24))


def test_files_of_another_generator_are_refused(real, tmp_path):
    public(tmp_path, count=41)
    with pytest.raises(LGFAError, match="41 relevances and 40"):
        directions.read(tmp_path / "fs3.npy", real)
    public(tmp_path, count=20)
    with pytest.raises(LGFAError, match="20 style channels"):
        directions.read(tmp_path / "fs3.npy", real)
    public(tmp_path, layers=7)
    with pytest.raises(LGFAError, match="8 layers"):
        directions.read(tmp_path / "fs3.npy", real)
    public(tmp_path)
    with pytest.raises(LGFAError, match="length 20"):
        directions.read(tmp_path / "fs3.npy", Parts(real.generator, Colours()))
    np.save(tmp_path / "fs3.npy", np.zeros(5, dtype="float32"))
    with pytest.raises(LGFAError, match="array"):
        directions.read(tmp_path / "fs3.npy", real)
    np.save(tmp_path / "fs3.npy", np.array([object()]))
    with pytest.raises(LGFAError, match="array of object"):
        directions.read(tmp_path / "fs3.npy", real)
    (tmp_path / "x.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(LGFAError):
        directions.read(tmp_path / "x.safetensors", real)


@pytest.mark.parametrize("tree", [
    5, None, [], [1, 2], [[1], [2]], {"a": 1}, [None, [None] * 8], [None, ["x"] * 8],
    [0, [[1.0] * 8] * 8], (1, (np.zeros(8, dtype="int64"),) * 8),
    [0, [np.full(8, np.nan, "float32")] * 8]], ids=map(str, range(11)))
def test_odd_deviations_are_one_sentence(real, tmp_path, tree):
    public(tmp_path)
    (tmp_path / "S_mean_std").write_bytes(pickle.dumps(tree))
    with pytest.raises(LGFAError, match="S_mean_std|NaN"):
        directions.read(tmp_path / "fs3.npy", real)


def test_settings_that_make_no_direction():
    with pytest.raises(LGFAError, match="template"):
        styleclip.Settings(templates=())
    with pytest.raises(LGFAError, match="channel"):
        styleclip.Settings(channels=0)
