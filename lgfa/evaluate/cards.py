"""Model cards beside the weights, written from the files' own headers and the report's figures."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import LGFAError, reading
from ..files import atomic_path
from ..formats import safetensors_io

ABOUT = {
    "attributes": (
        "Names the expression of a toon face and estimates every drawing parameter. It measures "
        "and enters no loss.",
        "Drawn faces (three quarters with a named expression at strength 0.5 to 1), moved, "
        "blurred, tinted and noisy; cross entropy and regression. Seed 101.",
    ),
    "identity": (
        "A small IR-SE network: one person's pictures near, two people's far.",
        "Pairs of drawings of one person with another expression, backdrop and shirt; InfoNCE in "
        "both directions. Seed 202.",
    ),
    "judge": (
        "A second identity network that no training uses: it measures what others did with the "
        "first.",
        "As the identity network, with other seeds. Seed 212.",
    ),
    "perceptual": (
        "AlexNet's layers for the `lpips` package, in place of ImageNet's weights.",
        "The trunk learns to read every parameter and expression of drawn faces; its head is "
        "dropped. Seed 303.",
    ),
    "clip": (
        "An open_clip network (small vision transformer, small text transformer, the standard "
        "tokenizer) of toon faces and sentences about them.",
        "Drawn faces and sentences that are true of them; contrastive with several right answers, "
        "beside a fading lesson in parameters whose head is dropped; then with the generator's "
        "pictures, good ones to name and spoilt ones that no sentence fits. Seeds 404 and 405.",
    ),
    "generator": (
        "StyleGAN2 of the toon domain: z to w to a face of 128 px.",
        "Regression to the drawings: 64 px, then 128 px from known codes, then the mapping network "
        "from z to the codes. Seeds 21 to 24.",
    ),
    "encoder": (
        "An e4e-style encoder: a picture of a toon face to W+.",
        "The known codes of drawn faces first, then their pictures through the frozen generator "
        "with an identity term. Seeds 505 and 506.",
    ),
    "motion": (
        "The language-guided motion model: recurrent motion generator, motion mapper and trainable "
        "copies of the CLIP encoders.",
        "`lgfa.training.trainer` on sampled stills and sentences: no labels and no videos; "
        "afterwards the offsets are made 1.5 times larger, and h(1) varies by 0.2 instead of 0.01. "
        "The settings are in the file's header. Seed 606.",
    ),
}


def write(folder: Path, figures: Path | None) -> list[Path]:
    """One <kind>.md per network in `folder`; figures: the file of `report --json`."""
    lines = _figures(figures) if figures else []
    written = []
    for file in sorted(folder.glob("*.safetensors")):
        kind = file.stem
        if kind not in ABOUT:
            continue
        card = _card(kind, file, [line for line in lines if line["network"] == kind])
        path = folder / f"{kind}.md"
        with atomic_path(path) as temporary:
            temporary.write_text(card, encoding="utf-8")
        written.append(path)
    return written


def _figures(path: Path) -> list[dict]:
    """The lines of a report; LGFAError for another file."""
    with reading(path):
        lines = json.loads(path.read_bytes())
    kinds = {"network": str, "what": str, "value": (float, int), "at_most": bool, "met": bool}
    fine = isinstance(lines, list) and all(
        isinstance(line, dict) and all(isinstance(line.get(name), kind)
                                       for name, kind in kinds.items())
        and isinstance(line.get("bar"), float | int | None) for line in lines)
    if not fine:
        raise LGFAError(f"{path} holds no figures: give a file that `report --json` wrote.")
    return lines


def _card(kind: str, file: Path, lines: list[dict]) -> str:
    own = safetensors_io.own_header(safetensors_io.read_header(file), file) or {}
    info = own.get("info")
    if not isinstance(info, dict):
        raise LGFAError(f"{file} does not say how it was made: train it by `lgfa.toon {kind}`.")
    what, how = ABOUT[kind]
    text = [
        f"# toon/{kind}", "", what, "",
        f"- **Trained** by `{info.get('command', '?')}` in {info.get('minutes', '?')} minutes on "
        f"{info.get('threads', '?')} thread(s) of a {info.get('device', '?')}.",
        f"- **From** {how[0].lower()}{how[1:]}",
        *([f"- **Note** {info['note']}."] if "note" in info else []),
        f"- **Size** {file.stat().st_size / 1e6:.1f} MB, stored in float16. Licence: MIT.",
        "- **Not for** photographs: it knows drawn faces only.", "",
    ]  # fmt: skip
    if lines:
        text += ["| figure (`python -m lgfa.toon report`) | value | bar |", "|---|---|---|"]
        for line in lines:
            sign = "at most" if line["at_most"] else "at least"
            bar = (
                ""
                if line["bar"] is None
                else f"{sign} {line['bar']:g}{'' if line['met'] else ', missed'}"
            )
            text.append(f"| {line['what'].strip()} | {line['value']:.3f} | {bar} |")
    return "\n".join(text) + "\n"
