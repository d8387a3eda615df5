"""Training in the graph: it learns, shows itself, stops, goes on, and leaves its inputs alone."""
from __future__ import annotations

import re

import pytest
import torch

WORDS = "smiling | happy\nangry\ncrying"
BARE = {"lpips": 0.0, "identity": 0.0, "perceptual": "none", "identity_network": "none"}


@pytest.fixture
def learn(run, tiny_domain):
    """Trains the tiny networks: learn(name, iterations, ..) -> outputs."""
    generator, _, clip, _ = tiny_domain
    losses, = run("LGFA_LossWeights", **BARE)
    samples, = run("LGFA_TrainingSource", generator=generator)

    def train(name, iterations=3, source=samples, **more):
        return run("LGFA_TrainMotionModel", **{
            "generator": generator, "clip": clip, "source": source, "losses": losses,
            "words": WORDS, "name": name, "iterations": iterations, "sample_every": 2, **more})
    return train


@pytest.fixture
def picture_folder(comfy_home):
    """Three pictures in a folder of ComfyUI's input folder."""
    from PIL import Image

    folder = comfy_home.input / "faces"
    folder.mkdir(exist_ok=True)
    for index in range(3):
        Image.new("RGB", (40, 32), (60 * index, 90, 120)).save(folder / f"{index}.png")
    return folder


def _weights(network):
    return {name: value.clone() for name, value in network.patcher.model.state_dict().items()}


def _steps(home, name):
    return [path.name for path in
            sorted((home.output / "lgfa_training" / name / "checkpoints").glob("step-*.pt"))]


# ---------------------------------------------------------------- learning
def test_it_trains_and_the_loaders_list_the_result(run, learn, tiny_domain, comfy_home, progress):
    before = [_weights(network) for network in tiny_domain]
    motion, clip, report = learn("first")
    assert (motion.kind, motion.name, motion.clip) == ("motion", "first.safetensors", clip.name)
    assert (comfy_home.output / "lgfa" / "first.safetensors").is_file()
    options = run.classes["LGFA_LoadMotionModel"].define_schema().inputs[0].options
    assert "first.safetensors" in options
    assert report.shape[0] == 1 and report.shape[3] == 3 and report.shape[1] > 300
    assert run.ui["images"] and [seen[0] for seen in progress] == [1, 2, 3]
    assert progress[1][2][0] == "JPEG" and progress[1][2][1].width == 512

    # Sockets are shared: nothing of theirs has changed.
    for network, old in zip(tiny_domain, before, strict=True):
        model = network.patcher.model
        assert not model.training and not any(p.requires_grad for p in model.parameters())
        assert all(torch.equal(value, old[name]) for name, value in model.state_dict().items())

    text, said = run("LGFA_EncodeText", clip=clip, text="smiling")
    assert said.split(":")[0] in ("known", "unsure", "unknown")     # it keeps its words
    codes, = run("LGFA_RecurrentMotion", motion=motion, text=text, frames=4)
    assert codes.z.shape[:2] == (1, 4)


def test_gain_makes_motions_larger(run, learn):
    def last(name, **more):
        motion, clip, _ = learn(name, **more)
        return motion.patcher.model.t_mapper.layers[-1].weight

    assert torch.allclose(last("gained", gain=2.0), 2 * last("plain"))


def test_going_on_from_a_motion_model(learn, tiny_domain, comfy_home):
    motion = tiny_domain[3]
    started = _weights(motion)
    trained, _, _ = learn("further", motion=motion)
    moved = {name.split(".")[0] for name, value in _weights(trained).items()
             if name in started and not torch.equal(value, started[name])}
    assert moved == {"rnn", "t_mapper", "v_mapper"}
    assert motion.patcher.model.encoder is None


def test_a_motion_model_wants_its_own_clip(run, learn, tiny_domain, tiny_models):
    other, = run("LGFA_LoadCLIP", model="tiny/clip.safetensors")
    with pytest.raises(ValueError, match="understands only its own CLIP, but clip is tiny.clip"):
        learn("strangers", motion=tiny_domain[3], clip=other)


def test_toon_domain_brings_its_own_settings(run, domain, comfy_home):
    generator, _, clip, _ = domain
    source, = run("LGFA_TrainingSource", generator=generator)
    motion, _, _ = run("LGFA_TrainMotionModel", generator=generator, clip=clip, source=source,
                       name="toon", iterations=1, batch=2, sample_every=0)
    state = torch.load(next((comfy_home.output / "lgfa_training/toon/checkpoints").iterdir()),
                       weights_only=True)
    settings = state["settings"]["train"]
    assert settings["latent_units"] == "white" and settings["identity"] == 1.0
    assert {"total", "w_reg", "path_reg", "cont", "lpips", "identity"} == set(state["values"])
    assert motion.config.shared_layers and not motion.config.visual


# ---------------------------------------------------------------- stopping and going on
def test_cancel_keeps_the_step_and_the_same_name_goes_on(learn, comfy_home, progress, caplog):
    import comfy.model_management as management
    import comfy.utils

    def press(value, total, preview, node_id=None):
        if value == 2:
            management.interrupt_current_processing()

    before = comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(press)
    with pytest.raises(management.InterruptProcessingException):
        learn("stopped", 50)
    assert _steps(comfy_home, "stopped") == ["step-00000002.pt"]        # within one iteration
    assert re.search("cancelled at step 2.*resume on to go on from .*step-00000002", caplog.text)
    assert not (comfy_home.output / "lgfa" / "stopped.safetensors").exists()

    comfy.utils.set_progress_bar_global_hook(before)
    learn("stopped", 4, seed=99)            # ComfyUI draws a seed for every run
    assert [seen[0] for seen in progress] == [3, 4]
    learn("stopped", 5)                     # finished, and more of it
    assert _steps(comfy_home, "stopped")[-1] == "step-00000005.pt"
    assert (comfy_home.output / "lgfa" / "stopped.safetensors").is_file()


def test_going_on_is_the_same_training(learn):
    learn("parts", 2)
    parts, _, _ = learn("parts", 4)
    whole, _, _ = learn("whole", 4, rate_end=1.0)
    again, _, _ = learn("parts", 4)         # nothing left to do
    assert all(torch.equal(value, _weights(again)[name])
               for name, value in _weights(parts).items())
    assert parts.config == whole.config


def test_a_name_that_is_taken(learn):
    learn("taken", 1)
    with pytest.raises(ValueError, match="a training 'taken' already, at step 1: switch resume on"):
        learn("taken", 2, resume=False)
    with pytest.raises(ValueError, match="cannot go on, since it differs in .*prompts"):
        learn("taken", 2, words="sad\nsleepy\nsmiling")


def test_a_training_that_is_at_work_elsewhere(learn, comfy_home):
    from lgfa.training import claim

    learn("busy", 1)
    with claim.alone(comfy_home.output / "lgfa_training" / "busy"):
        with pytest.raises(ValueError, match="another training is at work in .*busy"):
            learn("busy", 2)
    learn("busy", 2)
    assert _steps(comfy_home, "busy")[-1] == "step-00000002.pt"


def test_a_checkpoint_of_no_use_is_left_out(learn, comfy_home, caplog):
    learn("spoilt", 4, save_every=2)
    newest = comfy_home.output / "lgfa_training" / "spoilt" / "checkpoints" / "step-00000004.pt"
    state = torch.load(newest, weights_only=True)
    state["settings"] = 5
    torch.save(state, newest)
    with caplog.at_level("INFO"):
        learn("spoilt", 5)
    assert "step-00000004.pt is left out: its settings are no settings" in caplog.text
    assert "goes on from step 2" in caplog.text


def test_going_on_needs_the_same_beginning(learn, tiny_domain):
    learn("begun", 1)
    with pytest.raises(ValueError, match="differs in choices.offsets .was all, is raw"):
        learn("begun", 2, offsets="raw")
    with pytest.raises(ValueError, match="differs in choices.offsets"):
        learn("begun", 2, motion=tiny_domain[3])


def test_a_file_where_the_training_belongs(learn, comfy_home):
    place = comfy_home.output / "lgfa_training" / "blocked"
    place.parent.mkdir(exist_ok=True)
    place.touch()
    with pytest.raises(ValueError, match="blocked is a file, where a folder is needed"):
        learn("blocked", 1)


# ---------------------------------------------------------------- sources
def test_batch_of_images(run, learn, tiny_domain):
    generator, encoder, _, _ = tiny_domain
    source, = run("LGFA_TrainingSource", kind="images", generator=generator, encoder=encoder,
                  images=torch.rand(2, 40, 30, 4))
    assert source.source.codes.shape == (2, 6, 24) and source.source.images.shape == (2, 3, 16, 16)
    assert learn("batch", source=source)[0].config.visual


def test_folder_is_encoded_once(run, learn, tiny_domain, picture_folder, comfy_home, progress):
    generator, encoder, _, _ = tiny_domain
    inputs = {"generator": generator, "encoder": encoder, "kind": "folder", "folder": "faces"}
    source, = run("LGFA_TrainingSource", **inputs)
    cache = comfy_home.output / "lgfa_training" / "cache"
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    assert len(source.source) == len(files) == 3 and progress[-1][:2] == (3, 3)
    run("LGFA_TrainingSource", **inputs)
    assert files == {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}
    learn("folder", source=source)


def test_fingerprint_follows_the_folder(run, picture_folder):
    node = run.classes["LGFA_TrainingSource"]
    before = node.fingerprint_inputs(kind="folder", folder="faces")
    assert before == node.fingerprint_inputs(kind="folder", folder="faces", truncation=0.5)
    (picture_folder / "more.png").write_bytes((picture_folder / "0.png").read_bytes())
    assert before != node.fingerprint_inputs(kind="folder", folder="faces")
    (picture_folder / "more.png").unlink()
    assert node.fingerprint_inputs(kind="samples", folder="faces") == "samples"


@pytest.mark.parametrize("inputs, said", [
    ({"kind": "folder", "folder": "../elsewhere"}, "no folder '../elsewhere' in ComfyUI's input"),
    ({"kind": "dreams"}, "no kind of source 'dreams': use samples, images, folder"),
    ({"kind": "images"}, "latents of images come from a face encoder"),
])
def test_unusable_source(run, tiny_domain, inputs, said):
    with pytest.raises(ValueError, match=said):
        run("LGFA_TrainingSource", generator=tiny_domain[0], **inputs)


def test_images_that_are_not_connected(run, tiny_domain):
    with pytest.raises(ValueError, match="there are no images: connect some"):
        run("LGFA_TrainingSource", generator=tiny_domain[0], encoder=tiny_domain[1], kind="images")


def test_stills_of_another_generator(run, domain, learn):
    source, = run("LGFA_TrainingSource", generator=domain[0])
    with pytest.raises(ValueError, match="connect the same generator to both"):
        learn("mixed", source=source)


# ---------------------------------------------------------------- what is refused before running
@pytest.mark.parametrize("inputs, said", [
    ({"name": "../outside"}, "not usable"), ({"name": "a/b"}, "not usable"),
    ({"name": ""}, "not usable"), ({"name": "%year%"}, "not usable"),
    ({"name": ".hidden"}, "not usable"), ({"name": "cache"}, "folder of encoded images"),
    ({"words": "# nothing"}, "there are no prompts"),
    ({"words": "sad\nSad"}, "stands for two words"),
    ({"template": "The person"}, "has no {} where the word goes"),
    ({"batch": 9}, "a batch of 9 needs 9 different words, but there are 6"),
])
def test_widgets_are_checked_before_running(run, inputs, said):
    defaults = {one.id: one.default
                for one in run.classes["LGFA_TrainMotionModel"].GET_SCHEMA().inputs
                if hasattr(one, "default")}
    assert run.validate("LGFA_TrainMotionModel", **defaults) is True
    assert said in run.validate("LGFA_TrainMotionModel", **{**defaults, **inputs})


def test_one_word_has_no_contrast(learn):
    with pytest.raises(ValueError, match="a contrast needs two sentences"):
        learn("lonely", words="smiling")


def test_name_that_the_loaders_know_otherwise(learn, comfy_home, tiny_models):
    file = comfy_home.models / "lgfa" / "shadow.safetensors"
    file.write_bytes((tiny_models / "motion.safetensors").read_bytes())
    with pytest.raises(ValueError, match="a model shadow.safetensors in .*use another name"):
        learn("shadow")


@pytest.mark.parametrize("inputs, said", [
    ({"perceptual": "none"}, "lpips has a weight of 0.1, but no network"),
    ({"identity_network": "none"}, "identity has a weight of 1, but no network"),
    ({"identity_network": "gone.safetensors"}, "no identity network 'gone.safetensors'"),
])
def test_unusable_losses(run, inputs, said):
    with pytest.raises(ValueError, match=said):
        run("LGFA_LossWeights", **inputs)


def test_losses_carry_their_networks(run):
    losses, = run("LGFA_LossWeights")
    assert (losses.perceptual.kind, losses.identity.kind) == ("perceptual", "identity")
    assert losses.settings["latent_units"] == "white" and losses.settings["path_order"] == 2
    node = run.classes["LGFA_LossWeights"]
    assert "missing" not in node.fingerprint_inputs("toon (bundled)", "toon (bundled)")


def test_strange_generator_without_losses(learn):
    with pytest.raises(ValueError, match="belongs to no bundled domain: connect Loss Weights"):
        learn("bare", losses=None)


# ---------------------------------------------------------------- that it is of use
@pytest.mark.slow
def test_defaults_teach_the_toon_faces_new_words(run, domain):
    """Seen by the attribute network, which no training knows, on people whom none has met."""
    from lgfa import formats
    from lgfa.drawn.parameters import category
    from lgfa.evaluate.bundled import people_stills
    from lgfa.evaluate.toon import REPORT
    from lgfa.toon.parameters import BACKDROP, INDEX

    generator, _, clip, bundled = domain
    source, = run("LGFA_TrainingSource", generator=generator)
    motion, its_clip, _ = run("LGFA_TrainMotionModel", generator=generator, clip=clip,
                              source=source, name="new words")
    attributes, draw = formats.load("toon", "attributes"), generator.patcher.model
    still = people_stills(REPORT, draw, 12)

    @torch.no_grad()
    def seen(model, words, by):
        """Parameters of the last frames [people, K]."""
        path = model.patcher.model.trajectory(still, f"The person is {words}", frames=8,
                                              clip=by.patcher.model)
        return attributes(draw.synthesis(path[:, -1]))[1]

    def shares(model, by):
        night = [name for name, _, _ in BACKDROP].index("night")
        glasses = seen(model, "wearing glasses", by)[:, INDEX["glasses"]] > 0.5
        sky = category(seen(model, "at night", by)[:, INDEX["backdrop"]], len(BACKDROP))
        return float(glasses.float().mean()), float((sky == night).float().mean())

    before, after = shares(bundled, clip), shares(motion, its_clip)
    assert max(before) < 0.5 and after[0] > 0.9 and after[1] > 0.65, (before, after)
