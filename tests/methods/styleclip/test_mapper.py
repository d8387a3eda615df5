"""Latent mappers: the network, public checkpoints (format.py), a short training, the choice by
sentence."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny import LAYERS, W_DIM, tiny_generator

from lgfa import Animator, formats
from lgfa.errors import LGFAError
from lgfa.formats.layouts import rosinality
from lgfa.methods.baselines import Parts, baseline
from lgfa.methods.method import Embedded, Prompt
from lgfa.methods.styleclip import mapper_training as training
from lgfa.methods.styleclip.mapper import LatentMapper, Mapped, MapperConfig, file_name


def tiny_mapper(text: str = "smiling", layers: int = LAYERS, **others) -> LatentMapper:
    torch.manual_seed(7)
    mapper = LatentMapper(MapperConfig(text, layers, W_DIM, **others))
    with torch.no_grad():
        for name, parameter in mapper.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 20)                # stored 100 times enlarged
    return mapper.eval()


def codes(count: int = 2, layers: int = LAYERS) -> torch.Tensor:
    return torch.randn(count, layers, W_DIM, generator=torch.Generator().manual_seed(1))


# ---- the network

def by_hand(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The published sub-mapper, [B, l, w_dim]: pixel norm over axis 1, scaled linear layers."""
    x = x / (x.pow(2).mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for i in range(1, 5):
        weight, bias = weights[f"mapping.{i}.weight"], weights[f"mapping.{i}.bias"]
        x = x @ weight.T * (0.01 / weight.shape[1] ** 0.5) + bias * 0.01
        x = torch.where(x > 0, x, 0.2 * x) * 2 ** 0.5
    return x


def public(mapper: LatentMapper, **opts) -> dict:
    """A file as the published training writes it."""
    theirs = {"coarse": "course_mapping", "medium": "medium_mapping", "fine": "fine_mapping",
              "all": "mapping"}
    state = {}
    for name, tensor in mapper.state_dict().items():
        _, part, _, number, kind = name.split(".")
        state[f"mapper.{theirs[part]}.mapping.{int(number) + 1}.{kind}"] = tensor.clone()
    return {"state_dict": state, "opts": {"description": mapper.config.text, "stylegan_size": 64,
                                          "mapper_type": "LevelsMapper", **opts}}


@pytest.mark.parametrize("present", [("coarse", "medium", "fine"), ("coarse", "fine"),
                                     ("medium",), ("all",)])
def test_a_public_mapper_loads_and_edits_as_published(tmp_path, present):
    original = tiny_mapper("angry face", layers=10, parts=present, resolution=64)
    tree = public(original)
    torch.save(tree, tmp_path / "mapper.pt")
    loaded = formats.load(tmp_path / "mapper.pt")
    assert loaded.config == original.config and loaded.config.text == "angry face"

    w = codes(3, 10)
    want = w.clone()
    names = {"course_mapping": slice(0, 4), "medium_mapping": slice(4, 8),
             "fine_mapping": slice(8, 10), "mapping": slice(0, 10)}
    for name, where in names.items():
        start = f"mapper.{name}."
        own = {k[len(start):]: v for k, v in tree["state_dict"].items() if k.startswith(start)}
        if own:
            want[:, where] += 0.1 * by_hand(own, w[:, where])
    with torch.no_grad():
        got = loaded(w)
    assert (got - w).abs().max() > 0.01
    assert torch.allclose(got, want, atol=1e-5)


def test_a_part_without_mapper_stays(parts):
    with torch.no_grad():
        w = codes(2, 10)
        changed = (tiny_mapper(layers=10, parts=("medium",))(w) != w).all(dim=2)
    assert changed.tolist() == [[False] * 4 + [True] * 4 + [False] * 2] * 2


def test_norms_differ():
    # Where all layers share one code, the published norm leaves nothing but signs.
    w = codes()[:, :1].expand(-1, LAYERS, -1)
    with torch.no_grad():
        layers, channels = (tiny_mapper(norm=norm) for norm in ("layers", "channels"))
        twice = w * torch.linspace(1, 2, W_DIM)
        assert torch.allclose(layers(twice) - twice, layers(w) - w, atol=1e-4)
        assert not torch.allclose(channels(twice) - twice, channels(w) - w, atol=1e-3)
        assert torch.allclose(channels(3 * w) - 3 * w, channels(w) - w, atol=1e-4)


# ---- files

def test_a_file_may_bring_its_generator_and_a_namespace(tmp_path):
    generator = tiny_generator(64)
    names = rosinality.rosinality_names(generator.config)
    ours = generator.state_dict()
    tree = public(tiny_mapper(layers=10))
    tree["state_dict"] |= {f"decoder.{theirs}": ours[name] for theirs, name in names.items()}
    tree["latent_avg"] = generator.latent_avg
    tree["opts"] = SimpleNamespace(**tree["opts"]).__dict__ | {"device": "cpu", "l2": 0.8}
    torch.save(tree, tmp_path / "mapper.pt")
    assert formats.load(tmp_path / "mapper.pt", "mapper").config.num_layers == 10
    drawing = formats.load(tmp_path / "mapper.pt", "generator")
    assert torch.equal(drawing.latent_avg, generator.latent_avg)
    with torch.no_grad():
        w = codes(1, 10)
        assert torch.allclose(drawing.synthesis(w), generator.synthesis(w), atol=1e-5)


def test_our_files_round_trip(tmp_path):
    mapper = tiny_mapper("closing eyes", norm="channels", resolution=16)
    formats.save(tmp_path / "m.safetensors", mapper)
    loaded = formats.load(tmp_path / "m.safetensors", "mapper")
    assert loaded.config == mapper.config
    with torch.no_grad():
        assert torch.equal(loaded(codes()), mapper(codes()))


def broken(change) -> dict:
    tree = public(tiny_mapper(layers=10))
    change(tree)
    return tree


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t["state_dict"].pop("mapper.fine_mapping.mapping.2.bias"), "missing: parts.fine"),
    (lambda t: t["state_dict"].update({"mapper.odd": torch.zeros(1)}), "left over: mapper.odd"),
    (lambda t: t["state_dict"].update({"mapper.fine_mapping.mapping.1.bias": torch.zeros(3)}),
     "unequal"),
    (lambda t: t["opts"].update(stylegan_size=1000), "1000"),
    (lambda t: t.update(state_dict={"mapper.mapper_0.mapping.1.weight": torch.zeros(2, 2)}),
     "stylespace"),
])
def test_broken_files_are_refused(tmp_path, change, words):
    torch.save(broken(change), tmp_path / "bad.pt")
    with pytest.raises(LGFAError, match=words):
        formats.load(tmp_path / "bad.pt", "mapper")


def test_a_mapper_is_no_motion_model(tmp_path):
    torch.save(public(tiny_mapper(layers=10)), tmp_path / "m.pt")
    with pytest.raises(LGFAError, match="StyleCLIP mapper.*encoder is needed"):
        formats.load(tmp_path / "m.pt", "encoder")


@pytest.mark.parametrize("choices", [
    {"parts": ()}, {"parts": ("fine", "coarse")}, {"norm": "batch"}, {"depth": 0},
])
def test_settings_that_no_mapper_has(choices):
    with pytest.raises(LGFAError, match="mapper"):
        MapperConfig("smiling", **choices)


# ---- as a Method

def test_a_mapper_shows_its_own_sentence_only():
    method = Mapped([tiny_mapper("The person is smiling"), tiny_mapper("angry", parts=("fine",))])
    z = method.embed(None, Prompt(" the person  is smiling."))
    assert z.z_t.tolist() == [[1.0, 0.0]]
    w = codes(1)
    path = method(w, z, 4, seed=0)
    assert torch.equal(path[:, 0], w)
    with torch.no_grad():
        assert torch.equal(path[:, -1], method.mappers[0](w))
    assert torch.allclose(path[:, 1], w + (path[:, -1] - w) / 3, atol=1e-6)
    other = method(w, method.embed(None, Prompt("angry")), 4, seed=0)
    assert not torch.allclose(other[:, -1], path[:, -1], atol=1e-3)
    with pytest.raises(LGFAError, match="'The person is smiling', 'angry'"):
        method.embed(None, Prompt("sad"))
    with pytest.raises(LGFAError, match="own embed"):
        method(w, Embedded(None, torch.zeros(1, 20)), 4, seed=0)
    with pytest.raises(LGFAError, match="no StyleCLIP mapper"):
        Mapped([])
    with pytest.raises(LGFAError, match="different generators"):
        Mapped([tiny_mapper("a"), tiny_mapper("b", layers=10)])
    with pytest.raises(LGFAError, match="StyleCLIP mapper reads 6 layers of 24 numbers"):
        method(codes(1, 10), z, 4, seed=0)


def test_an_animator_loads_a_public_mapper(tmp_path):
    formats.save(tmp_path / "g.safetensors", tiny_generator(64))
    torch.save(public(tiny_mapper("smiling", layers=10, parts=("coarse",))), tmp_path / "m.pt")
    animator = Animator.from_pretrained({"generator": tmp_path / "g.safetensors",
                                         "motion": tmp_path / "m.pt"}, device="cpu")
    clip = animator.animate(codes(1, 10)[0], "smiling", frames=3)
    assert clip.frames.shape == (3, 64, 64, 3)
    assert torch.equal(clip.latents[0], codes(1, 10)[0])
    with pytest.raises(LGFAError, match="'smiling'"):
        animator.animate(codes(1, 10)[0], "angry", frames=3)


# ---- training

def test_losses_by_hand(parts):
    mapper, settings = tiny_mapper(), training.Settings(half=False)
    w, z_t = codes(), parts.clip.encode_text(["smiling"])
    with torch.no_grad():
        terms = training.losses(mapper, w, z_t, parts, settings)
        w_edit = mapper(w)
        shown, still = (parts.generator.synthesis(v) for v in (w_edit, w))
        cosine = (parts.clip.encode_image(shown) @ z_t.T).mean()
        person = (parts.identity(shown) * parts.identity(still)).sum(1).mean()
    assert terms["clip"] == pytest.approx(1 - float(cosine), abs=1e-5)
    assert terms["identity"] == pytest.approx(1 - float(person), abs=1e-5)
    assert terms["l2"] == pytest.approx(float((w_edit - w).pow(2).sum() / w.numel()), abs=1e-6)


def test_a_mapper_learns_its_sentence(parts):
    settings = training.Settings(steps=30, batch=4, rate=2.0, l2=0.0, identity=0.0, half=False)
    told: list[str] = []
    mapper = training.fit("smiling", parts, settings, told.append).network
    w = parts.generator.mapping(torch.randn(8, 12, generator=torch.Generator().manual_seed(9)))
    z_t = parts.clip.encode_text(["smiling"])

    def agreement(v: torch.Tensor) -> float:
        return float((parts.clip.encode_image(parts.generator.synthesis(v)) @ z_t.T).mean())

    with torch.no_grad():
        assert agreement(mapper(w)) > agreement(w) + 0.01
    assert len(told) == 1 and "30/30" in told[0]


def test_the_table_trains_and_loads(parts, tmp_path):
    entry = baseline("styleclip-mapper")
    texts = ["smiling", "angry", "smiling"]
    assert entry.units(texts) == ["smiling", "angry"]
    with pytest.raises(LGFAError, match="train it first"):
        entry.load(parts, tmp_path, texts)
    files = [entry.train(unit, parts, tmp_path, lambda line: None, 0.01)
             for unit in entry.units(texts)]
    assert [file.name for file in files] == [file_name("smiling"), file_name("angry")]
    header = formats.read(files[0])["lgfa"]
    assert header["info"]["training"]["steps"] == 1 and header["info"]["minutes"] >= 0
    method = entry.load(parts, tmp_path, texts)
    assert [m.config.text for m in method.mappers] == ["smiling", "angry"]
    assert method.mappers[0].config.num_layers == LAYERS


def test_training_needs_what_its_losses_measure(parts):
    with pytest.raises(LGFAError, match="identity"):
        training.fit("smiling", Parts(parts.generator, parts.clip), training.Settings(steps=1))
