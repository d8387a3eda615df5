"""Stills: inverted, sampled, mixed, saved and loaded."""
from __future__ import annotations

import json

import pytest
import torch


def test_invert_face_equals_the_animator(run, domain, face):
    import lgfa

    latent, again = run("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=face)
    animator = lgfa.Animator.from_pretrained("toon", device="cpu")
    assert latent.is_image and torch.allclose(latent.w, animator.invert(face), atol=1e-5)
    assert again.shape == face.shape and again.dtype == torch.float32
    assert 0 <= again.min() and again.max() <= 1 and (again - face).square().mean() < 0.01


def test_invert_batch_of_any_size_and_alpha(run, domain, face):
    many = torch.cat([face] * 9)
    many = torch.cat([many, torch.ones_like(many[..., :1])], dim=-1)
    many = torch.nn.functional.pad(many, (0, 0, 8, 8))
    kept = many.clone()
    latent, again = run("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=many)
    assert len(latent.w) == len(again) == 9 and torch.equal(many, kept)
    assert torch.allclose(latent.w, latent.w[:1].expand_as(latent.w), atol=1e-3)


def test_unlike_inversion_is_logged(run, domain, face, caplog):
    noise = torch.rand(1, 4, 4, 3, generator=torch.Generator().manual_seed(0)).round()
    blocks = noise.repeat_interleave(64, 1).repeat_interleave(64, 2)
    run("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=torch.cat([face, blocks]))
    assert [one.getMessage() for one in caplog.records
            if "unlike the image 2 of 2" in one.getMessage()]


def test_encoder_of_another_generator(run, domain, tiny_domain, face):
    with pytest.raises(ValueError, match="encoder makes .* do not belong together"):
        run("LGFA_InvertFace", encoder=tiny_domain[1], generator=domain[0], image=face)


def test_sampled_faces_follow_their_seeds(run, domain, progress):
    latent, image = run("LGFA_SampleFace", generator=domain[0], batch_size=3, seed=5)
    one, alone = run("LGFA_SampleFace", generator=domain[0], seed=6)
    assert latent.w.shape[0] == 3 and image.shape == (3, 256, 256, 3) and not latent.is_image
    assert torch.allclose(latent.w[1], one.w[0], atol=1e-5)
    assert torch.allclose(image[1], alone[0], atol=1e-4)
    assert (image[0] - image[2]).abs().mean() > 0.01
    assert progress[0][:2] == (3, 3)
    run("LGFA_SampleFace", generator=domain[0], batch_size=2, seed=2**64 - 1)


def test_truncation_of_other_generators(run, tiny_domain):
    generator = tiny_domain[0]
    centre, _ = run("LGFA_SampleFace", generator=generator, truncation=0.0, seed=1)
    average = generator.patcher.model.latent_avg
    assert torch.allclose(centre.w, average.expand_as(centre.w), atol=1e-6)
    away, image = run("LGFA_SampleFace", generator=generator, truncation=1.0, seed=1)
    assert not torch.allclose(away.w, centre.w) and image.shape == (1, 16, 16, 3)


def test_interrupt_stops_sampling(run, domain):
    import comfy.model_management as management

    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        run("LGFA_SampleFace", generator=domain[0], seed=1)
    run("LGFA_SampleFace", generator=domain[0], seed=1)


def test_mix(run, domain):
    a, _ = run("LGFA_SampleFace", generator=domain[0], seed=1)
    b, _ = run("LGFA_SampleFace", generator=domain[0], batch_size=2, seed=2)
    kept = a.w.clone()

    def mix(amount, layers="all layers"):
        return run("LGFA_MixLatents", latent_a=a, latent_b=b, amount=amount, layers=layers)[0].w

    assert torch.allclose(mix(0.0), a.w.expand_as(b.w)) and torch.allclose(mix(1.0), b.w)
    coarse = mix(1.0, "coarse (pose, shape)")
    assert torch.equal(coarse[:, :4], b.w[:, :4])
    assert torch.equal(coarse[:, 4:], a.w[:, 4:].expand_as(b.w[:, 4:]))
    fine = mix(1.0, "fine (colour, texture)")
    assert torch.equal(fine[:, 8:], b.w[:, 8:])
    assert torch.equal(fine[:, :8], a.w[:, :8].expand_as(b.w[:, :8]))
    assert torch.equal(a.w, kept)
    with pytest.raises(ValueError, match="there are no layers"):
        mix(1.0, "some")


def test_mix_of_strangers(run, domain, tiny_domain):
    a, _ = run("LGFA_SampleFace", generator=domain[0], seed=1)
    b, _ = run("LGFA_SampleFace", generator=tiny_domain[0], seed=1)
    with pytest.raises(ValueError, match="belong to different generators"):
        run("LGFA_MixLatents", latent_a=a, latent_b=b)


def test_stills_are_saved_and_loaded(run, pack, domain, comfy_home):
    from comfy_api.latest import io

    latent, _ = run("LGFA_SampleFace", generator=domain[0], batch_size=2, seed=1)
    run.hidden = {io.Hidden.prompt: {"1": {"class_type": "X"}},
                  io.Hidden.extra_pnginfo: {"workflow": {"nodes": []}}}
    assert run("LGFA_SaveLatents", latent=latent) == ()
    saved, = run.ui["latents"]
    assert (saved["subfolder"], saved["type"]) == ("latents", "output")
    file = comfy_home.output / "latents" / saved["filename"]
    head = file.read_bytes()
    header = json.loads(head[8:8 + int.from_bytes(head[:8], "little")])["__metadata__"]
    assert json.loads(header["prompt"]) == {"1": {"class_type": "X"}} and "workflow" in header

    choice = f"latents/{saved['filename']} [output]"
    assert choice in run.classes["LGFA_LoadLatents"].define_schema().inputs[0].options
    stills, path = run("LGFA_LoadLatents", file=choice)
    assert torch.equal(stills.w, latent.w) and not stills.is_image
    assert path.w.shape == (1, *latent.w.shape)
    assert stills.info["kind"] == "stills"


def test_trajectories_get_a_file_each(run, pack, comfy_home):
    w = torch.randn(2, 5, 12, 8)
    path = pack.nodes.sockets.Path(w, ("one", "two"))
    run("LGFA_SaveLatents", trajectory=path, filename_prefix="latents/paths/clip")
    first, second = run.ui["latents"]
    assert first["filename"] != second["filename"]
    choice = f"latents/paths/{second['filename']} [output]"
    for still, row in (("last frame", w[1, -1:]), ("first frame", w[1, :1]), ("all frames", w[1])):
        latent, back = run("LGFA_LoadLatents", file=choice, still=still)
        assert torch.equal(back.w, w[1:]) and torch.equal(latent.w, row)


def test_latents_in_the_input_folder(run, comfy_home):
    from lgfa.formats.latents import save_latents

    w = torch.randn(4, 12, 8)
    save_latents(comfy_home.input / "cli.safetensors", w, fps=10, texts=["hello"])
    assert "cli.safetensors" in run.classes["LGFA_LoadLatents"].define_schema().inputs[0].options
    latent, path = run("LGFA_LoadLatents", file="cli.safetensors")
    assert torch.equal(latent.w, w[-1:]) and path.texts == ("hello",)


def test_bundled_latents_come_first(run, domain):
    first = run.classes["LGFA_LoadLatents"].define_schema().inputs[0].options[0]
    assert first == "toon_face (bundled)"
    latent, path = run("LGFA_LoadLatents", file=first)
    assert torch.equal(latent.w, path.w[0])
    # it is a face of the bundled generator
    again, _ = run("LGFA_SampleFace", generator=domain[0], seed=latent.info["seed"])
    assert torch.allclose(latent.w, again.w, atol=1e-4)
    assert "there is no file" in run.validate("LGFA_LoadLatents", file="gone (bundled)")
    assert "is no .safetensors file in" in run.validate(
        "LGFA_LoadLatents", file="../../models/toon/clip (bundled)")


@pytest.mark.parametrize("choice, said", [
    ("", "no file of latents is chosen"),
    ("gone.safetensors", "there is no file 'gone.safetensors'"),
    ("../models/lgfa/tiny/generator.safetensors", "is no .safetensors file in"),
    ("/etc/passwd", "is no .safetensors file in"),
    ("../x.safetensors [output]", "is no .safetensors file in"),
])
def test_unusable_files_of_latents(run, choice, said):
    assert said in run.validate("LGFA_LoadLatents", file=choice)


def test_network_instead_of_latents(run, comfy_home, tiny_models):
    (comfy_home.input / "network.safetensors").write_bytes(
        (tiny_models / "generator.safetensors").read_bytes())
    with pytest.raises(ValueError, match="network.safetensors holds no latents"):
        run("LGFA_LoadLatents", file="network.safetensors")


def test_saving_refuses_nothing_and_other_folders(run, tiny_domain):
    latent, _ = run("LGFA_SampleFace", generator=tiny_domain[0], seed=1)
    with pytest.raises(ValueError, match="nothing to save: connect"):
        run("LGFA_SaveLatents")
    for prefix in ("../outside", "/tmp/outside", "a\\..\\..\\b", "latents/", "", " "):
        with pytest.raises(ValueError, match="is not usable: write a name inside"):
            run("LGFA_SaveLatents", latent=latent, filename_prefix=prefix)
