"""What a checkpoint says of its network beside the weights: names of classes, the size of the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CLASSES = frozenset(
    {
        "categories",
        "class_map",
        "class_names",
        "class_to_idx",
        "classes",
        "id2label",
        "idx2class",
        "idx_to_class",
        "label2id",
        "label_names",
        "labels",
        "target_names",
    }
)
_SIZES = frozenset(
    {"crop_size", "image_size", "img_size", "imgsz", "input_shape", "input_size", "resolution", "target_size"}
)
_DEEPEST = 4
_MOST_ENTRIES = 20_000
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Hints:
    """What a checkpoint says of its network.

    Attributes:
        classes: lists of names of classes, each with the place where it stands.
        sizes: (height, width) of images, each with its place.
    """

    classes: tuple[tuple[tuple[str, ...], str], ...] = ()
    sizes: tuple[tuple[tuple[int, int], str], ...] = ()

    def classes_for(self, outputs: int) -> tuple[tuple[str, ...], str] | None:
        """Return the names for a network with so many outputs (one output has two classes) if only one list fits."""
        fitting = {names: place for names, place in self.classes if len(names) == (2 if outputs == 1 else outputs)}
        return next(iter(fitting.items())) if len(fitting) == 1 else None


def hints_in(tree: object) -> Hints:
    """Return what a checkpoint says beside its weights, from values under usual names."""
    classes: list[tuple[tuple[str, ...], str]] = []
    sizes: list[tuple[tuple[int, int], str]] = []
    for place, name, value in _named_values(tree):
        if name.lower() in _CLASSES and (names := _names(value)) is not None:
            classes.append((names, place))
        if name.lower() in _SIZES and (size := _size(value)) is not None:
            sizes.append((size, place))
    return Hints(tuple(classes), tuple(sizes))


def _named_values(tree: object) -> Iterator[tuple[str, str, object]]:
    """Yield place, name and value of every entry and attribute whose name is a text, not too deep."""
    waiting: list[tuple[str, object, int]] = [("", tree, 0)]
    entries = 0
    while waiting:
        prefix, node, depth = waiting.pop(0)
        held = dict(node) if isinstance(node, Mapping) else {}
        # Records have their values as attributes (`engine.checkpoints.stand_ins`).
        held |= vars(node) if isinstance(node, Mapping) and hasattr(node, "__dict__") else {}
        for name, value in held.items():
            entries += 1
            if entries > _MOST_ENTRIES:
                return
            if isinstance(name, str):
                yield f"{prefix}{name}", name, value
                if depth < _DEEPEST and isinstance(value, Mapping):
                    waiting.append((f"{prefix}{name}.", value, depth + 1))


def _names(value: object) -> tuple[str, ...] | None:
    """Return names of classes from a list of them, or from a mapping between them and their numbers."""
    if isinstance(value, Mapping):
        pairs = [(number, name) for name, number in value.items() if isinstance(number, int)]
        if len(pairs) < len(value):
            pairs = [(number, name) for key, name in value.items() if (number := _number(key)) is not None]
        if sorted(number for number, _ in pairs) != list(range(len(value))):
            return None
        value = [name for _, name in sorted(pairs, key=lambda pair: pair[0])]
    if not isinstance(value, list | tuple) or len(value) < 2:
        return None
    names = tuple(
        name for name in value if isinstance(name, str) and len(name.strip()) > 0 and len(name) <= _LONGEST_NAME
    )
    return names if len(names) == len(value) == len(set(names)) else None


def _number(key: object) -> int | None:
    """Return a class's number, which JSON has as text."""
    if isinstance(key, str) and key.isdecimal() and len(key) < 10:
        return int(key)
    return key if isinstance(key, int) else None


def _size(value: object) -> tuple[int, int] | None:
    sides = [value, value] if isinstance(value, int) else list(value)[-2:] if isinstance(value, list | tuple) else []
    numbers = [side for side in sides if isinstance(side, int) and not isinstance(side, bool) and 8 <= side <= 2048]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
