"""Motion codes, trajectories, chains, timelines: the same numbers as the library's Animator."""
from __future__ import annotations

import pytest
import torch
from tiny import tiny_motion

import lgfa


@pytest.fixture(scope="module")
def animator(domain) -> lgfa.Animator:
    return lgfa.Animator.from_pretrained("toon", device="cpu", parts=("generator", "motion"))


@pytest.fixture(scope="module")
def still(session_run, domain):
    return session_run("LGFA_SampleFace", generator=domain[0], seed=7)[0]


def text(run, domain, lines: str):
    return run("LGFA_EncodeText", clip=domain[2], text=lines)[0]


def staged(run, domain, still, lines="smiling", frames=6, seed=0, **shape):
    codes, = run("LGFA_RecurrentMotion", motion=domain[3], text=text(run, domain, lines),
                 frames=frames, seed=seed)
    path, = run("LGFA_MotionMapper", motion=domain[3], motion_code=codes, latent=still)
    return run("LGFA_ShapeTrajectory", trajectory=path, **shape)[0] if shape else path


# ---------------------------------------------------------------- as the library
@pytest.mark.parametrize("frames, seed", [(1, 0), (6, 0), (9, 2**64 - 1)])
def test_stages_are_the_animator_bit_for_bit(run, domain, animator, still, frames, seed):
    path = staged(run, domain, still, frames=frames, seed=seed)
    own = animator.trajectory(animator.sample(7), "The person is smiling", frames, seed)
    assert path.w.shape == (1, frames, 14, 512) and path.w.dtype == torch.float32
    assert torch.equal(path.w[0], own) and torch.equal(path.w[0, 0], still.w[0])
    assert path.texts == ("The person is smiling",)


def test_shaped_stages_are_the_animator_bit_for_bit(run, domain, animator, still):
    path = staged(run, domain, still, strength=0.6, easing="ease-in-out")
    own = animator.trajectory(animator.sample(7), "The person is smiling", 6, strength=0.6,
                              easing="ease-in-out")
    assert torch.equal(path.w[0], own)


@pytest.mark.parametrize("options", [{}, {"hold": 2, "strength": 1.3, "easing": "overshoot"}])
def test_chain_is_the_animator_bit_for_bit(run, domain, animator, still, options):
    path, = run("LGFA_ChainExpressions", motion=domain[3], latent=still, frames=13, seed=5,
                text=text(run, domain, "smiling\ncrying"), **options)
    own = animator.trajectory(animator.sample(7), ["The person is smiling", "The person is crying"],
                              13, seed=5, **options)
    assert torch.equal(path.w[0], own)
    assert path.texts == ("The person is smiling, then The person is crying",)


def test_even_timeline_is_the_chain_bit_for_bit(run, domain, animator, still):
    path, = run("LGFA_Timeline", motion=domain[3], clip=domain[2], latent=still, seed=3,
                timeline="smiling | 7 | ease-out\n# then\ncrying | 6 | ease-out")
    own = animator.trajectory(animator.sample(7), ["The person is smiling", "The person is crying"],
                              13, seed=3, easing="ease-out")
    assert torch.equal(path.w[0], own)


def test_images_get_the_visual_mapper_too(run, tiny_models, tiny_domain):
    """With a model that looks at the still: z(1) = z_t + z_v, and H_v(z_v) for pictures only."""
    from lgfa import formats

    formats.save(tiny_models / "seeing.safetensors", tiny_motion(visual=True, visual_mapper=True))
    motion, clip = run("LGFA_LoadMotionModel", model="tiny/seeing.safetensors")
    generator, encoder = tiny_domain[:2]
    own = lgfa.Animator(formats.load(tiny_models / "generator.safetensors"),
                        formats.load(tiny_models / "encoder.safetensors"),
                        motion=formats.load(tiny_models / "seeing.safetensors"))
    image = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    inverted = run("LGFA_InvertFace", encoder=encoder, generator=generator, image=image)[0]
    look, = run("LGFA_EncodeImage", clip=clip, image=image)
    words, _ = run("LGFA_EncodeText", clip=clip, text="smiling")
    common = {"motion": motion, "latent": inverted, "image_code": look}
    chain, = run("LGFA_ChainExpressions", text=words, frames=4, **common)
    lines, = run("LGFA_Timeline", clip=clip, timeline="smiling | 4", **common)
    codes, = run("LGFA_RecurrentMotion", motion=motion, text=words, image_code=look, frames=4)
    stages, = run("LGFA_MotionMapper", motion_code=codes, **common)
    with pytest.warns(UserWarning, match="unlike"):
        wanted = own.trajectory(image[0].permute(2, 0, 1)[None] * 2 - 1, "The person is smiling", 4)
    for path in (chain, lines, stages):
        assert torch.allclose(path.w[0], wanted, atol=1e-6)
    assert not torch.allclose(path.w[0, 0], inverted.w[0])
    plain, = run("LGFA_MotionMapper", motion=motion, motion_code=codes, latent=inverted)
    assert torch.equal(plain.w[0, 0], inverted.w[0])


# ---------------------------------------------------------------- strength and frame 1
def test_strength_0_is_the_still_throughout(run, domain, still):
    words = text(run, domain, "smiling\ncrying")
    chain, = run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=still, frames=7,
                 strength=0.0, hold=1)
    lines, = run("LGFA_Timeline", motion=domain[3], clip=domain[2], latent=still,
                 timeline="smiling | 4 | strength 0\n(still) | 3")
    for path in (staged(run, domain, still, strength=0.0), chain, lines):
        assert torch.equal(path.w, still.w[:, None].expand_as(path.w))


def test_shape_keeps_exact_lengths_and_frame_1(run, domain, still):
    path = staged(run, domain, still)
    for way in ("none", "loop", "ping-pong"):
        for frames in (0, 1, 2, 9, 10):
            shaped, = run("LGFA_ShapeTrajectory", trajectory=path, frames=frames, way_back=way)
            assert shaped.w.shape[1] == (frames or 6)
            assert torch.equal(shaped.w[0, 0], still.w[0])
    back, = run("LGFA_ShapeTrajectory", trajectory=path, way_back="reverse")
    assert torch.equal(back.w, path.w.flip(1))
    same, = run("LGFA_ShapeTrajectory", trajectory=path)
    assert torch.equal(same.w, path.w)
    with pytest.raises(ValueError, match="a loop moves all the time"):
        run("LGFA_ShapeTrajectory", trajectory=path, way_back="loop", hold=2)
    with pytest.raises(ValueError, match="no way back 'home'"):
        run("LGFA_ShapeTrajectory", trajectory=path, way_back="home")


# ---------------------------------------------------------------- batches
def test_batches_of_stills_and_of_prompts(run, domain, still):
    stills, _ = run("LGFA_SampleFace", generator=domain[0], batch_size=2, seed=7)
    words = text(run, domain, "smiling\ncrying")
    one = text(run, domain, "crying")
    codes, = run("LGFA_RecurrentMotion", motion=domain[3], text=words, frames=4, seed=2)
    both, = run("LGFA_MotionMapper", motion=domain[3], motion_code=codes, latent=stills)
    fan, = run("LGFA_MotionMapper", motion=domain[3], motion_code=codes, latent=still)
    assert both.w.shape[:2] == fan.w.shape[:2] == (2, 4) and len(both.texts) == 2
    alone, = run("LGFA_RecurrentMotion", motion=domain[3], text=one, frames=4, seed=3)
    alone, = run("LGFA_MotionMapper", motion=domain[3], motion_code=alone, latent=still)
    assert torch.equal(fan.w[1], alone.w[0]) and fan.texts[1] == alone.texts[0]
    crowd, = run("LGFA_MotionMapper", motion=domain[3], latent=stills,
                 motion_code=run("LGFA_RecurrentMotion", motion=domain[3], text=one, frames=4)[0])
    assert crowd.texts == ("The person is crying",) * 2
    chain, = run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=stills, frames=5)
    assert chain.w.shape[:2] == (2, 5) and torch.equal(chain.w[:, 0], stills.w)
    three, _ = run("LGFA_SampleFace", generator=domain[0], batch_size=3)
    with pytest.raises(ValueError, match="3 clips need 3 motion codes or one for all, not 2"):
        run("LGFA_MotionMapper", motion=domain[3], motion_code=codes, latent=three)


def test_join_and_blend(run, domain, still):
    a, b = staged(run, domain, still, "smiling"), staged(run, domain, still, "crying", 4)
    before = a.w.clone()
    joined, = run("LGFA_JoinTrajectories", trajectory_a=a, trajectory_b=b, overlap=3)
    assert joined.w.shape[1] == 7 and torch.equal(joined.w[:, :3], a.w[:, :3])
    assert joined.texts == ("The person is smiling, then The person is crying",)
    plain, = run("LGFA_JoinTrajectories", trajectory_a=a, trajectory_b=b, overlap=0)
    assert plain.w.shape[1] == 10
    with pytest.raises(ValueError, match="at most 4"):
        run("LGFA_JoinTrajectories", trajectory_a=a, trajectory_b=b, overlap=5)
    for amount, wanted in ((0.0, a), (0.5, None)):
        mixed, = run("LGFA_BlendTrajectories", trajectory_a=a, trajectory_b=b, amount=amount)
        assert mixed.w.shape[1] == 6 and torch.equal(mixed.w[:, 0], still.w)
        assert wanted is None or torch.equal(mixed.w, wanted.w)
    assert mixed.texts == ("The person is smiling + The person is crying",)
    pair = staged(run, domain, still, "smiling\ncrying", 4)
    both, = run("LGFA_BlendTrajectories", trajectory_a=pair, trajectory_b=b, amount=1.0)
    assert torch.equal(both.w[0], b.w[0]) and len(both.texts) == 2
    assert torch.equal(a.w, before)


# ---------------------------------------------------------------- what is refused
def test_another_clip_is_refused_naming_both(run, domain, still):
    other, = run("LGFA_LoadCLIP")
    words = run("LGFA_EncodeText", clip=other, text="smiling")[0]
    said = ("by 'toon \\(bundled\\)', but the motion model 'toon \\(bundled\\)' understands "
            "'CLIP of toon \\(bundled\\)' only")
    with pytest.raises(ValueError, match=said):
        run("LGFA_RecurrentMotion", motion=domain[3], text=words)
    with pytest.raises(ValueError, match=said):
        run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=still)
    look, = run("LGFA_EncodeImage", clip=other, image=torch.rand(1, 64, 64, 3))
    with pytest.raises(ValueError, match="the image was seen " + said):
        run("LGFA_RecurrentMotion", motion=domain[3], text=text(run, domain, "sad"),
            image_code=look)
    with pytest.raises(ValueError, match="the CLIP is 'toon \\(bundled\\)', but"):
        run("LGFA_Timeline", motion=domain[3], clip=other, latent=still)


def test_a_motion_model_without_clip_takes_any_that_fits(run, domain, tiny_models, tiny_domain):
    from lgfa import formats

    formats.save(tiny_models / "lent.safetensors", tiny_motion(clip=False))
    motion = run("LGFA_LoadMotionModel", model="tiny/lent.safetensors")[0]
    own, = run("LGFA_LoadCLIP", model="tiny/clip.safetensors")
    words, _ = run("LGFA_EncodeText", clip=own, text="smiling")
    codes, = run("LGFA_RecurrentMotion", motion=motion, text=words, frames=3)
    assert codes.z.shape == (1, 3, 20)
    with pytest.raises(ValueError, match="its CLIP is another one"):
        run("LGFA_RecurrentMotion", motion=motion, text=text(run, domain, "smiling"))
    look, = run("LGFA_EncodeImage", clip=tiny_domain[2], image=torch.rand(1, 32, 32, 3))
    with pytest.raises(ValueError, match="connect one CLIP to both"):
        run("LGFA_RecurrentMotion", motion=motion, text=words, image_code=look)


def test_networks_that_do_not_belong_together(run, domain, tiny_domain, still):
    codes, = run("LGFA_RecurrentMotion", motion=domain[3], text=text(run, domain, "smiling"))
    with pytest.raises(ValueError, match="256 numbers a frame, but the motion model maps 20"):
        tiny_still, _ = run("LGFA_SampleFace", generator=tiny_domain[0])
        run("LGFA_MotionMapper", motion=tiny_domain[3], motion_code=codes, latent=tiny_still)
    with pytest.raises(ValueError, match="they do not belong together"):
        run("LGFA_MotionMapper", motion=domain[3], motion_code=codes, latent=tiny_still)


def test_a_still_of_a_smaller_generator(run, domain, comfy_home):
    """What was stored for toon faces of 128 px is refused by those of 256 px, in one sentence."""
    from lgfa.formats.latents import save_latents

    save_latents(comfy_home.input / "smaller.safetensors", torch.zeros(1, 12, 512), kind="stills")
    stored, path = run("LGFA_LoadLatents", file="smaller.safetensors")
    reads = "reads 14 layers of 512 numbers for 256 px: they do not belong together; load what"
    with pytest.raises(ValueError, match=f"the motion model {reads}"):
        run("LGFA_ChainExpressions", motion=domain[3], latent=stored,
            text=text(run, domain, "smiling"))
    with pytest.raises(ValueError, match=rf"shape .1, 12, 512., but the generator {reads}"):
        run("LGFA_RenderAnimation", generator=domain[0], trajectory=path)


def test_settings_that_no_clip_can_have(run, domain, still):
    words = text(run, domain, "smiling\ncrying")
    with pytest.raises(ValueError, match="4 frames are too few to hold 2 expressions"):
        run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=still, frames=4, hold=3)
    with pytest.raises(ValueError, match="no easing 'bouncy'"):
        run("LGFA_ChainExpressions", motion=domain[3], text=words, latent=still, easing="bouncy")
    with pytest.raises(ValueError, match="frames: 100001 is not within"):
        run("LGFA_RecurrentMotion", motion=domain[3], text=words, frames=100_001)


def test_trajectories_beyond_the_memory_are_refused(run, domain, still, monkeypatch):
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *_: 10**9)
    words = text(run, domain, "smiling")
    said = "trajectories of 1 x 100000 frames need 11.5 GB of memory, and 1.0 GB are free: ask for"
    with pytest.raises(ValueError, match=said):
        run("LGFA_RecurrentMotion", motion=domain[3], text=words, frames=100_000)
    with pytest.raises(ValueError, match=said):
        run("LGFA_ShapeTrajectory", trajectory=staged(run, domain, still), frames=100_000)


def test_a_timeline_is_checked_before_running(run, domain):
    check = run.validate
    assert check("LGFA_Timeline", timeline="smiling | 8\n# x") is True
    assert check("LGFA_Timeline", timeline=None) is True
    said = check("LGFA_Timeline", timeline="smiling | soon\n\ncrying | hold x | fast")
    assert "line 1: \"soon\" is neither" in said and "line 3: hold must be" in said
    assert said.count("overshoot") == 1
    assert "is not within" in check("LGFA_Timeline", timeline="smiling", seed=-1)


def test_cancel_between_expressions(run, domain, still):
    import comfy.model_management as management

    words = text(run, domain, "smiling\ncrying")
    for node, inputs in (("LGFA_RecurrentMotion", {}),
                         ("LGFA_ChainExpressions", {"latent": still})):
        management.interrupt_current_processing()
        with pytest.raises(management.InterruptProcessingException):
            run(node, motion=domain[3], text=words, **inputs)
    assert run("LGFA_RecurrentMotion", motion=domain[3], text=words)
