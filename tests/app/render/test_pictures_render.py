"""How pictures become lines of characters: where they lie, what is drawn on them, with and without colour."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from factories import make_pixels, make_values
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich_pixels import HalfcellRenderer

from engine.drawing.colours import colormap, contrast, count_colours, luminance
from engine.results.cells import CELLS
from xaimed_tui.render.halfblocks import FrugalRenderer
from xaimed_tui.render.picture import compose, render
from xaimed_tui.render.placement import Placement, place
from xaimed_tui.render.plates import plates_of
from xaimed_tui.render.spec import PictureSpec

if TYPE_CHECKING:
    from rich.segment import Segment

    from xaimed_tui.render.picture import Rendered

TOP = ((2, 1), (2, 2), (1, 1))
WHOLE = Placement(0, 0, 48, 24)
COUNTS = np.array([[1, 0, 0], [0, 2, 0], [2, 4, 3]])
SIGNED = np.array([[0.31, -0.02, 0.001], [0.05, 0.22, -0.11], [-0.004, 0.12, 0.03]])


def make_spec(style: str = "image", size: int = 48, **kwargs: object) -> PictureSpec:
    pixels = make_pixels(size, size).astype(np.uint8)
    values = {"values": make_values(TOP)} if style in ("overlay", "map") else {}
    counts = {"counts": COUNTS} if style == "agreement" else {}
    signed = {"signed": SIGNED} if style == "exact" else {}
    return PictureSpec(pixels, style=style, **values, **counts, **signed, **kwargs)  # type: ignore[arg-type]


def characters(drawn: Rendered) -> list[list[tuple[str, object, object]]]:
    """(character, ink, paper) for every place of the box."""
    rows = []
    for strip in drawn.strips:
        row = []
        for segment in strip:
            style = segment.style
            row += [(c, style and style.color, style and style.bgcolor) for c in segment.text]
        rows.append(row)
    return rows


# Where pictures lie


@pytest.mark.parametrize(
    ("image", "box", "expected"),
    [
        ((50, 50), (100, 50), Placement(0, 0, 100, 50)),  # exactly twice
        ((50, 50), (120, 60), Placement(10, 5, 100, 50)),  # 2.4 times: twice, centred
        ((50, 50), (145, 80), Placement(0, 4, 145, 72)),  # 2.9 times: twice would leave a third free
        ((50, 50), (30, 40), Placement(0, 12, 30, 15)),  # smaller
        ((100, 50), (50, 20), Placement(15, 0, 20, 20)),  # tall
        ((50, 100), (50, 20), Placement(0, 4, 50, 12)),  # wide
        ((1, 1), (10, 5), Placement(0, 0, 10, 5)),
        ((1, 20_000), (40, 10), Placement(0, 4, 40, 1)),
        ((20_000, 1), (40, 10), Placement(19, 0, 1, 10)),
    ],
)
def test_pictures_are_centred_and_keep_their_proportions(
    image: tuple[int, int], box: tuple[int, int], expected: Placement
) -> None:
    assert place(*image, *box) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 300), st.integers(1, 100))
def test_a_picture_never_leaves_its_box(height: int, width: int, columns: int, rows: int) -> None:
    placement = place(height, width, columns, rows)
    assert 0 <= placement.left <= placement.left + placement.columns <= columns
    assert 0 <= placement.top <= placement.top + placement.rows <= rows
    assert placement.columns >= 1
    assert placement.rows >= 1


def test_every_character_of_a_picture_belongs_to_the_cell_drawn_there() -> None:
    placement = Placement(left=5, top=2, columns=30, rows=15)
    assert placement.cell_at(4, 2) is None
    assert placement.cell_at(5, 1) is None
    assert placement.cell_at(35, 2) is None
    assert placement.cell_at(5, 17) is None
    for cell in CELLS:
        top, left, bottom, right = placement.box(cell)
        assert placement.cell_at(5 + left, 2 + top) == cell
        assert placement.cell_at(5 + right - 1, 2 + bottom - 1) == cell


@pytest.mark.parametrize(
    ("aspect", "box", "covered"),
    [(2.0, (96, 24), (24, 24)), (0.5, (96, 24), (96, 24)), (1.25, (100, 40), (64, 40)), (3.0, (30, 60), (30, 45))],
)
def test_pixels_that_are_not_square_are_drawn_in_their_true_shape_with_the_cells_on_the_picture(
    aspect: float, box: tuple[int, int], covered: tuple[int, int]
) -> None:
    for style in ("image", "overlay", "cells", "agreement", "exact"):
        drawn = render(make_spec(style, aspect=aspect), *box)
        placement = drawn.placement
        assert (placement.columns, placement.rows) == covered
        assert placement.box((2, 2))[2:] == (placement.rows, placement.columns)
        assert [placement.cell_at(placement.left + x, placement.top + y) for x, y in ((0, 0), (covered[0] - 1, 0))] == [
            (0, 0),
            (0, 2),
        ]


@pytest.mark.parametrize("depth", ["true", "none"])
@pytest.mark.parametrize("style", ["image", "overlay", "agreement", "exact"])
def test_the_edges_say_where_in_the_patient_they_lie(style: str, depth: str) -> None:
    where = {"edges": ("RA", "LP", "H", "F"), "side": "left"}
    plain, drawn = (render(make_spec(style, **more), 48, 24, depth=depth) for more in ({}, where))  # type: ignore[arg-type]
    lines = drawn.text.splitlines()
    assert lines[12].startswith("RA")
    assert lines[12].endswith("LP")
    assert "H" in lines[0][20:28]
    assert "F" in lines[-1][20:28]
    assert lines[0].endswith(" left ")
    if depth == "true":  # white on black, whatever lies below and around
        papers = {(str(ink), str(paper)) for letter, ink, paper in characters(drawn)[12][:2] if letter in "RA"}
        assert len(papers) == 1
        assert "255" in next(iter(papers))[0] or "ffffff" in next(iter(papers))[0]
    small = render(make_spec(style, **where), 20, 10, depth=depth)  # type: ignore[arg-type]
    assert small.text.splitlines()[5].startswith("R")
    tiny = render(make_spec(style, **where), 8, 4, depth=depth)  # type: ignore[arg-type]
    assert tiny.text == render(make_spec(style), 8, 4, depth=depth).text
    assert plain.text != drawn.text


def test_a_letter_gives_way_to_a_number_and_not_to_a_line() -> None:
    top = ((1, 0), (0, 1), (2, 2))
    spec = make_spec("cells", top=top, edges=("R", "L", "A", "P"))
    for zoom, centre in ((1, (0.5, 0.5)), (2, (0.0, 0.5)), (3, (0.5, 0.0))):
        lined = replace(spec, zoom=zoom, centre=centre)
        numbers = [c for c in render(replace(lined, edges=("", "", "", "")), 48, 24).text if c in "123"]
        drawn = render(lined, 48, 24).text
        assert [c for c in drawn if c in "123"] == numbers
        assert {"R", "L", "A", "P"} <= set(drawn)


def test_a_picture_too_small_for_nine_cells_has_none_under_the_mouse() -> None:
    assert Placement(0, 0, 2, 5).cell_at(1, 1) is None


# Half blocks


def painted(segments: list[Segment]) -> list[tuple[object, object]]:
    """(upper, lower) colour of every character."""
    pairs = []
    for segment in segments:
        if segment.text == "\n":
            continue
        assert segment.style is not None
        upper = segment.style.bgcolor and segment.style.bgcolor.triplet
        lower = upper if segment.text[0] == " " else segment.style.color and segment.style.color.triplet
        pairs += [(upper, lower)] * len(segment.text)
    return pairs


def test_our_half_blocks_paint_what_those_of_rich_pixels_paint_with_fewer_segments() -> None:
    pixels = np.repeat(make_pixels(20, 20).astype(np.uint8), 2, axis=1)
    pixels[4:6] = 77
    image = Image.fromarray(pixels)
    ours, theirs = FrugalRenderer().render(image), HalfcellRenderer().render(image, None)
    assert painted(ours) == painted(theirs)
    assert len(ours) < len(theirs) / 1.9


def test_odd_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="even number of rows"):
        FrugalRenderer().render(Image.new("RGB", (4, 3)))


def test_an_image_of_the_boxs_size_is_painted_pixel_by_pixel() -> None:
    spec = make_spec(size=24)
    drawn = render(spec, 24, 12)
    for y, row in enumerate(characters(drawn)):
        for x, (character, ink, paper) in enumerate(row):
            upper, lower = tuple(spec.pixels[2 * y, x]), tuple(spec.pixels[2 * y + 1, x])
            assert tuple(paper.triplet) == upper  # type: ignore[attr-defined]
            if character == "▄":
                assert tuple(ink.triplet) == lower  # type: ignore[attr-defined]
            else:
                assert (character, upper) == (" ", lower)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["image", "overlay", "map", "cells", "agreement", "exact"]),
    st.integers(1, 70),
    st.integers(1, 30),
    st.sampled_from(["true", "256", "16", "none"]),
    st.sampled_from([(48, 48), (1, 1), (3, 200), (200, 3), (2, 2)]),
)
def test_whatever_the_size_every_line_fills_the_box_exactly(
    style: str, columns: int, rows: int, depth: str, shape: tuple[int, int]
) -> None:
    spec = replace(
        make_spec(style), pixels=make_pixels(*shape).astype(np.uint8), top=TOP, ties=(TOP[2], (0, 0)), highlight=(1, 2)
    )
    drawn = render(spec, columns, rows, depth=depth)
    assert len(drawn.strips) == rows
    assert {strip.cell_length for strip in drawn.strips} == {columns}
    assert all(len(line) == columns for line in drawn.text.split("\n"))


# What is drawn


def test_the_map_alone_has_exactly_the_colormaps_colours() -> None:
    values = np.zeros((48, 48), dtype=np.float32)
    values[:, 24:] = 1
    spec = PictureSpec(np.zeros((48, 48, 1), dtype=np.uint8), values=values, style="map", colormap="magma")
    pixels = compose(spec, WHOLE)
    assert (pixels[:, :24] == colormap("magma")[0]).all()
    assert (pixels[:, 24:] == colormap("magma")[255]).all()


def test_cells_keep_the_images_own_colours() -> None:
    spec = make_spec("cells", top=TOP)
    assert np.array_equal(compose(spec, WHOLE), spec.pixels)


def test_no_opacity_shows_only_the_image_in_grey_and_full_opacity_only_the_map() -> None:
    grey = compose(make_spec("overlay", opacity=0.0), WHOLE)
    assert (np.ptp(grey, axis=2) == 0).all()
    assert np.array_equal(
        compose(make_spec("overlay", opacity=1.0), WHOLE),
        compose(make_spec("map"), WHOLE),
    )


def test_settled_cells_have_solid_outlines_and_their_ranks() -> None:
    lines = render(make_spec("overlay", top=TOP), 48, 24).text.split("\n")
    assert lines[16][16:32] == "┏ 1 ━━━━━━━━━━━┓"
    assert lines[16][32:48] == "┏ 2 ━━━━━━━━━━━┓"
    assert lines[8][16:32] == "┏ 3 ━━━━━━━━━━━┓"
    assert [line[16] + line[31] for line in lines[17:23]] == ["┃┃"] * 6
    assert lines[23][16:32] == "┗━━━━━━━━━━━━━━┛"


def test_unsettled_cells_have_dashed_outlines_and_question_marks() -> None:
    lines = render(make_spec("cells", top=TOP, ties=((1, 1), (0, 0))), 48, 24).text.split("\n")
    assert lines[8][16:32] == "┏ 3? ╍╍╍╍╍╍╍╍╍╍┓"
    assert lines[0][:16] == "┏ ? ╍╍╍╍╍╍╍╍╍╍╍┓"
    assert lines[1][0] + lines[1][15] == "╏╏"
    assert lines[16][16:32] == "┏ 1 ━━━━━━━━━━━┓"


def test_cells_without_a_mark_have_no_characters_on_them() -> None:
    lines = render(make_spec("cells", top=TOP), 48, 24).text.split("\n")
    assert {character for line in lines[:8] for character in line} <= {"▄", " "}


def test_a_pointed_out_cell_has_a_double_outline_that_leaves_its_rank() -> None:
    lines = render(make_spec("cells", top=TOP, highlight=(2, 1)), 48, 24).text.split("\n")
    assert lines[16][16:32] == "╔ 1 ═══════════╗"
    assert lines[23][16:32] == "╚══════════════╝"
    lines = render(make_spec("image", highlight=(0, 0)), 48, 24).text.split("\n")
    assert lines[0][:16] == "╔══════════════╗"


def test_small_cells_are_marked_at_their_corners_and_tiny_ones_by_their_rank() -> None:
    small = render(make_spec("cells", top=TOP, ties=((1, 1),)), 24, 12).text.split("\n")
    assert small[8][8:16] == "┏ 1 ▄▄━┓".replace("▄▄", small[8][12:14])
    assert small[11][8] + small[11][15] == "┗┛"
    assert small[4][8:13] == "┏ 3? "
    tiny = render(make_spec("cells", top=TOP, ties=((1, 1),)), 10, 5).text.split("\n")
    assert "1" in tiny[3]
    assert "2" in tiny[3]
    assert "3?" in tiny[2]
    assert not set("".join(tiny)) & set("┏━┓┃┗┛╍╏")


def test_where_there_is_no_room_for_cells_letters_name_them() -> None:
    assert render(make_spec("cells", top=TOP, ties=((1, 1),)), 20, 2).text.strip() == "1bc 2br 3?mc"
    assert render(make_spec("agreement"), 12, 1).text.strip() == "100 020 243"
    assert render(make_spec("agreement"), 10, 1).text.strip() == "100020243"


@pytest.mark.parametrize("depth", ["true", "none"])
@pytest.mark.parametrize(("columns", "rows"), [(60, 30), (18, 9), (9, 5)])
def test_counts_that_may_be_others_bear_a_question_mark(columns: int, rows: int, depth: str) -> None:
    drawn = render(make_spec("agreement", ties=((0, 0), (2, 1))), columns, rows, depth=depth)
    assert re.findall(r"\d\??", drawn.text) == ["1?", "0", "0", "0", "2", "0", "2", "4?", "3"]
    assert render(make_spec("agreement", ties=((0, 0),)), 13, 1).text.strip() == "1?00 020 243"


@pytest.mark.parametrize("depth", ["true", "256", "16", "none"])
@pytest.mark.parametrize(("columns", "rows"), [(60, 30), (30, 15), (18, 9), (10, 5)])
def test_counts_stand_in_the_middle_of_their_cells(columns: int, rows: int, depth: str) -> None:
    drawn = render(make_spec("agreement"), columns, rows, depth=depth)
    lines = drawn.text.split("\n")
    for cell in CELLS:
        top, left, bottom, right = drawn.placement.box(cell)
        inside = [line[drawn.placement.left + left :][: right - left] for line in lines[top:bottom]]
        digits = [(y, x) for y, line in enumerate(inside) for x, c in enumerate(line) if c.isdigit()]
        assert [inside[y][x] for y, x in digits] == [str(COUNTS[cell])]
        (y, x) = digits[0]
        assert abs(y - (bottom - top - 1) / 2) <= 0.5
        assert abs(x - (right - left - 1) / 2) <= 0.5


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma", "grey"])
def test_counts_can_be_read_on_their_plates(name: str) -> None:
    drawn = render(make_spec("agreement", colormap=name), 48, 24)
    seen = set()
    for row in characters(drawn):
        for character, ink, paper in row:
            if character.isdigit():
                ground = tuple(paper.triplet)  # type: ignore[attr-defined]
                assert contrast(tuple(ink.triplet), ground) >= 4.5  # type: ignore[attr-defined]
                assert ground == count_colours(4, name)[int(character)]
                seen.add(character)
    assert seen == set("01234")


@pytest.mark.parametrize("depth", ["true", "256", "16", "none"])
def test_exact_values_have_signs_and_firm_cells_can_be_told_from_the_others(depth: str) -> None:
    exact = {"exact": ((0, 0), (1, 1)), "firm": ((0, 0),)}
    drawn = render(make_spec("exact", **exact), 60, 30, depth=depth)
    assert re.findall(r"[+-]?\d\.\d\d", drawn.text) == [
        *("+0.31", "-0.02", "0.00", "+0.05", "+0.22", "-0.11", "0.00", "+0.12", "+0.03")
    ]
    first, middle = drawn.text.split("\n")[0], drawn.text.split("\n")[10]
    assert "1 firm" in first
    assert " 2 " in middle
    assert "firm" not in middle
    assert "━" in first
    assert "╍" in middle
    small = render(make_spec("exact", **exact), 12, 6, depth=depth).text
    assert "+.31-.02" in small
    assert not set(small) & set("┏┗"), "an outline would hide a number"
    assert render(make_spec("exact", **exact), 20, 2, depth=depth).text.strip() == "1tl 2mc"
    counts = render(make_spec("agreement", **exact), 60, 30, depth=depth).text
    assert "E1" in counts.split("\n")[0]
    assert re.sub(r"E\d", "", counts).count("4") == 1


@pytest.mark.parametrize("name", ["viridis", "cividis", "magma", "grey"])
def test_exact_values_can_be_read_on_their_plates_and_are_brighter_the_higher_they_are(name: str) -> None:
    plates = plates_of(make_spec("exact", colormap=name))
    rising = [plates[place] for place in np.argsort(SIGNED.ravel())]
    assert [luminance(plate) for plate in rising] == sorted(luminance(plate) for plate in rising)
    for row in characters(render(make_spec("exact", colormap=name), 48, 24)):
        for character, ink, paper in row:
            if character in "+-." or character.isdigit():
                assert contrast(tuple(ink.triplet), tuple(paper.triplet)) >= 4.5  # type: ignore[attr-defined]
    flat = PictureSpec(np.zeros((9, 9, 1), dtype=np.uint8), style="exact", signed=np.zeros((3, 3)), colormap=name)
    assert len(set(plates_of(flat))) == 1


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_outlines_can_be_seen_on_black_grey_and_white_tissue(tone: int) -> None:
    spec = PictureSpec(np.full((48, 48, 3), tone, dtype=np.uint8), style="cells", top=TOP)
    for row in characters(render(spec, 48, 24)):
        for character, ink, paper in row:
            if character in "┏━┓┃┗┛":
                assert contrast(tuple(ink.triplet), tuple(paper.triplet)) >= 7  # type: ignore[attr-defined]


def test_without_colour_nothing_is_said_by_colour() -> None:
    for style in ("image", "overlay", "map", "cells", "agreement", "exact"):
        for row in characters(render(make_spec(style, top=TOP, highlight=(0, 0)), 48, 24, depth="none")):
            assert all(ink is None and paper is None for _, ink, paper in row)


def test_without_colour_weight_grows_with_saliency() -> None:
    ramp = " .:-=+*#%@"
    values = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (40, 1))
    spec = PictureSpec(np.zeros((40, 40, 1), dtype=np.uint8), values=values, style="map")
    line = render(spec, 40, 20, depth="none").text.split("\n")[0]
    assert list(line) == sorted(line, key=ramp.index)
    assert set(line) == set(ramp)


def test_without_colour_an_image_has_heavy_glyphs_where_it_differs_from_the_background() -> None:
    pixels = np.zeros((20, 20, 1), dtype=np.uint8)
    pixels[:, 10:] = 255
    on_dark = render(PictureSpec(pixels), 20, 10, depth="none", dark=True).text.split("\n")[0]
    on_light = render(PictureSpec(pixels), 20, 10, depth="none", dark=False).text.split("\n")[0]
    assert " .:-=+*#%@".index(on_dark[15]) > " .:-=+*#%@".index(on_dark[5])
    assert " .:-=+*#%@".index(on_light[15]) < " .:-=+*#%@".index(on_light[5])


def test_without_colour_marks_are_still_drawn() -> None:
    lines = render(make_spec("map", top=TOP, ties=((1, 1),)), 48, 24, depth="none").text.split("\n")
    assert lines[16][16:32] == "┏ 1 ━━━━━━━━━━━┓"
    assert lines[8][16:32] == "┏ 3? ╍╍╍╍╍╍╍╍╍╍┓"


# Specs


def test_specs_are_equal_by_what_they_show_and_not_by_which_arrays_hold_it() -> None:
    assert make_spec("overlay", top=TOP) == make_spec("overlay", top=TOP)
    assert hash(make_spec("overlay")) == hash(make_spec("overlay"))


@pytest.mark.parametrize(
    "change",
    [
        {"style": "map"},
        {"top": TOP[:2]},
        {"ties": TOP[2:]},
        {"colormap": "magma"},
        {"opacity": 0.5},
        {"show_grid": True},
        {"highlight": (0, 0)},
        {"values": make_values(((0, 0), (0, 1), (0, 2)))},
        {"pixels": np.zeros((48, 48, 3), dtype=np.uint8)},
        {"pixels": make_pixels(48, 48).astype(np.uint8).reshape(24, 96, 3)},
        {"counts": COUNTS},
        {"methods": 5},
        {"aspect": 2.0},
        {"edges": ("R", "L", "A", "P")},
        {"side": "left"},
        {"of": "a.dcm"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_the_picture_changes_its_key(change: dict[str, object]) -> None:
    spec = make_spec("overlay", top=TOP)
    assert replace(spec, **change).key != spec.key  # type: ignore[arg-type]
    assert replace(spec, **change) != spec  # type: ignore[arg-type]


def test_an_array_that_was_changed_has_another_key() -> None:
    pixels = make_pixels(48, 48).astype(np.uint8)
    before = PictureSpec(pixels).key
    pixels[0, 0] = 255 - pixels[0, 0]
    assert PictureSpec(pixels).key != before


def test_keys_of_arrays_that_are_gone_are_not_taken_for_others() -> None:
    keys = set()
    for tone in range(50):
        pixels = np.full((8, 8, 1), tone, dtype=np.uint8)
        pixels.setflags(write=False)
        keys.add(PictureSpec(pixels).key)
        del pixels
    assert len(keys) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((4, 4), dtype=np.uint8)}, r"\(h, w, 1\) or \(h, w, 3\)"),
        ({"pixels": np.zeros((4, 4, 4), dtype=np.uint8)}, r"\(h, w, 1\) or \(h, w, 3\)"),
        ({"pixels": np.zeros((0, 4, 3), dtype=np.uint8)}, r"\(h, w, 1\) or \(h, w, 3\)"),
        ({"pixels": np.zeros((4, 4, 3))}, "uint8"),
        ({"style": "overlay"}, "needs a map"),
        ({"style": "agreement"}, "counts"),
        ({"style": "exact"}, "signed numbers"),
        ({"colormap": "jet"}, "jet"),
        ({"opacity": 1.5}, r"not in \[0, 1\]"),
        ({"aspect": 0.0}, "as high as wide"),
    ],
)
def test_a_spec_that_cannot_be_drawn_is_refused_where_it_is_made(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_spec("image"), **change)  # type: ignore[arg-type]
