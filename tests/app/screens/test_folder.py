"""An image folder in the app: large ones, and ones in which things happen."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from app_driver import make_app, notices, press, screen_text, told, until
from fakes import FakeEngine

from engine.bundle.model_bundle import ModelBundle
from engine.images.listing import scan_images
from engine.images.watching import FolderChange, watch_folder
from xaimed_tui.preferences.remembered import Remembered, StateFile

BIG = (120, 40)


class OnDisk(FakeEngine):
    """Lists and watches real folders; reads of the files nothing but their names."""

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        self._call("list_images", str(folder))
        yield from scan_images(folder)

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        return watch_folder(folder, stop)


def made(app) -> bool:
    return app.views_made and bool(app.explain.query("#images-list"))


def answered(app) -> bool:
    return made(app) and app.explain.scene.diagnosis is not None


def labels(app) -> list[str]:
    return [row.label for row in app.explain.images.shown]


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


async def test_files_come_and_go_and_the_selection_stays(tmp_path: Path) -> None:
    folder = fill(tmp_path / "scans", "b.png", "d.png")
    engine = OnDisk()
    app = make_app(engine, task="IHC Stain (demo)", folder=folder)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: answered(app))
        await press(pilot, "j", "g")
        before = app.explain.explanation
        assert before is not None
        fill(folder, "a.png", "c.png")
        await until(pilot, lambda: labels(app) == ["a.png", "b.png", "c.png", "d.png"])
        (folder / "b.png").unlink()
        await until(pilot, lambda: labels(app) == ["a.png", "c.png", "d.png"])
        await until(pilot, lambda: app.explain.images.current.key == folder / "d.png")
        assert app.explain.explanation is before, "the map made before is still shown"
        (folder / "d.png").unlink()
        await until(pilot, lambda: app.explain.images.current.key == folder / "c.png")


async def test_the_image_that_a_filter_puts_the_cursor_on_is_the_one_shown(tmp_path: Path) -> None:
    folder = fill(tmp_path / "scans", "a.png", "b.png", "c.png")
    app = make_app(OnDisk(), task="IHC Stain (demo)", folder=folder)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: answered(app))
        assert app.explain.scene.image.path == folder / "a.png"
        await press(pilot, "slash", "b")
        await until(pilot, lambda: answered(app) and app.explain.scene.image.path == folder / "b.png")
        assert app.explain.images.current.key == folder / "b.png"


async def test_a_folder_without_images_says_how_to_go_on(tmp_path: Path) -> None:
    app = make_app(OnDisk(), task="IHC Stain (demo)", folder=fill(tmp_path / "none"))
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: made(app) and "no images in this folder" in screen_text(app))
        await until(pilot, lambda: "f chooses a folder" in screen_text(app))
        await until(pilot, lambda: "Choose an image" not in screen_text(app))


async def test_a_folder_that_disappears_is_said_so_and_what_was_made_stays(tmp_path: Path) -> None:
    folder = fill(tmp_path / "scans", "a.png", "b.png")
    app = make_app(OnDisk(), task="IHC Stain (demo)", folder=folder)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: answered(app))
        await press(pilot, "g")
        shutil.rmtree(folder)
        await until(pilot, lambda: "the folder is gone" in screen_text(app))
        await told(pilot, "no longer there")
        assert app.explain.explanation is not None
        fill(folder, "a.png", "z.png")
        await until(pilot, lambda: labels(app) == ["a.png", "z.png"])
        await until(pilot, lambda: "the folder is gone" not in screen_text(app))


async def test_a_file_that_was_read_while_it_was_written_is_read_again_when_it_is_whole(tmp_path: Path) -> None:
    folder = fill(tmp_path / "scans", "broken.png")
    engine = OnDisk()
    app = make_app(engine, task="IHC Stain (demo)", folder=folder)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: made(app) and app.explain.images.current and app.explain.images.current.reason)
        reads = engine.calls.count(("read", "broken.png"))
        fill(folder, "later.png")
        await until(pilot, lambda: "later.png" in labels(app))  # it is watching by now
        (folder / "broken.png").write_bytes(b"whole")
        await until(pilot, lambda: engine.calls.count(("read", "broken.png")) > reads)


async def test_a_large_folder_is_shown_before_it_is_read_and_judged_only_where_one_looks(tmp_path: Path) -> None:
    names = [f"slide-{number}.png" for number in range(20_000)]
    asked: list[str] = []

    class Large(FakeEngine):
        def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
            yield names[1000:3000]
            self._call("scan")
            yield names

        def why_not_compliant(self, path: Path, bundle: object) -> str:
            asked.append(path.name)
            return "it is too small" if path.name.endswith("7.png") else ""

    engine = Large()
    gate = engine.hold("scan")
    app = make_app(engine, task="IHC Stain (demo)", folder=tmp_path)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, engine.waiting["scan"].is_set)
        gate.set()
        await until(pilot, lambda: "20,000 images" in screen_text(app))
        await until(pilot, lambda: answered(app))
        await press(pilot, "end")
        await until(pilot, lambda: "slide-19999.png" in asked)
        assert "slide-9000.png" not in asked
        assert len(asked) < 500
        await until(pilot, lambda: "✕ slide-19997.png" in screen_text(app))
        assert labels(app)[-1] == "slide-19999.png", "what cannot be used stays in its place"
        await press(pilot, "slash", *"1999", "enter")
        assert [name for name in labels(app) if "1999" not in name] == []
        assert len(labels(app)) == 12


async def test_keys_are_answered_while_a_large_folder_is_read(tmp_path: Path) -> None:
    names = [f"slide-{number}.png" for number in range(100_000)]
    read = threading.Event()

    class Busy(FakeEngine):
        def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
            count = 1000
            while not read.is_set():
                yield sorted(names[:count])
                time.sleep(0.1)
                count = min(count + 1000, len(names))
            yield names

    app = make_app(Busy(), task="IHC Stain (demo)", folder=tmp_path)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: answered(app))
        waits = []
        try:
            for _ in range(8):
                begin = time.perf_counter()
                await pilot.press("j")
                waits.append(time.perf_counter() - begin)
        finally:
            read.set()
        assert sorted(waits)[4] < 1.0  # tests/benchmarks/app.py measures how long it takes on a quiet machine
        await until(pilot, lambda: "100,000 images" in screen_text(app))


async def test_the_first_image_shown_is_one_that_can_be_used_unless_another_was_chosen(tmp_path: Path) -> None:
    asked, judged = threading.Event(), threading.Event()

    class Slow(OnDisk):
        def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
            asked.set()
            judged.wait(20)
            return "it is broken" if path.name == "a-broken.png" else ""

    app = make_app(Slow(), task="IHC Stain (demo)", folder=fill(tmp_path / "scans", "a-broken.png", "b.png", "c.png"))
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, asked.is_set)
        await until(pilot, lambda: app.explain.images.current is not None)
        assert app.explain.images.current.label == "a-broken.png"
        judged.set()
        await until(pilot, lambda: labels(app) == ["b.png", "c.png", "a-broken.png"])
        await until(pilot, lambda: app.explain.images.current.label == "b.png")
        await until(pilot, lambda: answered(app))
        await press(pilot, "G")
        assert app.explain.images.current.label == "a-broken.png"


async def test_a_file_with_several_images_is_not_refused_before_these_are_listed_and_opens_in_their_middle() -> None:
    volume, pages, others = "a.nii.gz", "a.tif", tuple(f"b-{number}.png" for number in range(1000))
    slices = tuple(f"{volume}#axial:{number}" for number in range(1, 21))

    class Volumes(FakeEngine):
        def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
            first = pages if folder.name == "pages" else volume
            yield (first, *others)
            self._call("headers")
            yield (*slices, *others) if first == volume else (first, *others)

    why = "The file holds 20 images; name one."
    engine = Volumes(stacks=(volume, pages), refused={volume: why, pages: why})
    gate = engine.hold("headers")
    app = make_app(engine, task="IHC Stain (demo)", folder=Path("volume"))

    async def opened(first: str, gate: threading.Event, *keys: str) -> None:
        try:
            await until(pilot, lambda: "finding the images" in screen_text(app))
            await until(pilot, lambda: "b-2.png" in app.explain.side._reasons)  # those in view are judged
            await pilot.press(*keys)
            await pilot.pause()
            shown = screen_text(app)
        finally:
            gate.set()
        assert f"▸  {first}" in shown
        assert "✕" not in shown
        assert "not usable" not in shown
        assert app.explain.image_failure is None

    async with app.run_test(size=BIG) as pilot:
        await opened(volume, gate)
        await until(pilot, lambda: answered(app) and app.explain.scene.image.path.name == slices[9])
        await press(pilot, "home")
        assert app.explain.images.current.label == slices[0]

        gate = engine.hold("headers")
        app.open_folder(Path("pages"))
        await opened(pages, gate)
        await until(pilot, lambda: f"▸✕ {pages}" in screen_text(app))
        assert "holds 20 images" in screen_text(app)

        gate = engine.hold("headers")
        app.open_folder(Path("another"))
        await opened(volume, gate, "g")
        await until(pilot, lambda: app.explain.runs["gradcam"].state == "done")
        assert app.explain.scene.image.path.name == slices[0], "a person was at work on it"


async def test_an_image_of_one_folder_is_not_looked_for_in_the_next_one(tmp_path: Path) -> None:
    folder = fill(tmp_path / "scans", "mine.png")
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: made(app) and app.library)
        app.open_folder(folder, folder / "patch-02.png")
        await until(pilot, lambda: made(app) and app.explain.scene.image is not None)
        await press(pilot, "1", "d")
        await until(pilot, lambda: answered(app))
        assert app.explain.folder == Path("/samples")
        app.open_task("HIS Breast Cancer", "Paper CNN")
        await until(pilot, lambda: app.explain.scene.bundle.name == "Paper CNN" and answered(app))
        assert "is not in this folder" not in notices(app)


async def test_an_image_is_not_said_to_be_gone_while_its_folder_is_being_read(tmp_path: Path) -> None:
    gate = threading.Event()

    class Slow(FakeEngine):
        def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
            yield ("a.png",)
            gate.wait(20)
            yield ("a.png", "z.png")

    memory = StateFile()
    memory.now = Remembered(task="IHC Stain (demo)", model="Small CNN").at(tmp_path, tmp_path / "z.png")
    app = make_app(Slow(), memory=memory)
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: made(app) and app.explain.scene.model is not None)
        assert "is not in this folder" not in notices(app)
        gate.set()
        await until(pilot, lambda: app.explain.scene.image is not None and app.explain.scene.image.path.name == "z.png")
        assert "is not in this folder" not in notices(app)


async def test_an_image_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await until(pilot, lambda: made(app) and app.library)
        app.open_folder(tmp_path, tmp_path / "gone.png")
        await told(pilot, "gone.png is not in this folder any more.")
