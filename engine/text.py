"""The one place that makes text from outside safe to show in a terminal or a log."""

from __future__ import annotations

import unicodedata

_NAMED = {"\n": "␊", "\r": "␍", "\t": "␉", "\x1b": "␛", "\x7f": "␡"}

# Cc controls, Cf format characters (bidi overrides, zero-width, tags), Cs lone surrogates, Zl/Zp separators,
# Co private use (terminal fonts and Kitty's image placeholders live there), Cn unassigned.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})


def safe_text(text: object, *, multiline: bool = False, limit: int | None = None) -> str:
    """Text in which nothing can act on a terminal, and different texts stay different to the eye.

    Control codes, bidirectional overrides, zero-width and format characters, private-use characters, unassigned code
    points and lone surrogates are replaced by a visible form: the control picture where Unicode has one (`␛` for ESC),
    else `⟨U+202E⟩`. More than four combining marks in a row are shown that way too, so that nothing is overprinted.
    Markup is not touched: show the result with `markup=False` or through `rich.text.Text`.

    Args:
        text: anything; `str()` is taken of it.
        multiline: keep line feeds, and turn tabs into four spaces (descriptions). Otherwise one line results.
        limit: the most characters to return; a longer text ends in `…`.
    """
    source = str(text)
    if limit is not None and len(source) > 4 * limit:
        source = source[: 4 * limit]
    if multiline:
        source = source.replace("\r\n", "\n").replace("\t", "    ")
    out: list[str] = []
    marks = 0
    for character in source:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if multiline and character == "\n":
            out.append(character)
        elif category in _UNSAFE or marks > 4:
            out.append(_visible(character))
        else:
            out.append(character)
    result = "".join(out)
    if limit is not None and len(result) > limit:
        result = result[: max(limit - 1, 0)] + "…"
    return result


def _visible(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return f"⟨U+{code:04X}⟩"
