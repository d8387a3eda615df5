"""Clips with known truth through every metric; the extractors; the references."""
from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lgfa import formats
from lgfa.embed.inception_resnet import InceptionResNet
from lgfa.errors import LGFAError
from lgfa.evaluate.report import plots
from lgfa.metrics import inception, registry
from lgfa.metrics.registry import CLIP_METRICS, SET_METRICS, Eyes, Shown
from lgfa.toon import sampling
from lgfa.toon.parameters import EXPRESSION_NAMES, EXPRESSION_SLICE
from lgfa.toon.renderer import render

FRAMES = 7
SMILING = EXPRESSION_NAMES.index("smiling")


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    return Eyes("toon", identity=formats.load("toon", "identity"))


@pytest.fixture(scope="module")
def clip() -> Shown:
    """A drawn person who comes to smile; the path is a straight line of even steps."""
    person = sampling.identities(1, torch.Generator().manual_seed(79_600)).repeat(FRAMES, 1)
    which = torch.full((FRAMES,), SMILING)
    frames = render(sampling.with_expression(person, which, torch.linspace(0, 1, FRAMES)), 128)
    latents = torch.arange(FRAMES).view(-1, 1, 1).expand(-1, 2, 5).float() * 0.1
    return Shown(frames, latents, "The person is smiling", SMILING, frames[0])


def still_clip(shown: Shown) -> Shown:
    frames = shown.frames[:1].repeat(FRAMES, 1, 1, 1)
    return Shown(frames, shown.latents * 0, shown.text, shown.target, frames[0])


# ---- clips

def test_a_drawn_smile(eyes, clip):
    found = registry.measure_clip(clip, eyes)
    assert found["recognised"] == 1
    assert found["progress"] == pytest.approx(1, abs=0.15) and found["direction"] > 0.95
    assert found["clip_gain"] > 0.1 and found["clip_score_last"] > 0.2
    assert found["still_error"] == 0 and found["identity_last"] < 0.1
    assert max(found[f"leak_{p}"] for p in ("hair", "skin", "backdrop")) < 1e-4
    assert found["step_w"] == pytest.approx(0.1) and found["peak_ratio"] == pytest.approx(1)
    assert found["jerk_w"] == pytest.approx(0, abs=1e-6)
    assert 0 < found["step_pixels"] < 10
    assert found["jerk_ratio"] == pytest.approx(found["jerk_pixels"] / found["step_pixels"])
    assert registry.seen_as(clip, eyes) == SMILING


def test_a_clip_that_does_not_move(eyes, clip):
    found = registry.measure_clip(still_clip(clip), eyes)
    for name in ("recognised", "direction", "acd_toon", "step_w", "jerk_w", "jerk_ratio",
                 "step_pixels", "identity_last", "leak_glasses", "clip_gain"):
        assert found[name] == pytest.approx(0, abs=1e-3), name
    assert found["peak_ratio"] == 1
    assert all(math.isfinite(value) for value in found.values())


def test_another_person_at_the_end_is_seen(eyes, clip):
    strangers = render(sampling.identities(12, torch.Generator().manual_seed(79_601)), 128)
    away, acd = [], []
    for person in strangers:
        frames = torch.cat([clip.frames[:-1], person[None]])
        shown = Shown(frames, clip.latents, clip.text, clip.target, clip.still)
        found = registry.measure_clip(shown, eyes, ["identity_last", "acd_toon"])
        away.append(found["identity_last"])
        acd.append(found["acd_toon"])
    assert sum(away) / len(away) == pytest.approx(1, abs=0.35)
    same = registry.measure_clip(clip, eyes, ["acd_toon"])["acd_toon"]
    assert min(acd) > 2 * same


def test_still_error_is_the_largest_difference(eyes, clip):
    still = clip.still.clone()
    still[0, 3, 5] = torch.where(still[0, 3, 5] > 0, still[0, 3, 5] - 0.5, still[0, 3, 5] + 0.5)
    shown = Shown(clip.frames, clip.latents, clip.text, None, still)
    assert registry.measure_clip(shown, eyes, ["still_error"])["still_error"] == \
        pytest.approx(0.5 * 127.5, rel=1e-4)


def test_curves(eyes, clip):
    found = registry.curves(clip, eyes)
    assert set(found) == set(plots.CURVES)                  # whatever is measured is drawn
    assert all(len(values) == FRAMES for values in found.values())
    assert found["probability"][0] < 0.1 < 0.9 < found["probability"][-1]
    assert found["progress"][0] == 0 and found["progress"] == sorted(found["progress"])
    assert found["identity"][0] == pytest.approx(0, abs=1e-4)
    last = registry.measure_clip(clip, eyes, ["progress", "clip_score_last", "identity_last"])
    assert [found[k][-1] for k in ("progress", "clip", "identity")] == pytest.approx(
        list(last.values()))


def test_without_a_target_the_truth_is_left_out(eyes, clip):
    shown = Shown(clip.frames, clip.latents, clip.text, None, clip.still)
    found = registry.measure_clip(shown, eyes)
    assert not {"recognised", "progress", "direction"} & set(found) and "acd_toon" in found
    assert registry.measure_clip(shown, eyes, ["recognised", "step_w"]).keys() == {"step_w"}
    assert set(registry.curves(shown, eyes)) == {"identity", "clip"}


def test_every_network_sees_a_clip_once(eyes, clip):
    seen = []
    network = formats.load("toon", "identity")
    counting = Eyes("toon", identity=network)
    assert counting.strangers > 0
    hook = network.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    registry.measure_clip(clip, counting)
    registry.curves(clip, counting)
    registry.set_features(clip, counting)
    hook.remove()
    assert seen == [FRAMES + 1]


# ---- the tables

def test_names_and_lines():
    for name, metric in (CLIP_METRICS | SET_METRICS).items():
        assert metric.name == name and metric.what and "\n" not in metric.what
    for name in ("acd_toon", "acd_irse50", "acd_inceptionresnet", "clip_score_last", "recognised",
                 "progress", "direction", "leak_hair", "leak_skin", "leak_glasses",
                 "leak_backdrop", "step_w", "jerk_w", "step_pixels", "jerk_pixels", "jerk_ratio",
                 "warp_flow", "identity_last", "still_error"):
        assert name in CLIP_METRICS
    assert set(SET_METRICS) == {"fd_toon", "fvd_toon", "fid_inception", "fvd_i3d"}


def test_only_what_can_be_seen_is_measured(clip):
    blind = Eyes(None)
    found = registry.measure_clip(clip, blind)
    assert {"step_w", "jerk_pixels", "still_error"} <= set(found)
    assert not {"acd_toon", "recognised", "clip_gain", "leak_hair"} & set(found)
    with pytest.raises(LGFAError, match="acd_irse50 cannot be measured without irse50"):
        registry.measure_clip(clip, blind, ["acd_irse50"])
    with pytest.raises(LGFAError, match="no metric 'beauty'; there are acd_toon"):
        registry.measure_clip(clip, blind, ["beauty"])
    with pytest.raises(LGFAError, match="no clip network to measure with: give its file"):
        blind.clip_text("hello")
    with pytest.raises(LGFAError, match="no extractor nose; there are identity"):
        Eyes("toon", nose="x")
    with pytest.raises(LGFAError, match="toon domain alone"):
        registry.reference_features(blind)


def test_no_number_is_an_error(eyes, clip):
    class Broken(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 4), float("nan"))

    with pytest.raises(LGFAError, match="acd_toon of the clip 'The person is smiling' is not a"):
        registry.measure_clip(clip, Eyes("toon", identity=Broken()), ["acd_toon"])


@pytest.mark.parametrize("change, words", [
    ({"frames": torch.zeros(2, 3, 8, 8)}, "at least 3 frames"),
    ({"still": torch.zeros(3, 4, 4)}, "the frames' size"),
    ({"latents": torch.zeros(4, 1, 1)}, "3 frames, but 4 latents"),
    ({"target": 14}, "no expression number 14"),
    ({"latents": torch.full((3, 1, 1), float("inf"))}, "latents hold NaN or infinite"),
])
def test_clips_that_are_refused(change, words):
    fine = dict(frames=torch.zeros(3, 3, 8, 8), latents=torch.zeros(3, 1, 1), text="x",
                target=None, still=torch.zeros(3, 8, 8))
    Shown(**fine)
    with pytest.raises(LGFAError, match=words):
        Shown(**fine | change)


# ---- sets

def test_references_are_repeatable_and_tell_neutral_from_moving(eyes):
    few, again = (registry.reference_features(eyes, 4) for _ in range(2))
    assert {k: tuple(v.shape) for k, v in few.items()} == {"fd_toon": (4, 192),
                                                           "fvd_toon": (4, 72)}
    assert all(torch.equal(few[k], again[k]) for k in few)
    one, other = (registry.reference_features(eyes, 40, seed) for seed in (0, 1))
    people = sampling.identities(40, torch.Generator().manual_seed(79_700))
    calm = eyes.features(render(people, 128))
    params = eyes.attributes(render(people, 128))[1]
    frozen = params[:, EXPRESSION_SLICE].repeat(1, 4)
    for name, features in (("fd_toon", calm), ("fvd_toon", frozen)):
        distance = SET_METRICS[name].measure
        assert not torch.equal(one[name], other[name])
        assert distance(other[name], one[name]) < 0.7 * distance(features, one[name])


def test_features_of_a_clip(eyes, clip):
    found = registry.set_features(clip, eyes)
    assert found["fd_toon"].shape == (FRAMES, 192) and found["fvd_toon"].shape == (1, 72)
    params = eyes.attributes(clip.frames[[0, 2, 4, 6]])[1][:, EXPRESSION_SLICE]
    torch.testing.assert_close(found["fvd_toon"][0], params.flatten(), atol=1e-4, rtol=1e-4)


# ---- extractors of others

class Means(nn.Module):
    """In place of Inception's layers: mean, least and largest of each channel, 0..255."""

    def forward(self, x):
        return torch.cat([x.mean((2, 3)), x.amin((2, 3)), x.amax((2, 3))], 1)


class Video(nn.Module):
    def forward(self, x, rescale: bool, resize: bool, return_features: bool):
        assert x.shape == (1, 3, 12, 224, 224) and (rescale, resize) == (False, False)
        return x.mean((3, 4)).flatten(1)


def test_inception_and_i3d_where_they_are_given(clip):
    eyes = Eyes(None, inception=inception.Inception(Means()), i3d=Video())
    frames = clip.frames.repeat(2, 1, 1, 1)[:12]
    shown = Shown(frames, torch.zeros(12, 1, 1), "", None, frames[0])
    found = registry.set_features(shown, eyes)
    assert set(found) == {"fid_inception", "fvd_i3d"} and found["fvd_i3d"].shape == (1, 36)
    bytes_ = (frames + 1) * 127.5
    torch.testing.assert_close(found["fid_inception"][:, :3], bytes_.mean((2, 3)), atol=1, rtol=0)
    assert found["fid_inception"].min() >= 0 and found["fid_inception"].max() <= 255
    with pytest.raises(LGFAError, match="at least 10 frames"):
        registry.set_features(clip, eyes)


def test_inception_is_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(inception.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LGFAError, match="pip install clean-fid"):
        inception.load_inception(tmp_path / inception.INCEPTION_FILE)
    monkeypatch.setattr(inception.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(LGFAError, match="fetch it from https"):
        inception.load_inception(tmp_path / inception.INCEPTION_FILE)
    with pytest.raises(LGFAError, match="TorchScript program"):
        Eyes(None, i3d=tmp_path / "i3d_torchscript.pt").network("i3d")


def test_face_recognition_of_photographs(clip, tmp_path):
    """Any network given as irse50 or inceptionresnet measures ACD under that name."""
    torch.manual_seed(0)
    from lgfa.config import InceptionResNetConfig

    formats.save(tmp_path / "x.safetensors", InceptionResNet(InceptionResNetConfig()).eval())
    eyes = Eyes(None, irse50=formats.load("toon", "identity"),
                inceptionresnet=tmp_path / "x.safetensors")
    short = Shown(clip.frames[:3], clip.latents[:3], "", None, clip.still)
    found = registry.measure_clip(short, eyes)
    vectors = eyes.network("inceptionresnet")(short.frames).detach()
    pairs = [(vectors[i] - vectors[j]).norm() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found["acd_inceptionresnet"] == pytest.approx(float(sum(pairs) / 3), rel=1e-3)
    assert found["acd_irse50"] > 0


def test_a_program_under_inceptions_name_is_not_run(tmp_path, monkeypatch):
    """clean-fid runs its file as TorchScript, so only the published one is handed on."""
    class Marked(torch.nn.Module):
        def forward(self, x):
            return x

    monkeypatch.setattr(inception.importlib.util, "find_spec", lambda name: name)
    torch.jit.save(torch.jit.script(Marked()), tmp_path / inception.INCEPTION_FILE)
    ran = []
    monkeypatch.setattr(torch.jit, "load", lambda *args, **kwargs: ran.append(args))
    with pytest.raises(LGFAError, match="programs in files are not run here"):
        inception.load_inception(tmp_path / inception.INCEPTION_FILE)
    assert not ran
