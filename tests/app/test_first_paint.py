"""How soon Home is there: little is imported before it, and it takes less than twice as long as an empty app."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from terminal import Terminal

LATE = (
    *("torch", "torchvision", "numpy", "scipy", "sklearn", "skimage", "lime", "pytorch_grad_cam", "matplotlib"),
    *("PIL", "cv2", "pydicom", "watchfiles", "rich_pixels", "tomllib"),
    *("engine.explainers.registry", "engine.images", "engine.cli.models", "engine.cli.explain"),
    *(
        "xaimed_tui.background.jobs",
        "xaimed_tui.background.messages",
        "xaimed_tui.screens.explain.view",
        "xaimed_tui.screens.library.selection",
    ),
)

_EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self): yield Static("PAINTED")
Empty().run()
"""
_XAIMED = "import sys; from xaimed_tui.__main__ import main; sys.exit(main())"
_TELLING = """
import sys
from pathlib import Path
from xaimed_tui.app import XAIMedApp
def tell(app): Path("imported").write_text(" ".join(sys.modules))
XAIMedApp._import_views = tell  # the first thing after the first paint
from xaimed_tui.__main__ import main
sys.exit(main())
"""


def _leave(terminal: Terminal) -> None:
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0


def test_home_is_painted_before_anything_is_imported_that_it_does_not_need(tmp_path: Path) -> None:
    terminal = Terminal.python(_TELLING, tmp_path)
    terminal.read_until(b"What next")
    told = tmp_path / "imported"
    end = time.monotonic() + 20
    while not told.exists() and time.monotonic() < end:
        terminal.read(0.05)
    imported = set(told.read_text(encoding="ascii").split())
    _leave(terminal)
    assert "textual.app" in imported
    assert imported.isdisjoint(LATE), sorted(imported.intersection(LATE))


def test_home_takes_less_than_twice_as_long_as_an_empty_app(tmp_path: Path) -> None:
    empty, home = [], []
    for _ in range(24):  # in turn, until each had the processor for itself once
        for code, words, seconds in ((_EMPTY, b"PAINTED", empty), (_XAIMED, b"What next", home)):
            begin = time.perf_counter()
            terminal = Terminal([sys.executable, "-c", code], tmp_path, {"COLUMNS": "120", "LINES": "40"})
            seconds.append(terminal.read_until(words) - begin)
            _leave(terminal)
        if min(home) < 2 * min(empty):
            return
    raise AssertionError(f"an empty app takes {min(empty):.2f} s, Home {min(home):.2f} s")
