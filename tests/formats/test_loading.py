"""From a file to a network and back; every bad file gives one sentence.

The bad files are also those of safetensors_io.py, trees.py and recognition.py.
"""
from __future__ import annotations

import ast
import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lgfa import formats
from lgfa.cli import entry, files
from lgfa.config import GeneratorConfig
from lgfa.errors import LGFAError
from lgfa.formats import build

SMALL = GeneratorConfig(16, (8, 8, 8), z_dim=6, w_dim=8, mapping_layers=2)


@pytest.fixture(scope="module")
def generator() -> torch.nn.Module:
    torch.manual_seed(0)
    return build.new_network("generator", SMALL).eval()


def command(*argv: str) -> int:
    """The exit code of a command."""
    return entry.main(argv)


def header_file(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


# ---- our own format

@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_round_trip(tmp_path, generator, dtype):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator, {"steps": 3}, dtype)
    twin = formats.load(file, "generator")
    assert twin.config == generator.config and not twin.training
    for name, tensor in generator.state_dict().items():
        expected = tensor if dtype is None else tensor.half().float()
        assert torch.equal(twin.state_dict()[name], expected)
    assert formats.read(file)["lgfa"]["info"] == {"steps": 3}
    assert next(formats.load(file, dtype=torch.bfloat16).parameters()).dtype == torch.bfloat16


def test_loading_leaves_the_random_state(tmp_path, generator):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator)
    before = torch.get_rng_state()
    formats.load(file)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_kind_is_refused_naming_both(tmp_path, generator):
    file = tmp_path / "x.safetensors"
    formats.save(file, generator)
    with pytest.raises(LGFAError, match="image generator.*but an image encoder is needed"):
        formats.load(file, "encoder")


def test_float16_overflow_is_refused(tmp_path):
    twin = build.new_network("generator", SMALL)
    with torch.no_grad():
        twin.synthesis.const[0, 0, 0] = 1e6
    with pytest.raises(LGFAError, match="float16"):
        formats.save(tmp_path / "y.safetensors", twin, dtype=torch.float16)


# ---- bad files

def bad_files(folder: Path) -> dict[str, Path]:
    """The table of bad input, as files."""
    files = {name: folder / name for name in ("missing.pt", "missing.safetensors")}
    (folder / "folder.pt").mkdir()
    files["folder"] = folder / "folder.pt"

    def put(name: str, data: bytes) -> None:
        files[name] = folder / name
        files[name].write_bytes(data)

    put("empty.pt", b"")
    put("text.pt", b"hello\n" * 100)
    put("text.safetensors", b"hello\n" * 100)
    put("one_byte.pkl", b"\x80")
    put("zeros.pkl", bytes(1000))
    put("hostile.pkl", pickle.dumps(Hostile(folder / "canary")))
    torch.save({"w": torch.zeros(1000)}, folder / "whole.pt")
    put("truncated.pt", (folder / "whole.pt").read_bytes()[:2000])
    put("old_truncated.pt", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9")
    save_file({"w": torch.zeros(1000)}, folder / "whole.safetensors")
    put("truncated.safetensors", (folder / "whole.safetensors").read_bytes()[:-100])
    put("header_cut.safetensors", (folder / "whole.safetensors").read_bytes()[:20])
    put("claim.safetensors", struct.pack("<Q", 10 * 2**30) + b"{}" + bytes(100))

    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    odd = {
        "huge": {**entry, "shape": [2**40], "data_offsets": [0, 2**42]},
        "lies": {**entry, "shape": [2**40]},
        "negative": {**entry, "data_offsets": [-16, 0]},
        "minus": {**entry, "shape": [-2, -2]},
        "dtype": {**entry, "dtype": "F1000"},
        "text": "text", "none": None,
    }
    for name, value in odd.items():
        files[name] = header_file(folder / f"{name}.safetensors", {"w": value}, bytes(16))
    files["list"] = header_file(folder / "list.safetensors", b"{" + b"[" * 100_000)
    files["own"] = header_file(folder / "own.safetensors",
                               {"w": entry, "__metadata__": {"lgfa": "{"}}, bytes(16))
    return files


class Hostile:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def test_every_bad_file_gives_one_sentence_and_exit_code_2(tmp_path, capsys):
    for name, file in bad_files(tmp_path).items():
        assert command("inspect", str(file)) == 2, name
        assert command("convert", str(file), str(tmp_path / "out.safetensors")) == 2, name
        out, err = capsys.readouterr()
        lines = err.strip().splitlines()
        assert out == "" and len(lines) == 2, err
        assert all(file.name in line and line.endswith(".") for line in lines), lines
        with pytest.raises(LGFAError):
            formats.load(file, "generator")
    assert not (tmp_path / "out.safetensors").exists() and not (tmp_path / "canary").exists()


def test_unknown_content_lists_what_is_there_and_the_formats_known(tmp_path):
    torch.save({"alpha": torch.zeros(1), "beta": 2}, tmp_path / "x.pt")
    with pytest.raises(LGFAError, match="rosinality .pt, .*2 entries: alpha, beta"):
        formats.load(tmp_path / "x.pt")


def test_names_in_files_cannot_write_on_the_terminal(tmp_path):
    torch.save({"a\x1b[31m\nb": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(LGFAError) as caught:
        formats.load(tmp_path / "x.pt")
    assert str(caught.value).isprintable()


# ---- commands

def test_convert_the_nvidia_sample(tmp_path, shared, capsys):
    source, target = shared / "reference" / "ada_pkl_tiny.pkl", tmp_path / "x.safetensors"
    assert command("inspect", str(source), "--keys") == 0
    assert "NVIDIA stylegan2-ada" in capsys.readouterr().out
    assert command("convert", str(source), str(target)) == 0
    assert command("inspect", str(target)) == 0
    assert "source_format: NVIDIA stylegan2-ada" in capsys.readouterr().out
    one, two = formats.load(source, "generator"), formats.load(target, "generator")
    assert one.config == two.config
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())
    assert command("convert", str(target), str(target)) == 2
    assert command("convert", str(source), str(tmp_path / "x.pt")) == 2
    assert command("convert", str(source), str(target), "--part", "encoder") == 2


def test_convert_open_clip_weights_with_their_name(tmp_path):
    import json

    import open_clip
    from tiny import tiny_clip_config

    config = tiny_clip_config()
    (tmp_path / "tiny-of-tests.json").write_text(json.dumps(
        {"embed_dim": config.embed_dim, "vision_cfg": config.vision_cfg,
         "text_cfg": config.text_cfg}))
    open_clip.add_model_config(tmp_path / "tiny-of-tests.json")
    torch.save(open_clip.create_model("tiny-of-tests").state_dict(), tmp_path / "weights.pt")
    bare, target = str(tmp_path / "weights.pt"), str(tmp_path / "clip.safetensors")
    assert command("convert", bare, target) == 2
    assert command("convert", f"tiny-of-tests:{bare}", target) == 0
    assert formats.load(target, "clip").embed_dim == config.embed_dim
    assert command("convert", f"tiny-of-tests:{bare}.gone", target) == 2


def test_a_file_with_two_networks_asks_which():
    tree = {"state_dict": {"encoder.styles.0.linear.weight": torch.zeros(1),
                           "encoder.latlayer1.weight": torch.zeros(1),
                           "decoder.input.input": torch.zeros(1)}}
    with pytest.raises(LGFAError, match="--part encoder .* or --part decoder"):
        files.chosen(tree, None)
    assert files.chosen(tree, "encoder").kind == "encoder"
    assert files.chosen(tree, "decoder").kind == "generator"


def test_models_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LGFA_HOME", str(tmp_path))
    assert command("models") == 0
    assert "a205a346e86a9ddaae702e118097d014" in capsys.readouterr().out
    assert command("models", "download") == 2
    assert command("models", "download", "teapot") == 2
    assert "known are stylegan2-ffhq" in capsys.readouterr().err.splitlines()[-1]


# ---- the project's own code

def sources(repo: Path) -> list[Path]:
    skip = {".venv", "tests", ".git", "runs", "outputs", "build"}
    return [p for p in repo.rglob("*.py") if not skip & set(p.relative_to(repo).parts)]


def test_no_code_of_ours_unpickles(repo):
    """No pickle module at all, torch.load only with weights_only=True, no pickled arrays."""
    assert len(sources(repo)) > 20
    for path in sources(repo):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.level == 0 else []
            bad = {"pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "shelve"}
            assert not bad & {name.split(".")[0] for name in names}, path
            if isinstance(node, ast.Call):
                called, options = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
                if called in ("torch.load", "torch.hub.load", "torch.jit.load"):
                    safe = options.get("weights_only")
                    assert isinstance(safe, ast.Constant) and safe.value is True, path
                allow = options.get("allow_pickle")
                assert allow is None or getattr(allow, "value", True) is False, path
