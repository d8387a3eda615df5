"""Encode Text and Encode Image."""
from __future__ import annotations

import pytest
import torch


def test_each_line_is_a_prompt(run, domain):
    words, _ = run("LGFA_EncodeText", clip=domain[2], text="smiling\n\n  crying ")
    assert words.texts == ("The person is smiling", "The person is crying")
    assert words.z.shape == (2, domain[3].config.embed_dim) and words.clip == domain[3].clip
    assert torch.allclose(words.z.norm(dim=1), torch.ones(2), atol=1e-5)
    alone, _ = run("LGFA_EncodeText", clip=domain[2], text="The person is crying", template="{}")
    assert torch.allclose(words.z[1:], alone.z, atol=1e-5)


@pytest.mark.parametrize("inputs, said", [
    ({"text": "  \n "}, "the text is empty"),
    ({"template": "The person"}, "has no {} for the words"),
])
def test_unusable_text_is_refused_before_running(run, inputs, said):
    given = {"text": "smiling", "template": "{}"} | inputs
    assert said in run.validate("LGFA_EncodeText", **given)
    assert run.validate("LGFA_EncodeText", text=None, template=None) is True


def test_text_that_is_cut_is_logged_each_time(run, domain, caplog):
    for _ in range(2):
        caplog.clear()
        run("LGFA_EncodeText", clip=domain[2], text="very " * 200 + "happy")
        assert any("CLIP reads" in one.getMessage() for one in caplog.records)


def test_images_of_any_shape(run, domain, face):
    look, = run("LGFA_EncodeImage", clip=domain[2], image=face)
    assert look.z.shape == (1, domain[3].config.embed_dim) and look.clip == domain[2].name
    wide = torch.nn.functional.pad(face, (0, 0, 20, 20))            # the centre square is the face
    again, = run("LGFA_EncodeImage", clip=domain[2], image=torch.cat([wide] * 17))
    assert again.z.shape[0] == 17 and torch.allclose(again.z, look.z.expand(17, -1), atol=1e-4)


def test_the_same_code_as_the_animator(run, domain, face):
    import lgfa
    from lgfa.methods.method import Prompt

    animator = lgfa.Animator.from_pretrained("toon", device="cpu")
    words, _ = run("LGFA_EncodeText", clip=domain[2], text="winking")
    _, z_t = animator.method.embed(None, Prompt("The person is winking"))
    assert torch.allclose(words.z, z_t, atol=1e-4)      # load changes the rounding
