"""Frames: the library's, in every layout, with previews, within memory, stopped when asked."""
from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from tiny import LAYERS, RESOLUTION, W_DIM

import lgfa


@pytest.fixture(scope="module")
def paths(pack, tiny_domain):
    """Two clips of 5 frames for the tiny generator."""
    w = torch.randn(2, 5, LAYERS, W_DIM, generator=torch.Generator().manual_seed(0))
    return pack.nodes.sockets.Path(w, ("one", "two"))


def only(paths, clip: int):
    return type(paths)(paths.w[clip:clip + 1], paths.texts[clip:clip + 1])


@pytest.fixture
def out_of_memory(tiny_domain, monkeypatch):
    """Chunks of more than `most` frames do not fit."""
    network = tiny_domain[0].patcher.model
    seen: list[int] = []

    def limit(most: int) -> list[int]:
        plain = type(network.synthesis).forward

        def forward(self, w, *rest):
            seen.append(len(w))
            if len(w) > most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return plain(self, w, *rest)

        monkeypatch.setattr(type(network.synthesis), "forward", forward)
        return seen

    return limit


def test_frames_are_the_librarys(run, domain):
    latent, image = run("LGFA_SampleFace", generator=domain[0], seed=7)
    words, _ = run("LGFA_EncodeText", clip=domain[2], text="smiling")
    path, = run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=latent, frames=3)
    images, video = run("LGFA_RenderAnimation", generator=domain[0], trajectory=path, chunk=2)
    animator = lgfa.Animator.from_pretrained("toon", device="cpu", parts=("generator", "motion"))
    clip = animator.animate(animator.sample(7), "The person is smiling", frames=3, chunk=2)
    assert torch.equal(path.w[0], clip.latents)
    assert images.shape == (3, 256, 256, 3) and images.dtype == torch.float32
    assert (images - clip.frames).abs().max() < 1e-5
    assert (images[:1] - image).abs().max() < 1e-4          # frame 1 is the still
    assert (images[2] - images[0]).abs().max() > 0.1        # .. and the last one is not


def test_layouts(run, pack, tiny_domain, paths):
    side = RESOLUTION
    one, two = (run("LGFA_RenderAnimation", generator=tiny_domain[0], chunk=3,
                    trajectory=only(paths, k))[0] for k in range(2))
    after, _ = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, chunk=3)
    beside, _ = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, chunk=3,
                    layout="side by side")
    assert after.shape == (10, side, side, 3) and beside.shape == (5, side, 2 * side, 3)
    assert torch.allclose(after, torch.cat([one, two]), atol=1e-5)
    assert torch.allclose(beside, torch.cat([one, two], dim=2), atol=1e-5)
    assert 0 <= after.min() and after.max() <= 1


def test_video_has_the_same_frames_and_the_rate(run, tiny_domain, paths, tmp_path):
    images, video = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths,
                        fps=12.5, layout="side by side")
    parts = video.get_components()
    assert parts.images is images and parts.frame_rate == Fraction(25, 2) and parts.audio is None
    assert run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths,
               fps=23.976)[1].get_components().frame_rate == Fraction(2997, 125)


def test_video_can_be_saved(run, comfy_home, tiny_domain, paths, tmp_path):
    if not comfy_home.real:
        pytest.skip("the stand-in writes no videos")
    import av

    video = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, fps=5)[1]
    video.save_to(str(tmp_path / "clip.mp4"))
    with av.open(str(tmp_path / "clip.mp4")) as file:
        stream = file.streams.video[0]
        assert sum(1 for _ in file.decode(stream)) == 10 and stream.average_rate == 5


def test_progress_shows_frames(run, tiny_domain, paths, progress):
    run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, chunk=4)
    assert [(done, total) for done, total, _ in progress] == [(4, 10), (8, 10), (10, 10)]
    for _, _, (form, picture, size) in progress:
        assert form == "JPEG" and picture.size == (RESOLUTION, RESOLUTION) and size == 512
        assert picture.getextrema() != ((0, 0),) * 3


def test_noise_precision_and_repetition(run, tiny_domain, paths):
    def images(**options):
        return run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, **options)[0]

    plain = images()
    assert torch.equal(images(), plain)
    assert torch.equal(images(noise="random"), images(noise="random"))
    assert (images(precision="half") - plain).abs().max() < 0.1
    for option, value in (("noise", "loud"), ("layout", "heap"), ("precision", "double")):
        with pytest.raises(ValueError, match=f"'{value}'"):
            images(**{option: value})


def test_chunks_are_halved_when_memory_runs_out(run, tiny_domain, paths, out_of_memory):
    plain, _ = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths)
    seen = out_of_memory(2)
    images, _ = run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, chunk=8)
    assert seen == [8, 4, 2, 2, 2, 2, 2] and torch.allclose(images, plain, atol=1e-5)
    out_of_memory(0)
    with pytest.raises(ValueError, match="not enough memory on cpu for one frame of 16 px"):
        run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths)


def test_absurd_sizes_are_refused_before_anything_is_allocated(
    run, pack, tiny_domain, domain, monkeypatch,
):
    w = torch.zeros(1, 1, 14, 512).expand(1, 25_000, -1, -1)
    path = pack.nodes.sockets.Path(w)
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_: 2 * 10**9)
    with pytest.raises(ValueError, match="25000 frames of 256 x 256 px need 19.7 GB of memory, "
                                         "and 2.0 GB are free: render fewer frames"):
        run("LGFA_RenderAnimation", generator=domain[0], trajectory=path)
    with pytest.raises(ValueError, match="1 frames of 6400000 x 256 px need 19.7 GB"):
        run("LGFA_RenderAnimation", generator=domain[0], layout="side by side",
            trajectory=pack.nodes.sockets.Path(w.transpose(0, 1)))


def test_a_failing_allocation_is_a_sentence(pack, monkeypatch):
    film = pack.lgfa.frames.arrange

    def refuse(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "zeros", refuse)
    with pytest.raises(ValueError, match="do not fit into the memory of cpu"):
        film.blank((2, 8, 8, 3), 10**9)


def test_cancel_ends_within_a_chunk(run, tiny_domain, paths, progress):
    import comfy.model_management as management
    import comfy.utils

    seen: list[int] = []

    def press(value, total, preview, node_id=None):
        seen.append(value)
        management.interrupt_current_processing()

    comfy.utils.set_progress_bar_global_hook(press)
    with pytest.raises(management.InterruptProcessingException):
        run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths, chunk=2)
    assert seen == [2]
    comfy.utils.set_progress_bar_global_hook(None)
    assert run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths)


def test_trajectories_of_another_generator_are_refused(run, domain, paths):
    with pytest.raises(ValueError, match="generator reads 14 layers of 512 numbers for 256 px"):
        run("LGFA_RenderAnimation", generator=domain[0], trajectory=paths)


def test_the_trajectory_stays_as_it_was(run, tiny_domain, paths):
    before = paths.w.clone()
    run("LGFA_RenderAnimation", generator=tiny_domain[0], trajectory=paths)
    assert torch.equal(paths.w, before)
