"""What comes over links and sockets obeys every node's own schema."""
from __future__ import annotations

import ast
import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

NAN, INF = float("nan"), float("inf")
NUMBERS = (NAN, INF, -INF, None, True, "5", "x", [], {}, (1, 2), torch.ones(2), 10**400, -10**5000,
           1 << 70, np.float32("nan"), 1j)


def _node_ids():
    source = (Path(__file__).resolve().parents[2] / "nodes" / "__init__.py").read_text()
    mapping = next(node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign))
    return [key.value for key in mapping.value.keys]


@pytest.fixture(params=_node_ids())
def schema(request, pack):
    return pack.nodes.NODE_CLASS_MAPPINGS[request.param].GET_SCHEMA()


class Anything:
    """A value on a socket whose check is not the one that is looked at."""


@pytest.fixture
def usual(pack, tiny_domain):
    """A value that each kind of socket accepts, for the sockets before the one in question."""
    import importlib

    sockets, training = pack.nodes.sockets, pack.nodes.train_losses
    align = importlib.import_module(f"{pack.__name__}.lgfa.photo.align")
    generator, encoder, clip, motion = tiny_domain
    where = align.Alignment(np.array([[[20.0, 0, 2], [0, 20, 2]]]), np.ones((1, 5, 2)), 16,
                            (24, 24), "toon")
    return {
        "IMAGE": torch.rand(1, 24, 24, 3), "MASK": torch.zeros(1, 24, 24),
        "FACE_LANDMARKS": [[]], "LGFA_GENERATOR": generator, "LGFA_ENCODER": encoder,
        "LGFA_CLIP": clip, "LGFA_MOTION": motion, "LGFA_ALIGNMENT": where,
        "LGFA_TEXT": sockets.Words(torch.rand(1, 4), ("a",), "clip"),
        "LGFA_IMAGE_CODE": sockets.Look(torch.rand(1, 4), "clip"),
        "LGFA_LATENT": sockets.Still(torch.rand(1, 4, 8)),
        "LGFA_MOTION_CODE": sockets.Codes(torch.rand(1, 2, 8), ("a",)),
        "LGFA_TRAJECTORY": sockets.Path(torch.rand(1, 2, 4, 8)),
        "LGFA_SOURCE": pack.nodes.train_stills.Stills(generator.name, 0.7),
        "LGFA_LOSSES": training.Losses({}),
    }


@pytest.fixture
def said(pack, usual):
    """said(schema, input=value) -> the one sentence; the other inputs are as they should be."""
    def call(schema, **wrong):
        values = {}
        for one in schema.inputs:
            if hasattr(one, "options"):
                values[one.id] = one.options[0] if one.options else ""
            elif hasattr(one, "default"):
                values[one.id] = one.default
            elif not one.optional:
                values[one.id] = usual[socket(one)]
        cls = pack.nodes.NODE_CLASS_MAPPINGS[schema.node_id]
        with pytest.raises(pack.nodes.checks.LGFAError) as caught:
            cls.execute(**{**values, **wrong})
        text = str(caught.value)
        (name, value), = wrong.items()
        assert text.startswith(f"{schema.display_name}: "), text
        assert name in text or name.replace("_", " ") in text, text
        assert text.endswith(".") and len(text) < 400 and "\n" not in text
        assert "damaged" not in text, text                  # found by its check, not by accident
        return text

    return call


def socket(one):
    return str(one.get_io_type()).split(",")[0]


def test_every_node_is_checked(pack):
    for cls in pack.nodes.NODE_CLASS_MAPPINGS.values():
        assert issubclass(cls, pack.nodes.checks.Node)
        assert hasattr(cls.execute.__func__, "__wrapped__")
        for one in cls.GET_SCHEMA().inputs:
            if not hasattr(one, "default"):
                assert socket(one) in pack.nodes.checks._SOCKETS, one.id


def test_numbers_keep_their_bounds(schema, said):
    from comfy_api.latest import io

    for one in schema.inputs:
        if not isinstance(one, (io.Int.Input, io.Float.Input)):
            continue
        beyond = [one.min - 1, one.max * 2 + 1, np.float64(one.max) * 4 + 1]
        fractions = [one.min + 0.5, Fraction(1, 3)] if isinstance(one, io.Int.Input) else []
        for wrong in (*NUMBERS, *beyond, *fractions):
            if isinstance(wrong, int) and wrong is not True and one.min <= wrong <= one.max:
                continue                        # a seed may be that large
            text = said(schema, **{one.id: wrong})
            assert "it must be a" in text and "number from" in text
            assert f"to {one.max}" in text or f"to {one.max:g}" in text


def test_texts_switches_and_choices_are_what_they_should_be(schema, said):
    from comfy_api.latest import io

    for one in schema.inputs:
        if isinstance(one, (io.Int.Input, io.Float.Input)) or not hasattr(one, "default"):
            continue
        for wrong in (None, 5, NAN, ["smiling"], {}, torch.ones(2), np.ones(3), b"smiling"):
            said(schema, **{one.id: wrong})
        if isinstance(one, io.String.Input):
            assert "half a character" in said(schema, **{one.id: "smiling \ud83d"})
        if isinstance(one, io.Boolean.Input):
            said(schema, **{one.id: "no"})


def test_literals_on_sockets(schema, said, usual):
    for one in schema.inputs:
        if hasattr(one, "default"):
            continue
        for wrong in (5, 0.5, True, "x", [], [1], {}, None, np.ones(3), Anything(), NAN):
            if wrong is None and one.optional:
                continue                        # as if nothing were connected
            if socket(one) == "FACE_LANDMARKS" and isinstance(wrong, (list, dict, np.ndarray)):
                continue                        # these have a test of their own
            assert "; connect" in said(schema, **{one.id: wrong})


def test_sockets_do_not_take_each_others_values(schema, said, usual):
    for one in schema.inputs:
        for kind, value in usual.items():
            if hasattr(one, "default") or kind == socket(one) or {kind, socket(one)} == {
                    "IMAGE", "MASK"} or socket(one) == "FACE_LANDMARKS":
                continue
            said(schema, **{one.id: value})


def test_codes_of_other_packs_are_looked_at(pack, schema, said, usual):
    for one in schema.inputs:
        good = usual[socket(one)] if not hasattr(one, "default") else None
        field = "w" if hasattr(good, "w") else "z" if hasattr(good, "z") else None
        if field is None:
            continue
        codes = getattr(good, field)
        huge = torch.full_like(codes, 1e300, dtype=torch.float64)       # infinite as float32
        for wrong in (huge, codes * NAN, codes / 0, codes[:0], codes[0], codes.long(), "codes",
                      None):
            said(schema, **{one.id: dataclasses.replace(good, **{field: wrong})})
        if hasattr(good, "texts"):
            said(schema, **{one.id: dataclasses.replace(good, texts=5)})


def test_pictures(schema, said, pack):
    for one in schema.inputs:
        if hasattr(one, "default") or socket(one) != "IMAGE":
            continue
        for wrong, words in (
            (torch.rand(0, 32, 32, 3), "holds no pictures"), (torch.rand(1, 0, 32, 3), "at least"),
            (torch.rand(1, 32, 8, 3), "8 x 32 px"), (torch.rand(32, 32, 3), "[32, 32, 3]"),
            (torch.rand(1, 32, 32, 5), "1 to 4 channels"), (torch.rand(1, 32, 32, 0), "channels"),
            (torch.rand(1, 1, 32, 32, 3), "[1, 1, 32, 32, 3]"),
            (torch.full((1, 32, 32, 3), NAN), "NaN"), (torch.full((1, 32, 32, 1), INF), "infinity"),
            (torch.rand(1, 32, 32, 3) * 255, "0..1"), (torch.rand(1, 32, 32, 3) - 3, "0..1"),
            (torch.ones(1, 32, 32, 3, dtype=torch.uint8), "uint8"),
            (torch.ones(1, 32, 32, 3, dtype=torch.bool), "bool"),
        ):
            assert words in said(schema, **{one.id: wrong})


@pytest.mark.parametrize("wrong,words", [
    (torch.rand(0, 24, 24), "holds no mask"), (torch.rand(1, 0, 24), "holds no mask"),
    (torch.full((1, 24, 24), NAN), "NaN"), (torch.rand(1, 3, 24, 24), "[1, 3, 24, 24]"),
    (torch.rand(24), "[24]"), (torch.ones(1, 24, 24, dtype=torch.int32), "int32"),
    (torch.rand(1, 24, 24) * 255, "0..1"),
])
def test_masks_that_are_none(pack, said, wrong, words):
    assert words in said(pack.nodes.photo.AlignFace.GET_SCHEMA(), mask=wrong)


@pytest.mark.parametrize("shape", [(96, 96), (1, 96, 96), (1, 1, 96, 96), (2, 48, 48)])
def test_masks_of_all_shapes(run, shape):
    mask = torch.zeros(shape)
    mask[..., shape[-1] // 3:-shape[-1] // 4, shape[-1] // 3:-shape[-1] // 4] = 1
    image = torch.rand(1, 96, 96, 3)
    sides = run("LGFA_AlignFace", image=image, mask=mask, size=64)[1].sides()
    bools = run("LGFA_AlignFace", image=image, mask=mask > 0, size=64)[1].sides()
    assert 40 < sides[0] < 90 and sides[0] == bools[0]


@pytest.mark.parametrize("found", [
    5, {"frames": 5}, {"frames": [5]}, {"frames": [[5]]}, {"frames": [[{}]]},
    {"frames": [[{"landmarks_xy": [[1, 2], [3]] * 300}]]},
    {"frames": [[{"landmarks_xy": np.full((468, 2), NAN)}]]},
    {"frames": [[{"landmarks_xy": np.ones((468, 1))}]]}, [5, 6], [[5]], [["box"]],
    [{"x": 1, "y": 2, "width": NAN, "height": 3}], [{"x": "left"}], [[1, 2, INF, 4]],
    [[None] * 4], {"x": 1}, np.ones(2), np.array(["a"]), torch.ones(2, 2, 2, 2),
])
def test_faces_that_are_none(pack, run, found):
    with pytest.raises(pack.nodes.checks.LGFAError) as caught:
        run.linked("LGFA_AlignFace", image=torch.rand(1, 64, 64, 3), detections=found,
                   detector="none")
    assert str(caught.value).startswith("Align Face (LGFA): detections")
    points = "20,20 40,20 30,30 22,40 38,40"                # typed ones have the first word
    found = found if not isinstance(found, int) else None
    assert run.linked("LGFA_AlignFace", image=torch.rand(1, 64, 64, 3), detections=found,
                      points=points, size=64)[0].shape == (1, 64, 64, 3)


def test_numbers_between_the_steps_and_of_other_types(pack, run, tiny_domain):
    generator = tiny_domain[0]
    still = run.linked("LGFA_SampleFace", generator=generator, batch_size=np.int64(2), seed=7.0,
                       truncation=Fraction(1, 3))[0]
    assert still.w.shape[0] == 2
    assert torch.equal(still.w[:1], run("LGFA_SampleFace", generator=generator, seed=7,
                                        truncation=1 / 3)[0].w)
    path = pack.nodes.sockets.Path(still.w[:, None].expand(-1, 3, -1, -1))
    _, video = run.linked("LGFA_RenderAnimation", generator=generator, trajectory=path,
                          fps=np.float32(12.345), chunk=3.0)
    assert float(video.get_components().frame_rate) == pytest.approx(12.345, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_codes_of_other_precisions_go_with_each_other(pack, run, usual, dtype):
    one = usual["LGFA_TRAJECTORY"]
    other = dataclasses.replace(one, w=one.w.to(dtype))
    for node in ("LGFA_BlendTrajectories", "LGFA_JoinTrajectories"):
        assert run.linked(node, trajectory_a=one, trajectory_b=other,
                          **{"overlap": 1} if "Join" in node else {})[0].w.dtype == torch.float32


def test_embeddings_of_another_length_are_named(run, usual, pack, tiny_domain):
    motion, words = tiny_domain[3], usual["LGFA_TEXT"]
    length = motion.config.embed_dim
    for text, look, what in (
        (torch.rand(1, length), torch.rand(1, length + 1), "image was seen by"),
        (torch.rand(1, length + 1), torch.rand(1, length), "text was read by"),
    ):
        with pytest.raises(ValueError, match=f"the {what} a CLIP of {length + 1} numbers"):
            run.linked("LGFA_RecurrentMotion", motion=motion,
                       text=dataclasses.replace(words, z=text, clip=motion.clip),
                       image_code=pack.nodes.sockets.Look(look, motion.clip))


def test_own_checks_hold_for_links_too(run, usual):
    with pytest.raises(ValueError, match="inside the output folder"):
        run.linked("LGFA_SaveLatents", filename_prefix="../up", latent=usual["LGFA_LATENT"])
    with pytest.raises(ValueError, match="empty"):
        run.linked("LGFA_EncodeText", clip=usual["LGFA_CLIP"], text=" \n ")


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_pictures_of_other_channels_are_those_of_three(run, tiny_domain, channels):
    """Grey is taken as grey, and what is transparent lies on white, in every node."""
    generator, encoder, clip, _ = tiny_domain
    seen = torch.rand(1, 64, 64, channels, generator=torch.Generator().manual_seed(1))
    colours = seen[..., :1 if channels < 3 else 3].expand(-1, -1, -1, 3)
    alpha = seen[..., -1:] if channels in (2, 4) else torch.ones(1)
    plain = (colours * alpha + (1 - alpha)).contiguous()
    points = "20,20 40,20 30,30 22,40 38,40"
    for image, same in ((seen, plain), (seen.double(), plain)):
        a, b = (run("LGFA_AlignFace", image=one, points=points, size=64) for one in (image, same))
        assert torch.equal(a[0], b[0]) and torch.equal(a[3], b[3])
        c, d = (run("LGFA_PasteFaceBack", photo=one, frames=one[:, 8:56, 8:56], alignment=b[1],
                    reconstruction=one[:, 8:56, 8:56], detail=0.5)[0] for one in (image, same))
        assert torch.equal(c, d) and c.shape == (1, 64, 64, 3)
        e, f = (run("LGFA_InvertFace", generator=generator, encoder=encoder, image=one)[0].w
                for one in (image, same))
        assert torch.equal(e, f)
        g, h = (run("LGFA_EncodeImage", clip=clip, image=one)[0].z for one in (image, same))
        assert torch.equal(g, h)
        run("LGFA_TrainingSource", generator=generator, encoder=encoder, images=image,
            kind="images")


def test_good_pictures_are_not_copied(pack):
    import importlib

    images = importlib.import_module(f"{pack.__name__}.lgfa.media.images")
    good = torch.rand(2, 32, 32, 3)
    assert images.check_batch(good) is good
    over = good * 1.4 - 0.2                                 # as a sharper leaves them
    assert images.check_batch(over).min() == 0 and images.check_batch(over).max() == 1


def test_what_nobody_foresaw_is_a_sentence_too(pack, said, usual):
    align = pack.nodes.photo.PasteFaceBack.GET_SCHEMA()
    broken = dataclasses.replace(usual["LGFA_ALIGNMENT"], points=None)
    with pytest.raises(pack.nodes.checks.LGFAError, match=r"^Paste Face Back \(LGFA\): alignment"):
        pack.nodes.NODE_CLASS_MAPPINGS[align.node_id].execute(
            photo=torch.rand(1, 24, 24, 3), frames=torch.rand(1, 24, 24, 3), alignment=broken,
            feather=0.1, colour_match=1.0, detail=1.0, region="face")
    for change in ({"framing": "selfie"}, {"size": 0}, {"matrix": np.zeros((1, 2, 3))},
                   {"points": np.full((1, 5, 2), NAN)}, {"points": np.ones((0, 5, 2))}):
        said(align, alignment=dataclasses.replace(usual["LGFA_ALIGNMENT"], **change))


def test_one_node_names_itself_and_takes_links(run, tiny_domain):
    with pytest.raises(ValueError, match=r"^Animate Face \(LGFA\): fps is nan; it must be a"):
        run.linked("LGFA_AnimateFace", fps=NAN)
    with pytest.raises(ValueError, match=r"^Animate Face \(LGFA\): image is 5; connect"):
        run.linked("LGFA_AnimateFace", image=5)
