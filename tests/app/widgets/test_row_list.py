"""Labels that do not fit into a list are cut so that one can read them, and stay different."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult

from xaimed_tui.widgets import row_list
from xaimed_tui.widgets.row_list import Row, RowList

LONG = tuple(f"patient-0001-study-{number}-slice.png" for number in (1, 2))


class Listing(App[None]):
    def __init__(self, *labels: str) -> None:
        super().__init__()
        self._labels = labels

    def compose(self) -> ComposeResult:
        yield RowList(empty="", id="list")

    def on_mount(self) -> None:
        self.query_one(RowList).set_rows([Row(label, label) for label in self._labels])


async def lines(*labels: str, width: int = 24) -> list[str]:
    app = Listing(*labels)
    async with app.run_test(size=(width, 6)) as pilot:
        await pilot.pause()
        return [strip.text[3:].rstrip() for strip in app.screen._compositor.render_strips()[: len(labels)]]


async def test_a_label_is_cut_in_its_middle() -> None:
    assert await lines(LONG[0], "b.png") == ["patient-00…-slice.png", "b.png"]


async def test_labels_that_would_look_alike_are_told_apart() -> None:
    first, second = await lines(*LONG)
    assert first != second
    assert first.startswith("patien")
    shown = await lines(LONG[0], "patient-00…-slice.png")
    assert len(set(shown)) == 2


async def test_labels_follow_the_width_and_the_rows() -> None:
    app = Listing(LONG[0], "b.png")
    async with app.run_test(size=(24, 6)) as pilot:
        await pilot.resize_terminal(60, 6)
        await pilot.pause()
        assert app.screen._compositor.render_strips()[0].text[3:].rstrip() == LONG[0]
        app.query_one(RowList).set_rows([Row(label, label) for label in LONG])
        await pilot.resize_terminal(24, 6)
        await pilot.pause()
        texts = [strip.text for strip in app.screen._compositor.render_strips()[:2]]
        assert texts[0][3:] != texts[1][3:]


async def test_in_a_long_list_labels_bear_digits_only_where_two_that_are_in_view_would_look_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_list, "MOST_COMPARED", 1)
    assert await lines(LONG[0], "b.png") == ["patient-00…-slice.png", "b.png"]
    assert await lines(*LONG) == [row_list.shorten(label, 21) for label in LONG]
    app = Listing(LONG[0], *"abcdefgh", LONG[1])
    async with app.run_test(size=(24, 4)) as pilot:
        for key, line in (("home", 0), ("end", 3), ("home", 0)):
            await pilot.press(key)
            await pilot.pause()
            text = app.screen._compositor.render_strips()[line].text
            assert text[3:].rstrip(" ▁▂▃▄▅▆▇█") in ("patient-00…-slice.png", "patient-0…-slice.png"), key
        await pilot.resize_terminal(24, 11)
        await pilot.pause()
        texts = [strip.text for strip in app.screen._compositor.render_strips()]
        assert [texts[0][3:].rstrip(), texts[9][3:].rstrip()] == [row_list.shorten(label, 21) for label in LONG]


@pytest.mark.parametrize("width", [10, 24, 60])
async def test_what_an_empty_list_says_is_broken_to_its_width_and_not_cut(width: int) -> None:
    app = Listing()
    words = "no images in this folder"
    async with app.run_test(size=(width, 6)) as pilot:
        app.query_one(RowList).set_rows((), empty=words)
        await pilot.pause()
        assert " ".join(" ".join(strip.text for strip in app.screen._compositor.render_strips()).split()) == words
