"""Checks for values that only model folders declare.

A check returns the value as it is used, or raises `WrongValueError`. The checks for any number or word lie in
`engine.bundle.keys`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import TypeGuard, cast, get_args

from engine.bundle.keys import WrongValueError, shown
from engine.bundle.specs import Fill, Plain

PACKAGES = ("torchvision", "timm", "monai", "transformers")
"""The packages whose networks can be named."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_MOST_ARGUMENTS = 100
_MOST_VALUES = 1_000
_LARGEST = 1_000_000
_LONGEST_TEXT = 200

_MOST_VALUE = 100_000
_LEAST_RANGE = 1e-3


def height_and_width(low: int, high: int) -> Callable[[object], tuple[int, int]]:
    """Return a check for (height, width), each from `low` to `high` pixels."""

    def check(value: object) -> tuple[int, int]:
        if isinstance(value, list | tuple) and len(value) == 2:
            height, width = value
            if _is_int(height) and _is_int(width) and low <= height <= high and low <= width <= high:
                return int(height), int(width)
        raise WrongValueError(f"must be [height, width], each from {low:,} to {high:,} pixels, not {shown(value)}")

    return check


def allow_side(check: Callable[[object], tuple[int, int]]) -> Callable[[object], tuple[int, int]]:
    """Return a check for (height, width) that also accepts one number, the side of a square."""
    return lambda value: check((value, value) if isinstance(value, int) else value)


def channels(value: object) -> int:
    """Check a number of channels: 1 (grey) or 3 (RGB)."""
    if value not in (1, 3) or not _is_int(value):  # 1.0 and True are in (1, 3) too
        raise WrongValueError(f"must be 1 (grey) or 3 (RGB), not {shown(value)}")
    return 1 if value == 1 else 3


def flag(value: object) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise WrongValueError(f"must be true or false, not {shown(value)}")
    return value


def mean(value: object) -> tuple[float, ...]:
    """Check the mean: one number per channel. `engine.bundle.declared` holds it against the range of the values."""
    return _numbers(value)


def std(value: object) -> tuple[float, ...]:
    """Check the standard deviation: one number per channel, greater than 0."""
    numbers = _numbers(value)
    if not all(number > 0 for number in numbers):
        raise WrongValueError(f"must be greater than 0, not {shown(value)}")
    return numbers


def value_range(value: object) -> tuple[float, float]:
    """Check what 0 and full scale become: two different numbers, each from -100,000 to 100,000."""
    if isinstance(value, list | tuple) and len(value) == 2:
        numbers = [float(n) for n in value if _is_number(n) and -_MOST_VALUE <= n <= _MOST_VALUE]
        if len(numbers) == 2 and abs(numbers[1] - numbers[0]) >= _LEAST_RANGE:
            return numbers[0], numbers[1]
    raise WrongValueError(
        f"must be two different numbers: what 0 and full scale become, each within {_MOST_VALUE:,} of 0, "
        f"not {shown(value)}"
    )


def percentiles(value: object) -> tuple[float, float]:
    """Check two percentiles, from 0 to 100, the lower one first."""
    if isinstance(value, list | tuple) and len(value) == 2:
        numbers = [float(n) for n in value if _is_number(n) and 0 <= n <= 100]
        if len(numbers) == 2 and numbers[0] < numbers[1]:
            return numbers[0], numbers[1]
    raise WrongValueError(f"must be two numbers from 0 to 100, the lower one first, not {shown(value)}")


def modalities(value: object) -> tuple[str, ...]:
    """Check codes of modalities, such as CT: at most 30, each of 2 to 16 capitals, digits or `_`."""
    return _codes(value, re.compile(r"[A-Z][A-Z0-9_]{1,15}"), '["CT"]')


def photometrics(value: object) -> tuple[str, ...]:
    """Check photometric interpretations, such as MONOCHROME2: at most 30, as the standard writes them."""
    return _codes(value, re.compile(r"[A-Z][A-Z0-9_ ]{1,15}"), '["MONOCHROME2"]')


def _codes(value: object, code: re.Pattern[str], example: str) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and len(value) <= 30:
        codes = tuple(each for each in value if isinstance(each, str) and code.fullmatch(each))
        if len(codes) == len(value):
            return codes
    raise WrongValueError(f"must be a list of the standard's codes, such as {example}, not {shown(value)}")


def classes(value: object) -> tuple[str, ...]:
    """Check class names: 1 to 10,000, not empty, all different, at most 200 characters each."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise WrongValueError(f"must be a list of names, not {shown(value)}")
    names = tuple(str(name) for name in value)
    if len(names) > 10_000:
        raise WrongValueError(f"must be at most 10,000 names, not {len(names):,}")
    for name in names:
        if not name.strip() or len(name) > 200:
            raise WrongValueError(f"must be names of 1 to 200 characters, not {shown(name)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongValueError(f"must all be different, and {shown(twice)} is there twice")
    return names


def source(value: object) -> str:
    """Check where a network comes from: one of `PACKAGES`, a colon, and a name of letters, digits and `_.-`."""
    if isinstance(value, str):
        package, colon, name = value.partition(":")
        if package in PACKAGES and colon and _NAME.fullmatch(name):
            return value
    listed = ", ".join(f'"{package}:..."' for package in PACKAGES)
    raise WrongValueError(f"must be one of {listed} with the name of a network, not {shown(value)}")


def arguments(value: object) -> MappingProxyType[str, Plain]:
    """Check arguments of a network: at most 100, plain values by name. Lists become tuples, and are flat."""
    if not isinstance(value, dict):
        raise WrongValueError(f"must be a table such as {{ num_classes = 2 }}, not {shown(value)}")
    if len(value) > _MOST_ARGUMENTS:
        raise WrongValueError(f"must be at most {_MOST_ARGUMENTS} values, not {len(value):,}")
    checked: dict[str, Plain] = {}
    for name, given in value.items():
        if not _ARGUMENT.fullmatch(name):
            raise WrongValueError(f"must have names such as num_classes, not {shown(name)}")
        checked[name] = _list(name, given) if _is_list(given) else _scalar(name, given)
    return MappingProxyType(checked)


def _list(name: str, given: Iterable[object]) -> tuple[bool | int | float | str, ...]:
    values = tuple(_scalar(name, one) for one in given)
    total = sum(abs(one) for one in values if isinstance(one, int))
    if total > _LARGEST:  # a network may have as many layers as the numbers of a list together say
        raise WrongValueError(f"must be lists of numbers up to {_LARGEST:,} together, and {name} is {shown(given)}")
    return values


def _is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, list | tuple) and len(value) <= _MOST_VALUES


def _scalar(name: str, value: object) -> bool | int | float | str:
    match value:
        case bool():
            return value
        case int() if abs(value) <= _LARGEST:
            return value
        case float() if math.isfinite(value):
            return value
        case str() if len(value) <= _LONGEST_TEXT:
            return value
    raise WrongValueError(
        f"must be numbers, short texts, true, false, or flat lists of those, and {name} is {shown(value)}"
    )


def layer(value: object) -> str:
    """Check a layer's name, as in `named_modules()`."""
    if not isinstance(value, str) or not value or len(value) > 500:
        raise WrongValueError(f"must be the name of a layer, not {shown(value)}")
    return value


def exact_fills(value: object) -> tuple[Fill, ...]:
    """Check what hidden cells show: any of `mean`, `blur`, `inpaint` and `noise`, each once at most."""
    known = get_args(Fill)
    if not _is_list(value) or not all(isinstance(word, str) and word in known for word in value):
        raise WrongValueError(f"must be a list of {', '.join(known)}, not {shown(value)}")
    if len(set(value)) < len(value):
        raise WrongValueError(f"must all be different, not {shown(value)}")
    return cast("tuple[Fill, ...]", tuple(value))


def part_of_output(value: object) -> str:
    """Check the name or the place of one of several outputs: `logits`, `0`, `0.logits`, or the number 0."""
    if _is_int(value) and 0 <= int(str(value)) < 1000:
        return str(value)
    if not isinstance(value, str) or not value or len(value) > 200:
        raise WrongValueError(f"must be the name or the place of an output, not {shown(value)}")
    return value


def image_path(value: object) -> str:
    """Check the path of a file in the model folder: relative, with `/`, never upwards."""
    if isinstance(value, str) and 0 < len(value) <= 500 and "\\" not in value and "\0" not in value:
        parts = value.split("/")
        if all(part not in ("", ".", "..") for part in parts):
            return value
    raise WrongValueError(f"must be the path of an image in the model folder, not {shown(value)}")


def probabilities(value: object) -> tuple[float, ...]:
    """Check probabilities: 2 to 10,000 numbers in [0, 1], one for each class."""
    if isinstance(value, list) and 2 <= len(value) <= 10_000:
        numbers = [n for n in value if isinstance(n, int | float) and not isinstance(n, bool) and 0 <= n <= 1]
        if len(numbers) == len(value):
            return tuple(float(n) for n in numbers)
    raise WrongValueError(f"must be a list of numbers in [0, 1], one for each class, not {shown(value)}")


def _numbers(value: object) -> tuple[float, ...]:
    if isinstance(value, list | tuple) and all(_is_number(n) for n in value):
        try:
            numbers = tuple(float(n) for n in value)
        except OverflowError:  # a whole number too large for a float
            numbers = ()
        if len(numbers) in (1, 3) and all(math.isfinite(n) for n in numbers):
            return numbers
    raise WrongValueError(f"must be a list of numbers, one for each of 1 or 3 channels, not {shown(value)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: object) -> bool:
    # In Python, `True` is an int.
    return isinstance(value, int) and not isinstance(value, bool)
