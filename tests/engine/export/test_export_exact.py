"""The exact cells in files: their table, their picture, their part of the record; and in words, on paper and screen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import make_diagnosis, make_explanation, make_image, make_map
from jsonschema import Draft202012Validator

import engine.export
from engine.cli.predict import _exact_notes
from engine.drawing.cells import cell_boxes
from engine.drawing.colours import contrast, signed_colours
from engine.explanation.exact_words import exact_lines, ordinal, supporting_words, worth_words
from engine.explanation.notebook import explanation_html
from engine.export.exact_picture import exact_picture
from engine.export.folder import EXACT_COLUMNS, explanation_file_names, explanation_files, save_explanation
from engine.export.record import explanation_record, record_bytes
from engine.results.caution import Caution
from engine.results.cells import CELLS
from engine.results.exact_cells import COMBINATIONS, ExactCells, FillValues, fill_values

SCHEMA = json.loads((Path(engine.export.__file__).parent / "schemas" / "explanation.json").read_text(encoding="ascii"))

MEAN = (0.0, 0.0, 0.0, 0.05, 0.15, -0.05, 0.2, 0.35, 0.1)
BLUR = (0.0, 0.1, 0.0, 0.0, 0.05, -0.02, -0.01, 0.3, 0.0)
"""What each cell is worth; the maps of `make_explanation` point below."""


def adding_up(fill: str, worth: tuple[float, ...]) -> FillValues:
    """Combinations whose values are the sums of their cells', from 0.1 on."""
    shown = np.arange(COMBINATIONS)[:, None] >> np.arange(9) & 1
    return fill_values(fill, 0.1 + shown @ np.array(worth), f"{fill}, made up")


FOUND = {"mean": adding_up("mean", MEAN), "blur": adding_up("blur", BLUR)}
TRIFLES = adding_up("noise", tuple(value / 100 for value in MEAN))
EXACT = ExactCells("malignant", FOUND, passes=1023, seconds=0.5)


def test_the_files_are_there_where_there_are_exact_cells(tmp_path: Path) -> None:
    explanation = replace(make_explanation(make_image("a.png")), exact=EXACT)
    saved = save_explanation(explanation, tmp_path)
    assert sorted(entry.name for entry in saved.iterdir()) == sorted(
        explanation_file_names(explanation.maps, exact=True)
    )
    text = (saved / "exact.csv").read_text(encoding="ascii")
    assert text.splitlines()[0] == ",".join(EXACT_COLUMNS) == "fill,row,column,shapley,top,firm"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["fill"], int(row["row"]), int(row["column"])) for row in rows] == [
        (fill, *cell) for fill in FOUND for cell in CELLS
    ]
    for row in rows:
        cell, found = (int(row["row"]), int(row["column"])), FOUND[row["fill"]]
        assert float(row["shapley"]) == found.shapley[cell]
        assert row["top"] == str(int(cell in found.top))
        assert row["firm"] == str(int(cell in {(1, 1), (2, 1)}))
    alone = replace(explanation, exact=ExactCells("malignant", {"mean": FOUND["mean"]}))
    (content,) = (data for name, data in explanation_files(alone) if name == "exact.csv")
    assert {row["firm"] for row in csv.DictReader(io.StringIO(content.decode("ascii")))} == {""}


def test_the_record_has_what_the_schema_says() -> None:
    stopped = ExactCells("malignant", {"noise": TRIFLES}, stopped=True, warnings=("No cell matters.",))
    maps = {"rise": make_map("rise"), "x": make_map("x", constant=True)}
    for explanation in (
        replace(make_explanation(maps=maps), exact=EXACT),
        replace(make_explanation(maps=maps), exact=stopped),
        replace(make_explanation(maps=maps), exact_failure="the network gave NaN"),
    ):
        record = json.loads(record_bytes(explanation_record(explanation)))
        Draft202012Validator(SCHEMA).validate(record)
        if explanation.exact is None:
            assert record["exact"] is None
            assert record["failures"]["exact"] == "the network gave NaN"
            assert record["methods"]["rise"]["exact"] is None
    record = json.loads(record_bytes(explanation_record(replace(make_explanation(maps=maps), exact=EXACT))))
    exact, mean = record["exact"], record["exact"]["fills"]["mean"]
    assert (exact["value"], exact["passes"], exact["firm"]) == ("probability", 1023, [[1, 1], [2, 1]])
    assert mean["shapley"] == [[pytest.approx(value) for value in MEAN[3 * row : 3 * row + 3]] for row in range(3)]
    assert (mean["supporting"], mean["top"], mean["matters"]) == (5, [[2, 1], [2, 0], [1, 1]], True)
    assert mean["best_kept"] == mean["best_hidden"] == [[1, 1], [2, 0], [2, 1]]
    assert (mean["all"], mean["none"], mean["range"]) == tuple(pytest.approx(v) for v in (0.9, 0.1, 0.9))
    assert np.shape(mean["interactions"]) == (9, 9)
    rise = record["methods"]["rise"]["exact"]
    assert rise["mean"] == {"shared": 2, "kept_rank": 3.5, "hidden_rank": 3.5}
    assert record["methods"]["x"]["exact"]["blur"] == {"shared": 0, "kept_rank": None, "hidden_rank": None}


def test_the_picture_shows_every_value_in_one_scale_and_marks_what_is_firm() -> None:
    image = make_image(pixels=np.full((48, 48, 3), 120, dtype=np.float32))
    sheet = exact_picture(replace(make_explanation(image), exact=EXACT), EXACT)
    left, top, width, height = sheet.picture
    picture = np.asarray(sheet.image)[top : top + height, left : left + width]
    side = 11 * 48
    titles, first, second = height - side, picture[-side:, :side], picture[-side:, -side:]
    assert 0 < titles < side // 5
    colours = signed_colours(np.stack([found.shapley for found in FOUND.values()]))
    for i, shown in enumerate((first, second)):
        for number, box in enumerate(cell_boxes((48, 48), (side, side)).values()):
            # Just inside the plate that the number stands on.
            middle = shown[box[1] : box[3], (box[0] + box[2]) // 2]
            assert (middle == colours[9 * i + number]).all(axis=1).any()
    # One scale: 0.3 is darker than 0.35, and what is firm has a whole outline.
    assert contrast(colours[7], (0, 0, 0)) > contrast(colours[16], (0, 0, 0)) > contrast(colours[5], (0, 0, 0))
    bottom, centre = ((cell_boxes((48, 48), (side, side)))[cell] for cell in ((2, 1), (1, 1)))
    for shown in (first, second):
        for box in (bottom, centre):
            line = shown[box[3] - 1 - side // 170, box[0] + 20 : box[2] - 20]
            assert (line == 255).all()
    unfirm = cell_boxes((48, 48), (side, side))[0, 1]
    line = second[unfirm[3] - 1 - side // 170, unfirm[0] + 20 : unfirm[2] - 20]
    assert (line == 255).all(axis=1).any()
    assert not (line == 255).all()


@pytest.mark.parametrize("shape", [(3, 900, 1), (2_000, 1_500, 3)])
def test_views_of_any_shape_can_be_drawn(shape: tuple[int, int, int]) -> None:
    view = np.full(shape, 90, dtype=np.uint8)
    explanation = make_explanation(view=view, maps={"rise": make_map("rise", height=24, width=24)})
    sheet = exact_picture(explanation, ExactCells("malignant", {**FOUND, "noise": TRIFLES}))
    assert sheet.picture[2] <= 3 * 1_024 + 2 * 40


def test_words() -> None:
    assert [ordinal(rank) for rank in (1, 2, 3, 4, 11, 12, 13, 21, 42.5, 83)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "42.5", "83rd"),
    ]
    explanation = replace(make_explanation(), exact=EXACT)
    assert worth_words(explanation, "rise") == (
        "mean: 2 of 3 shared, kept 3.5, hidden 3.5 of 84; blur: 2 of 3 shared, kept 9.5, hidden 9.5 of 84; "
        "chance: 1 of 3 shared, rank 42.5"
    )
    assert list(exact_lines(explanation)) == [
        "Hidden by the mean colour: bottom +0.350, bottom left +0.200, centre +0.150; whole image 0.900, all hidden "
        "0.100, range 0.900.",
        "Hidden by a blurred image: bottom +0.300, top +0.100, centre +0.050; whole image 0.520, all hidden 0.100, "
        "range 0.480.",
        "Firm: centre, bottom.",
    ]
    flat = ExactCells("malignant", {"noise": TRIFLES})
    assert worth_words(replace(explanation, exact=flat), "rise") == "noise: 2 of 3 shared, but no cell matters"
    assert list(exact_lines(replace(explanation, exact=flat))) == [
        "Hidden by noise: no cell matters: the probability moves by 0.009 at most; whole image 0.108, all hidden "
        "0.100.",
        "Firm: cannot be said, for lack of two fills that matter.",
    ]
    one = adding_up("mean", (0.0, 0.0, 0.2, *[0.0] * 6))
    assert supporting_words(one) == "one cell speaks for the class"
    (line, _) = exact_lines(replace(explanation, exact=ExactCells("malignant", {"mean": one})))
    assert "top right +0.200 (one cell speaks for the class); whole image 0.300" in line
    assert list(exact_lines(replace(explanation, exact=None))) == []
    failed = replace(explanation, exact=None, exact_failure="the network gave NaN")
    assert list(exact_lines(failed)) == ["No exact cells: the network gave NaN"]
    constant = make_explanation(maps={"rise": make_map("rise", constant=True)})
    assert "nothing to judge" in worth_words(replace(constant, exact=EXACT), "rise")


def test_notebooks_and_terminals_show_them() -> None:
    explanation = replace(make_explanation(), exact=replace(EXACT, warnings=("Moved to the CPU.",), stopped=True))
    page = explanation_html(explanation)
    for said in ("Exact cells: mean", "Exact cells: blur", "Firm: centre, bottom.", "kept 3.5, hidden 3.5 of 84"):
        assert said in page
    out = io.StringIO()
    explanation.show(file=out, width=70)
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 70
    for said in (
        "  mean  +0.000  +0.000  +0.000\n        +0.050",
        "RISE: mean: 2 of 3 shared",
        "chance: 1 of 3 shared",
    ):
        assert said in text
    for said in ("Moved to the CPU.", "Stopped before the exact cells were done"):
        assert said in page
        assert said in text
    failed = replace(explanation, exact=None, exact_failure="the <network> gave NaN")
    assert "No exact cells: the &lt;network&gt; gave NaN" in explanation_html(failed)


def test_predict_says_of_the_exact_cells_what_the_answer_has_not_said() -> None:
    warnings = (Caution("device", "cuda ran out of memory."), Caution("rounded", "Digits are lost."))
    exact = ExactCells("malignant", {"mean": FOUND["mean"]}, warnings=warnings)
    assert _exact_notes(exact, make_diagnosis(warnings=("Digits are lost.",))) == ["cuda ran out of memory."]
