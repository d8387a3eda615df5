"""The motion model: frame 1, gradients, seeds, lent encoders, sizes that do not fit, files."""
from __future__ import annotations

import pytest
import torch

from lgfa.config import ClipConfig, MotionConfig
from lgfa.embed.clip import CLIP
from lgfa.errors import LGFAError
from lgfa.formats import loading
from lgfa.motion.model import MotionModel
from lgfa.motion.recurrent import draw_hidden

CLIP_CONFIG = ClipConfig(
    16,
    {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
)
TEXTS = ["The person is smiling", "The person is crying"]


def config(**others) -> MotionConfig:
    return MotionConfig(**{"embed_dim": 16, "num_layers": 4, "w_dim": 8, "hidden": 12,
                           "mapper_hidden": 24, **others})


def model(clip: ClipConfig | None = CLIP_CONFIG, **others) -> MotionModel:
    torch.manual_seed(0)
    network = MotionModel(config(**others), clip).eval()
    with torch.no_grad():                   # biases as after training
        for mapper in (network.t_mapper, network.v_mapper):
            for layer in mapper.layers if mapper is not None else ():
                if layer.bias is not None:
                    layer.bias.normal_()
    return network


@pytest.fixture
def still() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 4, 8), torch.rand(2, 3, 48, 48) * 2 - 1


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("code_norm", ["scale", "pixel"])
@pytest.mark.parametrize("shared_layers", [True, False])
@torch.no_grad()
def test_frame_1_is_the_still_exactly(still, relative, code_norm, shared_layers):
    network = model(relative=relative, code_norm=code_norm, shared_layers=shared_layers)
    network.set_latent_scale(torch.randn(50, 8))
    w_s = network.content(*still)
    for frames in (1, 2, 4, 300):           # 300: the mapper works in pieces
        w = network.trajectory(w_s, TEXTS, still[1], frames=frames, seed=3)
        assert w.shape == (2, frames, 4, 8)
        assert torch.equal(w[:, 0], w_s)
        assert frames == 1 or not torch.equal(w[:, 1], w_s)


@torch.no_grad()
def test_authors_frame_1_is_their_own(still):
    network = MotionModel(MotionConfig.authors(embed_dim=16, num_layers=4, w_dim=8), CLIP_CONFIG)
    with torch.no_grad():
        network.t_mapper.layers[-1].bias.fill_(1.0)
    w = network.eval().trajectory(still[0], TEXTS)
    zero = network.t_mapper(torch.zeros(1, 16))
    torch.testing.assert_close(w[:, 0], still[0] + zero)
    assert zero.abs().max() > 1


@torch.no_grad()
def test_motion_grows_from_nothing(still):
    """The first step of a fresh model is no larger than its fellows; pixel norm's is a jump."""
    def jump(**others):
        w = model(**others).trajectory(still[0], TEXTS, still[1], frames=16)
        steps = w.diff(dim=1).flatten(2).norm(dim=2)
        return (steps[:, 0] / steps.mean(dim=1)).max()
    assert jump() < 1.6
    assert jump(code_norm="pixel") > 5


@torch.no_grad()
def test_seed(still):
    network, w_s = model(), still[0]
    one = network.trajectory(w_s, TEXTS, frames=5, seed=1)
    assert torch.equal(one, network.trajectory(w_s, TEXTS, frames=5, seed=1))
    assert not torch.equal(one, network.trajectory(w_s, TEXTS, frames=5, seed=2))


@torch.no_grad()
def test_a_path_is_its_halves_and_a_trajectory_the_path_of_what_was_read(still):
    network, (w_s, x) = model(), still
    z_t, z_v = network.encode_text(TEXTS), network.encode_image(x)
    path = network.path(w_s, z_t, z_v, 5, seed=1)
    assert torch.equal(path, network.trajectory(w_s, TEXTS, x, frames=5, seed=1))
    assert torch.equal(path, network.frame_codes(w_s, network.motion_codes(z_t, z_v, 5, seed=1)))
    h1 = draw_hidden(2, 12, network.config.hidden_std, seed=1)
    assert torch.equal(path, network.path(w_s, z_t, z_v, 5, h1=h1))
    assert not torch.equal(path, network.path(w_s, z_t, None, 5, seed=1))

    # The authors' step sizes are other ones in training; the network's own mode says nothing.
    network = model(schedule="authors").train()
    shown, learned = (network.path(w_s, z_t, z_v, 5, seed=1, training=training)
                      for training in (False, True))
    assert not torch.equal(shown, learned)
    assert torch.equal(shown, network.eval().path(w_s, z_t, z_v, 5, seed=1))


@torch.no_grad()
def test_one_sentence_for_all_and_all_for_one(still):
    network, (w_s, x) = model(), still
    both = network.trajectory(w_s, ["The person is smiling"] * 2, x, frames=3)
    one = network.trajectory(w_s, "The person is smiling", x, frames=3)
    torch.testing.assert_close(both, one)
    assert network.trajectory(w_s[:1], TEXTS, x[:1], frames=3).shape[0] == 2
    tokens = network.encoder.tokenize(TEXTS)
    torch.testing.assert_close(network.trajectory(w_s, tokens, x, frames=3),
                               network.trajectory(w_s, TEXTS, x, frames=3))


@torch.no_grad()
def test_without_an_image_only_the_text_speaks(still):
    network, (w_s, x) = model(), still
    assert torch.equal(network.content(w_s), w_s)
    assert not torch.equal(network.content(w_s, x), w_s)
    blind = model(visual=False, visual_mapper=False)
    assert torch.equal(blind.content(w_s, x), w_s)
    assert torch.equal(blind.trajectory(w_s, TEXTS, x), blind.trajectory(w_s, TEXTS))
    assert not torch.equal(network.trajectory(w_s, TEXTS, x), network.trajectory(w_s, TEXTS))
    assert torch.equal(network.first_code(torch.ones(1, 16)), torch.ones(1, 16))


def test_training_pass_and_its_gradients(still):
    network, (w_inv, x) = model().train(), still
    z_t = network.encode_text(network.encoder.tokenize(TEXTS))
    z_v = network.encode_image(x)
    w_s = network.content(w_inv, z_v=z_v)
    w = network.path(w_s, z_t, z_v, 4, seed=0, training=True)
    assert w.shape == (2, 4, 4, 8) and torch.equal(w[:, 0], w_s)

    # z_v is detached in the sum: motion teaches E_t, content teaches E_v.
    (w - w_s[:, None]).square().sum().backward()
    visual = [p.grad for p in network.encoder.model.visual.parameters()]
    assert all(g is None or not g.any() for g in visual)
    assert network.encoder.model.text_projection.grad.any()
    assert all(p.grad.any() for p in network.rnn.parameters())
    network.content(w_inv, x).square().sum().backward()
    assert any(p.grad is not None and p.grad.any()
               for p in network.encoder.model.visual.parameters())


@torch.no_grad()
def test_gain_makes_the_last_code_of_a_training_clip_unit_size():
    network = model(embed_dim=64, hidden=48, clip=None)
    z1 = torch.nn.functional.normalize(torch.randn(200, 64), dim=-1)
    network.calibrate(z1)
    codes = network.rnn(z1, 4, seed=0, training=True)
    assert (codes[:, -1] * network.t_mapper.log_gain.exp()).square().mean().sqrt().item() == \
        pytest.approx(1, rel=1e-3)


@torch.no_grad()
def test_latent_scale_is_the_root_of_the_covariance():
    network = model()
    mixer = torch.randn(3, 8)                                   # styles of rank 3
    w = torch.randn(4000, 3) @ mixer
    network.set_latent_scale(w)
    torch.testing.assert_close(network.latent_scale @ network.latent_scale, torch.cov(w.T),
                               rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(network.latent_unit, w.std(dim=0), rtol=1e-3, atol=1e-3)

    # Offsets stay in the span in which the generator was trained.
    dw = network.offsets(torch.randn(1, 5, 16))
    outside = torch.linalg.svd(mixer).Vh[3:]
    assert (dw @ outside.T).abs().max() < 1e-3 * dw.abs().max()


@torch.no_grad()
def test_lent_and_adopted_encoders(still):
    lone, (w_s, x) = model(clip=None), still
    with pytest.raises(LGFAError, match="holds no CLIP encoders"):
        lone.trajectory(w_s, TEXTS)
    clip = CLIP(CLIP_CONFIG).eval()
    lent = lone.trajectory(lone.content(w_s, x, clip), TEXTS, x, clip=clip)
    lone.adopt(clip)
    own = lone.eval().trajectory(lone.content(w_s, x), TEXTS, x)
    torch.testing.assert_close(lent, own)
    assert all(p.requires_grad for p in lone.encoder.parameters())
    assert lone.clip_config == CLIP_CONFIG
    assert not any(p is q for p in clip.parameters() for q in lone.encoder.parameters())


@pytest.mark.parametrize("others, clip", [({}, CLIP_CONFIG), ({}, None),
                                          ({"visual_mapper": False, "shared_layers": True}, None),
                                          ({"code_norm": "pixel"}, None)])
@torch.no_grad()
def test_file_and_back(tmp_path, still, others, clip):
    network = model(clip=clip, **others)
    network.set_latent_scale(torch.randn(50, 8))
    loading.save(tmp_path / "m.safetensors", network, {"steps": 3})
    again = loading.load(tmp_path / "m.safetensors", "motion")
    assert again.config == network.config and again.clip_config == network.clip_config
    lent = None if clip else CLIP(CLIP_CONFIG).eval()
    assert torch.equal(again.trajectory(still[0], TEXTS, clip=lent),
                       network.trajectory(still[0], TEXTS, clip=lent))


def test_refusals(still):
    network, w_s = model(), still[0]
    with pytest.raises(LGFAError, match=r"\[2, 6, 8\], but the motion model reads 4 layers of 8 "):
        network.trajectory(torch.randn(2, 6, 8), TEXTS)
    with pytest.raises(LGFAError, match="at least 1 frame"):
        network.trajectory(w_s, TEXTS, frames=0)
    with pytest.raises(LGFAError, match="text is empty"):
        network.trajectory(w_s, " ")
    with pytest.raises(LGFAError, match="3 clips need 3 stills or one for all, not 2"):
        network.trajectory(w_s, TEXTS + ["The person is angry"])
    with pytest.raises(LGFAError, match="length 20.*length 16"):
        MotionModel(config(embed_dim=20), CLIP_CONFIG)
    with pytest.raises(LGFAError, match="schedule 'fast' does not exist"):
        config(schedule="fast")
    with pytest.raises(LGFAError, match="code_norm"):
        config(code_norm="layer")
    with pytest.raises(LGFAError, match="hidden must be a whole number"):
        config(hidden=0)
    with pytest.raises(LGFAError, match="latent scale"):
        network.set_latent_scale(torch.randn(5, 7))


@torch.no_grad()
def test_ten_thousand_frames(still):
    w = model().trajectory(still[0], TEXTS, still[1], frames=10_000)
    assert w.shape == (2, 10_000, 4, 8) and bool(w.isfinite().all())
    assert torch.equal(w[:, 0], still[0])


@torch.no_grad()
def test_double_latents_stay_double(still):
    assert model().trajectory(still[0].double(), TEXTS, frames=3).dtype == torch.float64
