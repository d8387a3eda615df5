"""What a user must know stands on the node: warnings, and what sentences were taken for."""
from __future__ import annotations

import importlib
import re
import shutil
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from tiny import teach, tiny_motion
from worded import KNOWN, UNKNOWN, UNKNOWN_SAID, UNSURE, WORDS, worded_toon


@pytest.fixture(scope="module")
def worded(session_run, comfy_home):
    """Outputs of Load Motion Model for the toon model with two words: motion, clip."""
    from lgfa import formats

    file = comfy_home.models / "lgfa" / "worded.safetensors"
    file.parent.mkdir(exist_ok=True)
    formats.save(file, worded_toon())
    return session_run("LGFA_LoadMotionModel", model="worded.safetensors")


@pytest.fixture(scope="module")
def still(session_run, domain):
    return session_run("LGFA_SampleFace", generator=domain[0], seed=7)[0]


@pytest.fixture(scope="module")
def blocks():
    """IMAGE of what no toon face looks like."""
    noise = torch.rand(1, 128, 128, 3, generator=torch.Generator().manual_seed(0)).round()
    return noise[:, ::32, ::32].repeat_interleave(32, 1).repeat_interleave(32, 2)


@pytest.fixture
def talker(pack, run):
    """talker(*says): runs a node that calls each of these."""
    from comfy_api.latest import io

    checks = importlib.import_module(f"{pack.nodes.__name__}.checks")

    class Talker(checks.Node):
        @classmethod
        def define_schema(cls):
            return io.Schema("Talker", display_name="Talker")

        @classmethod
        def execute(cls):
            for say in says:
                say()
            return io.NodeOutput()

    says = []
    run.classes = {**run.classes, "Talker": Talker}

    def talk(*new):
        says[:] = new
        run("Talker")

    return talk


@pytest.fixture
def ours(pack):
    """The pack's own lgfa.errors.warn: a node warns by it."""
    return importlib.import_module(f"{pack.__name__}.lgfa.errors").warn


def logged(caplog) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.getMessage().startswith("LGFA: ")]


# ---------------------------------------------------------------- warnings
def test_warnings_are_joined_each_once_and_logged(talker, ours, page, run, caplog):
    talker(lambda: ours("one"), lambda: ours("two"), lambda: ours("one"))
    assert page.sent == [(page.client_id, "one"), (page.client_id, "one\ntwo")]
    assert logged(caplog) == ["LGFA: one", "LGFA: two"]
    assert run.ui == {"notices": ["one", "two"], "understood": []}


def test_text_goes_with_its_reason(talker, ours, page, run, caplog):
    for _ in range(2):
        caplog.clear()
        talker(lambda: ours("again"))
        assert logged(caplog) == ["LGFA: again"] and page.texts == {"1": "again"}
    run.node = "2"
    talker()
    assert page.texts == {"1": "again"}         # another node had nothing to take away
    run.node = "1"
    talker()
    assert page.texts == {"1": " "} and run.ui is None
    talker()
    assert len(page.sent) == 3


def test_node_of_another_workflow_has_texts_of_its_own(talker, ours, page, run, domain, blocks):
    """Its id may be the same."""
    run("LGFA_AnimateFace", image=blocks, frames=1)
    assert "unlike the image" in page.texts["1"]
    talker(lambda: ours("one"))
    assert page.texts == {"1": "one"}
    heard = len(page.sent)
    run("LGFA_SampleFace", generator=domain[0])
    assert len(page.sent) == heard              # nothing of its own is there to be taken away


def test_what_an_error_was_preceded_by_is_shown(talker, ours, page):
    def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        talker(lambda: ours("first"), fail)
    assert page.texts == {"1": "first"}


def test_other_libraries_warnings_go_where_they_went(talker, page, caplog):
    with pytest.warns(UserWarning, match="the future"):
        talker(lambda: warnings.warn("the future", stacklevel=1))
    assert page.texts == {} and logged(caplog) == []


def test_no_more_lines_than_a_node_has_room_for(talker, ours, page, run):
    talker(*(lambda k=k: ours(f"text {k}") for k in range(40)))
    lines = page.texts["1"].split("\n")
    assert len(lines) == 13 and lines[-1] == "28 more: see the server's console"
    assert len(run.ui["notices"]) == 40


def test_texts_are_no_markup(talker, ours, page, run):
    """Older front ends take them for HTML."""
    said = "no file <img src=x onerror=alert(1)> & &lt;b&gt;"
    talker(lambda: ours(said))
    assert not re.search("[<>&]", page.texts["1"]) and "img src=x" in page.texts["1"]
    assert run.ui["notices"] == [said]


def test_items_of_a_list_keep_their_texts(pack, page):
    from comfy_execution.utils import CurrentNodeContext

    notices = importlib.import_module(f"{pack.nodes.__name__}.notices")
    for prompt in range(2):
        for index in range(2):
            with CurrentNodeContext(f"prompt {prompt}", "1", index), notices.collecting("Any"):
                notices.say(f"{prompt} {index}")
    assert [text for _, text in page.sent] == ["0 0", "0 0\n0 1", "1 0", "1 0\n1 1"]


@pytest.mark.parametrize("server", [
    None, SimpleNamespace(), SimpleNamespace(client_id="page"),
    SimpleNamespace(client_id=None, send_progress_text=lambda *_: pytest.fail("nobody asked"))])
def test_nobody_looks(server, talker, ours, caplog, monkeypatch, run):
    """No server, one that shows no text, and a job that nobody waits for."""
    module = SimpleNamespace(PromptServer=SimpleNamespace(instance=server))
    monkeypatch.setitem(sys.modules, "server", module)
    talker(lambda: ours("one"))
    assert logged(caplog) == ["LGFA: one"] and run.ui["notices"] == ["one"]


def test_photograph_that_becomes_a_toon(run, domain, face, blocks, page):
    run("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=blocks)
    assert "the still that the generator found is unlike the image" in page.texts["1"]
    assert run.ui["notices"] == [page.texts["1"]]
    run("LGFA_InvertFace", encoder=domain[1], generator=domain[0], image=face)
    assert page.texts == {"1": " "} and run.ui is None


def test_sentence_that_is_cut(run, domain, page, caplog):
    run("LGFA_EncodeText", clip=domain[2], text="very " * 200 + "happy")
    assert "it is cut after" in page.texts["1"]
    assert logged(caplog) == [f"LGFA: {line}" for line in page.texts["1"].split("\n")]


def test_image_of_a_training_that_is_left_out(run, tiny_domain, comfy_home, page, caplog):
    folder = comfy_home.input / "broken"
    folder.mkdir()
    (folder / "bad.png").write_bytes(b"none")
    with pytest.raises(ValueError, match="holds no image that can be used"):
        run("LGFA_TrainingSource", generator=tiny_domain[0], encoder=tiny_domain[1],
            folder="broken", kind="folder")
    shutil.rmtree(folder)
    assert "bad.png is skipped" in page.texts["1"] and len(logged(caplog)) == 1


# ---------------------------------------------------------------- what sentences are taken for
def test_known_sentence(run, worded, page, caplog):
    words, said = run("LGFA_EncodeText", clip=worded[1], text=KNOWN)
    assert said == "known: smiling 1.00" and page.texts == {"1": "understood: smiling (1.00)"}
    assert [one.verdict for one in words.understood] == ["known"] and logged(caplog) == []
    assert run.ui["notices"] == []
    kept, = run.ui["understood"]
    assert kept["text"] == WORDS["smiling"] and kept["verdict"] == "known"
    assert [name for name, _ in kept["nearest"]] == ["smiling", "crying"]


def test_each_line_has_its_verdict(run, worded, page, caplog):
    said = run("LGFA_EncodeText", clip=worded[1], text=f"{UNKNOWN}\ncrying\n{UNSURE}\n{KNOWN}")[1]
    assert [line.split()[0] for line in said.split("\n")] == ["unknown:", "known:", "unsure:",
                                                             "known:"]
    lines = page.texts["1"].split("\n")
    assert len(lines) == 3 and lines[0] == "understood: crying (1.00), smiling (1.00)"
    assert lines[1].startswith(UNKNOWN_SAID) and "is perhaps 'smiling'" in lines[2]
    assert logged(caplog) == [f"LGFA: {line}" for line in lines[1:]]
    assert [one["verdict"] for one in run.ui["understood"]] == ["unknown", "known", "unsure",
                                                               "known"]


def test_model_without_words_says_nothing(run, tiny_domain, page):
    words, said = run("LGFA_EncodeText", clip=tiny_domain[2], text=UNKNOWN)
    assert (said, words.understood, run.ui, page.texts) == ("", (), None, {})


@pytest.mark.parametrize("text", [KNOWN, UNKNOWN])
def test_nodes_of_motion_show_it_too(text, run, worded, still, page, caplog):
    """They do not warn again of what Encode Text has warned of; Timeline reads by itself."""
    motion, clip = worded
    words, _ = run("LGFA_EncodeText", clip=clip, text=text)
    shown = page.texts["1"]
    assert len(logged(caplog)) == (text == UNKNOWN)
    for number, (node, inputs) in enumerate([
            ("RecurrentMotion", {"text": words}),
            ("ChainExpressions", {"text": words, "latent": still}),
            ("Timeline", {"clip": clip, "timeline": f"{text} | 2\n(still) | 2", "latent": still})]):
        caplog.clear()
        run.node = str(number + 2)
        frames = {} if node == "Timeline" else {"frames": 2}
        run(f"LGFA_{node}", motion=motion, **inputs, **frames)
        alone = node == "Timeline"
        assert page.texts[run.node] == shown
        assert len(run.ui["understood"]) == 1 if alone else run.ui is None
        assert len(logged(caplog)) == (alone and text == UNKNOWN)


def test_timeline_that_says_nothing(run, worded, still, page):
    run("LGFA_Timeline", motion=worded[0], clip=worded[1], latent=still, timeline="(still) | 2")
    assert page.texts == {} and run.ui is None


def test_words_of_a_model_that_borrows_its_clip(run, tiny_models, tiny_domain, page, caplog):
    """Encode Text does not know of them: who has the motion model tells."""
    from lgfa import formats

    alone = tiny_motion(clip=False)
    alone.words = teach(tiny_motion(), {"smiling": WORDS["smiling"]}, 0.9999, 0.9).words
    formats.save(tiny_models / "borrowing.safetensors", alone)
    motion, _ = run("LGFA_LoadMotionModel", model="tiny/borrowing.safetensors")
    clip, = run("LGFA_LoadCLIP", model="tiny/clip.safetensors")
    text, said = run("LGFA_EncodeText", clip=clip, text="grinning")
    assert said == "" and page.texts == {}
    run("LGFA_RecurrentMotion", motion=motion, text=text, frames=2)
    assert "'The person is grinning' is not like the one word" in page.texts["1"]
    assert len(logged(caplog)) == 1 and run.ui["understood"][0]["verdict"] == "unknown"


# ---------------------------------------------------------------- the one node
def test_animate_face_shows_what_its_parts_say(run, worded, blocks, page, caplog):
    def animate(**inputs):
        caplog.clear()
        run.reset()
        run("LGFA_AnimateFace", motion_model="worded.safetensors", frames=1, **inputs)
        return page.texts["1"].split("\n")

    run.caching = True
    first = animate(image=blocks, text=UNKNOWN)
    assert len(first) == 2 and "unlike the image" in first[0] and first[1].startswith(UNKNOWN_SAID)
    assert set(page.texts) == {"1"} and len(logged(caplog)) == 2

    heard = len(page.sent)
    assert animate(image=blocks, text=UNKNOWN, strength=0.5) == first
    assert "LGFA_InvertFace" not in run.executed and logged(caplog) == []
    assert len(page.sent) > heard               # the motion has run

    # Inverting has not run again, and is still a reason to look.
    assert animate(image=blocks, text=KNOWN) == [first[0], "understood: smiling (1.00)"]
    assert "LGFA_InvertFace" not in run.executed
    assert animate(text=KNOWN) == ["understood: smiling (1.00)"]
