"""What training scripts write for people: sections of text, and the confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engine.evaluation.description import draw_confusion, lay_out, verbatim, write_performance


def test_paragraphs_are_wrapped_and_indented_and_tables_stay_as_they_are() -> None:
    row = "JPEG 90    " + "0.123  " * 20
    text = lay_out([["Net: what is it?"], ["RESULTS", "words " * 30, verbatim(row)]])
    head, empty, results, first, second, table = text.rstrip("\n").split("\n")
    assert (head, empty, results) == ("Net: what is it?", "", "RESULTS")
    assert f"{first} {second.strip()}" == "  " + ("words " * 30).strip()
    assert len(first) <= 108
    assert second.startswith("  words")
    assert table == f"  {row}".rstrip()
    assert text.endswith("\n")


def test_the_picture_of_a_confusion_matrix_is_dark_where_the_answers_are_right(tmp_path: Path) -> None:
    draw_confusion(np.array([[40.0, 0.0], [10.0, 10.0]]), ("NO-IDC", "IDC"), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        grey = np.asarray(picture.convert("L")).astype(int)
    assert grey.shape == (480, 480)
    cells = [[grey[160 * (r + 1) + 8, 160 * (c + 1) + 8] for c in (0, 1)] for r in (0, 1)]
    assert cells[0][0] < cells[1][1] < cells[0][1]
    assert cells[1][0] == cells[1][1], "half of the second class each"


def test_the_performance_of_a_model_toml_is_written_anew_and_what_stands_above_stays(tmp_path: Path) -> None:
    above = "[input]\nsize = [4, 4]   # small\n\n"
    settings = tmp_path / "model.toml"
    settings.write_text(above + '[performance]\ntest_auroc = 0.1\n\n[selftest]\nimage = "a.png"\n', encoding="utf-8")
    for _ in range(2):
        write_performance(tmp_path, ['test = "4 images"', "test_auroc = 0.875"])
        assert settings.read_text(encoding="utf-8") == (
            above + '[performance]\ntest = "4 images"\ntest_auroc = 0.875\n'
        )
