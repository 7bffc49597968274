"""Values that a model folder declares: their checks, wherever they come from, and what is assumed in their place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.bundle.specs import ExplainSpec, InputSpec, OutputSpec, SelfTest

if TYPE_CHECKING:
    from engine.bundle.specs import Activation, Resize

RESIZES: tuple[Resize, ...] = ("stretch", "fit", "crop")
ACTIVATIONS: tuple[Activation, ...] = ("none", "sigmoid", "softmax")
ESTIMATORS = ("centred", "paper")

Scalar = int | float | str


@dataclass(slots=True)
class Declared:
    """What a model folder declares; None for what it does not. The attributes are those of the specs."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    exact_size: bool | None = None
    minimum_size: tuple[int, int] | None = None
    resize: Resize | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    activation: Activation | None = None
    multilabel: bool | None = None
    target_layer: str | None = None
    rise: dict[str, Scalar] = field(default_factory=dict)
    lime: dict[str, Scalar] = field(default_factory=dict)
    selftest: SelfTest | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class WrongValueError(Exception):
    """A declared value that is not what it must be; the text is a clause such as `must be 1 or 3, not 4`."""


def size(value: object) -> tuple[int, int]:
    """(height, width) of an input: 3 to 4096 pixels each, since a cell of the 3x3 grid needs a pixel."""
    return _pair(value, 3, 4096)


def minimum_size(value: object) -> tuple[int, int]:
    """(height, width) that an image must have at least."""
    return _pair(value, 1, 100_000)


def channels(value: object) -> int:
    """1 (grey) or 3 (RGB)."""
    if value not in (1, 3) or not _is_int(value):
        raise WrongValueError(f"must be 1 (grey) or 3 (RGB), not {_shown(value)}")
    return 1 if value == 1 else 3


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise WrongValueError(f"must be true or false, not {_shown(value)}")
    return value


def resize(value: object) -> Resize:
    """One of `RESIZES`."""
    return RESIZES[_choice(value, RESIZES)]


def activation(value: object) -> Activation:
    """One of `ACTIVATIONS`."""
    return ACTIVATIONS[_choice(value, ACTIVATIONS)]


def estimator(value: object) -> str:
    """One of `ESTIMATORS`."""
    return ESTIMATORS[_choice(value, ESTIMATORS)]


def mean(value: object) -> tuple[float, ...]:
    """One number per channel, on pixel values in [0, 1]."""
    numbers = _numbers(value)
    if not all(0 <= number <= 1 for number in numbers):
        raise WrongValueError(
            f"must lie in [0, 1], for pixel values in [0, 1], and is {_shown(value)}"
            + ("; divide by 255" if all(1 < number <= 255 for number in numbers) else "")
        )
    return numbers


def std(value: object) -> tuple[float, ...]:
    """One number per channel, greater than 0, on pixel values in [0, 1]."""
    numbers = _numbers(value)
    if not all(0 < number <= 10 for number in numbers):
        raise WrongValueError(
            f"must be greater than 0 and at most 10, for pixel values in [0, 1], and is {_shown(value)}"
            + ("; divide by 255" if all(10 < number <= 255 for number in numbers) else "")
        )
    return numbers


def classes(value: object) -> tuple[str, ...]:
    """Class names: 1 to 10,000, not empty, all different, at most 200 characters each."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise WrongValueError(f"must be a list of names, not {_shown(value)}")
    names = tuple(str(name) for name in value)
    if len(names) > 10_000:
        raise WrongValueError(f"must be at most 10,000 names, not {len(names):,}")
    for name in names:
        if not name.strip() or len(name) > 200:
            raise WrongValueError(f"must be names of 1 to 200 characters, not {_shown(name)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongValueError(f"must all be different, and {_shown(twice)} is there twice")
    return names


def layer(value: object) -> str:
    """A layer's name, as in `named_modules()`."""
    if not isinstance(value, str) or not value or len(value) > 500:
        raise WrongValueError(f"must be the name of a layer, not {_shown(value)}")
    return value


def image_path(value: object) -> str:
    """Path of a file in the model folder: relative, with `/`, not upwards."""
    if isinstance(value, str) and 0 < len(value) <= 500 and "\\" not in value and "\0" not in value:
        parts = value.split("/")
        if all(part not in ("", ".", "..") for part in parts):
            return value
    raise WrongValueError(f"must be the path of an image in the model folder, not {_shown(value)}")


def probabilities(value: object) -> tuple[float, ...]:
    """2 to 10,000 numbers in [0, 1], one a class."""
    if isinstance(value, list) and 2 <= len(value) <= 10_000:
        numbers = [n for n in value if isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1]
        if len(numbers) == len(value):
            return tuple(float(n) for n in numbers)
    raise WrongValueError(f"must be a list of numbers in [0, 1], one for each class, not {_shown(value)}")


def whole(low: int, high: int) -> Callable[[object], int]:
    """A check for whole numbers in [low, high]."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WrongValueError(f"must be a whole number from {low:,} to {high:,}, not {_shown(value)}")
        return value

    return check


def between(low: float, high: float) -> Callable[[object], float]:
    """A check for numbers strictly between `low` and `high`."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
            raise WrongValueError(f"must be a number between {low:g} and {high:g}, not {_shown(value)}")
        return float(value)

    return check


def closest(word: str, words: Iterable[str]) -> str | None:
    """The one of the words that resembles a word most, whatever the case; None if none does."""
    by_lower = {known.casefold(): known for known in words}
    near = difflib.get_close_matches(word.casefold(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def assemble(declared: Declared) -> tuple[InputSpec, OutputSpec, ExplainSpec, tuple[str, ...]]:
    """The specs with defaults where nothing is declared, and a sentence for every default that matters."""
    assumed: list[str] = []
    default = InputSpec()
    height, width = declared.size or default.size
    if declared.size is None:
        assumed.append(f"The input size is not declared: {height} x {width} pixels (height x width) are assumed.")
    count = declared.channels
    if count is None:
        known = declared.mean or declared.std
        count = len(known) if known is not None else default.channels
        kind = "grey" if count == 1 else "RGB"
        assumed.append(f"The number of channels is not declared: {count} ({kind}) is assumed.")
    if declared.mean is None and declared.std is None:
        assumed.append("Mean and std are not declared: pixel values in [0, 1] are fed as they are.")
    elif declared.mean is None:
        assumed.append("The mean is not declared: 0 is assumed.")
    elif declared.std is None:
        assumed.append("The std is not declared: 1 is assumed.")
    if declared.classes is None:
        assumed.append("The classes are not declared: they are numbered by the network's outputs.")
    if declared.activation is None:
        assumed.append(
            "The activation at the network's end is not declared: it is taken from the last module, if that is a "
            "Sigmoid or a Softmax, and none is assumed otherwise."
        )
    input_spec = InputSpec(
        size=(height, width),
        channels=count,
        exact_size=bool(declared.exact_size),
        minimum_size=declared.minimum_size,
        resize=declared.resize or default.resize,
        mean=declared.mean if declared.mean is not None else (0.0,) * count,
        std=declared.std if declared.std is not None else (1.0,) * count,
    )
    output_spec = OutputSpec(
        classes=declared.classes, activation=declared.activation, multilabel=bool(declared.multilabel)
    )
    explain_spec = ExplainSpec(target_layer=declared.target_layer, rise=declared.rise, lime=declared.lime)
    return input_spec, output_spec, explain_spec, tuple(assumed)


def contradiction(declared: Declared) -> tuple[str, str] | None:
    """The first pair of declared values that cannot both be meant, as (attribute, clause); None if there is none."""
    count = declared.channels
    if count is None and declared.mean is not None and declared.std is not None:
        count = len(declared.mean)
    for name, numbers in (("mean", declared.mean), ("std", declared.std)):
        if numbers is not None and count is not None and len(numbers) != count:
            return name, f"must have {count} number{'s' if count > 1 else ''}, one per channel, not {len(numbers)}"
    if declared.exact_size and declared.minimum_size is not None:
        exact = declared.size or InputSpec().size
        if exact[0] < declared.minimum_size[0] or exact[1] < declared.minimum_size[1]:
            return "minimum_size", f"must not exceed the exact size {exact[0]} x {exact[1]}"
    return None


def _pair(value: object, low: int, high: int) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 2:
        height, width = value
        if _is_int(height) and _is_int(width) and low <= height <= high and low <= width <= high:
            return int(height), int(width)
    raise WrongValueError(f"must be [height, width], each from {low:,} to {high:,} pixels, not {_shown(value)}")


def _choice(value: object, choices: tuple[str, ...]) -> int:
    if isinstance(value, str) and value in choices:
        return choices.index(value)
    listed = ", ".join(f'"{choice}"' for choice in choices)
    raise WrongValueError(f"must be one of {listed}, not {_shown(value)}")


def _numbers(value: object) -> tuple[float, ...]:
    if isinstance(value, list | tuple) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in value):
        try:
            numbers = tuple(float(n) for n in value)
        except OverflowError:
            numbers = ()
        if len(numbers) in (1, 3) and all(math.isfinite(n) for n in numbers):
            return numbers
    raise WrongValueError(f"must be a list of numbers, one for each of 1 or 3 channels, not {_shown(value)}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(_shown(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, int) and abs(value) > 10**12:
        text = "a very large number"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"
