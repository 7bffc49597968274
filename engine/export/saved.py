"""Read a saved explanation back: what `explanation.json` says, and the maps that lie beside it."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ExportError
from engine.export.record import SCHEMA
from engine.storage.documents import DocumentError, parse_json
from engine.storage.reading import UnusableFileError, read_limited

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORD = "explanation.json"
MAPS = "saliency.npz"
ORIGINAL = "original.png"

_MOST_BYTES = 64 << 20
_MOST_MAP_BYTES = 1 << 30
_LARGEST = sys.float_info.max
"""A whole number of JSON may be larger, and is then no float."""

Cells = tuple[tuple[int, int], ...]
Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """What was saved of one method.

    Attributes:
        parameters: by name, chosen ones and those that the method found for itself.
        samples: how many masked images were used; 0 for a method that draws none.
        stopped: whether a person stopped it early.
        top: its three cells.
        cell_means: nine numbers, row by row; None where one was not finite.
    """

    parameters: Mapping[str, Plain]
    samples: int
    stopped: bool
    top: Cells
    cell_means: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class SavedExplanation:
    """What `explanation.json` says, as far as it takes to make the explanation again.

    Attributes:
        path: the file.
        schema: its version; 1 if it has none.
        classes: names of the classes.
        probabilities: of all classes, in the same order.
        predicted, target: name of the class that was predicted, and of the one that was explained.
        methods: the methods that gave a map, by key.
        agreement: nine counts, row by row.
        exact: what each of the nine cells adds, row by row, by the fill of the exact cells; empty for none.
        image: path of the image as recorded, often only its name.
        sha256: hash of the image's pixels.
        size: (height, width) of the image.
        bits: how many significant bits a person gave; None if nobody did.
        task, model, digest: which model.
        in_memory: whether the network was a program's own, without files.
        settings: what was asked for, by name.
        environment: names and versions of what computed it.
    """

    path: Path
    schema: int
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: str
    target: str
    methods: Mapping[str, SavedMethod]
    agreement: tuple[int, ...]
    exact: Mapping[str, tuple[float, ...]]
    image: Path
    sha256: str
    size: tuple[int, int]
    bits: int | None
    task: str
    model: str
    digest: str
    in_memory: bool
    settings: Mapping[str, object]
    environment: Mapping[str, str]


def read_saved(path: Path) -> SavedExplanation:
    """Read an `explanation.json` of any version, or the one in a folder.

    Raises:
        ExportError: there is no such file, it is no explanation that XAIMed saved, or a newer version saved it.
    """
    if path.is_dir():
        path = path / RECORD
    try:
        record = _Part(parse_json(read_limited(path, _MOST_BYTES)), path)
    except UnusableFileError as error:
        raise ExportError(error.cause, subject=path, remedy=error.remedy) from error
    except DocumentError as error:
        raise ExportError(str(error), subject=path, remedy=f"give the {RECORD} of a saved explanation") from error
    schema = record.whole("schema", 1)
    if schema > SCHEMA:
        raise ExportError(
            f"a newer XAIMed wrote it (version {schema} of the format; this one reads up to {SCHEMA})",
            subject=path,
            remedy="update XAIMed",
        )
    image, model = record.part("image"), record.part("model")
    return SavedExplanation(
        path=path,
        schema=schema,
        classes=record.texts("classes"),
        probabilities=record.numbers("probabilities"),
        predicted=record.text("predicted"),
        target=record.text("target"),
        methods={key: _method(each) for key, each in record.parts("methods").items()},
        agreement=tuple(int(count) for count in record.numbers("agreement", rows=3)),
        exact={} if record.get("exact") is None else _exact(record.part("exact")),
        image=_path(image),
        sha256=image.text("sha256"),
        size=image.pair("size"),
        bits=_bits(image) if image.text("bits_source", "") == "user" else None,
        task=model.text("task"),
        model=model.text("name"),
        digest=model.text("digest"),
        in_memory=model.get("in_memory") is not None,
        settings=record.part("settings").values,
        environment={key: str(value) for key, value in record.part("environment").values.items()},
    )


def saved_map(saved: SavedExplanation, method: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return a method's map, (H, W) float32 in [0, 1], from the file beside the record; None if there is none.

    A file that is damaged or holds an array of another shape counts as none.

    Args:
        saved: the explanation.
        method: key of the method.
        shape: (H, W) that the map must have.
    """
    try:
        with zipfile.ZipFile(saved.path.with_name(MAPS)) as archive, archive.open(f"{method}.npy") as entry:
            if archive.getinfo(f"{method}.npy").file_size > _MOST_MAP_BYTES:
                return None
            np.lib.format.read_magic(entry)
            found, in_columns, kind = np.lib.format.read_array_header_1_0(entry)
            if found != shape or in_columns or kind != np.dtype("<f4"):
                return None
            size = shape[0] * shape[1] * 4
            content = entry.read(size)
    # ValueError: no array in it; RuntimeError and NotImplementedError: an entry with a password or of a later format.
    except (OSError, KeyError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return None
    if len(content) != size:
        return None
    values = np.frombuffer(content, dtype="<f4").reshape(shape)
    return values if np.isfinite(values).all() else None


def _method(record: _Part) -> SavedMethod:
    means = record.get("cell_means")
    finite = isinstance(means, list) and all(
        isinstance(row, list) and all(isinstance(each, int | float) for each in row) for row in means
    )
    return SavedMethod(
        parameters={
            name: value
            for name, value in record.part("parameters").values.items()
            if value is None or isinstance(value, str | int | float)
        },
        samples=record.whole("samples", 0),
        stopped=record.get("stopped") is True,
        top=record.cells("top"),
        cell_means=record.numbers("cell_means", rows=3) if finite else None,
    )


def _exact(record: _Part) -> dict[str, tuple[float, ...]]:
    return {fill: found.numbers("shapley", rows=3) for fill, found in record.parts("fills").items()}


def _bits(image: _Part) -> int:
    bits = image.whole("bits_used")
    if not 1 <= bits <= 16:
        raise image.wrong("bits_used")
    return bits


def _path(image: _Part) -> Path:
    raw = image.text("path_bytes", "")
    try:
        path = Path(os.fsdecode(bytes.fromhex(raw))) if raw else Path(image.text("path", image.text("name", "")))
    except ValueError:
        raise image.wrong("path_bytes") from None
    if not path.name:
        raise image.wrong("name")
    return path


class _Part:
    """An object of the record. Whatever is missing or of another kind is one error."""

    def __init__(self, values: object, path: Path, place: str = "") -> None:
        self._path, self._place = path, place
        if not isinstance(values, dict):
            raise self.wrong("")
        self.values: dict[str, object] = values

    def wrong(self, name: str) -> ExportError:
        named = ".".join(part for part in (self._place, name) if part)
        cause = f"{named} is missing or wrong in it" if named else "it is not a saved explanation"
        return ExportError(cause, subject=self._path, remedy=f"give the {RECORD} of a saved explanation")

    def get(self, name: str) -> object:
        return self.values.get(name)

    def part(self, name: str) -> _Part:
        return _Part(self.get(name), self._path, f"{self._place}.{name}" if self._place else name)

    def parts(self, name: str) -> dict[str, _Part]:
        inner = self.part(name)
        return {key: inner.part(key) for key in inner.values}

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name)
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        value = self.values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise self.wrong(name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong(name)
        return tuple(value)

    def numbers(self, name: str, *, rows: int | None = None) -> tuple[float, ...]:
        """Return a list of numbers, or a square of numbers row by row."""
        value = self.get(name)
        lists = [value] if rows is None else value
        if not isinstance(lists, list) or (rows is not None and len(lists) != rows):
            raise self.wrong(name)
        found: list[float] = []
        for each in lists:
            if not isinstance(each, list) or (rows is not None and len(each) != rows):
                raise self.wrong(name)
            for number in each:
                if isinstance(number, bool) or not isinstance(number, int | float) or abs(number) > _LARGEST:
                    raise self.wrong(name)
                found.append(float(number))
        return tuple(found)

    def pair(self, name: str) -> tuple[int, int]:
        value = self.get(name)
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(each, int) for each in value):
            raise self.wrong(name)
        return value[0], value[1]

    def cells(self, name: str) -> Cells:
        value = self.get(name)
        if not isinstance(value, list) or len(value) > 9:
            raise self.wrong(name)
        found = []
        for cell in value:
            if not (isinstance(cell, list) and len(cell) == 2 and all(each in (0, 1, 2) for each in cell)):
                raise self.wrong(name)
            found.append((int(cell[0]), int(cell[1])))
        return tuple(found)
