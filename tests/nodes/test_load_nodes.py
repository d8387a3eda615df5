"""Loaders: bundled networks, files, and what is said when there is none."""
from __future__ import annotations

import os
import time

import pytest
import torch


def test_domain_gives_everything(domain):
    generator, encoder, clip, motion = domain
    assert [one.kind for one in domain] == ["generator", "encoder", "clip", "motion"]
    assert {one.domain for one in domain} == {"toon"}
    assert motion.clip == clip.name and motion.patcher.model.encoder is None
    assert motion.patcher.model.clip_config is not None
    assert generator.config.num_layers == encoder.config.num_layers


def test_loader_of_each_kind(run, domain, tiny_models):
    kinds = {"LGFA_LoadGenerator": "generator", "LGFA_LoadFaceEncoder": "encoder",
             "LGFA_LoadCLIP": "clip", "LGFA_LoadMotionModel": "motion"}
    for node, kind in kinds.items():
        first = run(node)[0]
        assert (first.kind, first.name, first.domain) == (kind, "toon (bundled)", "toon")
        tiny = run(node, model=f"tiny/{kind}.safetensors")[0]
        assert (tiny.kind, tiny.name, tiny.domain) == (kind, f"tiny/{kind}.safetensors", None)


def test_bundled_motion_and_domain_share_a_clip(run, domain):
    motion, clip = run("LGFA_LoadMotionModel")
    assert motion.clip == clip.name == domain[3].clip


def test_weights_are_trainable_though_loaded_in_inference_mode(domain):
    for network in domain:
        weight = next(network.patcher.model.parameters())
        assert not weight.is_inference() and not weight.requires_grad
        assert not network.patcher.model.training


def test_motion_model_without_clip_blocks_it_with_a_sentence(run, comfy_home, tiny_models):
    from tiny import tiny_motion

    from lgfa import formats

    formats.save(tiny_models / "bare.safetensors", tiny_motion(clip=False))
    motion, clip = run("LGFA_LoadMotionModel", model="tiny/bare.safetensors")
    assert motion.clip is None
    with pytest.raises(RuntimeError, match="holds no CLIP: take the CLIP of its training"):
        run("LGFA_EncodeText", clip=clip)


@pytest.mark.parametrize("choice, said", [
    ("", "no image generator is chosen"),
    ("gone.safetensors", "there is no image generator 'gone.safetensors' in .*lgfa"),
    ("../../outside.safetensors", "there is no image generator"),
    ("model.pt", "is no .safetensors file: turn other files into one with"),
    ("dog (bundled)", "no image generator 'dog \\(bundled\\)' comes with"),
])
def test_unusable_choice_is_refused_before_running(run, choice, said):
    import re

    message = run.validate("LGFA_LoadGenerator", model=choice)
    assert re.search(said, message), message
    with pytest.raises(ValueError, match=said):
        run.classes["LGFA_LoadGenerator"].execute(choice)


def test_linked_choice_is_not_checked_too_early(run):
    assert run.validate("LGFA_LoadGenerator", model=None) is True
    assert run.validate("LGFA_LoadDomain", domain=None) is True


def test_stale_domain(run):
    with pytest.raises(ValueError, match="no bundled domain 'dogs'.*toon"):
        run("LGFA_LoadDomain", domain="dogs")


def test_wrong_kind_names_both(run, tiny_models):
    with pytest.raises(ValueError, match="with an image encoder, but an image generator is "):
        run("LGFA_LoadGenerator", model="tiny/encoder.safetensors")


def test_pickle_in_disguise_is_not_unpickled(run, tiny_models):
    torch.save({"latent_avg": torch.zeros(3)}, tiny_models / "disguised.safetensors")
    with pytest.raises(ValueError, match="disguised.safetensors is no safetensors file in spite"):
        run("LGFA_LoadGenerator", model="tiny/disguised.safetensors")


def test_dropdown_lists_files_of_both_folders(run, comfy_home, tiny_models):
    trained = comfy_home.output / "lgfa" / "mine.safetensors"
    trained.parent.mkdir(exist_ok=True)
    trained.write_bytes((tiny_models / "motion.safetensors").read_bytes())
    (trained.parent / "notes.txt").write_text("no network")
    options = run.classes["LGFA_LoadMotionModel"].define_schema().inputs[0].options
    assert options[0] == "toon (bundled)" and "mine.safetensors" in options
    assert os.path.join("tiny", "motion.safetensors") in options
    assert not any(one.endswith(".txt") for one in options)
    assert run("LGFA_LoadMotionModel", model="mine.safetensors")[0].kind == "motion"


def test_fingerprint_follows_the_file(run, tiny_models):
    loader = run.classes["LGFA_LoadGenerator"]
    path = tiny_models / "changing.safetensors"
    path.write_bytes((tiny_models / "generator.safetensors").read_bytes())
    before = loader.fingerprint_inputs("tiny/changing.safetensors")
    assert before == loader.fingerprint_inputs("tiny/changing.safetensors")
    os.utime(path, ns=(time.time_ns(), time.time_ns() + 10**9))
    assert before != loader.fingerprint_inputs("tiny/changing.safetensors")
    one_node = run.classes["LGFA_AnimateFace"]      # else a new training would not be looked at
    assert one_node.fingerprint_inputs(motion_model="tiny/changing.safetensors", frames=8) \
        == loader.fingerprint_inputs("tiny/changing.safetensors")
    path.unlink()
    assert loader.fingerprint_inputs("tiny/changing.safetensors") == "missing"


def test_folder_key_made_by_others_first(pack, comfy_home):
    import folder_paths

    before = folder_paths.folder_names_and_paths["lgfa"]
    try:
        folder_paths.folder_names_and_paths["lgfa"] = (["/elsewhere/lgfa"], set())
        pack.nodes.folders.register()
        pack.nodes.folders.register()
        paths, suffixes = folder_paths.folder_names_and_paths["lgfa"]
        assert paths == ["/elsewhere/lgfa", str(comfy_home.models / "lgfa"),
                         str(comfy_home.output / "lgfa")]
        assert suffixes == {".safetensors"}
    finally:
        folder_paths.folder_names_and_paths["lgfa"] = before
