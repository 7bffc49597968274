"""Draw the README's pictures: the app on the demo task and on a DICOM image, as it exports itself.

Run: python tests/support/readme_picture.py
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pydicom.data
from app_driver import press, screen_text, settled, until

from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine


async def draw_demo(path: Path) -> None:
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
        path.write_text(app.export_screenshot(), encoding="utf-8")


async def draw_dicom(explained: Path, saving: Path) -> None:
    """Open a slice that comes with pydicom, explain it, and save the screen before and while results are saved."""
    study = Path(tempfile.gettempdir()) / "study"  # its path is in the pictures
    study.mkdir()
    try:
        shutil.copy(str(pydicom.data.get_testdata_file("MR_small.dcm")), study / "IM0001")
        with contextlib.chdir(study.parent):
            await _draw_study(study, explained, saving)
    finally:
        shutil.rmtree(study)


async def _draw_study(study: Path, explained: Path, saving: Path) -> None:
    app = XAIMedApp(Engine(), task="Brain Tumour MRI", model="Narrow ResNet, plain", folder=study)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=60)
        await pilot.press("e")
        await until(pilot, lambda: not app.explain.wall.busy, seconds=400)
        await settled(pilot)
        explained.write_text(app.export_screenshot(), encoding="utf-8")
        await press(pilot, "w", "tab", "tab", "space", "tab", "space")  # PDF and DICOM
        await settled(pilot)
        saving.write_text(app.export_screenshot(), encoding="utf-8")


async def draw(folder: Path) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(exist_ok=True)
    await draw_demo(folder / "app.svg")
    await draw_dicom(folder / "dicom.svg", folder / "dicom-saving.svg")


if __name__ == "__main__":
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")  # whatever terminal draws it
    os.environ.pop("NO_COLOR", None)
    asyncio.run(draw(Path(__file__).parents[2] / ".readme"))
