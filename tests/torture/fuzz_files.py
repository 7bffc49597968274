"""Readers of a model's files that hold arrays, pictures or text, for `tests.torture.fuzz`: each with a sound file, and
with a way to spoil it that gets past the checksums."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import BundleError, ImageError, XAIMedError

Spoil = Callable[[bytes, random.Random], bytes]
File = tuple[str, bytes, Callable[[bytes], bool], Spoil | None]
"""A name, a sound file, what reads one (as in `fuzz.Target`), and what spoils it; None for any change of its bytes."""

_HEADERS = (b"<f8", b"<f4", b"|u1", b"<i8", b"<c8", b"|O", b"<f8' ", b"(2,)", b"(0,)", b"()", b"(1, 1)", b"(99999999,)")
_VALUES = (0.0, -1.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 255.5, 1e15)
_SHAPES = ([], [0], [2**62], [2**40, 2**40], [-1], [True], 8, None, [1.5], [4, 4, 4])
_OFFSETS = ([0, 0], [8, 4], [0, 2**63], [-8, 8], [0, 10**30], [0], None, ["0", "8"])


def files(folder: Path) -> Iterator[File]:
    """Yield all; what is written lies below `folder`."""
    yield _fit()
    yield _safetensors()
    yield _picture(folder)
    yield from _texts(folder)


def _refused(error: XAIMedError) -> bool:
    assert "\n" not in error.message
    assert error.remedy
    return False


def _fit() -> File:
    import numpy as np
    import torch

    from engine.bundle.fit_npz import PARTS, Fit, read_fit, write_fit
    from engine.network.familiarity import goes_with, statistics, why_unlike

    unit = np.random.default_rng(0).random((3, 16, 16), dtype=np.float32)
    count, features = statistics(unit).size, 6
    sound = write_fit(
        Fit(
            made_for="0" * 64,
            xaimed="0.2",
            layer="head",
            images=40,
            groups=4,
            held_out=0.05,
            mean=statistics(unit),
            covariance=np.eye(count),
            centre=np.zeros(features),
            axes=np.eye(2, features),
            variances=np.ones(2),
            rest=1.0,
            limits=np.ones(3),
            part_limits=np.ones(len(PARTS)),
        )
    )
    activations = torch.zeros(features).numpy()

    def read(content: bytes) -> bool:
        path = Path("fit.npz")
        try:
            fit = read_fit(content, path)
        except BundleError as error:
            return _refused(error)
        assert len(fit.made_from) < 100
        if goes_with(fit, 3):  # else `Classifier` does not use it
            found = why_unlike(fit, unit, activations if fit.centre.size == features else None)
            assert found is None or "\n" not in found
        return True

    return "fit.npz", sound, read, _spoilt_arrays


def _spoilt_arrays(sound: bytes, draw: random.Random) -> bytes:
    """Return an archive of arrays of which one or two are changed, left out or there twice."""
    import numpy as np

    with zipfile.ZipFile(io.BytesIO(sound)) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(draw.choice((1, 1, 2))):
        number = draw.randrange(len(entries))
        name, content = entries[number]
        start = 10 + int.from_bytes(content[8:10], "little")
        match draw.randrange(6):
            case 0:
                entries[number] = name, content[:start] + draw.randbytes(max(len(content) - start, 0))
            case 1:
                values = np.full(len(content[start:]) // 8 or 1, draw.choice(_VALUES), dtype="<f8").tobytes()
                place = draw.randrange(max(len(values) - 7, 1)) // 8 * 8
                body = bytearray(content[start:])
                body[place : place + 8] = values[:8][: len(body[place : place + 8])]
                entries[number] = name, content[:start] + bytes(body)
            case 2:
                old = draw.choice((b"<f8", b"<f4", b"|u1", b"<i8", b"(", b")"))
                entries[number] = name, content.replace(old, draw.choice(_HEADERS), 1)
            case 3:
                entries[number] = name, content[: draw.randrange(len(content) + 1)]
            case 4:
                del entries[number]
            case _:
                entries.append((draw.choice(entries)[0], content))
        if not entries:
            break
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    data = packed.getvalue()
    if draw.random() < 0.3:  # the archive itself, too
        place = draw.randrange(len(data))
        data = data[:place] + draw.randbytes(draw.choice((1, 2, 30))) + data[place + draw.choice((1, 2)) :]
    return data


def _safetensors() -> File:
    import torch
    from safetensors.torch import save

    from engine.network.weights import read_weights

    sound = save({"conv.weight": torch.zeros(2, 3, 3, 3), "conv.bias": torch.ones(2)})

    def read(content: bytes) -> bool:
        try:
            weights = read_weights(content, Path("model.safetensors"))
        except XAIMedError as error:
            return _refused(error)
        assert all(type(value) is torch.Tensor for value in weights.values())
        return True

    return "model.safetensors", sound, read, _spoilt_header


def _spoilt_header(sound: bytes, draw: random.Random) -> bytes:
    """Return weights whose header says something else of one tensor, or is no header."""
    length = int.from_bytes(sound[:8], "little")
    header, body = json.loads(sound[8 : 8 + length]), sound[8 + length :]
    name = draw.choice(sorted(header))
    match draw.randrange(5):
        case 0:
            header[name]["shape"] = draw.choice(_SHAPES)
        case 1:
            header[name]["data_offsets"] = draw.choice(_OFFSETS)
        case 2:
            header[name]["dtype"] = draw.choice(("F64", "BF16", "I64", "BOOL", "F8_E4M3", "U8", "", None, "f32"))
        case 3:
            header[draw.choice(("\x1b[2J", "__metadata__", "", "a" * 9000, "\ud800"))] = header.pop(name)
        case _:
            body = body[: draw.randrange(len(body) + 1)]
    text = json.dumps(header).encode()
    size = len(text) if draw.random() < 0.8 else draw.choice((0, 1, 2**63, 2**64 - 1, len(text) + 9))
    return size.to_bytes(8, "little") + text + body


def _picture(folder: Path) -> File:
    from PIL import Image

    from engine.bundle.model_bundle import InputSpec
    from engine.images.compliance import why_not_compliant
    from engine.images.image import read_image

    path = folder / "description.png"
    Image.effect_noise((9, 7), 60).save(path)

    def read(content: bytes) -> bool:
        path.write_bytes(content)
        assert "\n" not in why_not_compliant(path, InputSpec(size=(9, 9)))
        try:
            read_image(path)
        except ImageError as error:
            return _refused(error)
        return True

    return "description.png", path.read_bytes(), read, None


def _texts(folder: Path) -> Iterator[File]:
    from factories import make_model

    from engine.bundle.model_bundle import DESCRIPTION
    from engine.library.tasks import TASK_DESCRIPTION, list_tasks, task_description
    from engine.text import safe_text

    tasks = folder / "described"
    model = make_model(tasks / "Task" / "Model")

    def reader(path: Path) -> Callable[[bytes], bool]:
        def read(content: bytes) -> bool:
            path.write_bytes(content)
            (task,) = list_tasks([tasks])
            (entry,) = task.models
            for text in (task.description, entry.description, task_description([tasks], "Task")):
                shown = safe_text(text, multiline=True)  # as every screen and command does
                assert all(letter.isprintable() or letter in "\n\u3000" for letter in shown)
            return "no such words" not in (task.description, entry.description)

        return read

    for path in (tasks / "Task" / TASK_DESCRIPTION, model / DESCRIPTION):
        yield path.name, "Größe: 5 µm\nmany\twords\n".encode(), reader(path), None
