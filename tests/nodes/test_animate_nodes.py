"""Animate Face: it becomes the stage nodes, and the cache works inside it."""
from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

import lgfa

STAGES = ["LGFA_LoadGenerator", "LGFA_LoadMotionModel", "LGFA_EncodeText", "LGFA_EncodeImage",
          "LGFA_ChainExpressions", "LGFA_RenderAnimation"]


@pytest.fixture(scope="module")
def animator() -> lgfa.Animator:
    return lgfa.Animator.from_pretrained("toon", device="cpu")


def test_a_made_up_face_is_the_librarys_animation(run, animator):
    images, video = run("LGFA_AnimateFace", text="smiling", frames=4, face_seed=7, seed=1,
                        strength=0.8, fps=8, easing="ease-out")
    clip = animator.animate(animator.sample(7), "The person is smiling", 4, 1, 0.8,
                            easing="ease-out")
    assert (images - clip.frames).abs().max() < 1e-5
    assert video.get_components().frame_rate == 8
    assert Counter(run.executed) == Counter([*STAGES, "LGFA_SampleFace", "LGFA_AnimateFace"])


def test_an_image_is_inverted_and_lines_follow_each_other(run, animator, face):
    images, _ = run("LGFA_AnimateFace", image=face, text="smiling\nThe person is crying", frames=5)
    picture = face[0].permute(2, 0, 1)[None] * 2 - 1
    clip = animator.animate(picture, ["The person is smiling", "The person is crying"], 5)
    assert (images - clip.frames).abs().max() < 1e-4
    assert {"LGFA_InvertFace", "LGFA_LoadFaceEncoder"} < set(run.executed)
    assert "LGFA_SampleFace" not in run.executed


def test_a_batch_of_images_gives_a_clip_each(run, face):
    images, _ = run("LGFA_AnimateFace", image=face.expand(2, -1, -1, -1), frames=2)
    assert images.shape == (4, 256, 256, 3)
    assert torch.allclose(images[0], images[2], atol=1e-5)
    assert (images[1] - images[3]).abs().mean() < 0.02          # performed with the next seed


def test_strength_0_is_the_still(run, face):
    images, _ = run("LGFA_AnimateFace", frames=3, strength=0.0, face_seed=7)
    assert (images - images[:1]).abs().max() < 1e-5 and (images[:1] - face).abs().max() < 1e-4


def test_what_is_wrong_is_said_before_running(run):
    check = run.validate
    good = {"text": "smiling", "motion_model": "toon (bundled)"}
    assert check("LGFA_AnimateFace", **good) is True
    assert "the text is empty" in check("LGFA_AnimateFace", **{**good, "text": " \n"})
    gone = {**good, "motion_model": "gone.safetensors"}
    assert "there is no motion model 'gone.safetensors'" in check("LGFA_AnimateFace", **gone)
    assert "frames" in check("LGFA_AnimateFace", **good, frames=10**6)
    with pytest.raises(ValueError, match="no easing"):
        run("LGFA_AnimateFace", easing="bouncy")


def test_a_motion_model_of_another_generator_is_refused(run, tiny_models):
    with pytest.raises(ValueError, match="they do not belong together"):
        run("LGFA_AnimateFace", motion_model="tiny/motion.safetensors", frames=2)


# ---------------------------------------------------------------- ComfyUI's own executor
class Sink:
    """An output node of the old kind that keeps what it gets."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "keep", "test", True
    kept: list = []

    @classmethod
    def INPUT_TYPES(cls):                               # noqa: N802 - ComfyUI's name
        return {"required": {"images": ("IMAGE",)}}

    def keep(self, images):
        self.kept.append(images.clone())
        return {}


class Executor:
    """ComfyUI's PromptExecutor with its cache, counting the nodes that it runs."""

    def __init__(self, pack, monkeypatch) -> None:
        nodes, execution = map(importlib.import_module, ("nodes", "execution"))
        self.execution = execution
        self.counts: Counter[str] = Counter()
        classes = pack.nodes.NODE_CLASS_MAPPINGS
        monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", {**classes, "Sink": Sink})
        for name, cls in classes.items():
            monkeypatch.setattr(cls, "execute", self.counting(name, cls.execute))
        server = SimpleNamespace(client_id=None, last_node_id=None, prompt_queue=None,
                                 send_sync=lambda *_: None)
        self.executor = execution.PromptExecutor(server)

    def counting(self, name, method):
        def execute(cls, *args, **inputs):
            self.counts[name] += 1
            return method.__func__(cls, *args, **inputs)

        return classmethod(execute)

    def __call__(self, prompt):
        """Runs a prompt in API format; (counts, images), or the error."""
        self.counts.clear()
        valid, error, outputs, _ = asyncio.run(
            self.execution.validate_prompt("job", prompt, None))
        assert valid, error
        self.executor.execute(prompt, "job", execute_outputs=outputs)
        errors = [data for event, data in self.executor.status_messages
                  if event == "execution_error"]
        assert not errors, errors[0]["exception_message"]
        return dict(self.counts), Sink.kept[-1]


@pytest.fixture
def execute(pack, comfy_home, monkeypatch):
    if not comfy_home.real:
        pytest.skip("the stand-in has no executor")
    import comfy.utils
    import host

    hook = comfy.utils.PROGRESS_BAR_HOOK
    with contextlib.ExitStack() as stack:
        if "execution" not in sys.modules:
            stack.enter_context(host._on_path(host.comfyui()))
        try:
            yield Executor(pack, monkeypatch)
        finally:
            comfy.utils.set_progress_bar_global_hook(hook)


def prompt(image: bool, **inputs):
    graph = {
        "1": {"class_type": "LGFA_AnimateFace", "inputs": {
            "text": "smiling", "frames": 2, "strength": 1.0, "fps": 10.0, "truncation": 0.7,
            "face_seed": 7, "seed": 0, "easing": "none", "motion_model": "toon (bundled)",
            **inputs}},
        "2": {"class_type": "Sink", "inputs": {"images": ["1", 0]}}}
    if image:
        graph["3"] = {"class_type": "LGFA_LoadExample", "inputs": {"picture": "chosen below"}}
        graph["1"]["inputs"]["image"] = ["3", 0]
    return graph


def test_another_strength_runs_neither_clip_nor_e4e_again(execute, pack):
    picture = pack.lgfa.media.examples.names()[0]
    graph = prompt(True)
    graph["3"]["inputs"]["picture"] = picture
    counts, first = execute(graph)
    assert counts == {**dict.fromkeys(STAGES, 1), "LGFA_InvertFace": 1, "LGFA_AnimateFace": 1,
                      "LGFA_LoadFaceEncoder": 1, "LGFA_LoadExample": 1}

    graph["1"]["inputs"]["strength"] = 0.5
    counts, second = execute(graph)
    assert counts == {"LGFA_AnimateFace": 1, "LGFA_ChainExpressions": 1, "LGFA_RenderAnimation": 1}
    assert torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])

    graph["1"]["inputs"]["text"] = "crying"
    counts, _ = execute(graph)
    assert counts == {"LGFA_AnimateFace": 1, "LGFA_EncodeText": 1, "LGFA_ChainExpressions": 1,
                      "LGFA_RenderAnimation": 1}

    counts, again = execute(graph)
    assert counts == {}
    graph["1"]["inputs"]["fps"] = 5.0
    assert execute(graph)[0] == {"LGFA_AnimateFace": 1, "LGFA_RenderAnimation": 1}


def test_another_strength_of_a_made_up_face_draws_it_only_once(execute):
    counts, _ = execute(prompt(False))
    assert counts["LGFA_SampleFace"] == 1
    counts, images = execute(prompt(False, strength=0.0))
    assert counts == {"LGFA_AnimateFace": 1, "LGFA_ChainExpressions": 1, "LGFA_RenderAnimation": 1}
    assert torch.allclose(images[0], images[1], atol=1e-6)
    counts, _ = execute(prompt(False, strength=0.0, seed=5))
    assert counts == {"LGFA_AnimateFace": 1, "LGFA_ChainExpressions": 1, "LGFA_RenderAnimation": 1}


def test_stages_in_a_graph_keep_what_did_not_change(execute):
    def graph(strength: float):
        def node(kind, **inputs):
            return {"class_type": kind, "inputs": inputs}

        return {
            "d": node("LGFA_LoadDomain", domain="toon (bundled)"),
            "s": node("LGFA_SampleFace", generator=["d", 0], truncation=0.7, batch_size=1, seed=7),
            "t": node("LGFA_EncodeText", clip=["d", 2], text="smiling", template="A person {}"),
            "r": node("LGFA_RecurrentMotion", motion=["d", 3], text=["t", 0], frames=2, seed=0),
            "m": node("LGFA_MotionMapper", motion=["d", 3], motion_code=["r", 0], latent=["s", 0]),
            "f": node("LGFA_ShapeTrajectory", trajectory=["m", 0], frames=0, strength=strength,
                      hold=0, easing="none", way_back="none"),
            "y": node("LGFA_RenderAnimation", generator=["d", 0], trajectory=["f", 0], fps=10.0,
                      chunk=8, layout="one after another", noise="const", precision="full"),
            "o": node("Sink", images=["y", 0])}

    assert sum(execute(graph(1.0))[0].values()) == 7
    assert execute(graph(0.5))[0] == {"LGFA_ShapeTrajectory": 1, "LGFA_RenderAnimation": 1}
