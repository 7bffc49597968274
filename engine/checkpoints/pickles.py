"""What a pickle names, read from its instructions: none of them is carried out."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file begins that torch.save wrote before version 1.6: a magic number, itself a pickle."""

_MOST_INSTRUCTIONS = 5_000_000
_LEGACY_PICKLES = 4
"""Magic number, version, machine, and the object itself; then the tensors' numbers follow."""

_MOST_PICKLE = 256 * 2**20

_MODULES_OF_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_NAMES_OF_PYTHON_2 = {
    "builtins.long": "builtins.int",
    "builtins.unicode": "builtins.str",
    "builtins.xrange": "builtins.range",
}
"""What plain data asks for under other names in Python 2. Python's own table, which has all of them, is private."""


def is_pickle(head: bytes, *, whole: bool) -> bool:
    """Whether a file is a pickle of protocol 2 or later, judging by its first instructions.

    Args:
        head: its beginning.
        whole: whether that is all of it.
    """
    if len(head) < 3 or head[0] != 0x80 or not 2 <= head[1] <= pickle.HIGHEST_PROTOCOL:
        return False
    count = 0
    try:
        for operation, _, _ in pickletools.genops(head):
            count += 1
            if operation.name == "STOP":
                return True
    except ValueError:  # an instruction that there is not, or that is cut off
        pass
    return not whole and count > 3


def names_in(data: bytes) -> frozenset[str]:
    """Return the full names (`argparse.Namespace`) of the classes and functions that a file of torch.save asks for.

    Args:
        data: the whole file: a zip archive as torch.save writes it, or one from before version 1.6, or a pickle.

    Raises:
        ValueError: the pickle in it cannot be listed to its end.
    """
    return frozenset(name for part in _pickles(data) for name in _names(part))


def _pickles(data: bytes) -> Iterator[io.BytesIO]:
    if data.startswith(b"PK"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for entry in archive.infolist():
                    if PurePosixPath(entry.filename).name == "data.pkl" and entry.file_size <= _MOST_PICKLE:
                        yield io.BytesIO(archive.read(entry))
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
            raise ValueError(str(error)) from error
        return
    stream = io.BytesIO(data)
    for _ in range(_LEGACY_PICKLES if data.startswith(LEGACY_MAGIC) else 1):
        yield stream


def _names(stream: io.BytesIO) -> Iterator[str]:
    strings: list[str] = []
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count > _MOST_INSTRUCTIONS:
            raise ValueError("the pickle has too many instructions")
        if operation.name == "GLOBAL" and isinstance(argument, str):
            yield _today(*argument.split(" ", 1))
        elif operation.name == "STACK_GLOBAL" and len(strings) >= 2:
            yield _today(*strings[-2:])
        elif isinstance(argument, str) and "UNICODE" in operation.name:
            strings = [*strings[-1:], argument]


def _today(module: str, name: str) -> str:
    """Return a full name as Python 3 has it: protocol 2, which torch writes, has the names of Python 2."""
    full = f"{_MODULES_OF_PYTHON_2.get(module, module)}.{name}"
    return _NAMES_OF_PYTHON_2.get(full, full)
