"""The rows of a folder with DICOM images: below the headings of their series, and in a DICOMDIR's folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import App, ComposeResult

from xaimed_tui.screens.explain.file_rows import ALL_JUDGED, OTHERS, FileRows
from xaimed_tui.screens.explain.image_side import ImageSide
from xaimed_tui.widgets.row_list import RowList

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


@dataclass(frozen=True)
class Group:
    title: str
    names: tuple[str, ...]


CT = Group("CT, CHEST", ("c", "a", "b"))
US = Group("US", ("us#1", "us#2"))
NAMES = (*CT.names, "report", *US.names, "x.png")


def lines(rows: FileRows, text: str = "") -> list[str]:
    """What is listed, headings in brackets."""
    shown = [rows.row(index) for index in rows.order(text)]
    return [f"[{row.label}]" if row.heading else f"{row.label}{'!' if row.reason else ''}" for row in shown]


def test_images_that_belong_together_stand_below_a_heading_in_their_order() -> None:
    reasons: dict[str, str] = {}
    rows = FileRows(FOLDER, NAMES, reasons, (CT, US))
    ct, us, others = f"[{CT.title}]", f"[{US.title}]", f"[{OTHERS}]"
    assert lines(rows) == [ct, "c", "a", "b", us, "us#1", "us#2", others, "report", "x.png"]
    assert len({rows.row(index).key for index in rows.order("")}) == 10
    assert lines(rows, "us") == [us, "us#1", "us#2"]
    assert lines(rows, "A") == [ct, "a"]
    assert lines(rows, "nothing") == []
    assert [rows.row(rows.find(FOLDER / name) or 0).label for name in NAMES] == [*NAMES]
    together = [rows.series_of(FOLDER / name) for name in ("a", "us#2", "us", "report", "elsewhere")]
    assert together == [[*CT.names], [*US.names], [*US.names], [], []]
    assert [rows.label(index) for index in rows.order("")] == [rows.row(index).label for index in rows.order("")]
    assert rows.find(FOLDER / "us") == rows.find(FOLDER / "us#1"), "the file's name, before its header was read"
    reasons.update({"a": "damaged", "report": "holds no picture"})
    assert lines(rows) == [ct, "c", "a!", "b", us, "us#1", "us#2", others, "x.png", "report!"], (
        "slices keep their places"
    )
    reasons.update(dict.fromkeys(CT.names, "its modality is CT"))
    assert lines(rows) == [us, "us#1", "us#2", others, "x.png", "report!", ct, "c!", "a!", "b!"]
    assert lines(FileRows(FOLDER, ("a", "b"), {"a": "damaged"})) == ["b", "a!"], "no series: no heading"
    many = tuple(f"{number}" for number in range(ALL_JUDGED + 1))
    assert lines(FileRows(FOLDER, many, {"0": "damaged"}, (Group("CT", many),)))[:3] == ["[CT]", "0!", "1"]


class Listing(App[None]):
    def compose(self) -> ComposeResult:
        yield RowList(empty="", id="list")


async def test_the_cursor_passes_over_headings_which_are_seen_with_the_first_row_below() -> None:
    app = Listing()
    async with app.run_test(size=(24, 4)) as pilot:
        rows = app.query_one(RowList)
        rows.set_rows(FileRows(FOLDER, NAMES, {}, (CT, US)))
        rows.focus()

        async def after(*keys: str) -> str:
            await pilot.press(*keys)
            await pilot.pause()
            assert rows.current is not None
            return rows.current.label

        assert await after() == "c"
        assert await after("up") == "c"
        assert await after("down", "down", "down") == "us#1"
        assert await after("up") == "b"
        assert await after("end") == "x.png"
        texts = [strip.text[:23].rstrip() for strip in app.screen._compositor.render_strips()[:4]]
        assert texts == ["   us#2", " other files         2", "   report", "▸  x.png"]
        assert await after("pageup") == "us#2"
        assert await after("home") == "c"
        assert app.screen._compositor.render_strips()[0].text[:23].rstrip() == " CT, CHEST           3"
        await pilot.click(RowList, offset=(2, 0))
        assert await after() == "c"
        rows.set_filter("us")
        assert await after() == "us#1"
