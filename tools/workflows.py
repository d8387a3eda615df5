"""Writes the shipped workflows: `python tools/workflows.py http://127.0.0.1:8188`.

The address is that of a running ComfyUI with this pack: it is asked for the nodes' inputs.
workflows/*.json are for the front end, workflows/api/*.json the same in API format.
"""
from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.workflow_files import Sheet, to_api, write  # noqa: E402

TOON = "toon (bundled)"
COLUMN = [0, 380, 760, 1140, 1520, 1900, 2280]
HAND = ("170.7,275.7 241.7,269.5 208.4,297.7 179.9,322.5 240.8,317.2\n"
        "416.5,302.3 469.0,308.7 440.5,324.1 415.9,337.7 461.0,343.2")
REAL = """Instead of toons: put a StyleGAN2, the e4e that was trained for it, and a motion model
(`.safetensors`) into `ComfyUI/models/lgfa` and choose them in the loaders.

What is public, and how it is fetched and converted: `python -m lgfa models`, and *With real faces*
in the README. There is no public motion model of photographs: train one once (workflow 6)."""


def animate(sheet: Sheet) -> None:
    """1: the five-minute start."""
    sheet.note("""
## A toon face smiles
Press **Run**. A few seconds later the clip appears on the right, and lies in
`ComfyUI/output/video`.

- **text**: another expression, such as *angry*, *crying*, *winking*, *surprised*. Several lines
  follow each other.
- **face_seed**: another person.
- **strength**: 0 = the still throughout, 1 = as trained, 1.5 = exaggerated.
- **seed**: another performance of the same expression.

For a face of your own connect **Load Image** with *image*: it should be a toon, upright, filling
the picture.

This one node is made of the nodes that workflow 2 shows one by one. Photographs: workflow 5.
""", 290)
    face = sheet.node("LGFA_AnimateFace", 0, 0, 340, text="smiling", frames=16)
    video = sheet.node("SaveVideo", face.right + 60, 0, 400, 502, video=face["video"],
                       filename_prefix="video/lgfa_toon")
    sheet.node("PreviewImage", video.right + 60, 0, 440, 480, images=face["images"],
               title="All frames")


def invert(sheet: Sheet) -> None:
    """2: every stage as a node of its own, from a picture."""
    picture = sheet.node("LGFA_LoadExample", 0, 0, title="Your picture (here: an example)")
    generator = sheet.node("LGFA_LoadGenerator", 0, picture.below + 60, model=TOON)
    encoder = sheet.node("LGFA_LoadFaceEncoder", 0, generator.below, model=TOON)
    motion = sheet.node("LGFA_LoadMotionModel", 0, encoder.below, model=TOON)
    sheet.group("1  What goes in", [picture], "green")
    sheet.group("Models", [generator, encoder, motion], "violet")

    found = sheet.node("LGFA_InvertFace", COLUMN[1], 0, encoder=encoder[0],
                       generator=generator[0], image=picture["image"])
    kept = sheet.node("PreviewImage", COLUMN[1], found.below, 320, 260,
                      images=found["reconstruction"], title="What will be kept")
    sheet.group("2  Find its latent", [found, kept])

    text = sheet.node("LGFA_EncodeText", COLUMN[2], 0, clip=motion["clip"], text="winking")
    look = sheet.node("LGFA_EncodeImage", COLUMN[2], text.below, clip=motion["clip"],
                      image=picture["image"])
    sheet.group("3  What CLIP reads and sees", [text, look])

    codes = sheet.node("LGFA_RecurrentMotion", COLUMN[3], 0, motion=motion["motion"],
                       text=text[0], image_code=look[0], frames=16)
    path = sheet.node("LGFA_MotionMapper", COLUMN[3], codes.below, motion=motion["motion"],
                      motion_code=codes[0], latent=found["latent"], image_code=look[0])
    shape = sheet.node("LGFA_ShapeTrajectory", COLUMN[3], path.below, trajectory=path[0],
                       strength=1.0, easing="ease-out")
    sheet.group("4  Motion", [codes, path, shape])

    frames = sheet.node("LGFA_RenderAnimation", COLUMN[4], 0, generator=generator[0],
                        trajectory=shape[0])
    shown = sheet.node("PreviewImage", COLUMN[4], frames.below, 320, 300,
                       images=frames["images"], title="All frames")
    video = sheet.node("SaveVideo", COLUMN[5], 0, 400, 502, video=frames["video"],
                       filename_prefix="video/lgfa_yours")
    sheet.group("5  Frames", [frames, shown, video], "green")

    first = sheet.note("""
## Your picture winks, stage by stage
Replace **Load Example** by ComfyUI's **Load Image** for a picture of your own. The bundled networks
know toon faces only: look at *What will be kept*. What is not in it is lost before anything moves.

Change only the **strength** in *Shape Trajectory* and press Run: neither CLIP nor the encoder runs
again, so that trying is quick.
""", 200)
    sheet.note(REAL, 180, first.below, title="Real faces")


def chain(sheet: Sheet) -> None:
    """3: two expressions in one clip of 32 frames."""
    domain = sheet.node("LGFA_LoadDomain", 0, 0, domain=TOON)
    face = sheet.node("LGFA_SampleFace", 0, domain.below, generator=domain["generator"], seed=43)
    still = sheet.node("PreviewImage", 0, face.below, 320, 260, images=face["image"],
                       title="The still")
    sheet.group("1  Who", [domain, face, still], "green")

    text = sheet.node("LGFA_EncodeText", COLUMN[1], 0, clip=domain["clip"],
                      text="surprised\nlaughing")
    look = sheet.node("LGFA_EncodeImage", COLUMN[1], text.below, clip=domain["clip"],
                      image=face["image"])
    sheet.group("2  What it does", [text, look])
    sheet.note("""
## First one, then the other
Each line of **Encode Text** is an expression; they follow each other and share the frames. Each
begins where the one before ended, which fades while the new one comes. In a **Timeline**
(workflow 4) each has its own length, and `(still)` leads back in between.

**hold** rests on each expression. *Save Latents* keeps the trajectory: a small file from which the
clip can be rendered again, and which *Load Latents* goes on from.
""", 260)

    path = sheet.node("LGFA_ChainExpressions", COLUMN[2], 0, motion=domain["motion"],
                      text=text[0], latent=face["latent"], image_code=look[0], frames=32,
                      strength=1.0, hold=3, easing="ease-in-out")
    kept = sheet.node("LGFA_SaveLatents", COLUMN[2], path.below + 60, trajectory=path[0],
                      filename_prefix="latents/lgfa_chain")
    sheet.group("3  Chain of 32 frames", [path], "blue")
    sheet.group("Keep the latents", [kept], "violet")

    frames = sheet.node("LGFA_RenderAnimation", COLUMN[3], 0, generator=domain["generator"],
                        trajectory=path[0], fps=12.0)
    shown = sheet.node("PreviewImage", COLUMN[3], frames.below, 320, 360,
                       images=frames["images"], title="All frames")
    video = sheet.node("SaveVideo", COLUMN[4], 0, 400, 502, video=frames["video"],
                       filename_prefix="video/lgfa_chain")
    sheet.group("4  Frames", [frames, shown, video], "green")


def timeline(sheet: Sheet) -> None:
    """4: a clip written down line by line, easing, and a loop."""
    domain = sheet.node("LGFA_LoadDomain", 0, 0, domain=TOON)
    one = sheet.node("LGFA_SampleFace", 0, domain.below, generator=domain["generator"], seed=40,
                     title="One face")
    other = sheet.node("LGFA_SampleFace", 0, one.below, generator=domain["generator"], seed=55,
                       title="Another face")
    mixed = sheet.node("LGFA_MixLatents", COLUMN[1], 0, latent_a=one["latent"],
                       latent_b=other["latent"], amount=1.0, layers="fine (colour, texture)")
    sheet.group("1  The shape of one, the colours of the other", [domain, one, other, mixed],
                "green")

    sheet.note("""
## A clip, written down
`text | frames | hold N | easing | strength X`

What follows the text may be left out and stands in any order; a line's frames include its rest.
`(still)` goes back to the still, `#` begins a comment. A line that cannot be read is named when
Run is pressed, before anything is computed.

**Shape Trajectory** then goes back by the same frames (2 x 38 - 2 = 74), so that the clip repeats
without a seam. *loop* does the same softly, with a timing of its own; *reverse* goes from the end
to the still.
""", 260)
    path = sheet.node("LGFA_Timeline", COLUMN[2], 0, 420, 300, motion=domain["motion"],
                      clip=domain["clip"], latent=mixed["latent"], timeline="""\
# expression   | frames | rest | timing
surprised      | 8  | hold 2 | overshoot
(still)        | 5  | ease-in-out
smiling        | 8  | hold 2 | ease-out
(still)        | 5  | ease-in-out
very angry     | 12 | hold 4 | ease-in | strength 0.9""")
    sheet.group("2  Timeline", [path])
    shape = sheet.node("LGFA_ShapeTrajectory", COLUMN[2], path.below + 60, 420,
                       trajectory=path[0], frames=74, easing="none", way_back="ping-pong")
    sheet.group("3  There and back, so that it repeats", [shape])

    x = shape.right + 60
    frames = sheet.node("LGFA_RenderAnimation", x, 0, generator=domain["generator"],
                        trajectory=shape[0], fps=12.0)
    shown = sheet.node("PreviewImage", x, frames.below, 320, 360, images=frames["images"],
                       title="All frames")
    video = sheet.node("SaveVideo", x + 380, 0, 400, 502, video=frames["video"],
                       filename_prefix="video/lgfa_timeline")
    sheet.group("4  Frames", [frames, shown, video], "green")


def photo(sheet: Sheet) -> None:
    """5: cut a face out of a picture, animate it, put it back."""
    scene = sheet.node("LGFA_LoadExample", 0, 0, picture="lgfa_two_toons",
                       title="The picture (here: a drawn scene)")
    cut = sheet.node("LGFA_AlignFace", 0, scene.below, 320, 380, image=scene["image"], size=256,
                     face_index=0, points=HAND, order="left to right", framing="toon",
                     detector="none")
    sketch = sheet.node("PreviewImage", 0, cut.below, 320, 260, images=cut["preview"],
                        title="Where the faces are")
    sheet.group("1  Cut the face out", [scene, cut, sketch], "green")

    domain = sheet.node("LGFA_LoadDomain", COLUMN[1], 0, domain=TOON)
    found = sheet.node("LGFA_InvertFace", COLUMN[1], domain.below, encoder=domain["encoder"],
                       generator=domain["generator"], image=cut["aligned"])
    kept = sheet.node("PreviewImage", COLUMN[1], found.below, 320, 260,
                      images=found["reconstruction"], title="What will be kept")
    sheet.group("2  Find its latent", [domain, found, kept])

    text = sheet.node("LGFA_EncodeText", COLUMN[2], 0, clip=domain["clip"], text="laughing")
    look = sheet.node("LGFA_EncodeImage", COLUMN[2], text.below, clip=domain["clip"],
                      image=cut["aligned"])
    path = sheet.node("LGFA_ChainExpressions", COLUMN[2], look.below, motion=domain["motion"],
                      text=text[0], latent=found["latent"], image_code=look[0], frames=16,
                      hold=4, easing="ease-in-out")
    frames = sheet.node("LGFA_RenderAnimation", COLUMN[3], 0, generator=domain["generator"],
                        trajectory=path[0])
    sheet.group("3  Animate", [text, look, path, frames])

    back = sheet.node("LGFA_PasteFaceBack", COLUMN[4], 0, photo=scene["image"],
                      frames=frames["images"], alignment=cut["alignment"],
                      reconstruction=found["reconstruction"])
    seen = sheet.node("MaskPreview", COLUMN[4], back.below, 320, 246, mask=back["mask"],
                      title="Where frames lie over the picture")
    sheet.group("4  Put it back", [back, seen], "green")
    video = sheet.node("CreateVideo", COLUMN[5], 0, 400, images=back["images"], fps=10.0)
    saved = sheet.node("SaveVideo", COLUMN[5], video.below, 400, 372, video=video["VIDEO"],
                       filename_prefix="video/lgfa_photo")
    shown = sheet.node("PreviewImage", COLUMN[5], saved.below, 400, 300, images=back["images"],
                       title="All frames")
    sheet.group("5  The whole picture", [video, saved, shown], "green")
    first = sheet.note("""
## One of two laughs, and the rest of the picture stays
The five **points** of each face are written by hand here, because face detectors do not know
toons: left eye, right eye, tip of the nose, left and right corner of the mouth, as seen in the
picture; a line for each face. **face_index** chooses: 0 = the girl on the left, 1 = the one on the
right. For both, feed the pictures of one *Paste Face Back* into the next one's *photo*.

The **reconstruction** goes into *Paste Face Back* too: then only what moves is taken from the
frames, and the picture keeps its own pixels elsewhere.

## With a photograph
Use **Load Image**, empty the points, choose *FFHQ* as framing and *YuNet* as detector (some OpenCV
must be installed; its model of 0.3 MB is downloaded once if you choose so), or paint a mask over
the face, or connect landmarks or boxes of another node. The toon networks make a toon of every
face, so choose models of real faces too.
""", 360)
    sheet.note(REAL, 180, first.below, title="Real faces")


def train(sheet: Sheet) -> None:
    """6: new words for a motion model, and the model used at once."""
    generator = sheet.node("LGFA_LoadGenerator", 0, 0, model=TOON)
    clip = sheet.node("LGFA_LoadCLIP", 0, generator.below, model=TOON,
                      title="Load CLIP: judges the frames")
    source = sheet.node("LGFA_TrainingSource", 0, clip.below, generator=generator[0],
                        kind="samples")
    losses = sheet.node("LGFA_LossWeights", 0, source.below)
    sheet.group("1  What it learns from", [generator, clip, source, losses], "green")

    trained = sheet.node("LGFA_TrainMotionModel", COLUMN[1], 0, 420, 1000,
                         generator=generator[0], clip=clip[0], source=source[0],
                         losses=losses[0], name="my_words")
    sheet.group("2  Train", [trained], "red")
    x = trained.right + 60

    face = sheet.node("LGFA_SampleFace", x, 0, generator=generator[0], seed=47)
    text = sheet.node("LGFA_EncodeText", x, face.below, clip=trained["clip"],
                      text="wearing glasses")
    path = sheet.node("LGFA_ChainExpressions", x, text.below, motion=trained["motion"],
                      text=text[0], latent=face["latent"], frames=16, hold=3)
    sheet.group("3  Use it at once", [face, text, path])
    frames = sheet.node("LGFA_RenderAnimation", x + 380, 0, generator=generator[0],
                        trajectory=path[0])
    shown = sheet.node("PreviewImage", x + 380, frames.below, 320, 360, images=frames["images"],
                       title="All frames")
    video = sheet.node("SaveVideo", x + 760, 0, 400, 502, video=frames["video"],
                       filename_prefix="video/lgfa_new_words")
    sheet.group("4  Frames", [frames, shown, video], "green")
    first = sheet.note("""
## Words that the toon model never learned
Press **Run**: a fresh motion model learns six words, from faces that the generator makes up itself.
It takes some minutes on a CPU, and shows losses and samples while it works. Then somebody puts on
glasses, by the model just trained.

- **words**: a word a line, with paraphrases. They must mean different things, and CLIP must know
  them.
- **Cancel** keeps the last step; Run goes on from there, and a finished training is not repeated.
- The result is `ComfyUI/output/lgfa/my_words.safetensors`, from now on in the dropdown of *Load
  Motion Model* (press R to refresh) and of *Animate Face*.
- Another training needs another **name**.
""", 300)
    sheet.note("""
The same with your StyleGAN2 and an OpenAI CLIP (`.safetensors` in `ComfyUI/models/lgfa`): choose
them in the loaders, in *Loss Weights* the perceptual network; set *identity* to 0 if you have no
face recognition, and *latent_units* to *auto*. About 2000 iterations, on a GPU. Aligned photographs
instead of samples: *Training Source*, kind *folder* or *images*, with a face encoder.
""", 170, first.below, title="Real faces")


def beside_other_tools(sheet: Sheet) -> None:
    """7: stored latents, blended and joined motion, and ComfyUI's own nodes."""
    stored = sheet.node("LGFA_LoadLatents", 0, 0, file="toon_face (bundled)")
    domain = sheet.node("LGFA_LoadDomain", 0, stored.below, domain=TOON)
    sheet.group("1  A stored face", [stored, domain], "green")

    paths = []
    y = 0.0
    for words in ("smiling", "winking", "surprised"):
        text = sheet.node("LGFA_EncodeText", COLUMN[1], y, clip=domain["clip"], text=words)
        paths.append(sheet.node("LGFA_ChainExpressions", COLUMN[2], y, motion=domain["motion"],
                                text=text[0], latent=stored["latent"], frames=12,
                                easing="ease-in-out", title=f"Chain: {words}"))
        y = paths[-1].below
    sheet.group("2  Three expressions", [*paths, text], "blue")
    both = sheet.node("LGFA_BlendTrajectories", COLUMN[3], 0, trajectory_a=paths[0][0],
                      trajectory_b=paths[1][0], amount=0.5, title="A wink in a smile")
    back = sheet.node("LGFA_ShapeTrajectory", COLUMN[3], both.below, trajectory=both[0],
                      frames=18, way_back="loop")
    joined = sheet.node("LGFA_JoinTrajectories", COLUMN[3], back.below, trajectory_a=back[0],
                        trajectory_b=paths[2][0], overlap=3)
    frames = sheet.node("LGFA_RenderAnimation", COLUMN[3], joined.below,
                        generator=domain["generator"], trajectory=joined[0], fps=12.0)
    sheet.group("3  Blend, loop, join, render", [both, back, joined, frames], "blue")

    larger = sheet.node("ImageScaleBy", COLUMN[4], 0, image=frames["images"],
                        upscale_method="lanczos", scale_by=1.5)
    backdrop = sheet.node("LoadImage", COLUMN[4], larger.below, 320, 326, image="example.png")
    fitted = sheet.node("ImageScale", COLUMN[4], backdrop.below, image=backdrop["IMAGE"],
                        upscale_method="lanczos", width=768, height=768, crop="center")
    many = sheet.node("RepeatImageBatch", COLUMN[4], fitted.below, image=fitted[0], amount=27)
    sheet.group("4  ComfyUI's own nodes", [larger, backdrop, fitted, many],
                "yellow")
    over = sheet.node("ImageCompositeMasked", COLUMN[5], 0, destination=many[0], source=larger[0],
                      x=354, y=354, resize_source=False)
    video = sheet.node("CreateVideo", COLUMN[5], over.below, images=over[0], fps=12.0)
    saved = sheet.node("SaveVideo", COLUMN[5], video.below, 320, 430, video=video[0],
                       filename_prefix="video/lgfa_beside")
    shown = sheet.node("PreviewImage", COLUMN[5], saved.below, 320, 300, images=over[0],
                       title="All frames")
    sheet.group("5  Laid over, saved", [over, video, saved, shown], "green")
    sheet.note("""
## Beside other tools
Frames are an ordinary **IMAGE** batch: whatever takes images takes them - upscalers, filters, frame
interpolation, Create Video. Here they are enlarged and laid over *example.png*, which every ComfyUI
has in its input folder; choose any picture there.

Before they are frames, motions are **trajectories**: blended (a wink in a smile), looped, joined
with a crossfade. That costs next to nothing, since nothing is drawn yet.

*Load Latents* lists what *Save Latents* stored; a face comes with the pack.
""", 300)


SHEETS: dict[str, tuple[str, Callable[[Sheet], None]]] = {
    "animate": ("1_animate_a_toon", animate),
    "invert": ("2_animate_your_picture", invert),
    "chain": ("3_chain_two_expressions", chain),
    "timeline": ("4_timeline_and_loop", timeline),
    "photo": ("5_photo_in_photo_out", photo),
    "train": ("6_train_new_words", train),
    "beside_other_tools": ("7_beside_other_tools", beside_other_tools),
}


def build(name: str, object_info: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One workflow in the front end's format and in the API's."""
    title, fill = SHEETS[name]
    sheet = Sheet(title, object_info)
    fill(sheet)
    workflow = sheet.workflow()
    return workflow, to_api(workflow, object_info)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="address of a running ComfyUI that has the pack")
    address = parser.parse_args().server.rstrip("/")
    with urllib.request.urlopen(f"{address}/object_info") as answer:
        object_info = json.load(answer)
    for name, (title, _) in SHEETS.items():
        workflow, prompt = build(name, object_info)
        write(ROOT / "workflows" / f"{title}.json", workflow)
        write(ROOT / "workflows" / "api" / f"{name}.json", prompt)
        print(f"{title}: {len(workflow['nodes'])} nodes")

if __name__ == "__main__":
    main()
