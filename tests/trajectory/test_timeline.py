"""The timeline's text, and what is performed from it (trajectory/timeline.py, chain.py)."""
from __future__ import annotations

import pytest
import torch
from tiny import tiny_generator, tiny_motion

from lgfa.animate import Animator
from lgfa.embed.sentences import sentences
from lgfa.errors import LGFAError
from lgfa.methods.method import Prompt
from lgfa.nn.batch import row, same_count
from lgfa.trajectory import wplus
from lgfa.trajectory.chain import perform_cues
from lgfa.trajectory.timeline import EXAMPLE, Cue, parse, total_frames
from lgfa.trajectory.timing import MAX_FRAMES


def test_parts_are_optional_and_in_any_order():
    cues = parse("""
        # a day
        smiling | 12 | hold 4 | ease-in-out

        crying | ease out | strength .5   # softly
        (Still) | Hold 2 | 8 frames |
        very  angry""")
    assert cues == (
        Cue("smiling", 12, 4, "ease-in-out", 1.0, 3), Cue("crying", 16, 0, "ease-out", 0.5, 5),
        Cue("(Still)", 8, 2, "none", 1.0, 6), Cue("very  angry", 16, 0, "none", 1.0, 7))
    assert [cue.back for cue in cues] == [False, False, True, False]
    assert total_frames(cues) == 52 and parse(EXAMPLE)[0].hold == 4


def test_a_prompt_may_hold_numbers_signs_and_other_scripts():
    text = "smiling at 100%, 2 teeth; caf\u00e9 #1"
    assert parse(text)[0].text == "smiling at 100%, 2 teeth; caf\u00e9"
    assert parse("C#-sharp | 3")[0].text == "C#-sharp"
    assert parse("\ufeff".strip("\ufeff") + "\u7b11\u3046 | 3\r\n")[0].text == "\u7b11\u3046"


@pytest.mark.parametrize("line, said", [
    ("| 16", "no text before the |"),
    ("smiling | fast", '"fast" is neither a number of frames'),
    ("smiling | ease-inout", 'did you mean "ease-in-out"'),
    ("smiling | 0", 'the number of frames must be a whole number from 1 to 100000, not "0"'),
    ("smiling | -3", 'not "-3"'),
    ("smiling | 2.5", 'not "2.5"'),
    ("smiling | 1.5s", 'not "1.5s"'),
    ("smiling | " + "9" * 5000, "whole number"),
    ("smiling | hold", "hold must be a whole number from 0"),
    ("smiling | hold -1", 'not "-1"'),
    ("smiling | hold four", 'not "four"'),
    ("smiling | strength", "strength must be a number from -10 to 10"),
    ("smiling | strength nan", 'not "nan"'),
    ("smiling | strength 1e9", 'not "1e9"'),
    ("smiling | strength 11", "strength must be a number from -10"),
    ("smiling | 8 | 9", "it says twice which frames"),
    ("smiling | hold 1 | hold 2", "twice which hold"),
    ("smiling | 1", "1 frame cannot hold the still and a step, write at least 2"),
    ("smiling | 4 | hold 4", "a rest of 4, write at least 6"),
    ("(still) | 8 | strength 2", "has no strength"),
])
def test_what_is_wrong_is_said_with_its_line(line, said):
    with pytest.raises(LGFAError) as caught:
        parse(f"# first\n{line}\n")
    text = str(caught.value)
    assert text.startswith("the timeline cannot be read: line 2: ") and said in text
    assert "\n" not in text and text.endswith(".") and len(text) < 500


def test_all_errors_come_at_once():
    with pytest.raises(LGFAError) as caught:
        parse("smiling | soon | hold x\ncrying | 8\nangry | 3 | hold 3\n| 4\n")
    text = str(caught.value)
    assert text.count("line 1: ") == 2 and "line 2" not in text
    assert "line 3: 3 frames cannot hold a step and a rest of 3, write at least 4" in text
    assert "line 4: there is no text" in text


@pytest.mark.parametrize("text", ["", "  \n\n", "# only a remark\n"])
def test_an_empty_timeline_shows_how(text):
    with pytest.raises(LGFAError, match="the timeline is empty: write a line such as"):
        parse(text)


def test_too_many_frames_together():
    parse(f"smiling | {MAX_FRAMES}")
    with pytest.raises(LGFAError, match=f"{MAX_FRAMES + 1} frames together"):
        parse(f"smiling | {MAX_FRAMES}\ncrying | 1")


# ---------------------------------------------------------------- performing it
@pytest.fixture(scope="module")
def parts():
    animator = Animator(tiny_generator(), motion=tiny_motion())
    return animator, animator.sample(3)


def perform(parts, text: str, seed: int = 0) -> torch.Tensor:
    animator, w = parts
    cues = parse(text)
    with torch.no_grad():
        embedded = [None if cue.back else animator.method.embed(None, Prompt(cue.text))
                    for cue in cues]
        return perform_cues(animator.method, w, cues, embedded, seed)


def test_even_lines_are_a_chain_bit_for_bit(parts):
    animator, w = parts
    path = perform(parts, "smiling | 9 | ease-out\ncrying | 8 | ease-out", seed=5)
    animator.method.sees_still = False                      # no still was shown to CLIP above
    chain = animator.trajectory(w, ["smiling", "crying"], 17, seed=5, easing="ease-out")
    assert torch.equal(path, chain)
    one = animator.trajectory(w, "smiling", 9, seed=5, hold=2, strength=0.5)
    assert torch.equal(perform(parts, "smiling | 9 | hold 2 | strength 0.5", 5), one)


def test_what_came_before_fades_while_the_next_expression_comes(parts):
    animator, w = parts
    texts = ["smiling", "crying"]
    path = animator.trajectory(w, texts, 17, seed=5)
    added = animator.trajectory(w, texts, 17, seed=5, add=True)
    assert torch.equal(path[:9], added[:9])             # the first expression is the same
    # Offsets of a model that never sees the still: the last frame is the second one's alone ..
    smile = animator.trajectory(w, "smiling", 9, seed=5)[-1] - w[0]
    cry = animator.trajectory(w, "crying", 9, seed=6)[-1] - w[0]
    torch.testing.assert_close(path[-1] - w[0], cry, rtol=0, atol=1e-4)
    # .. or, as in the paper, both.
    torch.testing.assert_close(added[-1] - w[0], smile + cry, rtol=0, atol=1e-4)
    steps = path.diff(dim=0).flatten(1).norm(dim=1)
    assert steps.max() < 4 * steps.mean()               # no jump where it begins to fade


def test_frames_rests_and_the_way_back_are_exact(parts):
    w = parts[1]
    path = perform(parts, "smiling | 7 | hold 3\n(still) | 5 | hold 2 | ease-in-out\ncrying | 4")
    assert len(path) == 16 and torch.equal(path[0], w[0])
    moved = path.diff(dim=0).flatten(1).norm(dim=1)
    still = [index + 2 for index, step in enumerate(moved) if step < 1e-6]     # frames from 1
    assert still == [5, 6, 7, 11, 12]
    assert torch.equal(path[9], w[0]) and torch.equal(path[11], w[0])
    assert not torch.allclose(path[15], w[0])


def test_sentences_are_left_alone_where_they_are_sentences_already():
    got = sentences("smiling\nthe person is crying\n\nthe persona", "The person is {}")
    assert got == ("The person is smiling", "the person is crying", "The person is the persona")
    assert sentences("a {} b", "{}") == ("a {} b",)
    with pytest.raises(LGFAError, match="no {}"):
        sentences("The person is smiling", "The person is")


def test_unequal_batches_are_refused_with_their_names():
    assert same_count(stills=torch.zeros(3, 2), sentences=("a",), image_codes=None) == 3
    with pytest.raises(LGFAError, match="3 clips need 3 image codes or one for all, not 2."):
        same_count(stills=torch.zeros(3, 2), image_codes=torch.zeros(2, 2))
    x = torch.arange(3)[:, None]
    assert row(x, 2).item() == 2 and row(x[:1], 2).item() == 0


def test_codes_of_another_motion_model_are_refused(parts):
    motion, w = parts[0].method.motion, parts[1]
    with pytest.raises(LGFAError, match="the motion codes have 7 numbers a frame"):
        motion.frame_codes(w, torch.zeros(1, 4, 7))


def test_join_fades_and_counts():
    a = torch.zeros(1, 6, 2, 3)
    b = torch.ones(1, 4, 2, 3)
    assert wplus.join(a, b).shape[1] == 10
    path = wplus.join(a, b, 3)
    assert path.shape[1] == 7
    assert torch.allclose(path[0, :, 0, 0], torch.tensor([0, 0, 0, 0.25, 0.5, 0.75, 1]))
    with pytest.raises(LGFAError, match="at most 4"):
        wplus.join(a, b, 5)
    with pytest.raises(LGFAError, match="overlap must be a whole number"):
        wplus.join(a, b, -1)
