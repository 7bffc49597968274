"""The pictures for files: where things are drawn on them, how large they are, and what they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from factories import TOPS, make_diagnosis, make_explanation, make_image, make_map

import engine.export.sheet as sheet_module
from engine.bundle.specs import InputSpec
from engine.drawing.cells import cell_boxes
from engine.drawing.colours import colormap, count_colours
from engine.drawing.lettering import drawable, fit, font, wrap
from engine.drawing.scaling import scale_pixels, scale_values
from engine.explainers.registry import METHODS
from engine.explanation.figures import figure_size, figures_of
from engine.export.pictures import (
    agreement_picture,
    cells_picture,
    enlarged_size,
    original_picture,
    overlay_picture,
)
from engine.results.cells import CELLS

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.export.sheet import Sheet

GREY = 120

DEPENDENCE_NOTE = (
    "Grad-CAM, Grad-CAM++ and HiResCAM use the same activations and gradients: where several mark a cell, those are "
    "not independent findings."
)


def even_explanation(size: int = 48, **kwargs: object) -> Explanation:
    """An explanation of an image of one tone, so that whatever differs was drawn."""
    return make_explanation(make_image(pixels=np.full((size, size, 3), GREY, dtype=np.float32)), **kwargs)  # type: ignore[arg-type]


def picture_of(sheet: Sheet) -> np.ndarray:
    left, top, width, height = sheet.picture
    return np.asarray(sheet.image)[top : top + height, left : left + width]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written below a picture, and its title, as it was asked for."""
    said: list[str] = []

    class Listening(sheet_module.Page):
        def draw(self) -> Sheet:
            said.extend([self.title, self.subtitle])
            for block in self._blocks:
                said.extend(str(getattr(block, name)) for name in ("text", "label") if hasattr(block, name))
            return super().draw()

    monkeypatch.setattr("engine.export.pictures.Page", Listening)
    return said


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ((50, 50), (550, 550)),  # 11 times; 10 times would be 500
        ((64, 100), (512, 800)),
        ((511, 700), (1022, 1400)),
        ((512, 600), (512, 600)),
        ((900, 700), (900, 700)),
        ((1, 1), (512, 512)),
        ((1, 20_000), (9, 20_000)),
        ((4, 4_096), (16, 16_384)),
    ],
)
def test_small_views_are_enlarged_by_whole_numbers_to_at_least_512_pixels(
    view: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert enlarged_size(np.zeros((*view, 3), dtype=np.uint8)) == expected


@pytest.mark.parametrize(
    ("aspect", "expected"), [(2.0, (1024, 512)), (0.5, (512, 1024)), (1.25, (640, 512)), (100.0, (16_384, 164))]
)
def test_pictures_of_pixels_that_are_not_square_have_the_shape_of_the_body(
    aspect: float, expected: tuple[int, int]
) -> None:
    large = np.zeros((512, 512, 1), dtype=np.uint8)
    assert enlarged_size(large, aspect) == expected
    explanation = replace(make_explanation(), pixel_aspect=aspect)
    height, width = enlarged_size(explanation.view, aspect)
    assert height / width == pytest.approx(aspect, rel=0.02)
    if aspect <= 2:
        for sheet in (overlay_picture(explanation, "rise"), cells_picture(explanation, "rise")):
            assert sheet.picture[2:] == (width, height)
        wide, high = next(figures_of(explanation, figure_size(explanation.view, 300, aspect))).picture.size
        assert high / wide == pytest.approx(aspect, rel=0.02)


@pytest.mark.parametrize(
    "draw", [lambda e: overlay_picture(e, "rise"), lambda e: cells_picture(e, "rise"), agreement_picture]
)
def test_every_page_is_larger_than_its_picture(draw: object) -> None:
    sheet = draw(make_explanation())  # type: ignore[operator]
    left, top, width, height = sheet.picture
    assert (width, height) == (528, 528)
    assert left > 0
    assert top > 0
    assert left + width < sheet.image.width
    assert top + height < sheet.image.height - 50


def test_enlarged_pixels_stay_sharp_squares() -> None:
    explanation = make_explanation()
    sheet = cells_picture(explanation, "gradcam")
    inner = picture_of(sheet)[40:120, 220:300]  # inside the upper middle cell, which Grad-CAM does not mark
    assert np.array_equal(inner, np.repeat(np.repeat(explanation.view, 11, 0), 11, 1)[40:120, 220:300])


def test_the_three_cells_are_marked_where_they_are_and_no_others() -> None:
    sheet = cells_picture(even_explanation(), "rise")
    picture = picture_of(sheet)
    boxes = cell_boxes((48, 48), (528, 528))
    assert boxes[1, 1] == (176, 176, 352, 352)
    for cell in CELLS:
        left, top, right, bottom = boxes[cell]
        middle = (top + bottom) // 2
        # The outline is black, white, black inwards from the left edge; a grid line is one pixel of black.
        stroke = 528 // 170
        band = picture[middle, left + stroke : left + 2 * stroke].mean()
        assert (band == 255) == (cell in TOPS["rise"])
        assert (picture[middle, (left + right) // 2] == GREY).all()


def test_outlines_do_not_reach_into_neighbouring_cells() -> None:
    picture = picture_of(cells_picture(even_explanation(), "rise"))
    left, top, right, bottom = cell_boxes((48, 48), (528, 528))[0, 1]
    assert (picture[top + 2 : bottom - 2, left + 2 : right - 2] == GREY).all()


def test_a_solid_outline_is_whole_and_a_dashed_one_is_not() -> None:
    stroke = 528 // 170
    explanation = even_explanation(maps={"rise": make_map("rise")})
    settled = picture_of(cells_picture(explanation, "rise"))
    statistics = replace(explanation.statistics["rise"], certain=False, ties=((2, 1), (0, 0)))
    unsettled = picture_of(cells_picture(replace(explanation, statistics={"rise": statistics}), "rise"))
    left, top, _, bottom = cell_boxes((48, 48), (528, 528))[2, 1]
    side = (slice(top + 60, bottom - 4 * stroke), left + stroke)
    assert (settled[side] == 255).all()
    assert 0.3 < (unsettled[side] == 255).mean() < 0.8
    left, top, _, bottom = cell_boxes((48, 48), (528, 528))[0, 0]
    tied_outside = unsettled[top + 60 : bottom - 4 * stroke, left + stroke]
    assert 0.3 < (tied_outside == 255).mean() < 0.8


def test_a_constant_map_has_no_marked_cell_and_says_so(words: list[str]) -> None:
    explanation = even_explanation(maps={"rise": make_map("rise", constant=True)})
    picture = picture_of(cells_picture(explanation, "rise"))
    for left, top, right, bottom in cell_boxes((48, 48), (528, 528)).values():
        assert (picture[top + 2 : bottom - 2, left + 2 : right - 2] == GREY).all()
    assert "Constant map: no cell is marked." in words


def test_the_legend_gives_rank_place_mean_and_standard_error(words: list[str]) -> None:
    cells_picture(make_explanation(), "rise")
    assert "bottom: mean saliency 0.941 ± 0.001 (standard error)" in words
    assert words.index("bottom: mean saliency 0.941 ± 0.001 (standard error)") < words.index(
        "bottom right: mean saliency 0.706 ± 0.001 (standard error)"
    )
    assert "centre: mean saliency 0.471 ± 0.001 (standard error)" in words


def test_what_is_not_sure_is_said_in_words(words: list[str]) -> None:
    map_ = make_map("rise", stopped=True, samples=1250, warnings=("Only one superpixel.",))
    explanation = make_explanation(maps={"rise": map_})
    statistics = replace(explanation.statistics["rise"], certain=False, ties=((1, 1), (0, 2)))
    explanation = replace(explanation, statistics={"rise": statistics})
    for draw in (overlay_picture, cells_picture):
        draw(explanation, "rise")
        assert "Stopped after 1,250 samples." in words
        assert "At 99 % it is not settled which of these cells belong to the three: centre, top right." in words
        assert "Only one superpixel." in words
        words.clear()
    agreement_picture(explanation)
    assert "RISE: Stopped after 1,250 samples." in words


def test_the_title_names_method_class_and_probability(words: list[str]) -> None:
    overlay_picture(make_explanation(target="benign", maps={"lime": make_map("lime", target="benign")}), "lime")
    assert words[0] == "LIME for “benign”, probability 0.100 (predicted: “malignant”)"
    assert words[1] == "patch.png · Demo task / Small CNN"
    assert "Research use only; not a medical device." in words


def test_an_overlay_has_the_maps_colours_where_the_map_has_its_values() -> None:
    values = np.zeros((48, 48), dtype=np.float32)
    values[:, 24:] = 1.0
    explanation = even_explanation(maps={"gradcam": make_map("gradcam", values=values)})
    picture = picture_of(overlay_picture(explanation, "gradcam")).astype(int)
    below = picture[5, 5] - 0.55 * colormap("viridis")[0]
    assert np.ptp(below) < 2  # what is left is grey
    assert np.abs(picture[5, 263] - picture[5, 5]).max() == 0
    expected = below + 0.55 * colormap("viridis")[255]
    assert np.abs(picture[5, 264] - expected).max() <= 1


def test_the_colour_bar_runs_from_the_lowest_to_the_highest_colour() -> None:
    sheet = overlay_picture(make_explanation(), "rise")
    page = np.asarray(sheet.image)
    table = {tuple(colour) for colour in colormap("viridis").tolist()}
    _, top, _, height = sheet.picture
    rows = [row for row in page[top + height :] if len({tuple(pixel) for pixel in row.tolist()} & table) > 200]
    assert len(rows) >= 10
    colours = [tuple(pixel) for pixel in rows[5].tolist() if tuple(pixel) in table]
    assert colours[0] in [tuple(colour) for colour in colormap("viridis")[:3].tolist()]
    assert colours[-1] in [tuple(colour) for colour in colormap("viridis")[-3:].tolist()]


def test_every_cell_of_the_agreement_has_the_colour_of_its_count() -> None:
    explanation = even_explanation()
    assert explanation.consensus.counts.tolist() == [[1, 0, 0], [0, 2, 0], [2, 4, 3]]
    picture = picture_of(agreement_picture(explanation))
    colours = count_colours(4)
    for cell, (left, top, right, bottom) in cell_boxes((48, 48), (528, 528)).items():
        inside = picture[top + 10 : bottom - 10, left + 10 : right - 10].reshape(-1, 3)
        plate = Counter(map(tuple, inside.tolist())).most_common(2)[1][0]
        assert plate == colours[int(explanation.consensus.counts[cell])]


def test_equal_counts_show_the_same_digit_and_different_ones_another() -> None:
    explanation = even_explanation()
    picture = picture_of(agreement_picture(explanation))
    glyphs = {}
    for cell, (left, top, right, bottom) in cell_boxes((48, 48), (528, 528)).items():
        x, y = (left + right) // 2, (top + bottom) // 2
        middle = picture[y - 22 : y + 22, x - 22 : x + 22].astype(int)
        ink = np.abs(middle - middle[0, 0]).sum(axis=2) > 200
        glyphs.setdefault(int(explanation.consensus.counts[cell]), set()).add(ink.tobytes())
    assert {count: len(shapes) for count, shapes in glyphs.items()} == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}
    assert len(set.union(*glyphs.values())) == 5


def test_a_count_that_may_be_another_is_drawn_differently() -> None:
    settled = make_explanation(maps={"rise": make_map("rise")})
    unsettled = make_explanation(maps={"rise": make_map("rise", settled=False)})
    assert settled.consensus.counts.tolist() == unsettled.consensus.counts.tolist()
    assert settled.consensus.unsettled == ()
    first, second = (picture_of(agreement_picture(each)) for each in (settled, unsettled))
    for cell, (left, top, right, bottom) in cell_boxes((48, 48), (528, 528)).items():
        same = np.array_equal(
            first[top + 10 : bottom - 10, left + 10 : right - 10],
            second[top + 10 : bottom - 10, left + 10 : right - 10],
        )
        assert same == (cell not in unsettled.consensus.unsettled)


def test_the_agreement_says_that_the_cams_are_not_independent_and_who_does_not_vote(words: list[str]) -> None:
    agreement_picture(make_explanation())
    assert DEPENDENCE_NOTE in words
    assert "HiResCAM does not vote: it is not among the paper's four methods." in words
    assert "how many of 4 maps have the cell among their three: LIME, RISE, Grad-CAM, Grad-CAM++" in words
    words.clear()
    agreement_picture(make_explanation(methods=("lime", "gradcam"), failures={"rise": "out of memory"}))
    assert DEPENDENCE_NOTE not in words
    assert "how many of 2 maps have the cell among their three: LIME, Grad-CAM" in words
    assert "RISE gave no map: out of memory" in words


def test_sixteen_bits_become_eight_by_257_and_grey_stays_grey() -> None:
    pixels = np.array([[[0.0], [257.0], [32_896.0], [65_535.0], [128.0], [129.0]]], dtype=np.float32)
    picture = original_picture(make_image(pixels=pixels, bit_depth=16), InputSpec())
    assert picture.mode == "L"
    assert np.asarray(picture).tolist() == [[0, 1, 128, 255, 0, 1]]


def test_cells_lie_where_the_maps_pixels_are_counted() -> None:
    boxes = cell_boxes((50, 50), (550, 550))  # edges 0, 17, 33, 50 in the map
    assert boxes[0, 0] == (0, 0, 187, 187)
    assert boxes[1, 1] == (187, 187, 363, 363)
    assert boxes[2, 2] == (363, 363, 550, 550)
    assert cell_boxes((6, 12), (1200, 300))[1, 2] == (800, 100, 1200, 200)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 1), (900, 2, 3), (40, 30, 1), (600, 800, 3)])
def test_views_of_any_shape_can_be_drawn(shape: tuple[int, int, int]) -> None:
    image = make_image(pixels=np.full(shape, 90, dtype=np.float32))
    explanation = make_explanation(image, methods=("lime", "gradcam++"))
    for sheet in (
        overlay_picture(explanation, "lime"),
        cells_picture(explanation, "lime"),
        agreement_picture(explanation),
    ):
        assert sheet.picture[2:] == tuple(reversed(enlarged_size(explanation.view)))
        assert sheet.image.width >= 560


@pytest.mark.parametrize("method", METHODS)
def test_pictures_are_the_same_every_time(method: str) -> None:
    first, second = (overlay_picture(make_explanation(), method).image.tobytes() for _ in range(2))
    assert first == second


def test_names_that_do_not_fit_are_shortened() -> None:
    face = font(20)
    assert fit("short", face, 500) == "short"
    shortened = fit("a very long class name " * 20, face, 300)
    assert shortened.endswith("…")
    assert face.getlength(shortened) <= 300
    assert face.getlength(fit("W" * 100_000, face, 100)) <= 100


def test_letters_the_font_lacks_and_control_codes_are_made_visible() -> None:
    face = font(20)
    assert drawable("Zoë Ω Ж", face) == "Zoë Ω Ж"
    assert drawable("胶质瘤", face) == "⟨U+80F6⟩⟨U+8D28⟩⟨U+7624⟩"
    assert drawable("a\x1bb", face) == "a⟨U+241B⟩b"
    assert drawable("a\u202eb", face) == "a⟨U+202E⟩b"


def test_paragraphs_are_broken_between_words_and_no_line_is_too_wide() -> None:
    face = font(16)
    text = "At 99 % it is not settled which of these cells belong to the three: top left, centre."
    lines = wrap(text, face, 200)
    assert " ".join(lines) == text
    assert len(lines) > 2
    assert all(face.getlength(line) <= 200 for line in [*lines, *wrap("x" * 500 + " y", face, 200)])
    assert wrap("", face, 200) == []


def test_hostile_class_names_do_not_stop_a_picture(words: list[str]) -> None:
    classes = ("良性\udcff[red]", "x" * 5000)
    hostile = overlay_picture(make_explanation(diagnosis=make_diagnosis(classes=classes)), "rise").image
    assert "x" * 5000 in words[0]
    assert hostile.size == overlay_picture(make_explanation(), "rise").image.size


def test_reducing_averages_areas() -> None:
    pixels = np.array([[[0], [100], [10], [20]], [[200], [100], [30], [40]]], dtype=np.uint8)
    assert scale_pixels(pixels, 1, 2)[0].tolist() == [[100] * 3, [25] * 3]


def test_enlarging_by_a_fraction_keeps_every_pixels_share() -> None:
    values = np.array([[0.0, 1.0]], dtype=np.float32)
    # Three pixels over two: the middle one lies half on each.
    assert scale_values(values, 1, 3)[0].tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_enlarging_by_a_whole_number_adds_no_new_values() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    assert np.array_equal(scale_pixels(pixels, 21, 15), pixels.repeat(3, 0).repeat(3, 1))


def test_every_picture_says_that_the_answer_is_undecided_and_why_and_what_is_doubtful(words: list[str]) -> None:
    diagnosis = make_diagnosis((0.48, 0.52), warnings=("The image is grey.", "The image is small."))
    explanation = make_explanation(diagnosis=diagnosis)
    for draw in (
        lambda: overlay_picture(explanation, "rise"),
        lambda: cells_picture(explanation, "lime"),
        lambda: agreement_picture(explanation),
    ):
        words.clear()
        draw()
        assert any(word.endswith("probability 0.520, undecided") for word in words)
        assert {"Undecided: the two highest are 0.04 apart.", "The image is grey.", "The image is small."} <= {*words}
    words.clear()
    overlay_picture(make_explanation(diagnosis=diagnosis, target="benign"), "rise")
    assert any(word.endswith("probability 0.480 (predicted: “malignant”, undecided)") for word in words)
    words.clear()
    overlay_picture(make_explanation(), "rise")
    assert not any("ndecided" in word for word in words)
