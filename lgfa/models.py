"""The known public models: a table, and a download that resumes, verifies and is asked for.

Sizes and hashes are in the table only where they are certain; for a file without a hash the
download is checked by reading it and recognising its format.
"""
from __future__ import annotations

import http.client
import io
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import LGFAError, reason, short
from .files import explain, lock

CHUNK = 1 << 20             # bytes taken at once, at most
TIMEOUT = 30                # seconds without any data
ATTEMPTS = 4                # connections that may break before we give up
WAIT = 2.0                  # seconds before the second attempt, doubled for each further one


@dataclass(frozen=True)
class Model:
    """One public file."""

    file: str                   # its name in the cache folder
    what: str                   # what it is for
    format: str                 # as `inspect` would say
    licence: str
    address: str                # where the file itself is
    megabytes: int | None       # about; None = unknown
    size: int | None = None     # bytes, exactly
    sha256: str | None = None   # of the file: 64 hex digits, or its beginning
    kind: str | None = None     # the network that reading it must give (build.KINDS)


_RESEARCHMM = ("https://github.com/researchmm/language-guided-animation/releases/download/"
               "v0.0.0/")
_NVIDIA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
_OPENAI = "https://openaipublic.azureedge.net/clip/models/"
_TORCH = "https://download.pytorch.org/models/"
_NVIDIA_LICENCE = "NVIDIA Source Code License, non-commercial"
_UNKNOWN = "of the repository MIT, of the weights unknown"

MODELS: dict[str, Model] = {
    "stylegan2-ffhq": Model(
        "stylegan2-ffhq-config-f.pt", "generator, photographed faces, 1024 px", "rosinality .pt",
        _UNKNOWN, _RESEARCHMM + "stylegan2-ffhq-config-f.pt", None, kind="generator"),
    "stylegan2-metfaces": Model(
        "stylegan2-awesome-network-snapshot-metfaces2.pt", "generator, painted faces, 1024 px",
        "rosinality .pt", _UNKNOWN,
        _RESEARCHMM + "stylegan2-awesome-network-snapshot-metfaces2.pt", None, kind="generator"),
    "celeba-latents": Model(
        "celeba_e4e_latents.pt", "e4e codes of CelebA-HQ, for training", "latent codes (.pt)",
        _UNKNOWN, _RESEARCHMM + "celeba_e4e_latents.pt", None),
    "ffhq": Model(
        "ffhq.pkl", "generator, photographed faces, 1024 px", "NVIDIA stylegan2-ada .pkl",
        _NVIDIA_LICENCE, _NVIDIA + "ffhq.pkl", 382, 381_624_121,
        "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c", "generator"),
    "metfaces": Model(
        "metfaces.pkl", "generator, painted faces, 1024 px", "NVIDIA stylegan2-ada .pkl",
        _NVIDIA_LICENCE, _NVIDIA + "metfaces.pkl", None, kind="generator"),
    "e4e-ffhq": Model(
        "e4e_ffhq_encode.pt", "encoder for FFHQ generators, and a generator", "e4e checkpoint",
        "MIT", "https://drive.usercontent.google.com/download"
        "?id=1cUv_reLE6k3604or78EranS7XzuVMWeO&export=download&confirm=t", 1200, kind="encoder"),
    "ir-se50": Model(
        "model_ir_se50.pth", "identity network, for the identity loss", "IR-SE50 checkpoint",
        "MIT", "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
        "recognition_arcface_ir_se50.pth", 175, 175_367_323,
        "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28", "identity"),
    "inception-resnet": Model(
        "20180402-114759-vggface2.pt", "identity network of the paper's ACD",
        "facenet-pytorch checkpoint", "of the repository MIT, of the weights unknown",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
        "20180402-114759-vggface2.pt", 107, kind="inception_resnet"),
    "clip-rn50": Model(
        "RN50.pt", "CLIP of the paper's main results (RN50/openai)", "OpenAI CLIP archive", "MIT",
        _OPENAI + "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt", 256,
        sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", kind="clip"),
    "clip-vit-b-32": Model(
        "ViT-B-32.pt", "CLIP, usual in comparisons (ViT-B-32/openai)", "OpenAI CLIP archive",
        "MIT", _OPENAI + "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/"
        "ViT-B-32.pt", 354,
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", kind="clip"),
    "lpips-alex": Model(
        "alexnet-owt-7be5be79.pth", "trunk of LPIPS (alex)", "torchvision AlexNet",
        "of torchvision BSD-3-Clause, of the weights unknown",
        _TORCH + "alexnet-owt-7be5be79.pth", 244, 244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", "perceptual"),
    "lpips-vgg": Model(
        "vgg16-397923af.pth", "trunk of LPIPS (vgg)", "torchvision VGG-16",
        "of torchvision BSD-3-Clause, of the weights unknown",
        _TORCH + "vgg16-397923af.pth", 553, sha256="397923af", kind="perceptual"),
    "yunet": Model(
        "yunet_n_640_640.onnx", "face detector, to crop photographs", "ONNX", "Apache-2.0",
        "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/"
        "0047ac24afb1a50a0c6105001c89d1b5b805dbf1/onnx/yunet_n_640_640.onnx", 0, 317_466,
        "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"),
}


def folder() -> Path:
    """Where downloads lie: $LGFA_HOME, or ~/.cache/lgfa."""
    home = os.environ.get("LGFA_HOME")
    return Path(home) if home else Path.home() / ".cache" / "lgfa"


def known(name: str) -> Model:
    """A row of the table by its name or its file's name; LGFAError lists the names."""
    for key, model in MODELS.items():
        if name in (key, model.file):
            return model
    raise LGFAError(f"there is no known model {name!r}; known are {', '.join(MODELS)}.")


def is_present(name: str) -> bool:
    """Whether a model has been downloaded."""
    return (folder() / known(name).file).is_file()


def local(name: str) -> Path:
    """The file of a model that has been downloaded; LGFAError says how to get it otherwise."""
    path = folder() / known(name).file
    if not path.is_file():
        raise LGFAError(f"{name} is not there: fetch it with "
                        f"`python -m lgfa models download {name}`, or put it at {path}.")
    return path


def download(
    name: str,                                          # of the table, or the file's name
    progress: Callable[[int, int | None], None] | None = None,
    #                                                     called with (bytes so far, bytes in all)
    to: Path | None = None,                             # folder; None = the cache folder
) -> Path:
    """Fetches a model into a folder and returns its path; nothing is done if it is there.

    Goes on where an earlier attempt stopped, compares size and SHA-256 (without one, recognises
    the file), and only then gives the file its name. Raises LGFAError, one sentence.
    """
    model = known(name)
    path = (to or folder()) / model.file
    if path.is_file():
        return path
    part = path.with_name(path.name + ".part")
    with _writing(path):
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(model, part, progress or (lambda done, total: None))
        _verify(model, part)
        with open(part, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _stamp(part).unlink(missing_ok=True)
    return path


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """A disk's refusal becomes a sentence; what has been written stays, to go on from."""
    try:
        yield
    except OSError as error:
        raise LGFAError(f"cannot write {path}: {explain(error) or reason(error)}; the same command "
                        f"goes on from what is there.") from error


def _fetch(model: Model, part: Path, progress: Callable[[int, int | None], None]) -> None:
    """Fills the partial file, going on after a broken connection."""
    for attempt in range(ATTEMPTS):
        before = _length(part)
        try:
            if _fetch_once(model, part, progress):
                return
            error: Exception = ConnectionError("the connection ended early")
        except urllib.error.HTTPError as failed:
            raise LGFAError(f"{model.address} answers {failed.code} {failed.reason}: fetch "
                            f"{model.file} by hand and put it into {part.parent}.") from failed
        except LGFAError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as failed:  # an odd address, too
            error = failed
        if attempt + 1 < ATTEMPTS and _length(part) == before:
            time.sleep(WAIT * 2**attempt)
    why = getattr(error, "reason", None) or error
    raise LGFAError(f"the download of {model.file} broke off ({short(why, 200)}): run it again to "
                    f"go on from {_length(part):,} bytes.")


def _fetch_once(model: Model, part: Path, progress: Callable[[int, int | None], None]) -> bool:
    """One connection; True when the file is whole."""
    start = _length(part)
    request = urllib.request.Request(model.address, headers={"User-Agent": "lgfa"})
    stamp = _read_stamp(part)
    if start and not (stamp or model.sha256):
        start = 0                       # nothing would tell whether the two halves belong together
    if start:
        if start == model.size:
            return True
        request.add_header("Range", f"bytes={start}-")
        if stamp:
            request.add_header("If-Range", stamp)
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:                 # nothing beyond what we have
            return error.headers.get("Content-Range", "").endswith(f"/{start}") or _restart(part)
        raise
    with answer:
        if not _continues(answer, start):
            start = 0                                   # a server without Range, or a newer file
        total = _total(answer, start)
        _check_room(model, part, start, total)
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        with _open(part, start, tag, model) as file:
            progress(start, total)
            while chunk := answer.read1(CHUNK):         # what is there: a stop loses nothing
                _append(file, chunk, part)
                start += len(chunk)
                progress(start, total)
                if model.size is not None and start > model.size:
                    break                               # another file: the size check says so
    return total is None or start >= total


def _open(
    part: Path,
    start: int,                         # bytes of it that stay
    tag: str,                           # the server's mark of this version
    model: Model,
) -> io.FileIO:
    """The partial file, ready to be gone on with; no other process has it."""
    with _writing(part):
        file = open(part, "ab", buffering=0)    # noqa: SIM115 - the caller closes it
        try:
            lock(file)
        except BlockingIOError as error:
            file.close()
            raise LGFAError(f"another process is downloading {model.file}: wait for it.") from error
        except OSError:
            pass                                # a disk without locks
        file.truncate(start)
        _stamp(part).write_text(tag if _is_stamp(tag) else "", encoding="ascii")
    return file


def _append(file: io.FileIO, chunk: bytes, part: Path) -> None:
    """Writes all of a chunk; a full disk takes a part of it first."""
    rest = memoryview(chunk)
    with _writing(part):
        while rest:
            rest = rest[file.write(rest):]


def _read_stamp(part: Path) -> str:
    """The mark that was noted beside a partial file; "" for one that no server gave."""
    try:
        tag = _stamp(part).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
    return tag if _is_stamp(tag) else ""


def _is_stamp(tag: str) -> bool:
    """Can it be sent back? A weak mark (W/) does not promise the same bytes."""
    return not tag.startswith("W/") and tag.isascii() and tag.isprintable() and len(tag) <= 200


def _restart(part: Path) -> bool:
    """Forgets a partial file that the server cannot complete."""
    part.unlink(missing_ok=True)
    return False


def _continues(answer: http.client.HTTPResponse, start: int) -> bool:
    """Whether an answer goes on at `start`."""
    return bool(start) and answer.status == 206 and \
        answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _total(answer: http.client.HTTPResponse, start: int) -> int | None:
    """The whole file's bytes, as the server has it."""
    length = answer.headers.get("Content-Length", "")
    # No file has more digits; another length is none.
    return start + int(length) if re.fullmatch("[0-9]{1,18}", length) else None


def _check_room(model: Model, part: Path, start: int, total: int | None) -> None:
    """LGFAError when the file is another one, or does not fit on the disk."""
    if total is not None and model.size is not None and total != model.size:
        raise LGFAError(f"{model.address} holds {total:,} bytes instead of {model.size:,}: it is "
                        f"another file, or the server is in error; try again later.")
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise LGFAError(f"{model.file} needs {total - start:,} bytes and {part.parent} has "
                        f"{free:,}: make room, or set LGFA_HOME to another disk.")


def _verify(model: Model, part: Path) -> None:
    """Compares a finished download with the table; a wrong one is removed."""
    from .hashes import file_hash

    wrong = None
    if model.size is not None and _length(part) != model.size:
        wrong = f"has {_length(part):,} bytes instead of {model.size:,}"
    elif model.sha256 is not None:
        found = file_hash(part)
        if not found.startswith(model.sha256):
            wrong = f"has the SHA-256 {found[:16]}.. instead of {model.sha256[:16]}.."
    elif model.kind is not None:
        wrong = _strange(model, part)
    if wrong is not None:
        part.unlink(missing_ok=True)
        _stamp(part).unlink(missing_ok=True)
        raise LGFAError(f"the download of {model.file} {wrong}; it was removed, try again.")


def _strange(model: Model, part: Path) -> str | None:
    """Why a file without a known hash is not the model, or None when it looks like it."""
    from . import formats

    try:
        formats.recognise(formats.read(part), model.kind)
    except LGFAError as error:
        return f"is not {model.format}: {str(error).rstrip('.')}"
    return None


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _stamp(part: Path) -> Path:
    """Beside a partial file: the server's mark of the version that it belongs to."""
    return part.with_name(part.name + ".tag")
