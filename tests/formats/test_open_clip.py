"""CLIPs by their open_clip names: tags, files, folders.

OpenAI's archives (layouts/openai_clip.py) are read here, open_clip's bare weights refused.
"""
from __future__ import annotations

import copy
import warnings

import pytest
import torch
from small_clip import TEXTS, tiny

from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.formats.loading import load_clip
from lgfa.formats.open_clip import from_open_clip


@pytest.fixture(scope="module")
def clip() -> CLIP:
    torch.manual_seed(0)
    return CLIP(tiny()).eval()


NAME = "ViT-B-32"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny architecture under an open_clip name; the network may not be used."""
    import open_clip.factory as factory
    import open_clip.pretrained as pretrained

    config = tiny()
    monkeypatch.setitem(factory._MODEL_CONFIGS, NAME, {
        "embed_dim": config.embed_dim, "vision_cfg": config.vision_cfg,
        "text_cfg": config.text_cfg})

    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(pretrained, "download_pretrained", no_network)
    return NAME


def test_name_without_weights(named: str) -> None:
    assert from_open_clip(named).encode_text(TEXTS).shape == (2, 24)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_name_with_local_weights(named: str, clip: CLIP, tmp_path, suffix: str) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f"weights.{suffix}"
    state = {k: v.clone() for k, v in clip.model.state_dict().items()}
    if suffix == "pt":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    else:
        save_file(state, str(path))
    with pytest.warns(UserWarning, match="quickgelu"):
        loaded = load_clip(f"{named}:{path}")
    assert torch.equal(loaded.encode_text(TEXTS), clip.encode_text(TEXTS))
    with pytest.raises(LGFAError, match="architecture"):
        load_clip(path)


def test_openai_archive_is_read_without_its_code(clip: CLIP, tmp_path) -> None:
    """A TorchScript archive with OpenAI's layout; its activation is QuickGELU."""
    torch.manual_seed(0)
    real = CLIP(tiny(quick_gelu=True)).eval()
    real.load_state_dict(clip.state_dict())
    path = tmp_path / "ViT.pt"
    network = copy.deepcopy(real.model)
    for name, number in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
        if hasattr(network, name):
            delattr(network, name)
        network.register_buffer(name, torch.tensor(number))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace_module(network, {
            "encode_image": torch.zeros(1, 3, 32, 32),
            "encode_text": real.tokenize(TEXTS)}), path)
    loaded = load_clip(path)
    assert loaded.config == real.config
    assert torch.equal(loaded.encode_text(TEXTS), real.encode_text(TEXTS))
    assert not torch.equal(loaded.encode_text(TEXTS), clip.encode_text(TEXTS))


def test_folder_of_the_hub(clip: CLIP, tmp_path) -> None:
    import json

    from safetensors.torch import save_file

    config = clip.config
    (tmp_path / "open_clip_config.json").write_text(json.dumps({
        "model_cfg": {"embed_dim": config.embed_dim, "vision_cfg": config.vision_cfg,
                      "text_cfg": config.text_cfg},
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}))
    save_file(dict(clip.model.state_dict()), str(tmp_path / "open_clip_model.safetensors"))
    loaded = from_open_clip(f"local-dir:{tmp_path}")
    assert loaded.config.mean == (0.5, 0.5, 0.5)
    assert torch.equal(loaded.encode_text(TEXTS), clip.encode_text(TEXTS))


def test_wrong_names_and_weights_are_refused(named: str, clip: CLIP, tmp_path) -> None:
    with pytest.raises(LGFAError, match="no model"):
        from_open_clip("ViT-Q-99")
    with pytest.raises(LGFAError, match="tags: .*openai"):
        from_open_clip(named, "nonsense")
    with pytest.raises(LGFAError, match="could not be downloaded"):
        from_open_clip(named, "openai")
    path = tmp_path / "other.pt"
    torch.save({**clip.model.state_dict(), "text_projection": torch.zeros(64, 25)}, path)
    with pytest.raises(LGFAError, match="text_projection"):
        from_open_clip(named, str(path), quick_gelu=False)
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(LGFAError, match="no CLIP weights"):
        from_open_clip(named, str(path))


@pytest.mark.parametrize("name", ["xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k",
                                  "xlm-roberta-base-ViT-B-32:weights.pt",
                                  "roberta-ViT-B-32/laion2b_s12b_b32k"])
def test_towers_of_transformers_are_refused_before_anything_is_fetched(name, monkeypatch):
    import socket

    def forbidden(*_: object) -> None:
        raise AssertionError("the network was asked")
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    with pytest.raises(LGFAError, match="of another library as a tower"):
        load_clip(name)
