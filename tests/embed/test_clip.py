"""CLIP: embeddings, gradients, text handling. Weights are small and random."""
from __future__ import annotations

import copy
import subprocess
import sys
import warnings

import pytest
import torch
from small_clip import TEXTS, pictures, tiny

from lgfa import formats
from lgfa.config import ClipConfig
from lgfa.embed.clip import CLIP
from lgfa.embed.sentences import fill_template
from lgfa.errors import LGFAError
from lgfa.formats.loading import load_clip
from lgfa.nn.modules import freeze


@pytest.fixture(scope="module")
def clip() -> CLIP:
    torch.manual_seed(0)
    return CLIP(tiny()).eval()


def test_embeddings_have_length_one_and_repeat(clip: CLIP) -> None:
    with torch.no_grad():
        for first, second in ((clip.encode_image(pictures()), clip.encode_image(pictures())),
                              (clip.encode_text(TEXTS), clip.encode_text(TEXTS))):
            assert first.shape == (2, 24)
            assert torch.equal(first, second)
            assert torch.allclose(first.norm(dim=1), torch.ones(2), atol=1e-6)
            assert not torch.allclose(first[0], first[1])


def test_preprocessing_is_the_models_own(clip: CLIP) -> None:
    """Mean and std of the image in 0..1; a constant image stays constant when resized."""
    x = torch.zeros(1, 3, 50, 70)
    wanted = (0.5 - torch.tensor(clip.config.mean)) / torch.tensor(clip.config.std)
    ready = clip.prepare_image(x)
    assert ready.shape == (1, 3, 32, 32)
    assert torch.allclose(ready[0].mean((1, 2)), wanted, atol=1e-5)
    assert torch.allclose(ready[0].std((1, 2)), torch.zeros(3), atol=1e-5)


def test_preprocessing_agrees_with_open_clip(clip: CLIP) -> None:
    """Our differentiable resize against open_clip's transform of a PIL image (8 bit)."""
    from open_clip.transform import image_transform
    from PIL import Image

    # Away from black and white, where a picture of 8 bits would cut the resize's overshoot.
    noise = torch.rand(48, 48, 3, generator=torch.Generator().manual_seed(2))
    pixels = (80 + 90 * noise).byte()
    theirs = image_transform(32, is_train=False, mean=clip.config.mean, std=clip.config.std)(
        Image.fromarray(pixels.numpy()))
    ours = clip.prepare_image(pixels.permute(2, 0, 1)[None] / 127.5 - 1)[0]
    assert (ours - theirs).abs().max() < 0.02           # two steps of 1/255 over std


def test_gradient_reaches_the_image(clip: CLIP) -> None:
    frozen = freeze(copy.deepcopy(clip))
    x = pictures().requires_grad_()
    (frozen.encode_image(x) * frozen.encode_text(TEXTS)).sum().backward()
    assert x.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert all(p.grad is None for p in frozen.parameters())


def test_copies_are_independent(clip: CLIP) -> None:
    twin = freeze(copy.deepcopy(clip)).trainable_copy()
    assert all(p.requires_grad for p in twin.parameters())
    before = clip.encode_text(TEXTS)
    with torch.no_grad():
        next(twin.model.transformer.parameters()).add_(1)
    assert torch.equal(before, clip.encode_text(TEXTS))
    assert not torch.equal(before, twin.encode_text(TEXTS))


def test_trainable_copy_keeps_batch_statistics() -> None:
    config = ClipConfig(
        embed_dim=8,
        vision_cfg={"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "head_width": 8},
        text_cfg={"context_length": 8, "width": 8, "heads": 1, "layers": 1},
    )
    clip = CLIP(config).trainable_copy().train()
    before = clip.model.visual.bn1.running_mean.clone()
    clip.encode_image(pictures(size=64))
    assert torch.equal(before, clip.model.visual.bn1.running_mean)
    assert clip.training


def test_long_text_is_cut_with_a_warning(clip: CLIP) -> None:
    text = "The person is smiling " + "very " * 10 + "happily in the warm summer sun"
    with pytest.warns(UserWarning, match='cut after "... very very very very"') as seen:
        tokens = clip.tokenize([text])
    assert tokens.shape == (1, 16)
    assert tokens[0, -1] == tokens.max()                # still ends with the end token
    assert 'so "happily in the warm ..." is not read' in str(seen[0].message)


def test_short_text_does_not_warn(clip: CLIP) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip.tokenize(TEXTS)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_text_is_refused(clip: CLIP, text: str) -> None:
    with pytest.raises(LGFAError, match="empty"):
        clip.encode_text(["The person is smiling", text])


def test_no_text_and_no_string_are_refused(clip: CLIP) -> None:
    with pytest.raises(LGFAError, match="no text"):
        clip.encode_text([])
    with pytest.raises(LGFAError, match="string"):
        clip.encode_text([3])


@pytest.mark.filterwarnings("ignore:the text has")
@pytest.mark.parametrize("text", [
    "\U0001f600",                                       # a face
    "\u7b11\u8138",                                     # Chinese
    "\u0443\u043b\u044b\u0431\u043a\u0430",             # Russian
    "e\u0301",                                          # a combining accent
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 9,   # joined faces, too many
])
def test_any_script_is_read(clip: CLIP, text: str) -> None:
    assert torch.isfinite(clip.encode_text([text])).all()


def test_wrong_image_shape_is_refused(clip: CLIP) -> None:
    with pytest.raises(LGFAError, match="shape"):
        clip.encode_image(torch.zeros(2, 32, 32, 3))


def test_half_precision(clip: CLIP) -> None:
    half = copy.deepcopy(clip).to(torch.bfloat16)
    out = half.encode_image(pictures())
    assert out.dtype == torch.float32
    assert torch.allclose(out, clip.encode_image(pictures()), atol=0.05)


def test_template() -> None:
    assert fill_template("The person is {}", "smiling") == "The person is smiling"
    assert fill_template("{} {}", "{a}") == "{a} {}"
    with pytest.raises(LGFAError, match="{}"):
        fill_template("The person is", "smiling")


def test_round_trip(clip: CLIP, tmp_path) -> None:
    path = tmp_path / "clip.safetensors"
    formats.save(path, clip, {"note": "random"})
    again = load_clip(path)
    assert again.config == clip.config
    assert torch.equal(again.encode_text(TEXTS), clip.encode_text(TEXTS))
    assert torch.equal(again.encode_image(pictures()), clip.encode_image(pictures()))


def test_impossible_settings_are_one_sentence() -> None:
    with pytest.raises(LGFAError, match="open_clip cannot build"):
        CLIP(ClipConfig(8, {"layers": 1, "no_such": 3}, {"width": 8, "heads": 1, "layers": 1}))


def test_open_clip_is_imported_late() -> None:
    code = ("import sys, lgfa.embed.clip, lgfa.formats.open_clip; "
            "assert 'open_clip' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
