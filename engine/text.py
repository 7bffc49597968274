"""Makes text from outside safe to show in a terminal or a log, the only place that does."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# Cc controls, Cf format characters (bidi overrides, zero-width, tags), Cs lone surrogates, Zl/Zp separators,
# Co private use (terminal fonts and Kitty's image placeholders live there), Cn unassigned.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})

# Letters and marks that are drawn as nothing or as an empty space: fillers, joiners, variation selectors.
_UNSEEN = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)

# Characters that terminals, their multiplexers and width tables give different widths, alone or after another one:
# skin tones, halves of a flag, Hangul tone marks, signs that are wide in one version of Unicode only. One of them in a
# row shifts all that stands to its right. Found with wcwidth 0.9, Rich 15 and tmux 3.3. (Enclosing marks, as around the
# digit of a keycap, are found by their category; joiners and variation selectors are unseen anyway. Vowel signs of
# Indic scripts stay, as no name in these scripts could be read without them.)
_UNSETTLED = frozenset(
    map(
        chr,
        (
            *range(0x1F3FB, 0x1F400),
            *range(0x1F1E6, 0x1F200),
            *(0x302E, 0x302F, 0x16FF0, 0x16FF1),
            *range(0x2630, 0x2638),
            *range(0x268A, 0x2690),
            *range(0x3248, 0x3250),
            *range(0x4DC0, 0x4E00),
            *range(0x1D300, 0x1D357),
            *range(0x1D360, 0x1D377),
        ),
    )
)
_SPACES = " \u3000"
"""Spaces that are shown as they are: the common one, and the wider one of Chinese and Japanese."""

_PICTURES = frozenset(map(chr, (*range(0x2400, 0x2420), 0x2421)))
"""Control pictures. They stand for control codes here, so those in the text itself are written differently."""

_LOOKS_ESCAPED = re.compile("⟨(?=U\\+)")
_LOOKS_CUT = re.compile("…[0-9a-f]")

_MARKS = 4
"""The most combining marks that a character may carry."""


class _Safe(str):
    """Text that `safe_text` has made: making it safe again changes nothing."""

    __slots__ = ()


def safe_text(text: object, *, multiline: bool = False, limit: int | None = None) -> str:
    """Make text safe: nothing in it can act on a terminal, and different texts stay different to the eye.

    Control codes, bidirectional overrides, zero-width and format characters, private-use characters, unassigned code
    points, lone surrogates, spaces that look like others and characters drawn as nothing are replaced by a visible
    form: the control picture where Unicode has one (`␛` for ESC), else `⟨U+202E⟩`. So are combining marks after the
    fourth in a row, so that nothing is overprinted. What looks like such a form in the text itself is written as
    `⟨U+241B⟩` and `⟨U+27E8⟩U+202E⟩`, so that no two one-line texts give the same result. (Letters of different scripts
    that look alike stay as they are.) A text that this function returned is returned unchanged.
    Markup is not touched: show the result with `markup=False` or through `rich.text.Text`.

    Args:
        text: anything; it is passed to `str()`.
        multiline: keep line feeds, and turn tabs into four spaces (for descriptions). Otherwise the result is one line.
        limit: the most characters to return; a longer text ends in `…`. For names see `safe_name`.
    """
    if type(text) is _Safe and (multiline or "\n" not in text):  # a line feed is safe only in several lines
        result: str = text
    else:
        source = str(text)
        # Enough of a very long text. Only CR LF takes less room in the result than in the source, and half as much.
        if limit is not None and len(source) > 2 * limit:
            source = source[: 2 * limit]
        result = _Safe(source if source.isascii() and source.isprintable() else _escaped(source, multiline=multiline))
    if limit is not None and len(result) > limit:
        result = _Safe(result[: max(limit - 1, 0)] + "…")
    return result


def safe_name(name: object, limit: int) -> str:
    """Make a name safe, in at most `limit` columns; different names stay different. See `safe_text` and `shorten`.

    A name that looks as if it had been shortened is marked like one that has been.
    """
    text = safe_text(name)
    return _marked(text, limit) if _LOOKS_CUT.search(text) else shorten(text, limit)


def shorten(text: str, limit: int) -> str:
    """Shorten safe text to at most `limit` columns of a terminal: keep its beginning, a mark and its end.

    The mark is `…` and hexadecimal digits of the text's SHA-256, so that two texts that differ only in what is left out
    stay different; six digits, or as many as there is room for.
    """
    return text if _columns(text) <= limit else _marked(text, limit)


def shorten_together(texts: Sequence[str], limit: int) -> list[str]:
    """Shorten safe texts that are shown together to at most `limit` columns each; different ones stay different.

    A longer text is cut in its middle, without digits. It is marked as by `shorten` only if the cut text would look
    like another of them, or if the text looks as if it were marked.

    Returns:
        The texts in their order.
    """
    cut = {text: text if _columns(text) <= limit else _cut(text, limit) for text in texts}
    alike = Counter(cut.values())
    for text, shown in cut.items():
        if _LOOKS_CUT.search(text) or (alike[shown] > 1 and shown != text):
            cut[text] = _marked(text, limit)
    return [cut[text] for text in texts]


def word_list(words: Sequence[str]) -> str:
    """Words one after another: `LIME, RISE and Grad-CAM`. They are not made safe."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _cut(text: str, limit: int) -> str:
    room = limit - 1
    head = _start(text, room if limit < 16 else room // 2)
    tail = "" if limit < 16 else _start(text[::-1], room - _columns(head))[::-1]
    return _Safe(f"{head}…{tail}" if limit > 0 else "")


def _marked(text: str, limit: int) -> str:
    if limit < 1:
        return ""
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[: min(6, limit - 1)]
    room = limit - 1 - len(digits) - 1
    head = _start(text, max(room // 2, 0))
    tail = _start(text[::-1], max(room - _columns(head), 0))[::-1] if limit >= 16 else ""
    return _Safe(f"{head}…{digits}…{tail}" if tail else f"{head}…{digits}")


def _escaped(source: str, *, multiline: bool) -> str:
    if multiline:
        source = source.replace("\r\n", "\n").replace("\t", "    ")
    source = _LOOKS_ESCAPED.sub("⟨U+27E8⟩", source) if "⟨U+" in source else source
    return "".join(_visible_forms(source, multiline=multiline))


def _visible_forms(source: str, *, multiline: bool) -> list[str]:
    out: list[str] = []
    marks = 0
    for character in source:
        if " " <= character <= "~":  # most characters: no need to ask for their category
            marks = 0
            out.append(character)
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category == "Mn" else 0
        if multiline and character == "\n":
            out.append(character)
        elif (
            category in _UNSAFE
            or category == "Me"
            or marks > _MARKS
            or (category == "Zs" and character not in _SPACES)
            or character in _UNSEEN
            or character in _UNSETTLED
            or character in _PICTURES
        ):
            out.append(_visible(character))
        else:
            out.append(character)
    return out


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def _columns(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) == "Mn":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _start(text: str, columns: int) -> str:
    """Return as much of the beginning as fits into so many columns."""
    taken = 0
    for index, character in enumerate(text):
        taken += _width(character)
        if taken > columns:
            return text[:index]
    return text


def path_record(path: str | Path) -> dict[str, str]:
    """Return a path for JSON: `path` as it is; if it is not UTF-8, as it is displayed, with its bytes in `path_bytes`.

    `path_bytes` is hexadecimal, since JSON has no text for such a name.
    """
    raw = os.fsencode(path)
    try:
        return {"path": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {"path": safe_text(path), "path_bytes": raw.hex()}
