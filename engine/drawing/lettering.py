"""Text on pictures: an installed font, text shortened or wrapped to fit, and a substitute for missing characters."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import ImageFont

from engine.text import safe_text

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_NO_CHARACTER = "\U0010ffff"
"""No font has this character, so it is drawn as the font's sign for a missing one."""


@lru_cache(maxsize=32)
def font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """Return DejaVu Sans, which matplotlib includes: Latin, Greek, Cyrillic, Arabic, Hebrew, no East Asian scripts."""
    return ImageFont.truetype(font_file(bold=bold), size)


def font_file(*, bold: bool) -> Path:
    """Return the file of the font."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


def drawable(text: str, face: FreeTypeFont) -> str:
    """Return safe text in which every character that the font lacks is replaced by its number: `⟨U+4E2D⟩`."""
    return "".join(
        character if character == " " or _has(face, character) else f"⟨U+{ord(character):04X}⟩"
        for character in safe_text(text)
    )


def fit(text: str, face: FreeTypeFont, width: int) -> str:
    """Return the text as the font can draw it; if it is wider than `width` pixels, shortened to end in `…`."""
    text = drawable(text[:1000], face)  # the loop below would measure a very long text too often
    if face.getlength(text) <= width:
        return text
    kept = len(text)
    while kept and face.getlength(text[:kept].rstrip() + "…") > width:
        kept -= 1
    return text[:kept].rstrip() + "…"


def wrap(text: str, face: FreeTypeFont, width: int) -> list[str]:
    """Break the text between words into lines of at most `width` pixels; a word that is too wide is shortened."""
    lines: list[str] = []
    line = ""
    for word in drawable(text, face).split(" "):
        longer = f"{line} {word}" if line else word
        if face.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = fit(word, face, width)
    return [*lines, line] if line else lines


@lru_cache(maxsize=4096)
def _has(face: FreeTypeFont, character: str) -> bool:
    return _shape(face, character) != _shape(face, _NO_CHARACTER)


def _shape(face: FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = face.getmask(character)
    return mask.size, bytes(mask)
