"""An image's values as people read them: about four digits. Files have all of them."""

from __future__ import annotations

import math

_DIGITS = 4
"""Significant digits of a number that stands for itself."""

_WRITTEN_OUT = (1e-3, 1e7)
"""Below and from here on, a number is written with its power of ten."""


def number_text(value: float, scale: float | None = None) -> str:
    """Return a number in about four significant digits, but with all the digits of a whole number: `0.5036`, `32768`.

    Args:
        value: the number.
        scale: what its digits are counted by, such as the width of the window of which it is the centre; None for the
            number itself.
    """
    size = abs(value if scale is None else scale)
    if not (math.isfinite(value) and math.isfinite(size)):
        return f"{value:g}"
    if value and not _WRITTEN_OUT[0] <= max(abs(value), size) < _WRITTEN_OUT[1]:
        return f"{value:.{_DIGITS}g}"
    decimals = max(_DIGITS - 1 - math.floor(math.log10(size)), 0) if size else 0
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def window_text(centre: float, width: float) -> str:
    """Return a window as physicians write it, as `40/400`; the width says how many digits of the centre count."""
    return f"{number_text(centre, width)}/{number_text(width)}"
