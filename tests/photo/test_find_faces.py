"""Finding faces: typed points, masks, boxes, landmarks, and YuNet where OpenCV is there."""
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lgfa.errors import LGFAError
from lgfa.formats import download, public
from lgfa.media import examples
from lgfa.photo import align, faces
from lgfa.toon import scene

YUNET = Path(__file__).resolve().parents[3] / "shared" / "faces" / public.known("yunet").file
POINTS = np.array([[203.0, 104], [248, 104], [224, 128], [204, 143], [243, 144]])  # the astronaut


# ---------------------------------------------------------------- typed
@pytest.mark.parametrize("text", [
    "1,2 30,2 15,15 5,30 25,30", "(1, 2), (30, 2), (15, 15), (5, 30), (25, 30)",
    "1 2\n30 2\n15 15\n5 30\n25 30", "1.0;2.0 30;2 15;15 5;30 25;30"])
def test_points_are_read_however_they_are_typed(text):
    assert faces.parse_points(text).tolist() == [[[1, 2], [30, 2], [15, 15], [5, 30], [25, 30]]]


@pytest.mark.parametrize("text,words", [
    ("1,2 30,2", "4 numbers were given"), ("left eye", "not understood"), ("", "0 numbers"),
    ("1,2 30,2 15,15 5,30 25,30 7,7", "12 numbers"),
    ("1,1 1,1 1,1 1,1 1,1", "on top of each other"),
])
def test_wrong_points_are_explained(text, words):
    with pytest.raises(LGFAError, match=words):
        faces.parse_points(text)


# ---------------------------------------------------------------- masks, boxes, landmarks
@pytest.mark.parametrize("lean", [-30, 0, 20])
def test_a_mask_gives_upright_faces(lean):
    y, x = torch.meshgrid(torch.arange(300.0), torch.arange(400.0), indexing="ij")
    angle = np.radians(lean)
    u = (x - 150) * np.cos(angle) + (y - 140) * np.sin(angle)
    v = (y - 140) * np.cos(angle) - (x - 150) * np.sin(angle)
    mask = ((u / 60) ** 2 + (v / 80) ** 2 < 1).float()
    found = faces.from_mask(mask, "FFHQ")
    assert len(found) == 1
    matrix = align.crop_matrix(found[0], "FFHQ")
    assert np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) == pytest.approx(lean, abs=2)
    assert 2 * 120 > np.sqrt(np.linalg.det(matrix[:, :2])) > 1.2 * 120


def test_masks_of_toons_frame_them_well():
    picture, figure = examples.load("lgfa_two_toons")[0], scene.FIGURES[1]
    y, x = np.mgrid[:picture.shape[1], :picture.shape[2]] + 0.5
    uv = np.stack([x, y, np.ones_like(x)], -1) @ align.inverse(scene.matrix(figure)).T
    mask = ((uv[..., 0] - 0.5) / 0.30) ** 2 + ((uv[..., 1] - 0.525) / 0.3325) ** 2 < 1
    mask = torch.from_numpy(mask)                           # the head's own ellipse
    found = faces.find(picture[0], "toon", mask=mask.float())
    _, where = align.align(picture, found[0], 64, "toon")
    assert where.sides()[0] == pytest.approx(figure.side, rel=0.05)
    assert np.abs(found[0] - scene.scene_points()[1]).max() < 0.05 * figure.side


def test_blots_are_faces_and_specks_are_not():
    mask = torch.zeros(100, 200)
    mask[20:70, 20:60], mask[10:40, 120:145], mask[90:92, 190:192] = 1, 1, 1
    found = faces.find(torch.zeros(100, 200, 3), "toon", mask=mask)
    assert len(found) == 2 and found[0, 0, 0] < found[1, 0, 0]
    large = faces.find(torch.zeros(100, 200, 3), "toon", mask=mask.flip(1), order="largest first")
    assert large[0, 0, 0] > 100


def test_a_stroke_is_no_face():
    mask = torch.zeros(100, 200)
    mask[50:53] = 1
    with pytest.raises(LGFAError, match="200 x 3 px, which is no face"):
        faces.find(torch.zeros(100, 200, 3), "toon", mask=mask)


def test_masks_of_another_size_are_fitted():
    mask = torch.zeros(64, 64)
    mask[16:48, 20:44] = 1
    found = faces.find(torch.zeros(640, 640, 3), "toon", mask=mask)
    assert 200 < found[0, :, 0].mean() < 440


BOX = {"x": 178, "y": 65, "width": 91, "height": 111, "label": "face", "score": 0.9}


@pytest.mark.parametrize("found", [
    BOX, [BOX], [[BOX]], [178, 65, 91, 111], [(178.0, 65.0, 91.0, 111.0)],
    torch.tensor([[178.0, 65, 91, 111]]), np.array([[178.0, 65, 91, 111]])])
def test_boxes_in_every_shape(found):
    points = faces.from_detections(found, "FFHQ")
    assert points.shape == (1, 5, 2)
    assert np.abs(points[0] - POINTS).max() < 12


def test_boxes_of_a_batch_belong_to_their_pictures():
    other = dict(BOX, x=300)
    assert faces.from_detections([[BOX], [other]], "FFHQ", 1)[0, 0, 0] > 300
    assert len(faces.from_detections([[], [other]], "FFHQ", 0)) == 0


def test_landmarks_of_the_face_mesh():
    mesh = np.zeros((478, 2))
    for place, point in zip(((33, 133, 159, 145), (362, 263, 386, 374), (1,), (61,), (291,)),
                            POINTS, strict=True):
        mesh[list(place)] = point
    found = {"frames": [[{"landmarks_xy": mesh}]], "image_size": (512, 512)}
    assert np.allclose(faces.from_detections(found, "FFHQ")[0], POINTS)
    with pytest.raises(LGFAError, match="landmarks of a face"):
        faces.from_detections({"frames": [[{"landmarks_xy": mesh[:5]}]]}, "FFHQ")


@pytest.mark.parametrize("found", [[{"a": 1}], [[1, 2]], ["face"], [dict(BOX, width=0)]])
def test_strange_boxes_are_refused(found):
    with pytest.raises(LGFAError, match="box of a face"):
        faces.from_detections(found, "FFHQ")


# ---------------------------------------------------------------- which, and who tells
def test_order_and_index():
    both = np.stack([POINTS + [200, 0], (POINTS - 170) * 0.5 + 20])
    assert faces.sort(both)[0, 0, 0] < 100
    assert faces.sort(both, "largest first")[0, 0, 0] > 400
    with pytest.raises(LGFAError, match="2 were found"):
        faces.pick(both, 2)


def test_without_anything_all_four_ways_are_named():
    with pytest.raises(LGFAError) as caught:
        faces.find(torch.zeros(64, 64, 3), "FFHQ", mask=torch.zeros(64, 64))
    for word in ("the mask is empty", "OpenCV", "landmarks or boxes", "by hand"):
        assert word in str(caught.value)


def test_what_was_typed_wins():
    text = align.points_text(POINTS[None])
    found = faces.find(torch.zeros(64, 64, 3), "FFHQ", text, [BOX], torch.ones(64, 64))
    assert np.allclose(found[0], POINTS)


# ---------------------------------------------------------------- YuNet
def test_the_model_is_found_in_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("LGFA_HOME", str(tmp_path / "cache"))
    assert public.find_yunet([tmp_path]) is None
    other = tmp_path / "face_detection_yunet_2023mar.onnx"
    other.write_bytes(b"x")
    assert public.find_yunet([tmp_path / "none", tmp_path]) == other
    own = tmp_path / public.known("yunet").file
    own.write_bytes(b"x")
    assert public.find_yunet([tmp_path]) == own


def test_the_download_is_verified_and_lies_where_asked(tmp_path, monkeypatch):
    data = YUNET.read_bytes() if YUNET.is_file() else None
    if data is None:
        pytest.skip("the test data with YuNet's model are not beside the project")
    assert hashlib.sha256(data).hexdigest() == public.known("yunet").sha256
    monkeypatch.setattr(download, "_fetch", lambda model, part, progress: part.write_bytes(data))
    path = download.fetch_yunet(tmp_path / "lgfa")
    assert path == tmp_path / "lgfa" / public.known("yunet").file and path.read_bytes() == data
    monkeypatch.setattr(download, "_fetch",
                        lambda model, part, progress: part.write_bytes(data[:-1] + b"!"))
    with pytest.raises(LGFAError, match="SHA-256"):
        download.fetch_yunet(tmp_path / "elsewhere")


@pytest.fixture(scope="module")
def yunet():
    pytest.importorskip("cv2")
    if not YUNET.is_file():
        pytest.skip("the test data with YuNet's model are not beside the project")
    return faces.YuNet(YUNET)


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data")
    return torch.from_numpy(data.astronaut().copy()).float() / 255


def test_yunet_finds_the_astronaut(yunet, astronaut):
    found = yunet(astronaut)
    assert found.shape == (1, 5, 2) and np.abs(found[0] - POINTS).max() < 6


def test_yunet_finds_her_in_every_size_and_lean(yunet, astronaut):
    from PIL import Image

    picture = Image.fromarray((astronaut.numpy() * 255).astype(np.uint8))
    for degrees, side in ((25, 512), (-25, 700), (0, 1800)):
        turned = picture.rotate(degrees, Image.Resampling.BICUBIC).resize((side, side))
        found = yunet(torch.from_numpy(np.array(turned)).float() / 255)
        _, where = align.align(torch.zeros(1, side, side, 3), found[0], 64, "FFHQ")
        assert align.angle(where)[0] == pytest.approx(3 - degrees, abs=5)
        assert where.sides()[0] * 512 / side == pytest.approx(177, rel=0.05)


def test_yunet_and_no_face(yunet):
    with pytest.raises(LGFAError, match="found no face"):
        faces.find(torch.rand(100, 100, 3), "FFHQ", detector=yunet)


def test_a_broken_model_is_explained(tmp_path):
    pytest.importorskip("cv2")
    (tmp_path / "yunet.onnx").write_bytes(b"nothing")
    with pytest.raises(LGFAError, match="cannot be used as YuNet"):
        faces.YuNet(tmp_path / "yunet.onnx")
