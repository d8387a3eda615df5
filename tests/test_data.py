"""Sources of stills, the store of encoded images, prompts."""
from __future__ import annotations

import os

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lgfa.config import EncoderConfig, GeneratorConfig
from lgfa.data import FolderSource, LatentSource, SampleSource, batches, read_latents
from lgfa.embed.e4e import Encoder
from lgfa.errors import LGFAError
from lgfa.frames.stylegan2 import Generator
from lgfa.prompts import PAPER_WORDS, Prompts


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(GeneratorConfig(16, (8, 8, 8), z_dim=16, w_dim=16, mapping_layers=2)).eval()


class CountingEncoder(Encoder):
    """Knows how often it was asked."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


def encoder(seed: int = 0) -> CountingEncoder:
    torch.manual_seed(seed)
    return CountingEncoder(EncoderConfig(6, 16, input_size=32, widths=(4, 4, 4, 8),
                                         units=(1, 1, 1), w_dim=16)).eval()


@pytest.fixture
def folder(tmp_path):
    """Five images, two files that are none, one hidden."""
    (tmp_path / "in").mkdir()
    for index in range(5):
        pixels = torch.randint(256, (40, 40, 3), generator=seeded(index), dtype=torch.uint8)
        path = tmp_path / ("in" if index == 4 else "") / f"{index}.png"
        Image.fromarray(pixels.numpy()).save(path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def test_samples_are_drawn_from_the_callers_generator(generator):
    source = SampleSource(generator, 0.7, render=True)
    batch, again = source.draw(4, seeded()), source.draw(4, seeded())
    assert batch.w_inv.shape == (4, 6, 16) and batch.image.shape == (4, 3, 16, 16)
    assert torch.equal(batch.w_inv, again.w_inv) and torch.equal(batch.image, again.image)
    stream = batches(source, 4, seeded())
    assert torch.equal(next(stream).w_inv, batch.w_inv)
    assert not torch.equal(next(stream).w_inv, batch.w_inv)
    assert SampleSource(generator).draw(2, seeded()).image is None


def test_rows_are_those_of_the_whole_batch_and_leave_the_same_generator(generator):
    source, whole, part = SampleSource(generator), seeded(), seeded()
    every = source.draw(6, whole).w_inv
    assert torch.allclose(source.draw(6, part, slice(2, 4)).w_inv, every[2:4], atol=1e-6)
    assert torch.equal(whole.get_state(), part.get_state())


def test_own_stills_are_used(generator):
    def stills(count, random):
        return torch.full((count, 6, 16), 3.0)
    source = SampleSource(generator, sample_still=stills)
    assert (source.draw(3, seeded()).w_inv == 3).all()
    assert "stills" in source.describe() != SampleSource(generator).describe()


def test_folder_is_encoded_once(folder):
    spoken, first = [], encoder()
    source = FolderSource(folder, first, 16, report=spoken.append)
    assert len(source) == first.calls == 5
    assert sorted(s.split()[0] for s in spoken) == ["broken.png", "empty.jpg"] and \
        spoken == source.skipped
    batch = source.draw(3, seeded())
    assert batch.w_inv.shape == (3, 6, 16) and batch.image.shape == (3, 3, 16, 16)

    # Again, renamed, with a broken entry, with another image, with another encoder.
    second = encoder()
    (folder / "0.png").rename(folder / "renamed.png")
    assert FolderSource(folder, second, 16, report=spoken.append).draw(3, seeded())
    assert second.calls == 0
    stored = sorted((folder / ".lgfa").glob("*/*.safetensors"))
    assert len(stored) == 5
    stored[0].write_bytes(b"half")
    FolderSource(folder, second, 16, report=spoken.append)
    assert second.calls == 1
    Image.new("RGB", (40, 40), "red").save(folder / "1.png")
    os.utime(folder / "1.png", ns=(1, 1))
    FolderSource(folder, second, 16, report=spoken.append)
    assert second.calls == 2
    other = encoder(1)
    FolderSource(folder, other, 16, report=spoken.append)
    assert other.calls == 5


def test_folders_codes_belong_to_their_images(folder):
    network = encoder()
    source = FolderSource(folder, network, 32, report=lambda text: None)
    batch = source.draw(5, seeded())
    with torch.no_grad():
        wanted = network(batch.image)
    torch.testing.assert_close(batch.w_inv, wanted, atol=1e-4, rtol=1e-4)


def test_processes_share_a_store(folder):
    networks = [encoder(), encoder()]
    orders = [[], []]
    for turn in (0, 1):
        FolderSource(folder, networks[turn], 16, report=orders[turn].append, turn=(turn, 2))
    assert [network.calls for network in networks] == [5, 0]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize("case", ["no folder", "no image", "no store"])
def test_folders_that_cannot_be_used(folder, case, tmp_path):
    if case == "no folder":
        arguments = (tmp_path / "nowhere",)
    elif case == "no image":
        (tmp_path / "bare").mkdir()
        arguments = (tmp_path / "bare",)
    else:
        arguments = (folder, encoder(), 16, folder / "notes.txt")
    with pytest.raises(LGFAError, match="folder"):
        FolderSource(*(arguments if len(arguments) > 1 else (*arguments, encoder(), 16)))


@pytest.mark.parametrize("layout", ["tensor", "dict", "rows", "safetensors"])
def test_latents_of_a_file(tmp_path, layout):
    latents = torch.randn(5, 6, 16, generator=seeded())
    path = tmp_path / ("w.safetensors" if layout == "safetensors" else "w.pt")
    if layout == "safetensors":
        save_file({"latents": latents}, path)
    else:
        torch.save({"tensor": latents, "dict": {"latents": latents},
                    "rows": {f"{i:05}.jpg": row for i, row in enumerate(latents)}}[layout], path)
    source = LatentSource(path)
    assert torch.equal(source.latents, latents) and source.num_layers == 6
    batch = source.draw(5, seeded())
    assert sorted(batch.w_inv.sum((1, 2)).tolist()) == sorted(latents.sum((1, 2)).tolist())
    assert source.draw(9, seeded()).w_inv.shape == (9, 6, 16) and batch.image is None


def test_files_without_latents_are_refused(tmp_path):
    for name, content in (("a.pt", {"x": torch.zeros(3)}), ("b.pt", [torch.zeros(2, 6, 16),
                                                                    torch.zeros(2, 4, 16)]),
                          ("c.pt", torch.full((1, 6, 16), float("nan")))):
        torch.save(content, tmp_path / name)
        with pytest.raises(LGFAError, match="latents"):
            read_latents(tmp_path / name)


# ---- prompts

def test_words_of_a_batch_all_differ():
    prompts = Prompts([("smiling", "happy", "grinning"), ("angry", "mad"), "crying", "sad"],
                      ["The person is {}", "A face that is {}"])
    word = {s: i for i, w in enumerate(prompts.words) for one in w
            for s in (f"The person is {one}", f"A face that is {one}")}
    random, drawn = seeded(), set()
    for _ in range(60):
        texts = prompts.draw(4, random)
        assert len({word[text] for text in texts}) == 4
        drawn.update(texts)
    assert drawn == set(word) == set(prompts.sentences())
    assert prompts.draw(4, seeded(3)) == prompts.draw(4, seeded(3))
    assert len(Prompts().draw(28, seeded())) == len(set(PAPER_WORDS)) == 28


def test_a_prompt_file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("# faces\ntemplate: The dog is {}\n\nears up | with raised ears\nsmiling\n",
                    encoding="utf-8")
    prompts = Prompts.read(path)
    assert prompts.words == (("ears up", "with raised ears"), ("smiling",))
    assert "The dog is smiling" in prompts.sentences()
    path.write_text("\ufeffEine Frau lacht\nEin Mann weint\n", encoding="utf-8")
    assert Prompts.read(path).sentences() == ["Eine Frau lacht", "Ein Mann weint"]


@pytest.mark.parametrize("content, sentence", [
    ("", "no prompts"), ("template: The person\nsmiling", "{}"), ("happy | sad\nsad", "two words"),
])
def test_prompt_files_that_cannot_be_used(tmp_path, content, sentence):
    path = tmp_path / "prompts.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LGFAError, match=sentence):
        Prompts.read(path)
    with pytest.raises(LGFAError, match="cannot be read"):
        Prompts.read(tmp_path / "missing.txt")


def test_too_few_words_for_a_batch():
    with pytest.raises(LGFAError, match="different words"):
        Prompts(["smiling", "sad"]).draw(3, seeded())
