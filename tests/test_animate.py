"""From a still and sentences to frames, with small random networks (lgfa/animate.py)."""
from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import EMBED, LAYERS, RESOLUTION, W_DIM, tiny_encoder, tiny_generator, tiny_motion

import lgfa
from lgfa.animate import Animator
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.formats.latents import load_latents, save_latents
from lgfa.methods.method import Embedded, Method, Prompt, as_method
from lgfa.trajectory.timing import retime

SMILE = "The person is smiling"


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator(tiny_generator(), tiny_encoder(), motion=tiny_motion())


@pytest.fixture(scope="module")
def still(animator: Animator) -> torch.Tensor:
    return animator.sample(3)


def sentence(call, *args, **options) -> str:
    with pytest.raises(LGFAError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 400
    return text


def test_a_clip_has_the_promised_shapes_and_starts_at_the_still(
    animator: Animator, still: torch.Tensor,
) -> None:
    clip = animator.animate(still, SMILE, frames=5)
    assert clip.frames.shape == (5, RESOLUTION, RESOLUTION, 3) and len(clip) == 5
    assert clip.latents.shape == (5, LAYERS, W_DIM)
    assert 0 <= clip.frames.min() and clip.frames.max() <= 1
    assert torch.equal(clip.latents[0], still[0])
    assert not torch.allclose(clip.latents[0], clip.latents[-1])
    image = animator.generator.synthesis(still).add(1).div(2).clamp(0, 1)[0].permute(1, 2, 0)
    assert (clip.frames[0] - image).abs().max() < 1e-5
    assert clip.texts == (SMILE,) and clip.fps == 10 and clip.seed == 0


def test_every_kind_of_still(animator: Animator, still: torch.Tensor, tmp_path: Path) -> None:
    y, x = np.mgrid[0:40, 0:40]
    picture = np.stack([x * 6, y * 6, x + y], 2).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clips = [animator.animate(given, SMILE, frames=2) for given in
                 (tmp_path / "face.png", str(tmp_path / "face.png"), picture, tensor,
                  Image.fromarray(picture))]
        w_inv = animator.invert(picture)
    assert all((c.latents - clips[0].latents).abs().max() < 1e-4 for c in clips)
    read = animator.method.embed(animator._still(picture), Prompt(SMILE))
    assert torch.allclose(clips[0].latents[:1], animator.method.content(w_inv, read), atol=1e-5)

    save_latents(tmp_path / "clip.safetensors", torch.cat([still * 0, still]))
    given = (still, still[0], still.numpy(), still.half(), tmp_path / "clip.safetensors")
    for latent in given:
        first = animator.trajectory(latent, SMILE, frames=2)[0]
        assert (first - still[0]).abs().max() < 1e-2
    assert torch.equal(animator.trajectory(still[0, 0], SMILE, 2)[0],
                       still[0, :1].expand(LAYERS, -1))


def test_an_unlike_inversion_is_pointed_out(animator: Animator) -> None:
    with pytest.warns(UserWarning, match="unlike"):
        animator.invert(torch.ones(1, 3, 32, 32) * -1)


@pytest.mark.parametrize("options", [
    {}, {"easing": "ease-in-out"}, {"loop": True}, {"ping_pong": True}, {"hold": 1},
    {"ping_pong": True, "hold": 1}, {"ping_pong": True, "hold": 2}])
def test_the_number_of_frames_is_exact(
    animator: Animator, still: torch.Tensor, options: dict,
) -> None:
    for frames in (1, 2, 3, 10, 11):
        for texts in (1, 3):
            texts = [SMILE, "crying", "angry"][:texts]
            try:
                path = animator.trajectory(still, texts, frames, **options)
            except LGFAError as error:
                assert (options.get("hold") or len(texts) > 1) and "at least" in str(error)
                continue
            assert path.shape == (frames, LAYERS, W_DIM) and torch.isfinite(path).all()
            assert (path[0] - still[0]).abs().max() < 1e-5
            assert retime(path, frames + 9, **options).shape == (frames + 9, LAYERS, W_DIM)


def test_the_least_number_of_frames_for_a_hold_is_told(
    animator: Animator, still: torch.Tensor,
) -> None:
    for ping_pong in (False, True):
        for texts in (1, 2, 3):
            for hold in (1, 2):
                call = {"hold": hold, "ping_pong": ping_pong}
                said = sentence(animator.trajectory, still, [SMILE] * texts, 2, **call)
                least = int(said.rstrip(".").split()[-1])
                path = animator.trajectory(still, [SMILE] * texts, least, **call)
                assert len(path) == least
                rests = (path.diff(dim=0).flatten(1).norm(dim=1) < 1e-6).sum()
                assert rests == hold * (2 * texts - 1 if ping_pong else texts)
                assert str(least) in sentence(
                    animator.trajectory, still, [SMILE] * texts, least - 1, **call)


def test_ping_pong_holds_and_returns(animator: Animator, still: torch.Tensor) -> None:
    path = animator.trajectory(still, SMILE, 12, ping_pong=True, hold=2)
    assert torch.equal(path[1], path[-1])               # the frame after the last is the first
    steps = path.diff(dim=0).flatten(1).norm(dim=1)
    assert (steps == 0).sum() == 2 and steps[5] == 0 and steps[6] == 0
    held = animator.trajectory(still, [SMILE, "crying"], 21, hold=3)
    held = held.diff(dim=0).flatten(1).norm(dim=1)
    assert (held < 1e-6).sum() == 6 and (held[-3:] < 1e-6).all()


def test_a_chain_goes_on_from_the_last_latent(animator: Animator, still: torch.Tensor) -> None:
    both = animator.trajectory(still, [SMILE, "crying"], 9, seed=5, add=True)
    first = animator.trajectory(still, SMILE, 5, seed=5)
    second = animator.trajectory(first[-1], "crying", 5, seed=6)
    assert torch.allclose(both[:5], first, atol=1e-6)
    read = animator.method.embed(animator._start(still)[1], Prompt("crying"))
    own = animator.method(first[-1:], read, 5, 6)[0]            # E_v still sees the first still
    assert torch.allclose(both[4:], own, atol=1e-5) and second.shape == own.shape


def test_strength_and_seed(animator: Animator, still: torch.Tensor) -> None:
    once = animator.trajectory(still, SMILE, 4)
    assert torch.equal(animator.trajectory(still, SMILE, 4), once)
    assert not torch.equal(animator.trajectory(still, SMILE, 4, seed=1), once)
    none = animator.trajectory(still, SMILE, 4, strength=0)
    assert torch.equal(none, still.expand(4, -1, -1))
    twice = animator.trajectory(still, SMILE, 4, strength=2)
    assert torch.allclose(twice - still, 2 * (once - still), atol=1e-5)
    assert torch.equal(animator.sample(3), still) and not torch.equal(animator.sample(4), still)


def test_ten_thousand_frames_are_rendered_one_by_one(
    animator: Animator, still: torch.Tensor,
) -> None:
    path = animator.trajectory(still, SMILE, 10_000)
    assert path.shape[0] == 10_000
    parts = animator.render(path, chunk=64)
    assert next(parts).shape == (64, RESOLUTION, RESOLUTION, 3)


def test_progress_and_stop(animator: Animator, still: torch.Tensor) -> None:
    seen: list[tuple[int, int]] = []
    animator.animate(still, SMILE, frames=5, chunk=2, progress=lambda *now: seen.append(now))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    clip = animator.animate(still, SMILE, frames=5, chunk=2, should_stop=lambda: len(seen) > 3,
                            progress=lambda *now: seen.append(now))
    assert len(clip.frames) == len(clip.latents) == 2


def test_bad_requests_are_one_sentence(animator: Animator, still: torch.Tensor) -> None:
    def say(*args: object, **options: object) -> str:
        return sentence(animator.trajectory, *args, **options)

    for text in ("", "   ", [], [SMILE, ""], [None]):
        assert "text is empty" in say(still, text)
    for frames in (0, -3, 2.5, "8", True, float("nan"), 10**9):
        assert "frame" in say(still, SMILE, frames)
    for strength in (float("nan"), float("inf")):
        assert "strength" in say(still, SMILE, strength=strength)
    assert "seed" in say(still, SMILE, seed=1.5) and "seed" in say(still, SMILE, seed=2**70)
    assert "easing" in say(still, SMILE, easing="bouncy")
    assert "either" in say(still, SMILE, loop=True, ping_pong=True)
    assert "at least 6" in say(still, SMILE, frames=5, hold=4)
    assert "hold" in say(still, SMILE, hold=-1)
    assert "ping-pong" in say(still, SMILE, hold=2, loop=True)
    assert "seed" in sentence(animator.sample, "seven")


def test_latents_of_another_generator_are_refused(
    animator: Animator, still: torch.Tensor, tmp_path: Path,
) -> None:
    for wrong in (torch.zeros(LAYERS + 2, W_DIM), torch.zeros(1, LAYERS - 2, W_DIM),
                  torch.zeros(18, 512), torch.zeros(1, 16, 512), torch.zeros(12, 512)):
        said = sentence(animator.trajectory, wrong, SMILE)
        assert str(wrong.shape[-2]) in said and str(LAYERS) in said
    assert "one latent" in sentence(animator.trajectory, still.expand(3, -1, -1), SMILE)
    assert "NaN" in sentence(animator.trajectory, still * float("nan"), SMILE)
    assert "reads 6 layers of 24 numbers for 16 px" in sentence(
        lambda: next(animator.render(torch.zeros(2, 18, 512))))
    save_latents(tmp_path / "far.safetensors", torch.zeros(3, 18, 512))
    assert "18" in sentence(animator.trajectory, tmp_path / "far.safetensors", SMILE)


def test_networks_that_do_not_belong_together_are_refused_naming_both_sides() -> None:
    generator = tiny_generator()
    said = sentence(Animator, generator, motion=tiny_motion(LAYERS + 2))
    assert "8 layers" in said and "6 layers" in said and "motion model" in said
    said = sentence(Animator, generator, motion=tiny_motion(resolution=1024))
    assert "1024 px" in said and "16 px" in said
    said = sentence(Animator, generator, tiny_encoder(8, 32))
    assert "encoder" in said and "32 px" in said
    said = sentence(Animator, tiny_generator(w_dim=30), motion=tiny_motion())
    assert "24 numbers" in said and "30 numbers" in said
    assert str(EMBED) in sentence(Animator, generator, motion=tiny_motion(clip=False))
    assert "cannot animate" in sentence(as_method, tiny_generator())


def test_missing_parts_are_named(still: torch.Tensor) -> None:
    bare = Animator(tiny_generator())
    assert "motion model" in sentence(bare.trajectory, still, SMILE)
    assert "encoder" in sentence(bare.invert, torch.zeros(1, 3, 32, 32))
    assert len(list(bare.render(still))) == 1


def test_any_method_can_take_the_models_place(still: torch.Tensor) -> None:
    class Straight(Method):
        """A straight line away from the still."""

        w_dim = W_DIM

        def embed(self, still, prompt):
            assert still is None
            return Embedded(None, torch.full((1, 4), float(len(prompt.text))))

        def __call__(self, w_s, embedded, frames, seed):
            return w_s[:, None] + torch.linspace(0, 1, frames).reshape(1, -1, 1, 1)

    clip = Animator(tiny_generator(), motion=Straight()).animate(still, SMILE, frames=3)
    assert torch.allclose(clip.latents[-1], still[0] + 1)


def test_from_files(tiny_files: dict[str, str], still: torch.Tensor) -> None:
    loaded = Animator.from_pretrained(tiny_files, device="cpu")
    assert loaded.animate(still, SMILE, frames=2).frames.shape[0] == 2
    named = Animator.from_pretrained(None, "cpu", generator=tiny_files["generator"],
                                     motion=tiny_files["motion"])
    assert torch.equal(named.trajectory(still, SMILE, 2), loaded.trajectory(still, SMILE, 2))
    assert "no domain" in sentence(Animator.from_pretrained, "puppets")
    assert "no generator" in sentence(Animator.from_pretrained, {"motion": tiny_files["motion"]})
    assert "critic" in sentence(Animator.from_pretrained, {"critic": "a.pt"})
    swapped = {**tiny_files, "generator": tiny_files["motion"]}
    said = sentence(Animator.from_pretrained, swapped, device="cpu")
    assert "motion model" in said and "generator" in said
    absent = [] if torch.cuda.is_available() else ["cuda"]
    for device in ("quantum", "cuda:x", *absent):
        assert "device" in sentence(Animator.from_pretrained, tiny_files, device=device)


def test_a_motion_model_without_its_own_clip_borrows_one(
    tiny_files: dict[str, str], tmp_path: Path, still: torch.Tensor,
) -> None:
    lgfa.formats.save(tmp_path / "m.safetensors", tiny_motion(clip=False))
    files = {**tiny_files, "motion": tmp_path / "m.safetensors"}
    animator = Animator.from_pretrained(files, device="cpu")
    assert isinstance(animator.method.clip, CLIP)
    assert animator.animate(still, SMILE, frames=2).frames.shape[0] == 2


def test_clip_saves_itself(animator: Animator, still: torch.Tensor, tmp_path: Path) -> None:
    clip = animator.animate(still, SMILE, frames=3, fps=8)
    assert clip.save(tmp_path / "a.webp").stat().st_size > 100
    latents, info = load_latents(clip.save_latents(tmp_path / "a.safetensors"))
    assert torch.equal(latents, clip.latents)
    assert info == {"fps": 8.0, "texts": [SMILE], "seed": 0}
    assert "safetensors" in sentence(clip.save_latents, tmp_path / "a.npz")


def test_broken_latents_are_one_sentence(tmp_path: Path, tiny_files: dict[str, str]) -> None:
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("a text, renamed")
    (tmp_path / "claim.safetensors").write_bytes((10**10).to_bytes(8, "little") + b'{"a": 1}')
    for name in ("empty", "text", "claim", "missing"):
        assert sentence(load_latents, tmp_path / f"{name}.safetensors")
    assert "no latents" in sentence(load_latents, tiny_files["generator"])
    assert "NaN" in sentence(save_latents, tmp_path / "n.safetensors",
                             torch.full((1, 2, 3), float("nan")))
    assert not (tmp_path / "n.safetensors").exists()
