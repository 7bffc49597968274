"""Textual still has the private parts that the app needs, each in the shape it needs."""

from __future__ import annotations

import gc
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import ClassVar

import pytest
import textual
from private_names import taken_from_elsewhere
from rich.console import Console
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingsMap, BindingType
from textual.driver import Driver
from textual.filter import Monochrome
from textual.geometry import Region
from textual.message_pump import MessagePump
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widgets import Static

import xaimed_tui
from xaimed_tui.terminal.textual_private import (
    ChopsUpdate,
    CompositorUpdate,
    LayoutUpdate,
    UpdatedApp,
    bind,
    bindings_of,
    driver_of,
    filter_lines,
    priority_keys,
)


def moved(what: str) -> str:
    return f"Textual {textual.__version__} has changed {what}: see xaimed_tui/terminal/textual_private.py"


class Small(UpdatedApp):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f2", "nothing", priority=True), Binding("f3", "nothing")]

    def __init__(self) -> None:
        super().__init__()
        self.updates: list[CompositorUpdate] = []

    def compose(self) -> ComposeResult:
        yield Static("words")

    def update_to_send(self, update: CompositorUpdate) -> CompositorUpdate:
        self.updates.append(update)
        return super().update_to_send(update)


def test_no_other_file_of_the_app_uses_what_is_private_elsewhere() -> None:
    found = taken_from_elsewhere(Path(xaimed_tui.__file__).parent)
    assert {file for file, _ in found} == {"terminal/textual_private.py"}, sorted(found)


def test_no_method_of_the_app_replaces_a_private_one_of_textual_by_chance() -> None:
    for module in pkgutil.walk_packages(xaimed_tui.__path__, "xaimed_tui."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = [MessagePump]
    for kind in kinds:
        kinds += [one for one in kind.__subclasses__() if one not in kinds]
    replaced = {
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in kinds
        if kind.__module__.startswith("xaimed_tui.")
        for name, value in vars(kind).items()
        if name.startswith("_") and not name.startswith("__") and inspect.isfunction(value)
        for base in kind.__mro__
        if base.__module__.startswith("textual.") and name in vars(base)
    }
    names = ("_display", "_fatal_error", "_handle_exception")
    assert replaced == {f"xaimed_tui.terminal.textual_private.UpdatedApp.{name}" for name in names}


@pytest.mark.parametrize("name", ["_driver", "_filters", "_bindings"])
def test_an_app_has_the_attribute(name: str) -> None:
    assert hasattr(App[int](), name), moved(f"App.{name}")


@pytest.mark.parametrize("kind", [LayoutUpdate, ChopsUpdate])
def test_updates_of_the_compositor_are_written_by_one_method(kind: type[CompositorUpdate]) -> None:
    assert issubclass(kind, CompositorUpdate), moved(f"_compositor.{kind.__name__}")
    taken = list(inspect.signature(kind.render_segments).parameters)
    assert taken == ["self", "console"], moved(f"{kind.__name__}.render_segments{tuple(taken)}")


def test_an_update_of_the_layout_has_lines_of_strips_and_where_they_begin() -> None:
    update = LayoutUpdate([[Strip([Segment("ab")]), Strip([Segment("c")])]], Region(2, 1, 3, 1))
    assert [[strip.text for strip in line] for line in update.strips] == [["ab", "c"]], moved("LayoutUpdate.strips")
    assert (update.region.y, update.region.x, update.region.size) == (1, 2, (3, 1)), moved("LayoutUpdate.region")
    assert "ab" in update.render_segments(Console()), moved("LayoutUpdate.render_segments")


def test_an_update_of_parts_has_spans_of_chopped_lines_and_where_each_chop_ends() -> None:
    update = ChopsUpdate([{0: Strip([Segment("ab")]), 2: None}], [(0, 0, 3)], [[2, 3]])
    assert update.spans == [(0, 0, 3)], moved("ChopsUpdate.spans, the (y, first, last) columns painted")
    assert [list(line) for line in update.chops] == [[0, 2]], moved("ChopsUpdate.chops, strips by first column")
    assert update.chop_ends == [[2, 3]], moved("ChopsUpdate.chop_ends, the end of each chop in a line")
    assert "ab" in update.render_segments(Console()), moved("ChopsUpdate.render_segments")


async def test_no_strip_that_was_painted_keeps_itself() -> None:
    whole = Strip([Segment("ab")])
    whole.divide([2])
    assert whole in gc.get_referents(whole._divide_cache._cache[2,]), moved(
        "Strip.divide: nothing need be forgotten now"
    )
    app = Small()
    async with app.run_test() as pilot:
        app.query_one(Static).update("other words")
        await pilot.pause()
        for update in app.updates:
            assert isinstance(update, LayoutUpdate | ChopsUpdate)
            lines = update.strips if isinstance(update, LayoutUpdate) else [line.values() for line in update.chops]
            painted = [strip for line in lines for strip in line if strip is not None]
            assert painted
            assert not any(strip._divide_cache for strip in painted)


async def test_all_that_is_drawn_comes_by_as_an_update() -> None:
    taken = list(inspect.signature(App._display).parameters) if hasattr(App, "_display") else []
    assert taken == ["self", "screen", "renderable"], moved(f"App._display{tuple(taken)}")
    app = Small()
    async with app.run_test() as pilot:
        assert any(isinstance(one, LayoutUpdate) for one in app.updates), moved("what App._display is given at first")
        app.updates.clear()
        app.query_one(Static).update("other words")
        await pilot.pause()
        assert any(isinstance(one, ChopsUpdate) for one in app.updates), moved("what App._display is given for a part")


async def test_the_driver_is_known_while_the_app_runs() -> None:
    app = Small()
    assert driver_of(app) is None, moved("App._driver before the app runs")
    async with app.run_test():
        driver = driver_of(app)
        assert isinstance(driver, Driver), moved("App._driver")
        for name in ("write", "stop_application_mode", "close"):
            assert callable(getattr(driver, name, None)), moved(f"Driver.{name}")


async def test_lines_pass_only_the_filters_given_whatever_the_theme() -> None:
    app, plain = Small(), Monochrome()
    assert len(app.get_line_filters()) == len([one for one in app._filters if one.enabled]), moved("App._filters")
    filter_lines(app, [plain])
    async with app.run_test() as pilot:
        app.theme = "textual-light"
        await pilot.pause()
        assert list(app.get_line_filters()) == [plain], moved("App._filters, from which get_line_filters takes")


async def test_a_key_can_be_bound_on_one_widget() -> None:
    words = Static("words")
    assert isinstance(words._bindings, BindingsMap), moved("DOMNode._bindings")
    bind(words, "f4", "app.nothing", "Nothing")
    bound = words._bindings.key_to_bindings["f4"]
    assert [(one.action, one.description, one.show) for one in bound] == [("app.nothing", "Nothing", False)], moved(
        "DOMNode._bindings.bind"
    )
    assert "f4" not in Static("words")._bindings.key_to_bindings, moved("DOMNode._bindings: it is shared by a class")


def test_what_a_widget_binds_a_key_to_is_known_though_it_cannot_be_done_now() -> None:
    app = Small()
    assert [binding.action for binding in bindings_of(app, "f3")] == ["nothing"], moved("DOMNode._bindings")
    assert bindings_of(app, "f4") == [], moved("BindingsMap.key_to_bindings")


async def test_keys_with_priority_are_known_behind_a_modal_screen_too() -> None:
    assert isinstance(getattr(Screen, "_binding_chain", None), property), moved("Screen._binding_chain")
    app = Small()
    async with app.run_test() as pilot:
        await app.push_screen(ModalScreen())
        await pilot.pause()
        keys = priority_keys(app.screen)
        assert "f2" in keys, moved("Screen._binding_chain, in which the app's bindings stand")
        assert "f3" not in keys, moved("Binding.priority")
        assert "f2" not in app.screen.active_bindings, (
            f"Textual {textual.__version__} tells priority keys behind a dialog in public now: "
            "priority_keys can use active_bindings"
        )
