"""Pictures as pixels: what is sent, once, and what stands on the screen."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from app_driver import TO_IMAGES, make_app, press
from factories import make_pixels, make_values
from PIL import Image

from xaimed_tui.app import XAIMedApp
from xaimed_tui.render.kitty import LARGEST, PLACEHOLDER, KittyTerminal, Sending, sending
from xaimed_tui.render.picture import render
from xaimed_tui.render.spec import PictureSpec

TOP = ((2, 1), (2, 2), (1, 1))
SEQUENCE = re.compile(r"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")


def make_spec(style: str = "image", **kwargs: object) -> PictureSpec:
    pixels = make_pixels(50, 50).astype(np.uint8)
    return PictureSpec(pixels, values=make_values(TOP), style=style, **kwargs)  # type: ignore[arg-type]


def decoded(sequence: str) -> tuple[dict[str, str], np.ndarray]:
    """What a terminal makes of it: the keys of the first sequence, and the pixels."""
    parts = SEQUENCE.findall(sequence)
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in parts) == sequence
    first = dict(pair.split("=") for pair in parts[0][0].split(","))
    flags = [dict(pair.split("=") for pair in keys.split(","))["m"] for keys, _ in parts]
    assert flags == ["1"] * (len(parts) - 1) + ["0"]
    assert all(len(data) <= 4096 for _, data in parts)
    file = io.BytesIO(base64.standard_b64decode("".join(data for _, data in parts)))
    return first, np.asarray(Image.open(file))


def test_the_image_is_sent_at_its_own_resolution_to_be_scaled_by_the_terminal() -> None:
    spec = make_spec()
    drawn = render(spec, 40, 20, pixels=True)
    assert drawn.sending is not None
    keys, pixels = decoded(drawn.sending.sequence)
    assert np.array_equal(pixels, spec.pixels)
    assert {name: keys[name] for name in "aUqfcr"} == {"a": "T", "U": "1", "q": "2", "f": "100", "c": "40", "r": "20"}


def test_every_character_names_the_picture_its_row_and_its_column() -> None:
    drawn = render(make_spec(), 40, 20, pixels=True)
    assert drawn.sending is not None
    accents = {}
    for strip in drawn.strips:
        assert strip.cell_length == 40
        for segment in strip:
            number = segment.style.color.triplet  # type: ignore[union-attr]
            assert number.red << 16 | number.green << 8 | number.blue == drawn.sending.number
    for y, line in enumerate(drawn.text.split("\n")):
        places = line.split(PLACEHOLDER)[1:]
        assert len(places) == 40
        for x, place in enumerate(places):
            assert accents.setdefault(("row", y), place[0]) == place[0]
            assert accents.setdefault(("column", x), place[1]) == place[1]
    assert accents["row", 0] == accents["column", 0] == "\u0305"
    assert accents["row", 1] == accents["column", 1] == "\u030d"


def test_marks_are_text_in_place_of_the_picture() -> None:
    drawn = render(make_spec("overlay", top=TOP), 48, 24, pixels=True)
    lines = [re.sub(f"{PLACEHOLDER}..", ".", line) for line in drawn.text.split("\n")]
    assert lines[16][16:32] == "┏ 1 ━━━━━━━━━━━┓"
    assert {len(line) for line in lines} == {48}


@pytest.mark.parametrize(
    ("change", "size"),
    [({"zoom": 2}, (40, 20)), ({}, (2 * LARGEST + 10, LARGEST + 5))],
)
def test_magnified_and_giant_pictures_are_half_blocks(change: dict[str, int], size: tuple[int, int]) -> None:
    drawn = render(replace(make_spec(), **change), *size, pixels=True)  # type: ignore[arg-type]
    assert drawn.sending is None
    assert PLACEHOLDER not in drawn.text


def test_in_few_colours_pictures_have_no_number_and_are_half_blocks() -> None:
    assert render(make_spec(), 40, 20, depth="256", pixels=True).sending is None


def test_a_picture_is_sent_once_and_the_oldest_are_forgotten() -> None:
    written: list[str] = []
    kitty = KittyTerminal(written.append)
    first = sending(make_spec().pixels, 40, 20)
    kitty.show(first)
    kitty.show(first)
    assert written == [first.sequence]
    assert sending(make_spec().pixels, 30, 15).number != first.number
    for number in range(1, 65):
        kitty.show(Sending(number, "x"))
    assert written[-1] == f"\x1b_Ga=d,d=I,i={first.number},q=2\x1b\\"
    kitty.forget_all()
    assert sum("a=d" in text for text in written) == 65


async def test_in_the_app_each_picture_is_sent_once_however_often_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    app: XAIMedApp = make_app(protocol="kitty")
    written: list[str] = []
    monkeypatch.setattr(app, "_write_to_terminal", written.append)
    app.kitty = KittyTerminal(written.append)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        made = len(written)
        assert made >= 6  # one a card, and what was shown before of the maps that became sharper
        assert len(set(written)) == made
        card = app.explain.wall.card("lime").view
        assert card.rendered is not None
        assert PLACEHOLDER in card.rendered.text
        await press(pilot, "right", "left", "n", "right", "n")  # pointing at cells changes marks only
        assert len(written) == made
        await press(pilot, "down", "up")
        assert len(set(written)) == len(written)
    assert [text for text in written if "a=d" in text]  # and at the end the terminal forgets them
