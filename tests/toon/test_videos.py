"""Faces that move: eased, and in the people's own features. What is learned from them, and more of
how they go: tests/methods/mocogan_hd/test_mocogan.py."""
from __future__ import annotations

import torch

from lgfa.toon import sampling, videos
from lgfa.toon.parameters import INDEX
from lgfa.toon.world import TOON


def test_smoothstep() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert videos.smoothstep(x).tolist() == [0, 0, 0.5, 1, 1]


def test_given_people_begin_neutral_and_stay_themselves() -> None:
    people = sampling.identities(30, torch.Generator().manual_seed(1))
    path = videos.courses(30, 12, torch.Generator().manual_seed(2), people)
    assert torch.equal(path[:, 0], people)
    who = path[:, :, :TOON.who]
    assert torch.allclose(who, people[:, None, :TOON.who].expand_as(who), atol=1e-6)
    assert (path[:, :, TOON.face] != people[:, None, TOON.face]).any((1, 2)).all()
    assert not path[:, :, [INDEX[name] for name in TOON.pose]].any()


def test_more_frames_show_the_same() -> None:
    few, many = (videos.courses(20, frames, torch.Generator().manual_seed(3))
                 for frames in (5, 9))
    assert torch.allclose(few, many[:, ::2], atol=1e-5)


def test_frames_are_drawn_as_faces_are() -> None:
    path = videos.courses(3, 4, torch.Generator().manual_seed(4))
    shown = videos.draw(path, 16, chunk=5)
    assert shown.shape == (3, 4, 3, 16, 16)
    assert (shown[2] - TOON.draw(path[2], 16)).abs().max() < 1e-5
