"""Every screen of the app, over the real engine and a hostile world, drawn on a pseudo terminal."""

from __future__ import annotations

import importlib
import os
import pkgutil
import pty
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app_driver import screen_text, settled, until
from textual import events
from textual.drivers.headless_driver import HeadlessDriver
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

import xaimed_tui.screens
from engine.text import safe_text
from tests.torture.hostile_words import World, harm_in
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from textual.pilot import Pilot

SIZE = (120, 40)


class PseudoTerminal:
    """What the app sends to its terminal, byte for byte."""

    def __init__(self) -> None:
        self.bytes = b""
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            self.bytes += piece

    def close(self) -> None:
        """No more comes."""
        os.close(self.slave)
        self._reader.join(10)
        os.close(self.master)


def driver_on(terminal: PseudoTerminal) -> type[HeadlessDriver]:
    """A driver that draws there."""

    class Draws(HeadlessDriver):
        @property
        def is_headless(self) -> bool:
            return False

        def write(self, data: str) -> None:
            left = memoryview(data.encode("utf-8", "surrogatepass"))
            while left:
                left = left[os.write(terminal.slave, left) :]

    return Draws


def screens() -> set[str]:
    """The names of all screens and views of the app, and of the command palette."""
    for module in pkgutil.iter_modules(xaimed_tui.screens.__path__, "xaimed_tui.screens."):
        importlib.import_module(module.name)
    found = {kind.__name__ for kind in _below(Screen) if kind.__module__.startswith("xaimed_tui.")}
    return found | {"HomeView", "SelectionView", "ExplainView", "Palette"}


def _below(kind: type) -> Iterator[type]:
    """All classes derived from one that no other is derived from."""
    for other in kind.__subclasses__():
        if other.__subclasses__():
            yield from _below(other)
        else:
            yield other


class Walk:
    """Goes from screen to screen, and looks at each."""

    def __init__(self, pilot: Pilot[int], world: World) -> None:
        self.pilot, self.app, self.world = pilot, pilot.app, world
        self.seen: set[str] = set()

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until all has had its effect."""
        await self.pilot.press(*keys)
        await settled(self.pilot)
        self.look()

    async def back(self) -> None:
        """Leave all dialogs."""
        for _ in range(9):
            if len(self.app.screen_stack) == 1:
                return
            await self.press("escape")
        raise AssertionError(f"no way back:\n{screen_text(self.app)}")

    def look(self) -> None:
        """Note what is on the screen."""
        screen = self.app.screen
        self.seen.add(type(screen).__name__)
        if screen is self.app.screen_stack[0]:
            switcher = screen.query_one(ContentSwitcher)
            self.seen.add(type(switcher.get_child_by_id(switcher.current or "")).__name__)

    async def at(self, name: str, *keys: str) -> None:
        """Press keys that lead to a screen."""
        await self.press(*keys)
        await self.until(lambda: type(self.app.screen).__name__ == name, f"{name} after {keys}")

    async def until(self, what: Callable[[], bool], words: str) -> None:
        """Wait until something holds."""
        try:
            await until(self.pilot, what, seconds=30.0)
        except AssertionError as error:
            raise AssertionError(f"{words} never came:\n{screen_text(self.app)}") from error
        self.look()

    async def told_apart(self, list_id: str, count: int) -> None:
        """All rows of a list, so many, are drawn as different lines."""
        rows = self.app.screen.query_one(f"#{list_id}", RowList)
        rows.action_end(-1)
        shown: set[str] = set()
        at_end = False
        while not at_end:
            at_end = rows.current == rows.shown[-1]
            await settled(self.pilot)
            strips = self.app.screen._compositor.render_strips()[rows.region.y : rows.region.y + rows.size.height]
            # The two characters before a label tell the cursor and what is usable.
            shown |= {strip.crop(rows.region.x + 3, rows.region.right).text.rstrip(" ▁▂▃▄▅▆▇█") for strip in strips}
            rows.action_page(1)
        rows.action_end(-1)
        assert len(shown - {""}) == count, (self.world.said, shown)

    def on_screen(self, words: str) -> bool:
        """Whether words stand there."""
        return words in screen_text(self.app)


async def check_screens(world: World, out: Path) -> int:
    """Go through all of them; returns how many bytes the terminal got.

    Raises:
        AssertionError: something that means harm arrived, names were not to be told apart, or a screen was left out.
    """
    terminal = PseudoTerminal()
    app = XAIMedApp(Engine(world.tasks), problems=(safe_text(world.said.text),))
    app.driver_class = driver_on(terminal)
    try:
        async with app.run_test(size=SIZE, headless=False, notifications=True) as pilot:
            await settled(pilot)
            walk = Walk(pilot, world)
            await _walk(walk, out)
    finally:
        terminal.close()
    said = (world.said.text, world.said.one, world.said.other)
    assert not (harm := harm_in(terminal.bytes, said)), harm
    assert "␛".encode() in terminal.bytes, "the words were shown"
    assert not (left_out := screens() - walk.seen), left_out
    return len(terminal.bytes)


async def _walk(walk: Walk, out: Path) -> None:
    world, app = walk.world, walk.app
    walk.look()
    await walk.until(lambda: walk.on_screen("ready"), "PyTorch")
    await walk.press("2")
    await walk.told_apart("tasks", len(world.task_names))
    await walk.press("j", "j", "k", "k")  # Lungs is in the middle or at an end, as the names fall
    app.selection.show_task("Lungs")  # type: ignore[attr-defined]
    await settled(walk.pilot)
    await walk.told_apart("models", len(world.model_names))
    await walk.press("home", *["j"] * len(world.model_names))
    await _managing(walk)
    app.selection.open_task("Lungs", "2 Raises")  # type: ignore[attr-defined]
    await walk.at("FailureScreen")
    await walk.press("c")
    await walk.at("LogScreen", "l")
    await walk.press("c")
    await walk.back()
    app.selection.open_task("Lungs", "4 Unapproved")  # type: ignore[attr-defined]
    await walk.at("TrustScreen")
    await walk.press("pagedown", "pagedown")
    await walk.back()
    app.selection.open_task("Lungs", "1 Good")  # type: ignore[attr-defined]
    await walk.until(lambda: walk.on_screen("ready on"), "the network")
    await walk.press("2")
    await _menu(walk, "Check the model", "CheckScreen", task=None)
    await walk.until(lambda: walk.on_screen("verything works"), "the outcome of the check")
    await walk.press("pagedown")
    await walk.back()
    await walk.press("3")
    await walk.told_apart("images-list", len(world.images))
    await walk.press("end", "home", *["j"] * len(world.images), "home")
    picture = next(path for path in sorted(world.images) if path.suffix == ".png" and path is not world.images[-1])
    app.explain.use_folder(picture.parent, picture)  # type: ignore[attr-defined]
    await walk.until(lambda: walk.on_screen("confidence"), "an answer")
    await walk.press("g")
    await walk.until(lambda: walk.on_screen("1 of 4") and walk.on_screen("done"), "a map")
    await walk.at("ChooseDialog", "t")
    await walk.told_apart("choices-list", 3)
    await walk.back()
    await walk.at("ChooseDialog", "y")
    await walk.back()
    await walk.at("DetailScreen", "enter")
    await walk.press("c", "v", "tab")
    await walk.at("EvidenceScreen", "e")
    await walk.back()
    await walk.at("ZoomScreen", "z")
    await walk.press("plus", "tab")
    await walk.back()
    await walk.at("ChooseDialog", "b")
    await walk.at("SideBySideScreen", "enter")
    await walk.press("tab")
    await walk.back()
    await walk.at("SaveDialog", "w")
    await _type(walk, os.fspath(out / picture.stem))
    await walk.press("enter")
    await walk.back()
    await walk.at("FolderDialog", "f")
    await _type(walk, os.fspath(world.tasks / "Lungs") + "/m")
    await walk.press("tab")
    await walk.press("enter")
    await walk.back()
    await walk.press("3")
    await walk.at("HelpScreen", "question_mark")
    await walk.press("j")
    await walk.back()
    await walk.at("Palette", "ctrl+p")
    await walk.press(*"lungs")
    await walk.press("down")
    await walk.back()
    await walk.press("1", "ctrl+t")


async def _managing(walk: Walk) -> None:
    """Every row of the dialog about tasks and models, for a model whose name means harm or any other."""
    for words, screen in (
        ("Add a task", "Form"),
        ("Describe the task", "DescribeDialog"),
        ("Remove the task", "ConfirmDialog"),
        ("Add a model", "Form"),
        ("Show all about the model", "ModelScreen"),
        ("Describe the model", "DescribeDialog"),
        ("Remove the model", "ConfirmDialog"),
    ):
        await _menu(walk, words, screen)
        if screen in ("Form", "DescribeDialog"):
            await _type(walk, walk.world.said.text)
            await walk.press("ctrl+s" if screen == "DescribeDialog" else "enter")
        await walk.back()
    await _menu(walk, "Remove the model", "ConfirmDialog")
    await walk.press("tab", "enter")  # the button that does it
    await walk.back()
    await walk.at("ChooseDialog", "m")
    await walk.press("end", "enter")
    await walk.back()


async def _menu(walk: Walk, words: str, screen: str, *, task: str | None = "Lungs") -> None:
    """The row of the dialog that begins with these words, for a task's first model or the one under the cursor."""
    if task is not None:
        walk.app.selection.show_task(task)  # type: ignore[attr-defined]
    await walk.at("ChooseDialog", "m")
    rows = walk.app.screen.query_one(RowList)
    rows.go_to(next(row.key for row in rows.shown if row.label.startswith(words)))
    await walk.at(screen, "enter")


async def _type(walk: Walk, text: str) -> None:
    """Paste a text in the place of what stands in the field that has the focus."""
    field = walk.app.focused
    if isinstance(field, Input):
        field.value = ""
    walk.app.post_message(events.Paste(text))
    await settled(walk.pilot)
    walk.look()
