"""Metrics of one clip. Adding one is adding a function here; its name states the extractor."""
from __future__ import annotations

from torch import Tensor

from ..toon.parameters import INDEX
from ..toon.world import TOON
from . import changes, toon_truth
from .extractors import Eyes
from .flow import warping_error
from .metric import Shown, clip_metric
from .statistics import absolute_differences, acd, differences, ratio

GREY = 127.5        # a picture's range is -1..1: so many grey levels of 255 are 1
TRUTH = ("toon", "attributes", "target")

# ---- identity


@clip_metric("mean distance of any two frames' identity, by a network that entered no loss",
             "lower", needs=("toon", "identity"))
def acd_toon(shown: Shown, eyes: Eyes) -> float:
    return acd(eyes.seen(shown).identity()[1:])


@clip_metric("mean distance of any two frames' identity by IR-SE50", "lower", needs=("irse50",))
def acd_irse50(shown: Shown, eyes: Eyes) -> float:
    return acd(eyes.seen(shown).identity("irse50")[1:])


@clip_metric("mean distance of any two frames' identity by InceptionResNet-V1, as in the paper",
             "lower", needs=("inceptionresnet",))
def acd_inceptionresnet(shown: Shown, eyes: Eyes) -> float:
    return acd(eyes.seen(shown).identity("inceptionresnet")[1:])


@clip_metric("identity of the last frame away from the still's", "lower", "of two people",
             needs=("toon", "identity"))
def identity_last(shown: Shown, eyes: Eyes) -> float:
    return float(identity_curve(shown, eyes)[-1])


def identity_curve(shown: Shown, eyes: Eyes) -> Tensor:
    """Cosine distance of each frame's identity to the still's, two random people = 1: [T]."""
    seen = eyes.seen(shown).identity()
    return changes.apart(seen[:1], seen[1:]) / eyes.strangers


@clip_metric("largest colour difference between frame 1 and the still", "lower", "1/255")
def still_error(shown: Shown, eyes: Eyes) -> float:
    return float((shown.frames[0] - shown.still.to(shown.frames)).abs().max()) * GREY


# ---- the sentence

@clip_metric("cosine of the last frame and the sentence, by the CLIP of the loss", "higher",
             needs=("clip",))
def clip_score_last(shown: Shown, eyes: Eyes) -> float:
    return float(eyes.seen(shown).clip_scores[-1])


@clip_metric("CLIP score of the last frame minus that of the first", "higher", needs=("clip",))
def clip_gain(shown: Shown, eyes: Eyes) -> float:
    scores = eyes.seen(shown).clip_scores
    return float(scores[-1] - scores[0])


# ---- the truth about the expression

@clip_metric("share of clips whose last frame shows the asked expression, by the attribute network",
             "higher", needs=TRUTH)
def recognised(shown: Shown, eyes: Eyes) -> float:
    return float(eyes.seen(shown).attributes[1][-1].argmax() == shown.target)


@clip_metric("share of the way to the expression at its full strength", "higher", needs=TRUTH)
def progress(shown: Shown, eyes: Eyes) -> float:
    return float(progress_curve(shown, eyes)[-1])


def progress_curve(shown: Shown, eyes: Eyes) -> Tensor:
    """Progress of each frame from frame 1's expression parameters, [T]; 0 for neutral asked."""
    params = eyes.seen(shown).attributes[2]
    want = TOON.wanted(_target(shown))
    change = TOON.changed(params[:1], params)
    return changes.progress(change, want) if bool(want.any()) else change[:, 0] * 0


@clip_metric("cosine of the change in expression parameters with the asked one", "higher",
             needs=TRUTH)
def direction(shown: Shown, eyes: Eyes) -> float:
    params = eyes.seen(shown).attributes[2]
    change = TOON.changed(params[:1], params[-1:])
    return float(changes.direction(change, TOON.wanted(_target(shown))))


def _target(shown: Shown) -> list[int | None]:
    return [shown.target]


# ---- what should stay

def _colour_leak(shown: Shown, part: str) -> float:
    first, last = shown.frames[:1].cpu(), shown.frames[-1:].cpu()
    return float(toon_truth.colour_change(first, last, part)) / toon_truth.colour_unit(part)


@clip_metric("change of hair colour from first to last frame, read off the picture", "lower",
             "of two people", needs=("toon",))
def leak_hair(shown: Shown, eyes: Eyes) -> float:
    return _colour_leak(shown, "hair")


@clip_metric("change of skin colour (neck) from first to last frame, read off the picture",
             "lower", "of two people", needs=("toon",))
def leak_skin(shown: Shown, eyes: Eyes) -> float:
    return _colour_leak(shown, "skin")


@clip_metric("change of the backdrop's colours from first to last frame, read off the picture",
             "lower", "of two people", needs=("toon",))
def leak_backdrop(shown: Shown, eyes: Eyes) -> float:
    return _colour_leak(shown, "backdrop")


@clip_metric("change of the estimate of glasses from first to last frame, by the attribute network",
             "lower", "of two people", needs=("toon", "attributes"))
def leak_glasses(shown: Shown, eyes: Eyes) -> float:
    seen = eyes.seen(shown).attributes[2][:, INDEX["glasses"]].clamp(0, 1)
    return float((seen[-1] - seen[0]).abs()) / toon_truth.parameter_unit("glasses")


# ---- smoothness

@clip_metric("step of the path in W+: RMS over layers and channels, mean over time", "none")
def step_w(shown: Shown, eyes: Eyes) -> float:
    return float(differences(shown.latents).mean())


@clip_metric("second difference of the path in W+: RMS over layers and channels, mean over time",
             "lower")
def jerk_w(shown: Shown, eyes: Eyes) -> float:
    return float(differences(shown.latents, 2).mean())


@clip_metric("mean change of a pixel from frame to frame", "none", "1/255")
def step_pixels(shown: Shown, eyes: Eyes) -> float:
    return float(absolute_differences(shown.frames).mean()) * GREY


@clip_metric("mean second difference of a pixel over time", "lower", "1/255")
def jerk_pixels(shown: Shown, eyes: Eyes) -> float:
    return float(absolute_differences(shown.frames, 2).mean()) * GREY


@clip_metric("jerk_pixels over step_pixels: jerk of a clip whatever its amount of motion", "lower")
def jerk_ratio(shown: Shown, eyes: Eyes) -> float:
    return ratio(jerk_pixels(shown, eyes), step_pixels(shown, eyes))


@clip_metric("largest step of the path in W+ over its mean step; 1 = even", "lower")
def peak_ratio(shown: Shown, eyes: Eyes) -> float:
    steps = differences(shown.latents)
    return ratio(steps.max(), steps.mean(), still=1.0)


@clip_metric("mean difference of a frame and the next one brought back along DIS optical flow",
             "lower", "1/255", needs=("cv2",))
def warp_flow(shown: Shown, eyes: Eyes) -> float:
    return warping_error(shown.frames) * GREY
