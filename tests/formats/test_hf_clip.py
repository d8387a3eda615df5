"""CLIP in Hugging Face's layout: against transformers itself, by shapes alone, from files."""
from __future__ import annotations

import json
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lgfa import formats
from lgfa.config import ClipConfig
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.formats import build, loading, recognition
from lgfa.formats.layouts import hf_clip
from lgfa.formats.layouts import openai_clip as clip_format
from lgfa.formats.loading import load_clip
from lgfa.formats.open_clip import from_open_clip

TEXTS = ["The person is smiling", "a"]
EMBED = 40


def settings(**more) -> dict:
    """A small CLIP as its config.json says it: 2 heads of 32 and 3 of 64 channels."""
    text = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 2,
            "num_hidden_layers": 2, "vocab_size": 49408, "max_position_embeddings": 77,
            "hidden_act": "gelu"}
    vision = {"hidden_size": 192, "intermediate_size": 768, "num_attention_heads": 3,
              "num_hidden_layers": 3, "image_size": 48, "patch_size": 16, "hidden_act": "gelu"}
    return {"model_type": "clip", "projection_dim": EMBED, "text_config": text,
            "vision_config": vision, **more}


def state(described: dict | None = None) -> dict[str, torch.Tensor]:
    """Random weights in that layout."""
    described = described or settings()
    g = torch.Generator().manual_seed(3)
    out = {"logit_scale": torch.tensor(2.6)}
    for tower, projection in (("text", "text_projection"), ("vision", "visual_projection")):
        one = described[f"{tower}_config"]
        width, inner, top = one["hidden_size"], one["intermediate_size"], f"{tower}_model."
        shapes = {}
        for i in range(one["num_hidden_layers"]):
            at = f"{top}encoder.layers.{i}."
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes[f"{at}self_attn.{name}"] = (width, width)
            shapes |= {f"{at}mlp.fc1": (inner, width), f"{at}mlp.fc2": (width, inner),
                       f"{at}layer_norm1": (width,), f"{at}layer_norm2": (width,)}
        if tower == "text":
            shapes[f"{top}final_layer_norm"] = (width,)
            shapes[f"{top}embeddings.token_embedding"] = (one["vocab_size"], width)
            places = one["max_position_embeddings"]
        else:
            shapes |= {f"{top}pre_layrnorm": (width,), f"{top}post_layernorm": (width,)}
            side = one["patch_size"]
            shapes[f"{top}embeddings.patch_embedding"] = (width, 3, side, side)
            out[f"{top}embeddings.class_embedding"] = torch.randn(width, generator=g)
            places = (one["image_size"] // side) ** 2 + 1
        shapes[f"{top}embeddings.position_embedding"] = (places, width)
        out[f"{top}embeddings.position_ids"] = torch.arange(places)[None]
        shapes[projection] = (described["projection_dim"], width)
        for name, shape in shapes.items():
            out[f"{name}.weight"] = torch.randn(shape, generator=g) * 0.1 + (len(shape) == 1)
            if "embedding" not in name and "projection" not in name:
                out[f"{name}.bias"] = torch.randn(shape[0], generator=g) * 0.1
    return out


def pictures() -> torch.Tensor:
    """Of the CLIP's own size, so that nothing is resized."""
    return torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


def quiet(path) -> CLIP:
    """Loads without a word about the activation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_clip(path)


# ---- parity

@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
@torch.no_grad()
def test_same_as_transformers(tmp_path, activation: str) -> None:
    transformers = pytest.importorskip("transformers")
    described = settings()
    for tower in ("text_config", "vision_config"):
        described[tower]["hidden_act"] = activation
    config = transformers.CLIPConfig(**{k: v for k, v in described.items() if k != "model_type"})
    torch.manual_seed(0)
    theirs = transformers.CLIPModel(config).eval()
    for parameter in theirs.parameters():           # biases too, which begin at zero
        parameter.add_(torch.randn_like(parameter) * 0.05)
    theirs.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")              # config.json says all there is to know
        ours = load_clip(tmp_path / "model.safetensors")
    assert ours.config.options == {"quick_gelu": activation == "quick_gelu"}

    tokens, x = ours.tokenize(TEXTS), ours.prepare_image(pictures())
    vision = theirs.visual_projection(theirs.vision_model(pixel_values=x).pooler_output)
    text = theirs.text_projection(theirs.text_model(input_ids=tokens).pooler_output)
    for found, wanted in ((ours.encode_image(pictures()), vision),
                          (ours.encode_tokens(tokens), text)):
        gap = (found - F.normalize(wanted, dim=1)).abs().max()
        print(f"{activation}: {gap:.1e}")
        assert gap < 1e-5


@torch.no_grad()
def test_joined_by_hand(tmp_path) -> None:
    """Names and transposes without transformers: the first layers' arithmetic, written out."""
    weights = state()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(settings()))
    network = load_clip(tmp_path / "pytorch_model.bin").model
    top = "text_model.encoder.layers.1."
    x = torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(2))
    q, k, v = (F.linear(x[0], weights[f"{top}self_attn.{n}_proj.weight"],
                        weights[f"{top}self_attn.{n}_proj.bias"]).view(5, 2, 32).transpose(0, 1)
               for n in "qkv")
    mixed = (torch.softmax(q @ k.transpose(1, 2) / 32**0.5, -1) @ v).transpose(0, 1).flatten(1)
    wanted = F.linear(mixed, weights[f"{top}self_attn.out_proj.weight"],
                      weights[f"{top}self_attn.out_proj.bias"])
    attention = network.transformer.resblocks[1].attn.float()
    found = attention(x, x, x, need_weights=False)[0][0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(network.text_projection, weights["text_projection.weight"].t())
    assert torch.equal(network.visual.proj, weights["visual_projection.weight"].t())
    assert network.visual.image_size in (48, (48, 48))


# ---- architecture

def test_architecture_without_a_description(tmp_path) -> None:
    """Heads of 64 channels; the activation is a guess, and is said to be one."""
    save_file(state(), tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match="do not say their activation, so GELU"):
        clip = load_clip(tmp_path / "model.safetensors")
    assert clip.config == ClipConfig(
        EMBED,
        {"layers": 3, "width": 192, "patch_size": 16, "image_size": 48},
        {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2,
         "mlp_ratio": 160.5 / 64},
        options={"quick_gelu": False})
    loading.save(tmp_path / "own.safetensors", clip)
    again = loading.load(tmp_path / "own.safetensors", "clip")
    assert again.config == clip.config
    assert torch.equal(again.encode_text(TEXTS), clip.encode_text(TEXTS))


@pytest.mark.parametrize("name, quick", [("ViT-B-32", True), ("ViT-B-16", True),
                                         ("ViT-L-14", True), ("ViT-L-14-336", True),
                                         ("ViT-H-14", False), ("ViT-bigG-14", False),
                                         ("ViT-g-14", False)])
def test_published_shapes(name: str, quick: bool) -> None:
    """open_clip's own description of published networks follows from their shapes."""
    import open_clip

    described = open_clip.get_model_config(name)
    with torch.device("meta"):
        wanted = CLIP(ClipConfig(described["embed_dim"], described["vision_cfg"],
                                 described["text_cfg"]))
    weights = {k.removeprefix("model."): v for k, v in wanted.state_dict().items()}
    with pytest.warns(UserWarning, match=f"OpenAI's {name}, so QuickGELU" if quick else "GELU"):
        config = clip_format.architecture(weights)
    assert config.options == {"quick_gelu": quick}
    with torch.device("meta"):
        found = CLIP(config)
    assert {k: v.shape for k, v in found.state_dict().items()} == \
        {k: v.shape for k, v in wanted.state_dict().items()}
    for block in ("visual.transformer", "transformer"):
        one, other = (c.model.get_submodule(block).resblocks[0].attn for c in (found, wanted))
        assert one.num_heads == other.num_heads


def test_a_description_of_another_file_is_not_taken(tmp_path) -> None:
    save_file(state(), tmp_path / "model.safetensors")
    for other in (settings(model_type="t5"), settings(projection_dim=EMBED + 1),
                  settings(vision_config={"hidden_size": 768})):
        (tmp_path / "config.json").write_text(json.dumps(other))
        with pytest.warns(UserWarning, match="so GELU is taken"):
            load_clip(tmp_path / "model.safetensors")


@pytest.mark.parametrize("change, match", [
    ({"hidden_act": "relu"}, "activations 'gelu' and 'relu'"),
    ({"hidden_act": ["gelu"]}, "config.json"),
    ({"num_attention_heads": 0}, "num_attention_heads 0"),
    ({"num_attention_heads": "/etc/passwd"}, "num_attention_heads '/etc/passwd'"),
    ({"num_attention_heads": 7}, "7 equal heads"),
    ({"layer_norm_eps": 0.1}, "layer_norm_eps 0.1"),
])
def test_an_odd_description_is_refused(tmp_path, change: dict, match: str) -> None:
    described = settings()
    described["text_config"] |= change
    save_file(state(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(LGFAError, match=match):
        load_clip(tmp_path / "model.safetensors")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe{}", b"[" * 100_000,
                                  b" " * (2**20 + 1), b'{"model_type": 1' + b"0" * 5000 + b"}"])
def test_a_broken_description_is_one_sentence(tmp_path, data: bytes) -> None:
    save_file(state(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(LGFAError, match="config.json"):
        load_clip(tmp_path / "model.safetensors")


# ---- files

@pytest.mark.parametrize("wrap", [
    lambda s: {f"model.{k}": v for k, v in s.items()},
    lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3},
    lambda s: {"model_state_dict": s},
    lambda s: {"model": {f"_orig_mod.{k}": v for k, v in s.items()}},
    lambda s: {"state_dict": {f"module.clip.{k}": v for k, v in s.items()}},
    lambda s: {k: v for k, v in s.items() if "position_ids" not in k},
    lambda s: {k: v.half() for k, v in s.items() if "position_ids" not in k},
])
@torch.no_grad()
def test_wrappings(tmp_path, wrap) -> None:
    torch.save(state(), tmp_path / "plain.bin")
    torch.save(wrap(state()), tmp_path / "wrapped.bin")
    plain, wrapped = quiet(tmp_path / "plain.bin"), quiet(tmp_path / "wrapped.bin")
    assert wrapped.config == plain.config
    torch.testing.assert_close(wrapped.encode_text(TEXTS), plain.encode_text(TEXTS),
                               atol=0.02, rtol=0)


def test_with_the_name_of_the_architecture(tmp_path, monkeypatch) -> None:
    import open_clip.factory as factory

    save_file(state(), tmp_path / "model.safetensors")
    plain = quiet(tmp_path / "model.safetensors")
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-B-32-quickgelu", {
        "embed_dim": EMBED, "vision_cfg": plain.config.vision_cfg,
        "text_cfg": plain.config.text_cfg, "quick_gelu": True})
    named = load_clip(f"ViT-B-32-quickgelu:{tmp_path / 'model.safetensors'}")
    assert named.config.options == {"quick_gelu": True}
    assert torch.equal(named.model.text_projection, plain.model.text_projection)
    assert not torch.equal(named.encode_text(TEXTS), plain.encode_text(TEXTS))
    (tmp_path / "config.json").write_text(json.dumps(settings()))
    named = from_open_clip("ViT-B-32-quickgelu", str(tmp_path / "model.safetensors"))
    assert named.config.options == {"quick_gelu": False}


def test_with_the_name_of_another_architecture(tmp_path, monkeypatch) -> None:
    import open_clip.factory as factory

    save_file(state(), tmp_path / "model.safetensors")
    plain = quiet(tmp_path / "model.safetensors").config
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-B-32", {
        "embed_dim": EMBED, "vision_cfg": {**plain.vision_cfg, "width": 128},
        "text_cfg": {**plain.text_cfg, "width": 128}})
    with pytest.raises(LGFAError, match=r"unequal: model.positional_embedding \[77, 64\] for"):
        from_open_clip("ViT-B-32", str(tmp_path / "model.safetensors"), quick_gelu=False)


@pytest.mark.parametrize("begin, lost", [
    ("text_model.", r"lacks the picture half"), ("vision_model.", r"lacks the text half")])
def test_halves_are_refused_by_name(tmp_path, begin: str, lost: str) -> None:
    path = tmp_path / "clip_l.safetensors"
    half = {k: v for k, v in state().items() if k.startswith(begin)}
    for prefix in ("", "transformer."):
        save_file({prefix + k: v for k, v in half.items()}, path)
        for spec in (path, f"ViT-B-32:{path}"):
            with pytest.raises(LGFAError, match=rf"{lost}.*Give a whole CLIP"):
                load_clip(spec)


def test_the_text_half_of_open_clip_is_refused_by_name(tmp_path) -> None:
    whole = CLIP(ClipConfig(8, {"layers": 1, "width": 64, "patch_size": 16, "image_size": 32},
                            {"width": 64, "heads": 1, "layers": 1, "vocab_size": 60})).model
    save_file({k: v for k, v in whole.state_dict().items() if not k.startswith("visual.")},
              tmp_path / "clip_g.safetensors")
    with pytest.raises(LGFAError, match="lacks the picture half"):
        load_clip(tmp_path / "clip_g.safetensors")


def test_siglip_is_refused_by_name(tmp_path) -> None:
    save_file(state() | {"logit_bias": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(LGFAError, match="SigLIP"):
        load_clip(tmp_path / "model.safetensors")


def test_a_small_vocabulary_is_said_where_a_sentence_is_read(tmp_path) -> None:
    described = settings()
    described["text_config"]["vocab_size"] = 500
    save_file(state(described), tmp_path / "model.safetensors")
    clip = quiet(tmp_path / "model.safetensors")
    assert clip.encode_image(pictures()).shape == (2, EMBED)
    with pytest.raises(LGFAError, match="knows 500 tokens"):
        clip.encode_text(TEXTS)


def test_a_clip_is_no_generator(tmp_path) -> None:
    save_file(state(), tmp_path / "model.safetensors")
    with pytest.raises(LGFAError, match="Hugging Face CLIP with a CLIP, but an image generator"):
        formats.load(tmp_path / "model.safetensors", "generator")


# ---- damaged weights

Q = "text_model.encoder.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize("change, match", [
    ({Q: None}, "lacks text_model.encoder.layers.1.self_attn.q_proj.weight"),
    ({Q: torch.zeros(64)}, r"q_proj.weight has the shape \[64\]"),
    ({Q: torch.zeros(64, 65)}, "differ in shape"),
    ({Q: 3}, "no tensor under"),
    ({Q: torch.zeros(0, 64)}, r"\[0, 64\]"),
    ({Q: torch.zeros(64, 64).index_fill(0, torch.tensor(3), torch.nan)}, "NaN"),
    ({Q.replace(".1.", ".7."): torch.zeros(64, 64)}, "lacks text_model.encoder.layers.7"),
    ({Q.replace(".1.self_attn.q_proj", f".{10**30}.mlp.fc1"): torch.zeros(3)},
     "transformer.resblocks.1000.* without a gap"),
    ({"vision_model.embeddings.position_embedding.weight": torch.zeros(9, 192)}, "no square"),
    ({"vision_model.embeddings.patch_embedding.weight": torch.zeros(192)}, "visual.conv1.weight"),
    ({"text_projection.weight": torch.tensor(1.0)}, "text_projection"),
    ({"visual_projection.weight": None}, "missing: model.visual.proj"),
    ({"vision_model.new.weight": torch.zeros(3)}, "left over: model.vision_model.new.weight"),
])
def test_damage_is_named(change: dict, match: str) -> None:
    weights = state() | change
    weights = {k: v for k, v in weights.items() if v is not None}
    with warnings.catch_warnings(), pytest.raises(LGFAError, match=match):
        warnings.simplefilter("ignore")
        build.from_tree(weights, recognition.recognise(weights, "clip"))


def test_many_layers_are_refused_before_anything_is_built() -> None:
    weights = state()
    for i in range(2, 400):
        for key in [k for k in weights if k.startswith("text_model.encoder.layers.1.")]:
            weights[key.replace(".1.", f".{i}.")] = weights[key]
    with pytest.raises(LGFAError, match="400 parts .* no network known here has more than 100"):
        build.from_tree(weights, recognition.recognise(weights, "clip"))


def test_one_block_of_numbers_for_all_is_refused() -> None:
    """Weights that share their memory would take far more when query, key and value are joined."""
    weights = state()
    for key in weights:
        if re.search(r"[qkv]_proj.weight", key):
            weights[key] = torch.zeros(()).expand(60_000, 60_000)
    with pytest.raises(LGFAError, match="same numbers for so many weights"):
        hf_clip.renamed(weights)
