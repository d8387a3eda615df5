"""What every way to animate has in common, and what it is asked with (methods/method.py)."""
from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from tiny import LAYERS, W_DIM, tiny_encoder, tiny_generator, tiny_motion

from lgfa import formats, registry
from lgfa.animate import Animator
from lgfa.errors import LGFAError
from lgfa.methods.method import Edit, Embedded, Method, Prompt, as_method, as_prompts
from lgfa.methods.recurrent import Recurrent
from lgfa.methods.styleclip.mapper import LatentMapper, Mapped, MapperConfig

VIDEO = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(5, 3, 8, 8)


class Driven(Method):
    """Goes as far as the driver's mean brightness, at its speed; says what it was shown."""

    driven, sees_still = True, True

    def embed(self, still: torch.Tensor | None, prompt: Prompt) -> Embedded:
        return Embedded(still.mean((1, 2, 3))[None], prompt.video.mean((1, 2, 3))[None])

    def content(self, w_inv: torch.Tensor, embedded: Embedded) -> torch.Tensor:
        return w_inv + 1

    def __call__(self, w_s, embedded, frames, seed):
        share = torch.nn.functional.interpolate(embedded.z_t[None], frames, mode="linear",
                                                align_corners=True)[0]
        return w_s[:, None] + (share - share[:, :1])[..., None, None]


class Brighter(Edit):
    """Adds the length of the sentence."""

    def embed(self, still: torch.Tensor | None, prompt: Prompt) -> Embedded:
        assert still is None                # nobody draws a picture that nobody looks at
        return Embedded(None, torch.tensor([[float(len(prompt.text))]]))

    def edited(self, w_s: torch.Tensor, embedded: Embedded) -> torch.Tensor:
        return w_s + embedded.z_t


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator(tiny_generator(), tiny_encoder(), motion=tiny_motion())


def of(method: type[Method]) -> Animator:
    generator = tiny_generator()
    return Animator(generator, tiny_encoder(), motion=method(generator.config))


# ---------------------------------------------------------------- prompts
@pytest.mark.parametrize("text", ["", " \n", None, 3])
def test_a_prompt_says_something(text):
    with pytest.raises(LGFAError, match='the text is empty: write a sentence like "The person'):
        Prompt(text)


@pytest.mark.parametrize(("video", "fps", "said"), [
    (VIDEO[:1], 10, r"two at least, not \[1, 3, 8, 8\]"),
    (VIDEO[:, :1], 10, r"\[K, 3, H, W\]"),
    (VIDEO[0], 10, r"\[3, 8, 8\]"),
    ((VIDEO * 100).to(torch.uint8), 10, "a driving video is a tensor"),
    (VIDEO[..., :0], 10, "a driving video is a tensor"),
    ("driver.mp4", 10, "not str"),
    (VIDEO / 0, 10, "NaN or infinite"),
    (VIDEO, 0, "frames a second above 0"),
    (VIDEO, float("inf"), "frames a second above 0"),
    (VIDEO, float("nan"), "frames a second above 0"),
])
def test_a_driving_video_that_is_none(video, fps, said):
    with pytest.raises(LGFAError, match=said):
        Prompt(video=video, fps=fps)


def test_a_video_may_have_words_besides_and_they_are_checked():
    assert Prompt(video=VIDEO).text == "" and Prompt("smiling", VIDEO).text == "smiling"
    with pytest.raises(LGFAError, match="empty"):
        Prompt("  ", VIDEO)


def test_one_or_several():
    prompt = Prompt("crying")
    assert as_prompts(prompt) == (prompt,)
    smile, again = as_prompts(["smiling", prompt])
    assert smile.text == "smiling" and again is prompt and smile.video is None
    with pytest.raises(LGFAError, match="empty"):
        as_prompts([])


# ---------------------------------------------------------------- in an Animator
def test_sentences_are_prompts(animator):
    still, texts = animator.sample(3), ("smiling", "crying")
    clip = animator.animate(still, [Prompt(texts[0]), texts[1]], 7, seed=2)
    assert torch.equal(clip.latents, animator.trajectory(still, texts, 7, seed=2))
    assert clip.texts == texts and clip.frames.shape == (7, 16, 16, 3)


def test_a_driving_video_needs_nothing_else_of_the_animator():
    animator = of(Driven)
    still = animator.sample(3)
    clip = animator.animate(still, Prompt(video=VIDEO), 9, content=True)
    assert clip.texts == () and torch.equal(clip.latents[0], still[0] + 1)
    assert torch.allclose(clip.latents[-1] - clip.latents[0], torch.tensor(2.0))
    shorter = animator.trajectory(still, Prompt("smiling", VIDEO), 5, strength=0.5)
    assert torch.allclose(shorter - still, torch.linspace(0, 1, 5)[:, None, None], atol=1e-6)

    # A chain of two drivers: each begins where the one before ended.
    chain = animator.trajectory(still, [Prompt(video=VIDEO), Prompt(video=-VIDEO)], 9, add=True)
    assert torch.allclose(chain[4] - still[0], torch.tensor(2.0))
    assert torch.allclose(chain[8], still[0], atol=1e-6)


def test_prompts_that_a_method_cannot_read_are_refused_before_anything_runs(animator):
    with pytest.raises(LGFAError, match=r"driven by a video, and there is none: give Prompt\(vid"):
        of(Driven).trajectory("no such picture.png", "smiling")
    with pytest.raises(LGFAError, match="reads sentences and looks at no video"):
        animator.trajectory("no such picture.png", ["smiling", Prompt(video=VIDEO)])


# ---------------------------------------------------------------- defaults
def test_a_method_says_only_what_is_its_own():
    method, w = Brighter(tiny_generator().config), torch.randn(1, LAYERS, W_DIM)
    assert (method.num_layers, method.w_dim, method.resolution) == (LAYERS, W_DIM, 16)
    assert not (method.sees_still or method.carries_on or method.driven)
    read = method.embed(None, Prompt("four"))
    assert method.content(w, read) is w and method.begin(w, [Prompt("four")]) is None
    again = Brighter(method)                # the sizes of another method
    assert (again.num_layers, again.w_dim, again.resolution) == (LAYERS, W_DIM, 16)
    assert Method().num_layers is Method().resolution is None


def test_an_edit_is_a_straight_way():
    method, w = Brighter(), torch.randn(1, LAYERS, W_DIM)
    read = method.embed(None, Prompt("four"))
    assert torch.allclose(method(w, read, 5, 0) - w, torch.arange(5.0)[:, None, None], atol=1e-6)
    alone = method(w, read, 1, 0)
    assert torch.equal(alone[:, 0], w) and alone.data_ptr() != w.data_ptr()


def test_a_method_that_carries_on_is_not_let_go_of():
    class Onward(Brighter):
        carries_on = True

    still, texts = of(Brighter).sample(3), ["a", "bc"]
    fading, added = (of(Brighter).trajectory(still, texts, 9, add=add) for add in (False, True))
    assert torch.equal(of(Onward).trajectory(still, texts, 9), added)
    assert not torch.allclose(fading, added)


def test_a_clip_is_loaded_for_those_that_borrow_one_and_an_encoder_is_lent(tmp_path):
    generator, mapper = tiny_generator(), LatentMapper(MapperConfig("smiling", LAYERS, W_DIM))
    files = {"generator": generator, "motion": mapper, "encoder": tiny_encoder()}
    for kind, network in files.items():
        formats.save(tmp_path / f"{kind}.safetensors", network)
    paths = {kind: tmp_path / f"{kind}.safetensors" for kind in files}
    there = Animator.from_pretrained({**paths, "clip": tmp_path / "nowhere.safetensors"}, "cpu")
    assert isinstance(there.method, Mapped)
    formats.save(paths["motion"], tiny_motion(clip=False))
    with pytest.raises(LGFAError, match="nowhere"):
        Animator.from_pretrained({**paths, "clip": tmp_path / "nowhere.safetensors"}, "cpu")

    class Lent(Brighter):
        @classmethod
        def of(cls, network, clip=None, encoder=None):
            method = cls(network.config)
            method.lent = encoder
            return method

    encoder = tiny_encoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.METHODS, "mapper", "methods.lent:Lent")
        patch.setitem(sys.modules, "lgfa.methods.lent", SimpleNamespace(Lent=Lent))
        assert Animator(generator, encoder, motion=mapper).method.lent is encoder


def test_what_can_animate():
    method = Brighter()
    assert as_method(method) is method
    assert isinstance(as_method(tiny_motion()), Recurrent)
    with pytest.raises(LGFAError, match="image generator cannot animate"):
        as_method(tiny_generator())
    with pytest.raises(LGFAError, match="str cannot animate: give a motion model, or a sub-class"):
        as_method("motion.safetensors")
