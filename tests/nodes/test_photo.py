"""Example pictures, Align Face and Paste Face Back."""
from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def scene(session_run):
    """IMAGE and points of the bundled scene with two toons."""
    return session_run("LGFA_LoadExample", picture="lgfa_two_toons")


def test_examples_load_and_have_points(pack, run, scene):
    image, points = scene
    assert image.dtype == torch.float32 and image.shape[0] == 1 and image.shape[2] >= 640
    assert 0 <= image.min() and image.max() <= 1 and len(points.splitlines()) == 2
    face, point = run("LGFA_LoadExample")                       # the first choice works
    assert face.shape == (1, 256, 256, 3) and len(point.splitlines()) == 1
    with pytest.raises(ValueError, match="no example picture '../../secret'"):
        run("LGFA_LoadExample", picture="../../secret")
    fingerprint = pack.nodes.examples.LoadExample.fingerprint_inputs
    assert fingerprint(picture="lgfa_toon_face") == fingerprint(picture="lgfa_toon_face")


@pytest.mark.parametrize("index,lean", [(0, -5), (1, 7)])
def test_aligned_face_is_upright_and_known(run, scene, index, lean):
    from lgfa.toon import scene as drawn

    image, points = scene
    aligned, alignment, used, preview = run("LGFA_AlignFace", image=image, points=points,
                                            face_index=index, size=128)
    assert aligned.shape == (1, 128, 128, 3) and preview.shape == image.shape
    assert used == points.splitlines()[index]
    matrix = alignment.matrix[0]
    assert np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) == pytest.approx(lean, abs=0.5)
    render = drawn.draw_face(drawn.FIGURES[index].params, 128)
    assert (aligned - render)[0, 44:92, 44:84].abs().mean() < 0.025
    assert not torch.equal(preview, image)


def test_photo_in_photo_out(run, scene, progress):
    image, points = scene
    aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points)
    frames = aligned.repeat(3, 1, 1, 1)
    frames[2, 170:196, 100:156] = torch.tensor([0.4, 0.05, 0.1])
    before = frames.clone()
    out, mask = run("LGFA_PasteFaceBack", photo=image, frames=frames, alignment=alignment,
                    reconstruction=aligned)
    assert out.shape == (3, *image.shape[1:]) and mask.shape == (1, *image.shape[1:3])
    assert torch.equal(out[0], image[0]) and torch.equal(out[1], image[0])
    assert (out[2] - image[0]).abs().max() > 0.3
    assert torch.equal(out[2][mask[0] == 0], image[0][mask[0] == 0])
    assert torch.equal(frames, before)                          # inputs are shared: never changed
    assert progress[-1][:2] == (3, 3) and progress[0][2][0] == "JPEG"
    plain, _ = run("LGFA_PasteFaceBack", photo=image, frames=frames, alignment=alignment,
                   colour_match=0.0, region="whole crop")
    assert (plain[0] - image[0]).abs().mean() < 0.003


def test_inverted_face_pasted_back_is_the_photo(run, scene, domain):
    image, points = scene
    aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points, size=320)
    _, again = run("LGFA_InvertFace", generator=domain[0], encoder=domain[1], image=aligned)
    assert again.shape[1] < aligned.shape[1]                    # another size than the crop
    assert (again - torch.nn.functional.interpolate(
        aligned.movedim(-1, 1), again.shape[1:3], mode="area").movedim(1, -1)
    )[0, 88:184, 88:168].abs().mean() < 0.12                    # the encoder knows the face
    out, _ = run("LGFA_PasteFaceBack", photo=image, frames=again, alignment=alignment,
                 reconstruction=again)
    assert torch.equal(out, image)


def test_second_face_goes_into_the_pictures_of_the_first(run, scene):
    image, points = scene
    film = image
    for index in range(2):
        aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points,
                                       face_index=index, size=64)
        frames = torch.cat([aligned, aligned * 0.5])
        film, _ = run("LGFA_PasteFaceBack", photo=film, frames=frames, alignment=alignment,
                      reconstruction=aligned)
    assert film.shape[0] == 2 and torch.equal(film[0], image[0])
    change = (film[1] - image[0]).abs().amax(-1)
    assert change[:, :320].max() > 0.1 and change[:, 360:].max() > 0.1      # both faces


def test_masks_and_boxes_tell_too(run, scene):
    image, _ = scene
    mask = torch.zeros(1, *image.shape[1:3])
    mask[0, 230:365, 125:290] = 1
    by_mask = run("LGFA_AlignFace", image=image, mask=mask)[1]
    box = {"x": 125, "y": 220, "width": 165, "height": 150}
    by_box = run("LGFA_AlignFace", image=image, detections=[[box]])[1]
    for found in (by_mask, by_box):
        assert found.sides()[0] == pytest.approx(272, rel=0.15)


def test_batches_keep_their_order(run, scene):
    image, points = scene
    aligned, alignment, used, preview = run("LGFA_AlignFace", image=image.repeat(2, 1, 1, 1),
                                            points=points, size=64)
    assert len(aligned) == len(alignment) == len(preview) == len(used.splitlines()) == 2


def test_points_are_checked_before_running(run):
    assert run.validate("LGFA_AlignFace", points="") is True
    assert run.validate("LGFA_AlignFace", points="1,2 30,2 15,15 5,30 25,30") is True
    assert "2 numbers were given" in run.validate("LGFA_AlignFace", points="1,2")
    assert "not understood" in run.validate("LGFA_AlignFace", points="the left one")
    assert run.validate("LGFA_AlignFace") is True


def test_without_opencv_all_four_ways_are_named(run, scene, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    for detector in ("YuNet", "YuNet (download 0.3 MB if missing)", "none"):
        with pytest.raises(ValueError) as caught:
            run("LGFA_AlignFace", image=scene[0], detector=detector)
        for word in ("OpenCV", "mask", "landmarks or boxes", "by hand"):
            assert word in str(caught.value)


def test_a_missing_model_is_only_fetched_when_asked(pack, run, scene, monkeypatch, comfy_home):
    faces = importlib.import_module(f"{pack.__name__}.lgfa.photo.faces")
    download = importlib.import_module(f"{pack.__name__}.lgfa.formats.download")
    public = importlib.import_module(f"{pack.__name__}.lgfa.formats.public")
    asked = []
    monkeypatch.setattr(faces, "opencv", lambda: None)
    monkeypatch.setattr(public, "folder", lambda: comfy_home.base / "cache")
    monkeypatch.setattr(download, "fetch_yunet", lambda folder: asked.append(folder) or "file")
    monkeypatch.setattr(faces, "YuNet", lambda model: lambda image: faces.parse_points(scene[1]))
    with pytest.raises(ValueError, match="YuNet's model is not in .*lgfa"):
        run("LGFA_AlignFace", image=scene[0])
    assert not asked
    choice = "YuNet (download 0.3 MB if missing)"
    alignment = run("LGFA_AlignFace", image=scene[0], detector=choice, order="largest first")[1]
    assert asked and str(asked[0]).endswith("lgfa") and alignment.points[0, 0, 0] < 300


@pytest.mark.parametrize("inputs,words", [
    ({"face_index": 2}, "there is no face 2: 2 were found"),
    ({"points": "9000,1 9100,1 9050,50 9010,90 9090,90"}, "beside the picture"),
    ({"detections": [[{"left": 3}]], "points": ""}, "box of a face is not understood"),
    ({"framing": "selfie"}, "no framing 'selfie'"),
])
def test_wrong_inputs_of_align(run, scene, inputs, words):
    with pytest.raises(ValueError, match=words):
        run("LGFA_AlignFace", **{"image": scene[0], "points": scene[1], **inputs})


def test_wrong_inputs_of_paste(run, scene):
    image, points = scene
    aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points, size=64)
    with pytest.raises(ValueError, match="give the photo that went into the alignment"):
        run("LGFA_PasteFaceBack", photo=torch.rand(1, 200, 200, 3), frames=aligned,
            alignment=alignment)
    with pytest.raises(ValueError, match="2 photos do not fit"):
        run("LGFA_PasteFaceBack", photo=image.repeat(2, 1, 1, 1),
            frames=aligned.repeat(3, 1, 1, 1), alignment=alignment)
    huge = torch.zeros(1, 1, 1, 3).expand(1, 8000, 12800, 3)
    with pytest.raises(ValueError, match="GiB: make the photo smaller"):
        run("LGFA_PasteFaceBack", photo=huge, frames=aligned.repeat(64, 1, 1, 1),
            alignment=alignment)


def test_a_larger_copy_of_the_photo_can_be_pasted_into(run, scene):
    image, points = scene
    aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points, size=64)
    large = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    out, mask = run("LGFA_PasteFaceBack", photo=large, frames=aligned, alignment=alignment,
                    reconstruction=aligned)
    assert torch.equal(out, large) and mask.shape[1:] == large.shape[1:3]


def test_cancel_stops_between_frames(pack, run, scene, monkeypatch):
    image, points = scene
    aligned, alignment, _, _ = run("LGFA_AlignFace", image=image, points=points, size=64)
    calls = []

    class Stopped(Exception):
        pass

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Stopped

    monkeypatch.setattr(pack.nodes.photo, "stop_if_interrupted", stop)
    with pytest.raises(Stopped):
        run("LGFA_PasteFaceBack", photo=image, frames=aligned.repeat(9, 1, 1, 1),
            alignment=alignment)
    assert len(calls) == 2


def test_every_socket_says_what_it_is(pack):
    for cls in [*pack.nodes.photo.NODES, *pack.nodes.examples.NODES]:
        schema = cls.GET_SCHEMA()
        assert schema.node_id.startswith("LGFA_") and schema.description
        assert all(one.tooltip for one in [*schema.inputs, *schema.outputs])
