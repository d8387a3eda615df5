"""The metrics of clips and of sets of clips by name, and measuring with all of them.

    eyes = Eyes("toon")
    figures = measure_clip(shown, eyes)                         # {"acd_toon": 0.03, ..}
    fd = SET_METRICS["fd_toon"].measure(features, reference_features(eyes)["fd_toon"])
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..errors import LGFAError
from .extractors import Eyes
from .metric import CLIP_METRICS, SET_METRICS, Metric, Shown
from .of_clips import identity_curve, progress_curve
from .of_sets import reference_features, set_features
from .statistics import bootstrap, bootstrap_set

__all__ = ["CLIP_METRICS", "SET_METRICS", "Eyes", "Metric", "Shown", "available", "bootstrap",
           "bootstrap_set", "curves", "measure_clip", "reference_features", "seen_as",
           "set_features"]


def available(eyes: Eyes, shown: Shown | None = None) -> list[str]:
    """Names of the metrics of clips that these eyes can measure (of this clip)."""
    return [name for name, metric in CLIP_METRICS.items() if not _missing(metric, eyes, shown)]


def measure_clip(
    shown: Shown,
    eyes: Eyes,
    names: Sequence[str] | None = None,     # None = all that can be measured
) -> dict[str, float]:
    """Metric -> number, never NaN. Metrics of the asked expression are left out without one.

    Raises LGFAError for an unknown name and for one that the eyes lack a network for.
    """
    if names is None:
        names = available(eyes, shown)
    out = {}
    for name in names:
        metric = _known(name)
        lacking = _missing(metric, eyes, shown)
        if lacking == ["target"]:
            continue
        if lacking:
            raise LGFAError(f"{name} cannot be measured without {' and '.join(lacking)}: give "
                            f"what it needs, or leave the metric out.")
        out[name] = float(metric.measure(shown, eyes))
        if not math.isfinite(out[name]):
            raise LGFAError(f"{name} of the clip {shown.text!r} is not a number: a network or its "
                            f"weights are broken.")
    return out


def curves(shown: Shown, eyes: Eyes) -> dict[str, list[float]]:
    """Name -> a number for each frame, of what these eyes can see.

    probability of the asked expression, progress towards it (0 = frame 1, 1 = full strength),
    identity distance to the still (1 = two random people), clip: CLIP score.
    """
    out: dict[str, torch.Tensor] = {}
    if shown.target is not None and eyes.has("toon") and eyes.has("attributes"):
        logits = eyes.seen(shown).attributes[1]
        out["probability"] = logits.softmax(1)[:, shown.target]
        out["progress"] = progress_curve(shown, eyes)
    if eyes.has("toon") and eyes.has("identity"):
        out["identity"] = identity_curve(shown, eyes)
    if eyes.has("clip"):
        out["clip"] = eyes.seen(shown).clip_scores
    return {name: [float(v) for v in values] for name, values in out.items()}


def seen_as(shown: Shown, eyes: Eyes) -> int:
    """Number of the expression that the attribute network sees in the last frame."""
    return int(eyes.seen(shown).attributes[1][-1].argmax())


def _known(name: str) -> Metric:
    if name not in CLIP_METRICS:
        raise LGFAError(f"there is no metric {name!r}; there are {', '.join(CLIP_METRICS)}.")
    return CLIP_METRICS[name]


def _missing(metric: Metric, eyes: Eyes, shown: Shown | None) -> list[str]:
    """What a metric needs and the eyes, or the clip, do not have."""
    return [need for need in metric.needs
            if (need == "target" and shown is not None and shown.target is None)
            or (need != "target" and not eyes.has(need))]
