"""Tell what a protobuf file is by the fields of its outermost message; their contents are skipped, not parsed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

_MOST_FIELDS = 4_096
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5

_ONNX_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
"""ModelProto: ir_version (1) to opset_import (8), metadata_props, training_info, functions, configuration. Versions
(1, 5) are numbers, all others bytes."""


def is_onnx(file: BinaryIO, size: int) -> bool:
    """Whether an open file is an ONNX ModelProto: it has a version, a graph and operator sets, and nothing foreign."""
    seen: dict[int, int] = {}
    for field, kind, value in _fields(file, size):
        if field not in _ONNX_FIELDS or kind != (_VARINT if field in (1, 5) else _BYTES):
            return False
        seen.setdefault(field, value)
    return 0 < seen.get(1, 0) < 1_000 and seen.get(7, 0) > 0 and _whole(file, size)


def is_tensorflow_saved_model(file: BinaryIO, size: int) -> bool:
    """Whether an open file is a SavedModel: schema version 1, then graphs."""
    fields = list(_fields(file, size))
    return (
        bool(fields)
        and fields[0] == (1, _VARINT, 1)
        and any(field == 2 for field, _, _ in fields)
        and all((field, kind) in ((1, _VARINT), (2, _BYTES)) for field, kind, _ in fields)
        and _whole(file, size)
    )


def is_tensorflow_graph(file: BinaryIO, size: int) -> bool:
    """Whether an open file is a GraphDef: nodes (1) that begin with their names, then library (2) and versions (4)."""
    fields = list(_fields(file, size))
    if not fields or not _whole(file, size) or fields[0][:2] != (1, _BYTES) or fields[0][2] < 4:
        return False
    if not all((field, kind) in ((1, _BYTES), (2, _BYTES), (3, _VARINT), (4, _BYTES)) for field, kind, _ in fields):
        return False
    file.seek(0)
    head = file.read(16)
    length = 2 if head[1] < 0x80 else 3
    return head[length : length + 1] == b"\x0a"  # the node's name


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, wire type and value (of bytes: their length) of the outermost fields, as far as there are any."""
    file.seek(0)
    for _ in range(_MOST_FIELDS):
        tag = _varint(file)
        if tag is None or tag >> 3 == 0:
            return
        field, kind = tag >> 3, tag & 7
        value: int | None = 0
        if kind == _VARINT:
            value = _varint(file)
        elif kind == _BYTES:
            value = _varint(file)
            if value is not None:
                if file.tell() + value > size:
                    return
                file.seek(value, 1)
        elif kind in (_EIGHT, _FOUR):
            file.seek(8 if kind == _EIGHT else 4, 1)
        else:
            return
        if value is None:
            return
        yield field, kind, value


def _whole(file: BinaryIO, size: int) -> bool:
    """Whether `_fields` read to the very end, or stopped only because there were many fields."""
    count = sum(1 for _ in _fields(file, size))
    return file.tell() == size or count == _MOST_FIELDS


def _varint(file: BinaryIO) -> int | None:
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
        if shift > 63:
            return None
    return None
