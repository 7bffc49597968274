"""The view that shows pictures: when it draws, what it paints, what it says about the mouse."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from app_driver import until
from factories import make_pixels, make_values
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.containers import Vertical
from textual.widgets import Static

import xaimed_tui.render.picture as picture_module
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.widgets.colour_bar import ColourBar
from xaimed_tui.widgets.image_view import ImageView

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.pilot import Pilot
    from textual.screen import Screen

    from xaimed_tui.render.picture import Rendered

TOP = ((2, 1), (2, 2), (1, 1))
SIZE = (60, 24)


def make_spec(tone: int | None = None, **kwargs: object) -> PictureSpec:
    pixels = make_pixels(40, 40).astype(np.uint8)
    if tone is not None:
        pixels[:] = tone
    return PictureSpec(pixels, values=make_values(TOP), style="overlay", **kwargs)  # type: ignore[arg-type]


class Gallery(App[None]):
    """One picture, and words above it."""

    CSS = "ImageView { height: 20; width: 40; } Static { height: 1; }"

    def __init__(self, picture: PictureSpec | None = None, placeholder: str = "") -> None:
        super().__init__()
        self.first = picture
        self.words = placeholder
        self.heard: list[object] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("name of the picture")
            yield ImageView(self.first, placeholder=self.words)

    @property
    def view(self) -> ImageView:
        return self.query_one(ImageView)

    def on_image_view_cell_hovered(self, message: ImageView.CellHovered) -> None:
        self.heard.append(("hovered", message.cell))

    def on_image_view_cell_clicked(self, message: ImageView.CellClicked) -> None:
        self.heard.append(("clicked", message.cell))

    def on_image_view_rendered(self, message: ImageView.Rendered) -> None:
        self.heard.append("rendered")


class Wire:
    """What goes to the terminal."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def take(self) -> str:
        """Everything since the last call."""
        sent, self.sent = "".join(self.sent), []
        return sent


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """What a terminal would be sent. Without a terminal Textual composes its updates and throws them away."""
    wire = Wire()
    display = App._display

    def listening(self: App[None], screen: Screen[object], renderable: object) -> None:
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            wire.sent.append(renderable.render_segments(self.console))
        display(self, screen, renderable)  # type: ignore[arg-type]

    monkeypatch.setattr(App, "_display", listening)
    return wire


async def settled(pilot: Pilot[None]) -> None:
    """Until nothing is being drawn any more."""
    for _ in range(3):
        await pilot.pause(0.08)
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int, str]]:
    """(key, columns, rows, depth) of every picture drawn."""
    calls: list[tuple[str, int, int, str]] = []
    render = picture_module.render

    def listening(spec: PictureSpec, columns: int, rows: int, *, depth: str, **options: bool) -> Rendered:
        calls.append((spec.key, columns, rows, depth))
        return render(spec, columns, rows, depth=depth, **options)

    monkeypatch.setattr(picture_module, "render", listening)
    return calls


def half_blocks(sent: str) -> int:
    return sent.count("▄")


async def test_a_picture_in_a_fresh_screen_is_drawn_once_and_sent_once(drawn: list[object], wire: Wire) -> None:
    app = Gallery(make_spec())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert len(drawn) == 1
        on_screen = sum(strip.text.count("▄") for strip in app.view.rendered.strips)  # type: ignore[union-attr]
        assert on_screen > 300
        assert half_blocks(wire.take()) == on_screen
        assert app.heard == ["rendered"]


async def test_the_same_picture_again_costs_nothing(drawn: list[object], wire: Wire) -> None:
    app = Gallery(make_spec())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        wire.take()
        app.view.picture = make_spec()
        await settled(pilot)
        assert len(drawn) == 1
        assert wire.take() == ""


async def test_a_cell_pointed_out_repaints_only_its_outline(drawn: list[object], wire: Wire) -> None:
    app = Gallery(make_spec(top=TOP))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        whole = len(wire.take())
        app.view.picture = make_spec(top=TOP, highlight=(0, 0))
        await settled(pilot)
        part = wire.take()
        assert "╔" in part
        assert len(part) < whole / 3


async def test_going_back_to_a_picture_takes_it_from_the_cache(drawn: list[object]) -> None:
    first, second = make_spec(), make_spec(200)
    app = Gallery(first)
    async with app.run_test(size=SIZE) as pilot:
        for picture in (first, second, first, second):
            app.view.picture = picture
            await settled(pilot)
        assert len(drawn) == 2
        assert app.view.rendered is not None


async def test_another_images_picture_leaves_the_screen_before_the_new_one_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_draw = threading.Event()
    may_draw.set()
    render = picture_module.render

    def slowly(*args: object, **kwargs: object) -> Rendered:
        may_draw.wait(5)
        return render(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(picture_module, "render", slowly)
    app = Gallery(make_spec())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        may_draw.clear()
        app.view.picture = make_spec(200)
        await pilot.pause(0.1)
        assert app.view.rendered is None
        assert "▄" not in screen_text(app)
        may_draw.set()
        await settled(pilot)
        assert app.view.rendered is not None


async def test_a_sharper_map_of_the_same_image_does_not_blank_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    may_draw = threading.Event()
    may_draw.set()
    render = picture_module.render

    def slowly(*args: object, **kwargs: object) -> Rendered:
        may_draw.wait(5)
        return render(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(picture_module, "render", slowly)
    app = Gallery(make_spec())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        may_draw.clear()
        app.view.picture = replace(make_spec(), values=make_values(((0, 0), (0, 1), (0, 2))))
        await pilot.pause(0.1)
        assert "▄" in screen_text(app)
        may_draw.set()
        await settled(pilot)


async def test_a_picture_that_was_overtaken_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    gates = {200: threading.Event(), 90: threading.Event()}
    gates[90].set()
    render = picture_module.render

    def gated(spec: PictureSpec, *args: int, **kwargs: object) -> Rendered:
        gates[int(spec.pixels[0, 0, 0])].wait(5)
        return render(spec, *args, **kwargs)

    monkeypatch.setattr(picture_module, "render", gated)
    app = Gallery()
    late, new = make_spec(200), make_spec(90)
    async with app.run_test(size=SIZE) as pilot:
        app.view.picture = late
        await pilot.pause(0.05)
        app.view.picture = new
        await pilot.pause(0.3)
        shown = app.view.rendered
        gates[200].set()
        await settled(pilot)
        assert shown is not None
        assert app.view.rendered is shown
        assert shown.strips == render(new, 40, 20).strips


async def test_words_stand_in_for_a_picture_without_acting_as_markup(wire: Wire) -> None:
    app = Gallery(placeholder="choose [red]an[/] image \x1b[2J[@click=app.quit]here")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        text = " ".join(screen_text(app).split())
        assert "choose [red]an[/] image ␛[2J" in text
        assert "[@click=app.quit]here" in text
        assert "\x1b[2J[@click" not in wire.take()
        app.view.placeholder = "nothing here"
        await settled(pilot)
        assert "nothing here" in screen_text(app)
        app.view.picture = make_spec()
        await settled(pilot)
        assert "nothing here" not in screen_text(app)
        app.view.picture = None
        await settled(pilot)
        assert "nothing here" in screen_text(app)


async def test_the_picture_fits_the_new_size_after_a_storm_of_resizes(
    drawn: list[tuple[str, int, int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xaimed_tui.widgets.image_view._SETTLE_SECONDS", 2.0)  # longer than a busy machine needs
    app = Gallery(make_spec())
    app.CSS = "ImageView { height: 1fr; width: 1fr; }"
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        drawn.clear()
        for width in range(61, 81):
            await pilot.resize_terminal(width, 30)
        await until(pilot, lambda: drawn)
        await settled(pilot)
        assert app.view.rendered is not None
        assert (app.view.rendered.columns, app.view.rendered.rows) == tuple(app.view.content_size)
        assert len(drawn) == 1


async def test_the_mouse_is_told_by_cells_and_each_cell_once() -> None:
    app = Gallery(make_spec())
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        app.heard.clear()
        await pilot.hover(ImageView, offset=(1, 1))
        await pilot.hover(ImageView, offset=(2, 2))
        await pilot.hover(ImageView, offset=(20, 10))
        await pilot.hover(ImageView, offset=(39, 19))
        await pilot.click(ImageView, offset=(39, 19))
        await pilot.hover(Static)
        await settled(pilot)
        assert app.heard == [
            ("hovered", (0, 0)),
            ("hovered", (1, 1)),
            ("hovered", (2, 2)),
            ("clicked", (2, 2)),
            ("hovered", None),
        ]


async def test_beside_the_picture_there_are_no_cells() -> None:
    app = Gallery(replace(make_spec(), pixels=make_pixels(40, 20).astype(np.uint8)))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        app.heard.clear()
        await pilot.click(ImageView, offset=(2, 10))
        await pilot.click(ImageView, offset=(20, 10))
        await settled(pilot)
        assert [message for message in app.heard if message[0] == "clicked"] == [("clicked", (1, 1))]  # type: ignore[index]


async def test_without_colour_glyphs_are_drawn(drawn: list[tuple[str, int, int, str]]) -> None:
    app = Gallery(make_spec())
    app.no_color = True
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert [depth for *_, depth in drawn] == ["none"]
        assert "▄" not in screen_text(app)
        assert "@" in screen_text(app)


async def test_a_view_that_is_hidden_at_first_draws_when_it_is_shown(drawn: list[object]) -> None:
    app = Gallery(make_spec())
    app.CSS = "ImageView { height: 20; width: 40; display: none; }"
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        assert drawn == []
        app.view.styles.display = "block"
        await settled(pilot)
        assert len(drawn) == 1
        assert "▄" in screen_text(app)


async def test_a_theme_of_the_other_kind_redraws_only_what_depends_on_it() -> None:
    app = Gallery(make_spec())
    app.no_color = True
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        app.heard.clear()
        app.theme = "textual-light"
        await settled(pilot)
        assert app.heard == ["rendered"]


def screen_text(app: App[None]) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


class Key(App[None]):
    CSS = "ColourBar { width: 24; }"

    def compose(self) -> ComposeResult:
        yield ColourBar()


async def test_the_colour_bar_has_its_numbers_at_its_ends_and_its_colours_between() -> None:
    app = Key()
    async with app.run_test(size=(40, 4)) as pilot:
        await settled(pilot)
        line = app.query_one(ColourBar).render_line(0)
        assert line.text == f"0 {'▌' * 20} 1"
        blocks = [segment.style for segment in line if segment.text == "▌"]
        assert tuple(blocks[0].color.triplet) == (68, 1, 84)  # type: ignore[union-attr, arg-type]
        assert tuple(blocks[-1].bgcolor.triplet) == (253, 231, 36)  # type: ignore[union-attr, arg-type]
        app.query_one(ColourBar).colormap = "grey"
        await settled(pilot)
        last = [segment.style for segment in app.query_one(ColourBar).render_line(0) if segment.text == "▌"][-1]
        assert tuple(last.bgcolor.triplet) == (255, 255, 255)  # type: ignore[union-attr, arg-type]


async def test_the_colour_bar_reads_without_colour() -> None:
    app = Key()
    app.no_color = True
    async with app.run_test(size=(40, 4)) as pilot:
        await settled(pilot)
        assert app.query_one(ColourBar).render_line(0).text == "0   ..::--==++**##%%@@ 1"


def test_the_view_costs_no_imports_until_it_draws() -> None:
    import subprocess
    import sys

    code = (
        "import sys, xaimed_tui.widgets.image_view, xaimed_tui.widgets.colour_bar, xaimed_tui.render.spec\n"
        "print([n for n in ('PIL', 'rich_pixels', 'matplotlib', 'torch', 'skimage', 'scipy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
