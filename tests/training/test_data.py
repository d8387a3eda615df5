"""Sources of stills, the store of encoded images, prompts."""
from __future__ import annotations

import json
import os

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from training_scenarios import trainer

from lgfa.config import EncoderConfig, GeneratorConfig
from lgfa.embed.e4e import Encoder
from lgfa.errors import LGFAError
from lgfa.frames.stylegan2 import Generator
from lgfa.training.data import FolderSource, LatentSource, SampleSource
from lgfa.training.prompts import PAPER_WORDS, Prompts


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
    assert not torch.equal(source.draw(4, seeded(1)).w_inv, batch.w_inv)
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


@pytest.mark.parametrize("content", [
    b"", b"\xff\x00", b"[" * 200_000, b"{" * 5, b"5", b"[]", b"null", b'{"a": ' + b"[" * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}", b'{"a": NaN}', None,
])
def test_a_damaged_index_only_costs_time(folder, content):
    first = encoder()
    described = FolderSource(folder, first, 16, report=lambda text: None).describe()
    index = folder / ".lgfa" / "index.json"
    if content is None:                     # entries of wrong kinds, one that leads elsewhere
        known = json.loads(index.read_text())
        path, entry = next(iter(known.items()))
        odd = [5, None, [], [1, 2], [*entry[:2], 5], [*entry[:2], "../../0"],
               [*entry[:2], "0" * 63 + "/"], [*entry, 1], {"a": 1}]
        for one in odd:
            index.write_text(json.dumps({**known, path: one, "more": one}))
            assert FolderSource(folder, first, 16, report=lambda text: None).describe() == described
    else:
        index.write_bytes(content)
        assert FolderSource(folder, first, 16, report=lambda text: None).describe() == described
    assert first.calls == 5 and len(json.loads(index.read_text())) >= 5


def test_what_is_no_image_or_no_code_is_never_opened_or_believed(folder):
    first = encoder()
    os.mkfifo(folder / "pipe.png")
    os.symlink("nowhere", folder / "link.png")
    os.mkdir(folder / "folder.png")
    source = FolderSource(folder, first, 16, report=lambda text: None)
    assert len(source) == 5 and len(source.skipped) == 2
    stored = sorted((folder / ".lgfa").glob("*/*.safetensors"))
    code = load_file(stored[0])["w"]
    save_file({"w": torch.full_like(code, float("nan"))}, stored[0])
    save_file({"w": code.double()}, stored[1])
    save_file({"v": code}, stored[2])
    stored[3].unlink()
    os.mkfifo(stored[3])
    with pytest.raises(LGFAError, match="pipe"):
        FolderSource(folder, first, 16, report=lambda text: None)
    stored[3].unlink()
    FolderSource(folder, first, 16, report=lambda text: None)
    assert first.calls == 5 + 4 + 1 and torch.equal(load_file(stored[0])["w"], code)


def test_images_that_go_away_and_leftovers_in_the_store(folder):
    source = FolderSource(folder, encoder(), 16, report=lambda text: None)
    stored = next((folder / ".lgfa").glob("*/*.safetensors"))
    left = stored.with_name(f".{stored.stem}.0a1b2c3d.tmp.safetensors")
    left.write_bytes(b"half")
    FolderSource(folder, encoder(), 16, report=lambda text: None)
    assert not left.exists()
    for path in (folder / ".lgfa").glob("*/*.safetensors"):
        path.write_bytes(b"half")
    with pytest.raises(LGFAError, match="safetensors"):
        source.draw(5, seeded())
    for path in folder.rglob("*.png"):
        path.unlink()
    with pytest.raises(LGFAError, match="png"):
        source.draw(5, seeded())


def test_a_store_that_cannot_be_written_is_no_fault_of_the_images(folder, tmp_path):
    network = encoder()
    FolderSource(folder, network, 16, report=lambda text: None)
    for path in (folder / ".lgfa").glob("*/*.safetensors"):
        path.unlink()
        path.mkdir()
    with pytest.raises(LGFAError, match="cannot write .*safetensors"):
        FolderSource(folder, network, 16, report=lambda text: None)


@pytest.mark.parametrize("truncation", [-0.1, 1.01, float("nan"), float("inf")])
def test_truncations_that_are_none(generator, truncation):
    with pytest.raises(LGFAError, match="truncation"):
        SampleSource(generator, truncation)


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


def test_latents_of_another_length_are_refused():
    with pytest.raises(LGFAError, match="source of stills makes 6 layers of 8 numbers, but"):
        trainer(None, source=LatentSource(torch.zeros(3, 6, 8)))
    for shape in ((6, 16), (0, 6, 16)):
        with pytest.raises(LGFAError, match="must be codes"):
            LatentSource(torch.zeros(shape))


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


@pytest.mark.parametrize("content, said", [
    (b"a\0b", "zero bytes"), ("smiling\nsad".encode("utf-16"), "save it as UTF-8"),
    ("l\u00e4chelnd".encode("latin-1"), "save it as UTF-8"), (b"a" * (5 << 20), "larger than"),
    ("\n".join([*(f"template: {i} {{}}" for i in range(1100)), *map(str, range(1100))]).encode(),
     "more than 1,000,000 sentences"),
])
def test_prompt_files_that_are_no_prompts(tmp_path, content, said):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(LGFAError, match=f"words.txt .*{said}"):
        Prompts.read(tmp_path / "words.txt")


def test_prompt_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero", "a\0b", tmp_path / ("x" * 300)):
        with pytest.raises(LGFAError, match="prompt file"):
            Prompts.read(path)


def test_too_few_words_for_a_batch():
    with pytest.raises(LGFAError, match="different words"):
        Prompts(["smiling", "sad"]).draw(3, seeded())
