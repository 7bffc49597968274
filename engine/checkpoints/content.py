"""What a file of weights is, told by its content and never by its suffix; and the step that helps where it is none.

Every part of XAIMed that refuses weights takes its words from here, so that `models add`, `models import`,
`models convert` and loading say the same of the same file.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from engine.checkpoints.pickles import LEGACY_MAGIC, is_pickle
from engine.checkpoints.protobuf import is_onnx, is_tensorflow_graph, is_tensorflow_saved_model
from engine.errors import BundleError

Kind = Literal["torch", "legacy", "pickle", "safetensors", "onnx", "torchscript", "other"]
"""The kinds that can be read: `torch.save` since 1.6 and before, any other pickle, safetensors, ONNX, TorchScript."""

_HEAD = 64 * 1024
"""Bytes from the file's beginning that are looked at. The list of a zip archive lies at its end."""

_SAVE_STATE_DICT = "save its state_dict with torch.save(network.state_dict(), ...)"
_UNPACK = "unpack it, and name the file of weights in it"
_TF2ONNX = (
    "convert it to ONNX where TensorFlow is installed (python -m tf2onnx.convert {how} --output model.onnx), then run "
    "xaimed models import model.onnx"
)
_NO_WEIGHTS = "name the file of weights"


@dataclass(frozen=True, slots=True)
class Content:
    """What a file is.

    Attributes:
        kind: one of the kinds that can be read, or `other`.
        words: what it is, for people: `a Keras file (HDF5)`.
        remedy: the step that helps where it cannot be read, as an imperative.
        damaged: whether its content is not what its beginning says: another copy may be whole.
    """

    kind: Kind
    words: str
    remedy: str = ""
    damaged: bool = False

    @property
    def has_weights(self) -> bool:
        """Whether it is of a kind that may hold a state_dict."""
        return self.kind in ("torch", "legacy", "pickle", "safetensors")

    def refusal(self, subject: Path | str) -> BundleError:
        """Return the error for a file of this kind where a state_dict is needed."""
        what = self.words if self.damaged else f"{self.words}, not a file of weights"
        return BundleError(f"it is {what}", subject=subject, remedy=self.remedy)


def recognise(path: Path) -> Content:
    """Say what a file is.

    Args:
        path: a regular file (`engine.storage.reading.check_regular`).

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return recognise_open(file)


def recognise_bytes(data: bytes) -> Content:
    """Say what a file is whose content was read already."""
    return recognise_open(io.BytesIO(data))


def recognise_open(file: BinaryIO) -> Content:
    """Say what an open file is. It is read from its beginning; no code in it is run."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    if size == 0:
        return Content("other", "empty", "copy or download it again", damaged=True)
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _zip(file)
    for magic, words, remedy in _BEGINNINGS:
        if head.startswith(magic):
            return Content("other", words, remedy)
    for look in _LOOKS:
        if (found := look(file, head, size)) is not None:
            return found
    if not head.strip(b"\0") and size > 8:
        return Content(
            "other", "a file that begins with zeros only, as an unfinished download does", "download it again", True
        )
    begins = " ".join(f"{byte:02x}" for byte in head[:8])
    return Content(
        "other",
        f"of no known format (it begins with {begins})",
        "ask its maker for the weights as torch.save, safetensors or ONNX write them",
    )


_ARCHIVE = tuple(
    (magic, words, _UNPACK)
    for magic, words in (
        (b"\x1f\x8b", "a gzip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"BZh", "a bzip2 archive"),
        (b"\xfd7zXZ\0", "an xz archive"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    )
)

_BEGINNINGS: Sequence[tuple[bytes, str, str]] = (
    *_ARCHIVE,
    (
        b"version https://git-lfs.github.com/spec",
        "a Git LFS pointer: a few lines of text in place of the file",
        "run git lfs pull in the repository it came from, or download the file itself",
    ),
    (
        b"\x93NUMPY",
        "a NumPy array (.npy)",
        "save all weights, each under its name: torch.save({name: torch.from_numpy(array), ...}, ...)",
    ),
    (b"GGUF", "a GGUF file, which holds a language model", "use a network that classifies images"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)", _NO_WEIGHTS),
    (b"\xff\xd8\xff", "a picture (JPEG)", _NO_WEIGHTS),
    (b"%PDF-", "a PDF document", _NO_WEIGHTS),
    (b"SQLite format 3\0", "an SQLite database", _NO_WEIGHTS),
)


# Zip archives


def _zip(file: BinaryIO) -> Content:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [entry.filename for entry in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return Content(
            "torch",
            "a zip archive, as torch.save writes, that is cut short or damaged",
            "copy or download it again",
            True,
        )
    below = {name.partition("/")[2] for name in names}
    if "data.pkl" in below:
        if "constants.pkl" in below or any(name.startswith("code/") for name in below):
            return Content("torchscript", "a TorchScript program", f"run xaimed models import, or {_SAVE_STATE_DICT}")
        return Content("torch", "a file that torch.save wrote")
    if {"model.weights.h5", "config.json"} <= set(names):
        return Content("other", "a Keras file (.keras)", _TF2ONNX.format(how="--keras FILE"))
    if any(name.endswith("saved_model.pb") for name in names):
        return Content("other", "a zip archive of a TensorFlow SavedModel", _UNPACK)
    if "archive_format" in below or any(name.startswith("serialized_exported_program") for name in names):
        return Content(
            "other",
            "a program of torch.export",
            f"write it as ONNX with torch.onnx.export, or {_SAVE_STATE_DICT}",
        )
    if names and all(name.endswith(".npy") for name in names):
        return Content(
            "other",
            "an archive of NumPy arrays (.npz)",
            "save them as tensors: torch.save({name: torch.from_numpy(array) for name, array in numpy.load(FILE)"
            ".items()}, ...)",
        )
    return Content("other", "a zip archive", _UNPACK)


# Everything else, in the order in which it is asked


def _hdf5(file: BinaryIO, head: bytes, size: int) -> Content | None:
    magic = b"\x89HDF\r\n\x1a\n"
    if not any(head[place : place + 8] == magic for place in (0, 512, 1024, 2048)):
        return None
    if head.startswith(b"MATLAB"):
        return Content("other", "a MATLAB file (HDF5)", "export the network from MATLAB with exportONNXNetwork")
    return Content("other", "a Keras file or other HDF5", _TF2ONNX.format(how="--keras FILE"))


def _safetensors(file: BinaryIO, head: bytes, size: int) -> Content | None:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= 100_000_000:
        return None
    if length + 8 > size:
        return Content("safetensors", "a safetensors file that is cut short", "copy or download it again", True)
    return Content("safetensors", "a safetensors file")


def _pickle(file: BinaryIO, head: bytes, size: int) -> Content | None:
    if head.startswith(LEGACY_MAGIC):
        return Content("legacy", "a file that torch.save wrote before version 1.6")
    if not is_pickle(head, whole=size <= len(head)):
        return None
    if b"sklearn" in head or b"joblib" in head:
        return Content("other", "a model of scikit-learn", "use a network of PyTorch, or one exported as ONNX")
    return Content(
        "pickle",
        "a pickle that torch.save did not write",
        "run xaimed models convert if you trust its maker, or save the state_dict with torch.save",
    )


def _protobuf(file: BinaryIO, head: bytes, size: int) -> Content | None:
    if is_onnx(file, size):
        return Content("onnx", "an ONNX network", "run xaimed models import")
    if is_tensorflow_saved_model(file, size):
        return Content(
            "other", "a TensorFlow SavedModel (saved_model.pb)", _TF2ONNX.format(how="--saved-model ITS_FOLDER")
        )
    if is_tensorflow_graph(file, size):
        return Content("other", "a frozen TensorFlow graph", _TF2ONNX.format(how="--graphdef FILE"))
    return None


def _tensorflow(file: BinaryIO, head: bytes, size: int) -> Content | None:
    if head[4:8] == b"TFL3":
        return Content("other", "a TensorFlow Lite network", _TF2ONNX.format(how="--tflite FILE"))
    if size >= 48:
        file.seek(size - 8)
        if file.read(8) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
            return Content(
                "other", "the index of a TensorFlow checkpoint", _TF2ONNX.format(how="--checkpoint ITS_META_FILE")
            )
    return None


def _tar(file: BinaryIO, head: bytes, size: int) -> Content | None:
    if head[257:262] != b"ustar":
        return None
    if {b"storages", b"pickle", b"tensors", b"sys_info"} & {head[:100].rstrip(b"\0")}:
        return Content(
            "other",
            "a file that torch.save wrote before version 0.2 (tar)",
            "load it with an old version of torch and save its state_dict again",
        )
    return Content("other", "a tar archive", _UNPACK)


def _medical(file: BinaryIO, head: bytes, size: int) -> Content | None:
    return Content("other", "a DICOM image", _NO_WEIGHTS) if head[128:132] == b"DICM" else None


def _text(file: BinaryIO, head: bytes, size: int) -> Content | None:
    try:
        # A character at the end of `head` may be cut in two.
        text = head.decode("utf-8-sig") if size <= len(head) else head[:-4].decode("utf-8-sig", errors="ignore")
    except UnicodeDecodeError:
        return None
    if any(ord(character) < 32 and character not in "\t\r\n\f" for character in text):
        return None
    if size > len(head) and b"\xff" in head:
        return None
    start = text.lstrip()[:2_000].lower()
    if start.startswith(("<!doctype html", "<html")) or ("<head" in start and start[:1] == "<"):
        return Content(
            "other",
            "a web page (HTML), which a site gives in place of a file: a login, a notice or a viewer",
            "download the file itself, by the link that the site has for downloading",
        )
    if start.startswith("<?xml") or start.startswith("<net "):
        return Content("other", "an XML text", "name the file of weights, or ask for the network as ONNX")
    if start.startswith(("{", "[")):
        if '"weight_map"' in text:
            return Content(
                "other", "the index of weights in several safetensors files", "name the folder that holds all of them"
            )
        return Content("other", "a JSON text", "name the file of weights; this one may describe it")
    if "import torch" in text or "def build_model" in text:
        return Content("other", "Python code", "name the file of weights, and this one with --architecture")
    return Content("other", "a text", "name the file of weights")


_LOOKS: Sequence[Callable[[BinaryIO, bytes, int], Content | None]] = (
    _hdf5,
    _safetensors,
    _pickle,
    _tar,
    _medical,
    _tensorflow,
    _protobuf,
    _text,
)
