"""Images that a DICOMDIR lists lie below the folder, and often have the same file name."""

from __future__ import annotations

from pathlib import Path

from xaimed_tui.screens.explain.file_rows import FileRows
from xaimed_tui.screens.explain.image_side import ImageSide

FOLDER = Path("/study")


def test_each_has_its_own_place_and_its_own_reason() -> None:
    reasons = {"IM1": "", "S1/IM1": "too small", "S2/IM1#2": ""}
    rows = FileRows(FOLDER, tuple(reasons), reasons)
    assert [rows.find(FOLDER / name) for name in reasons] == [0, 1, 2]
    assert rows.find(Path("/elsewhere/IM1")) is None
    side = ImageSide()
    side._rows, side._reasons = rows, reasons
    assert [side.reason_of(FOLDER / name) for name in reasons] == ["", "too small", ""]
    assert [rows.name_of(rows.row(index).key) for index in range(3)] == [*reasons]
