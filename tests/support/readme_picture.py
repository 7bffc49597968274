"""Draw the README's picture: the app on the demo task, as it exports itself.

Run: python tests/support/readme_picture.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from app_driver import press, screen_text, settled, until

from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine


async def draw(path: Path) -> None:
    """Open the demo, explain its third sample and save what is on the screen."""
    app = XAIMedApp(Engine())
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, "d")
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=60)
        await pilot.press("down", "down")
        await settled(pilot)
        await pilot.press("e")
        await until(pilot, lambda: not app.explain.wall.busy, seconds=120)
        await settled(pilot)
        path.parent.mkdir(exist_ok=True)
        path.write_text(app.export_screenshot(), encoding="utf-8")


if __name__ == "__main__":
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")  # whatever terminal draws it
    os.environ.pop("NO_COLOR", None)
    asyncio.run(draw(Path(__file__).parents[2] / ".readme" / "app.svg"))
