"""Folders of images and tasks that vanish, are replaced, or may not be read any more, while they are in use."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from app_driver import make_app, press, screen_text, settled, until
from factories import make_model
from fakes import FakeEngine
from PIL import Image

from engine.bundle.model_bundle import InputSpec
from engine.errors import BundleError, ImageError, TaskError
from engine.images.compliance import why_not_compliant
from engine.images.image import read_image
from engine.images.listing import list_images
from engine.library.tasks import find_model, list_tasks
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.screens.failure import FailureScreen

SECONDS = 1.0
"""How long a folder is read at least while it is being replaced."""


def make_images(folder: Path) -> None:
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (9, 9), (40 * number, 200, 10)).save(folder / f"image-{number}.png")


def tries(found: list[object], refused: set[str]) -> Iterator[None]:
    """Go on for `SECONDS`, and on a slow machine until both lists are filled."""
    start = time.monotonic()
    while time.monotonic() - start < (SECONDS if found and len(refused) > 1 else 60):
        yield


def readable(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


@contextmanager
def in_motion(folder: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """Meanwhile the folder vanishes, comes back, is a file, a pipe, a link in a circle, without end."""
    stop, whole = threading.Event(), folder.with_name(f"{folder.name}-whole")
    make(whole)

    def move() -> None:
        while not stop.is_set():
            for other in (
                lambda: folder.write_text("a file"),
                lambda: os.mkfifo(folder),
                lambda: folder.symlink_to(folder.name),
                lambda: folder.symlink_to(whole),
                lambda: folder.mkdir(),
                lambda: shutil.copytree(whole, folder),
            ):
                if folder.is_symlink() or not folder.is_dir():
                    folder.unlink(missing_ok=True)
                else:
                    shutil.rmtree(folder)
                other()
                time.sleep(0.05 if readable(folder) else 0.002)  # a slow disk must find it whole now and then

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield
    finally:
        stop.set()
        mover.join()


def test_whatever_becomes_of_an_image_folder_reading_it_ends_in_images_or_a_named_reason(tmp_path: Path) -> None:
    folder, spec = tmp_path / "images", InputSpec(size=(9, 9))
    read: list[object] = []
    refused: set[str] = set()
    with in_motion(folder, make_images):
        for _ in tries(read, refused):
            try:
                for file in list_images(folder):
                    why_not_compliant(file.path, spec)
                    assert read_image(file.path).height == 9
                    read.append(file)
            except ImageError as error:
                refused.add(error.cause)
    assert read
    assert len(refused) > 1


def test_whatever_becomes_of_a_tasks_folder_listing_it_ends_in_tasks_or_a_named_reason(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    found: list[object] = []
    refused: set[str] = set()
    with in_motion(folder, lambda whole: make_model(whole / "Task" / "Model")):
        for _ in tries(found, refused):
            try:
                found += list_tasks((folder,))
                find_model((folder,), "Task", "Model")
            except (TaskError, BundleError) as error:
                refused.add(error.cause)
    assert found
    assert len(refused) > 1


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    make_images(tmp_path / "images")
    return tmp_path / "images"


@pytest.mark.parametrize("replace", [make_pipe, cut_short])
async def test_an_image_that_is_something_else_by_the_time_it_is_chosen_is_refused_and_the_next_is_shown(
    replace: Callable[[Path], None], images: Path, tmp_path: Path
) -> None:
    make_model(tmp_path / "tasks" / "Task" / "Model", approved=True)
    app = XAIMedApp(Engine(tmp_path / "tasks"), task="Task", model="Model", folder=images)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=60)
        replace(images / "image-1.png")
        await pilot.press("down")
        await settled(pilot)
        await until(pilot, lambda: app.explain.images.current is not None)
        await press(pilot, "end")
        await press(pilot, "up", "home")
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=20)
        assert app.is_running
        assert not [screen for screen in app.screen_stack if isinstance(screen, FailureScreen)]


async def test_a_model_whose_folder_vanishes_or_changes_goes_on_once_loaded_and_is_refused_else(
    images: Path, tmp_path: Path
) -> None:
    library = tmp_path / "tasks"
    for name in ("A", "B", "C"):
        make_model(library / "Task" / name, approved=True)
    app = XAIMedApp(Engine(library), task="Task", model="A", folder=images)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=60)
        shutil.rmtree(library / "Task" / "A")
        shutil.rmtree(library / "Task" / "B")
        (library / "Task" / "C" / "weights.pt").write_bytes(b"other weights")
        await press(pilot, "down", "g")
        await until(pilot, lambda: app.explain.explanation is not None, seconds=60)
        for name, words in (("B", "it no longer exists"), ("C", "changed since")):
            with pytest.raises((BundleError, TaskError), match=words):
                app.jobs._engine.load(bundle_of(app, name))
        assert app.is_running


def bundle_of(app: XAIMedApp, name: str) -> object:
    (task,) = (task for task in app.selection._tasks if task.name == "Task")
    return next(entry.bundle for entry in task.models if entry.name == name)


async def test_a_folder_that_may_not_be_read_any_more_says_so_and_the_app_goes_on(tmp_path: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    refusal = ImageError("the folder cannot be read: permission denied", subject="/images", remedy="ask for permission")
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, "2", "enter", "enter")
        assert "confidence" in screen_text(app)
        engine.failures["list_images"] = refusal
        app.open_folder(Path("/images"))
        await settled(pilot)
        assert "permission denied" in " ".join(screen_text(app).split())
        del engine.failures["list_images"]
        app.open_folder(Path("/samples"))
        await settled(pilot)
        assert "confidence" in screen_text(app)
