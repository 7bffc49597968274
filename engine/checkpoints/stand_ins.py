"""Stand-ins for the classes that a checkpoint names beside its weights, so that it is read without running their code.

Training programs save settings (`argparse.Namespace`, omegaconf, numpy numbers) and whole networks with the weights.
torch's safe reader refuses names that it does not know. It is given one of three classes in place of each: none
of them is imported from anywhere, none runs anything, and what they hold is plain data from the file.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NoReturn

_MOST_NAMES = 2_000

_RECORDS = frozenset(
    {
        "addict.addict.Dict",
        "argparse.Namespace",
        "box.box.Box",
        "collections.defaultdict",
        "easydict.EasyDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.fabric.utilities.data.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
        "types.SimpleNamespace",
        "yacs.config.CfgNode",
    }
)
"""Classes that hold values by their names."""

_VALUES = re.compile(
    r"(argparse|collections|copyreg|datetime|decimal|enum|fractions|functools|pathlib|types|typing|uuid|zoneinfo"
    r"|numpy|omegaconf|antlr4|yacs|easydict|addict|box|ml_collections|lightning|lightning_fabric|lightning_utilities"
    r"|pytorch_lightning|torchmetrics|torch|torchvision|timm|monai|albumentations|pandas)(\.\w+)+"
    r"|builtins\.(list|dict|tuple|int|float|str|bool|bytes|object|frozenset|slice|range|type)"
)
"""Names that settings are made of; they may be called as functions, which gives an empty value."""

_MAKES_WEIGHTS = re.compile(
    r"torch\.(_utils|storage|_tensor|_subclasses|_C|serialization|jit|distributed|nested|ao)\..+"
)
"""What makes tensors: an empty value in place of one would be a loss unseen."""


class Value(list[object]):
    """Stands for an object whose content is of no interest: a number, a path, a function. It stays empty."""

    __slots__ = ()

    def __new__(cls, *args: object, **options: object) -> Value:
        """Make an empty one, whatever the file gives."""
        return list.__new__(cls)

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Ignore what the file says of it."""

    def append(self, item: object) -> None:
        """Ignore an entry."""

    def extend(self, items: Iterable[object]) -> None:
        """Ignore entries."""

    def __hash__(self) -> int:  # type: ignore[override]  # it may be the key of a mapping
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Record:
    """Stands for an object that holds values by their names: making one gives an `OrderedDict`.

    Entries go into it, and attributes into its `__dict__`: so torch's reader treats that class.
    """

    def __new__(cls, *args: object, **options: object) -> OrderedDict[str, object]:  # type: ignore[misc]  # of another class
        """Return an empty mapping, whatever the file gives."""
        return OrderedDict()


class _NotCalled(type):
    def __call__(cls, *args: object, **options: object) -> NoReturn:
        raise pickle.UnpicklingError("it calls a function that is not known to be harmless")


class Unknown(Record, metaclass=_NotCalled):
    """Stands for a class that is not known: its attributes are read, and where it would be called reading ends."""


def stand_ins_for(names: Iterable[str]) -> list[Callable[..., object] | tuple[Callable[..., object], str]]:
    """Return what is to stand for each name, as `torch.serialization.safe_globals` takes it.

    Raises:
        ValueError: there are very many names.
    """
    found = sorted(names)
    if len(found) > _MOST_NAMES:
        raise ValueError(f"it names {len(found):,} classes and functions")
    return [(_stand_in(name), name) for name in found]


def unknown_names(names: Iterable[str]) -> list[str]:
    """Return the names that are neither torch's nor known to be harmless, sorted."""
    return sorted(name for name in names if _stand_in(name) is Unknown and not _MAKES_WEIGHTS.fullmatch(name))


def _stand_in(name: str) -> type:
    if _MAKES_WEIGHTS.fullmatch(name):
        return Unknown
    if name in _RECORDS or _is_network(name):
        return Record
    return Value if _VALUES.fullmatch(name) else Unknown


def _is_network(name: str) -> bool:
    """Whether a name is that of a class of a library of networks; each part of a pickled network has one."""
    libraries = ("torch.nn.", "torchvision.models.", "torchvision.ops.", "timm.models.", "timm.layers.")
    return name.startswith((*libraries, "monai.networks."))
