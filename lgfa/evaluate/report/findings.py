"""What an evaluation's figures say: bars met or missed, and where they agree with the paper.

Every sentence is made from the figures; none is written in advance.
"""
from __future__ import annotations

from typing import Any

from ..contenders import OWN, STRAIGHT, VARIANT, label
from ..plan import EXPRESSIONS
from .tables import Figures, Key

REACHED = 0.5                               # an expression counts as learnt from this share on


def _value(figures: Figures, key: Key, metric: str) -> float | None:
    found = figures.interval(key, metric)
    return None if found is None else found[0]


def _bar(what: str, value: float, sign: str, bar: float, note: str = "") -> dict[str, Any]:
    met = value >= bar if sign == ">=" else value <= bar if sign == "<=" else (
        value > bar if sign == ">" else value < bar)
    return {"what": what, "value": value, "bar": f"{sign} {bar:.4g}", "met": met, "note": note}


def bars(figures: Figures) -> list[dict[str, Any]]:
    """The project's own bars, of those whose figures are there."""
    found = []
    own = ("main", OWN)
    recognised = _value(figures, own, "recognised")
    if recognised is not None:
        clips = len(figures.results[own].records)
        found.append(_bar(f"LGFA reaches the asked expression, {clips} clips, "
                          f"{len(EXPRESSIONS)} expressions", recognised, ">=", 0.85))
        for name in figures.methods:
            other = _value(figures, ("main", name), "recognised")
            if name not in (OWN, STRAIGHT) and other is not None:
                found.append(_bar(f"LGFA reaches it more often than {label(name)}", recognised,
                                  ">", other))
    unseen = _value(figures, ("paraphrase", OWN), "recognised")
    if unseen is not None:
        found.append(_bar("LGFA with paraphrases never seen in training", unseen, ">=", 0.75))
    found += _comparison(figures, "acd_toon", "mocogan-hd", 0.7, "ACD of LGFA / MoCoGAN-HD's")
    for name in ("styleclip-opt", "mocogan-hd"):
        found += _comparison(figures, "jerk_pixels", name, 1.0,
                             f"jerk in the pictures, LGFA / {label(name)}'s")
    found += _comparison(figures, "fd_toon", "styleclip-opt", 1.0,
                         "FD of frames, LGFA / StyleCLIP optimisation's")
    return found


def _comparison(
    figures: Figures, metric: str, other: str, bar: float, what: str,
) -> list[dict[str, Any]]:
    own = _value(figures, ("main", OWN), metric)
    theirs = _value(figures, ("main", other), metric)
    if own is None or not theirs:
        return []
    sign = "<" if bar == 1.0 else "<="
    return [_bar(what, own / theirs, sign, bar, f"{own:.4g} against {theirs:.4g}")]


def findings(figures: Figures) -> list[str]:
    """Sentences on each claim of the paper that the figures can speak to."""
    said = []
    for make in (_against_styleclip, _against_mocogan, _contrast, _batches, _paths, _codes,
                 _schedules, _prompts, _longer):
        said += make(figures)
    return said


def _share(figures: Figures, name: str, suite: str = "main") -> float | None:
    return _value(figures, (suite, name), "recognised")


def _against_styleclip(figures: Figures) -> list[str]:
    own, theirs = _share(figures, OWN), _share(figures, "styleclip-opt")
    if own is None or theirs is None:
        return []
    said = [f"Paper: its last frames say the sentence better than StyleCLIP's optimisation. Here "
            f"{_agrees(own > theirs)}: recognised {own:.3f} against {theirs:.3f}."]
    a, b = (_value(figures, ("main", name), "fd_toon") for name in (OWN, "styleclip-opt"))
    if a is not None and b is not None:
        said.append(f"Paper: frames are of better quality (FID 42.10 against 44.22). Here "
                    f"{_agrees(a < b)}: FD (toon) {a:.2f} against {b:.2f}.")
    a, b = (_value(figures, ("main", name), "jerk_w") for name in (OWN, "styleclip-opt"))
    if a is not None and b is not None:
        said.append(f"Paper: transitions are more natural than an interpolation's. In W+ a linear "
                    f"interpolation has no second difference at all ({b:.2g}), which no curved "
                    f"path can undercut ({a:.3g}); the bar on jerk is taken in the pictures.")
    return said + _course(figures) + _jerk(figures)


def _course(figures: Figures) -> list[str]:
    """Whether the recurrent path is better than a straight line to where it ends."""
    rows = {}
    for metric in ("fd_toon", "fvd_toon", "acd_toon", "jerk_pixels"):
        pair = [_value(figures, ("main", name), metric) for name in (OWN, STRAIGHT)]
        if None in pair:
            return []
        rows[metric] = pair
    better = [metric for metric, (own, line) in rows.items() if own < line]
    text = ", ".join(f"{metric} {own:.3g} against {line:.3g}"
                     for metric, (own, line) in rows.items())
    return [f"Paper: the recurrent path is better than an interpolation. Against a straight line "
            f"to its own last codes {_agrees(len(better) == len(rows))}: {text}. What it gains "
            f"over the other interpolations lies in where it ends."]


def _jerk(figures: Figures) -> list[str]:
    """Second differences of pictures: of our clips, of a straight line, of real motion."""
    rows = {label(name): _value(figures, ("main", name), "jerk_pixels")
            for name in figures.methods}
    rows["drawn videos"] = figures.real.get("jerk_pixels", [None])[0]
    text = ", ".join(f"{what} {value:.3f}" for what, value in rows.items() if value is not None)
    return [f"Mean second difference of the pictures in 1/255: {text}. A line that moves over "
            f"the pixel grid has one even at constant speed, a colour that fades has none: "
            f"the figure favours clips that fade over clips that move."]


def _against_mocogan(figures: Figures) -> list[str]:
    a, b = (_value(figures, ("main", name), "acd_toon") for name in (OWN, "mocogan-hd"))
    if a is None or not b:
        return []
    return [f"Paper: ACD 0.258 against MoCoGAN-HD's 0.451, a ratio of 0.57. Here "
            f"{_agrees(a < b)}: {a:.4f} against {b:.4f}, a ratio of {a / b:.2f}."]


def _contrast(figures: Figures) -> list[str]:
    name = VARIANT + "non-contrastive"
    own, share = _share(figures, OWN), _share(figures, name)
    if own is None or share is None:
        return []
    return [f"Paper: without contrast the model fails to follow the text. Here, pulling pairs "
            f"together only, {_collapses(figures, name, share)}; the bundled model reaches "
            f"{own:.3f}."]


def _collapses(figures: Figures, name: str, share: float) -> str:
    """What a model that misses expressions shows instead."""
    result = figures.results[("main", name)]
    shown = [record.seen[-1] for record in result.records]
    from ...toon.parameters import EXPRESSION_NAMES

    most = max(set(shown), key=shown.count)
    part = shown.count(most) / len(shown)
    if share >= REACHED:
        return f"this is NOT found: {share:.3f} are recognised"
    return (f"it fails: {share:.3f} are recognised, and {part:.0%} of all clips end "
            f"{EXPRESSION_NAMES[most]}")


def _batches(figures: Figures) -> list[str]:
    shares = {n: _share(figures, f"{VARIANT}batch-{n}") for n in (2, 4, 8)}
    if any(share is None for share in shares.values()):
        return []
    text = ", ".join(f"{n}: {share:.3f}" for n, share in shares.items())
    agrees = shares[2] < REACHED <= min(shares[4], shares[8])
    return [f"Paper: a batch of 2 fails, 4 and 8 work. Here {_agrees(agrees)}; recognised with a "
            f"batch of {text}."]


def _paths(figures: Figures) -> list[str]:
    names = {"second order": OWN, "first order": VARIANT + "path-first",
             "none": VARIANT + "path-none"}
    wanted = ("direction", "recognised", "jerk_w")
    rows = {what: [_value(figures, ("main", name), metric) for metric in wanted]
            for what, name in names.items()}
    if any(None in row for row in rows.values()):
        return []
    text = "; ".join(f"{what} {r[0]:.3f} ({r[1]:.3f} recognised, jerk in W+ {r[2]:.3g})"
                     for what, r in rows.items())
    best = rows["second order"][0] >= max(row[0] for row in rows.values())
    return [f"Paper: without the second-order path regulariser motions entangle. Here "
            f"{_agrees(best)}: cosine of the change to the expression's own, {text}."]


def _codes(figures: Figures) -> list[str]:
    a, b = (_value(figures, ("main", n), "still_error") for n in (OWN, VARIANT + "absolute"))
    if a is None or b is None:
        return []
    share = _share(figures, VARIANT + "absolute")
    return [f"The paper's absolute motion code leaves the still: frame 1 differs from it, where it "
            f"differs most, by {b:.1f} of 255 in the mean, against {a:.2g} with the relative "
            f"code; recognised {share:.3f}."]


def _schedules(figures: Figures) -> list[str]:
    parts = []
    for what, name in (("even", OWN), ("paper", VARIANT + "schedule-paper"),
                       ("authors", VARIANT + "schedule-authors")):
        row = [_value(figures, ("main", name), m) for m in ("recognised", "progress", "peak_ratio")]
        if None in row:
            return []
        parts.append(f"{what}: recognised {row[0]:.3f}, progress {row[1]:.2f}, largest step "
                     f"{row[2]:.2f} times the mean")
    return [f"Step sizes at 16 frames, trained at 4: {'; '.join(parts)}."]


def _prompts(figures: Figures) -> list[str]:
    rows = [(what, _share(figures, VARIANT + name, suite)) for what, name, suite in (
        ("trained and asked with it", "prompt", "main"),
        ("trained and asked without", "no-prompt", "bare"),
        ("trained with it, asked without", "prompt", "bare"),
        ("trained without, asked with it", "no-prompt", "main"))]
    if any(share is None for _, share in rows):
        return []
    text = ", ".join(f"{what} {share:.3f}" for what, share in rows)
    agrees = rows[0][1] > rows[1][1] + 0.05
    return [f"Paper: \"The person is ..\" matters. Here {_agrees(agrees)}; recognised: {text}."]


def _longer(figures: Figures) -> list[str]:
    row = [_value(figures, ("chain", OWN), m) for m in
           ("recognised_1", "recognised_2", "identity_last")]
    if None in row:
        return []
    share = _value(figures, ("added", OWN), "recognised_2")
    added = "not measured" if share is None else f"second {share:.3f}"
    return [f"Paper: longer sequences change expression and keep the person. Here "
            f"{_agrees(min(row[:2]) >= 0.75 and row[2] < 0.15)}: first expression {row[0]:.3f}, "
            f"second {row[1]:.3f}, identity distance {row[2]:.4f} (two people: 1). Where the "
            f"second offset is only added to the first: {added}."]


def _agrees(yes: bool) -> str:
    return "the same is found" if yes else "this is NOT found"
