"""The authors' checkpoint: their numbers, the optional parts, what is missing or left over."""
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from golden import Case

from lgfa.config import ClipConfig, MotionConfig
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.formats import build, loading, recognition
from lgfa.formats.layouts.lgfa_authors import motion_table
from lgfa.motion.model import MotionModel


@pytest.fixture(scope="module")
def authors(shared):
    """(reference case, its network)."""
    case = Case(shared, "authors_lgfa")
    tree = case.checkpoint()
    return case, build.from_tree(tree, recognition.recognise(tree, "motion")).eval()


@torch.no_grad()
def test_authors_numbers(authors):
    given, network = authors
    z_t, z_v = F.normalize(given["z_t"], dim=1), F.normalize(given["z_v"], dim=1)
    z1, h1 = network.first_code(z_t, z_v), 0.01 * given["h1"]
    train4 = network.rnn(z1, 4, h1=h1, training=True)
    infer16 = network.rnn(z1, 16, h1=h1, training=False)
    ours = {
        "codes_train4": train4, "codes_infer16": infer16,
        "dw_train4": network.offsets(train4)[:, [0, 1, 3]],
        "dw_infer16": network.offsets(infer16)[:, [0, 8, 15]],
        "w_v": network.content(torch.zeros(2, 18, 512), z_v=z_v),
    }
    assert set(ours) == set(given.gold)
    for name, value in ours.items():
        given.check(name, value)


def test_authors_settings(authors):
    config = authors[1].config
    assert config == MotionConfig.authors(resolution=1024)
    assert authors[1].clip_config is None and authors[1].encoder is None


def small(clip: bool = False, prefix: str = "module.", v_mapper: bool = True) -> dict:
    """A small checkpoint in the authors' layout, with or without its CLIP part."""
    torch.manual_seed(0)
    config = MotionConfig.authors(embed_dim=64, num_layers=4, hidden=12, mapper_hidden=24,
                                  visual_mapper=v_mapper, visual=v_mapper)
    own = MotionModel(config).state_dict()
    out = {prefix + old: own[new] for old, new in motion_table(3, v_mapper).items()}
    if clip:
        vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 64, "patch_size": None}
        text = {"context_length": 9, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
        encoder = CLIP(ClipConfig(64, vision, text, options={"quick_gelu": True}))
        out |= {f"{prefix}encoder.{k}": v for k, v in encoder.model.state_dict().items()}
    return {"iter": 7, "arch": "RN50", "state_dict": out, "optimizer": {"state": {}}}


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("v_mapper", [True, False])
def test_parts_that_may_be_missing(tmp_path, prefix, v_mapper):
    torch.save(small(prefix=prefix, v_mapper=v_mapper), tmp_path / "Iter_000007.pth")
    network = loading.load(tmp_path / "Iter_000007.pth", "motion")
    assert network.config.num_layers == 4 and network.config.resolution == 8
    assert (network.v_mapper is not None) == network.config.visual == v_mapper


@torch.no_grad()
def test_clip_part(tmp_path):
    tree = small(clip=True)
    torch.save(tree, tmp_path / "Iter.pth")
    network = loading.load(tmp_path / "Iter.pth")
    assert network.clip_config.vision_cfg == {
        "image_size": 32, "patch_size": None, "width": 64, "layers": [1, 1, 1, 1]}
    assert network.clip_config.text_cfg["layers"] == 2 and network.encoder.embed_dim == 64
    stored = tree["state_dict"]["module.encoder.text_projection"]
    assert torch.equal(network.encoder.model.text_projection, stored)
    w = network.trajectory(torch.zeros(1, 4, 512), "smiling", torch.zeros(1, 3, 40, 40), frames=3)
    assert w.shape == (1, 3, 4, 512)

    # Converted to our own format it is the same network.
    loading.save(tmp_path / "own.safetensors", network)
    again = loading.load(tmp_path / "own.safetensors", "motion")
    assert torch.equal(w, again.trajectory(torch.zeros(1, 4, 512), "smiling",
                                           torch.zeros(1, 3, 40, 40), frames=3))


def test_strangers_are_listed():
    tree = small()
    tree["state_dict"]["module.rnn.fc9.weight"] = torch.zeros(3)
    del tree["state_dict"]["module.mapper.t_mapper.2.bias"]
    with pytest.raises(LGFAError, match="missing: t_mapper.layers.1.bias; left over: rnn.fc9"):
        build.from_tree(tree, recognition.recognise(tree))
    tree = small()
    tree["state_dict"]["module.rnn.fc1.weight"][0, 0] = torch.nan
    with pytest.raises(LGFAError, match="NaN"):
        build.from_tree(tree, recognition.recognise(tree))
    tree = small()
    tree["state_dict"]["module.mapper.t_mapper.3.weight"] = torch.zeros(500, 24)
    with pytest.raises(LGFAError, match="500 numbers"):
        build.from_tree(tree, recognition.recognise(tree))
