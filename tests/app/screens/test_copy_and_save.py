"""Statistics on the clipboard, and the dialog that says what will be written where."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled, told, until
from factories import make_exact, make_explanation, make_map
from fakes import FakeEngine

from engine.errors import Stopped
from engine.explanation.explain import Explanation
from engine.export.folder import explanation_file_names, explanation_files, next_folder, save_explanation
from engine.images.dicom.facts import DicomFacts
from engine.images.image import MedicalImage, read_image
from engine.progress import NeverStop, Progress, ProgressCallback, StopSignal
from xaimed_tui.background.backend import Engine, SaveWish
from xaimed_tui.screens.detail.statistics_text import statistics_csv, statistics_text
from xaimed_tui.screens.explain.save import SaveDialog
from xaimed_tui.widgets.top_bar import TopBar

BIG = (120, 40)
FACTS = DicomFacts(
    "Secondary Capture Image", "OT", "RGB", 1, 1, rows=48, columns=48, bits=8, allocated=8, low=0, high=255
)


class Slow(FakeEngine):
    """Reads images that came as DICOM; saves one file of three, and the others once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.wishes: list[SaveWish] = []
        self.let = threading.Event()

    def read(self, path: Path) -> MedicalImage:
        return replace(super().read(path), dicom=FACTS)

    def save(
        self, explanation: Explanation, wish: SaveWish, progress: ProgressCallback, stop: StopSignal
    ) -> tuple[Path, str]:
        self.wishes.append(wish)
        progress(Progress("saving", 1, 3))
        for _ in range(1000):
            if stop.is_set():
                raise Stopped
            if self.let.wait(0.01):
                return wish.folder, "the image has no frame of reference"
        raise AssertionError("it was neither stopped nor let")


async def test_the_statistics_shown_are_copied_as_text_and_as_csv() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter", "c")
        assert app.clipboard == statistics_text(app.explain.explanation, "rise")
        await told(pilot, "terminal's clipboard as text")
        await press(pilot, "v")
        assert app.clipboard == statistics_csv(app.explain.explanation, "rise")
        await press(pilot, "left", "left", "v")
        assert app.clipboard.startswith("row,column,count,methods\n0,0,1,gradcam++\n")


def test_the_csv_holds_the_numbers_in_full_as_the_file_does() -> None:
    explanation = make_explanation()
    rows = list(csv.DictReader(io.StringIO(statistics_csv(explanation, "lime"))))
    assert [(row["row"], row["column"]) for row in rows] == [(str(r), str(c)) for r in range(3) for c in range(3)]
    assert float(rows[7]["mean"]) == explanation.statistics["lime"].mean[2, 1]
    assert {row["method"] for row in rows} == {"lime"}
    written = dict(explanation_files(explanation))["statistics.csv"].decode("ascii")
    assert "".join(line + "\n" for line in statistics_csv(explanation, "lime").splitlines()[1:]) in written


def test_the_text_names_the_image_the_network_and_what_is_not_certain() -> None:
    maps = {
        "rise": make_map("rise", settled=False, stopped=True, warnings=("Few\x1b samples.",)),
        "gradcam": make_map("gradcam"),
        "lime": make_map("lime", constant=True),
    }
    explanation = make_explanation(maps=maps)
    text = statistics_text(explanation, "rise")
    lines = text.splitlines()
    assert lines[0] == "RISE of patch.png, what speaks for malignant"
    assert lines[1] == "Demo task / Small CNN"
    assert lines[3].split() == ["cell", "mean", "error", "median", "min", "max", "std"]
    assert lines[11].split()[:3] == ["1?", "bottom", "0.941"]
    assert "Not certain which of these belong to the three: " in text
    assert "Stopped before all samples were used." in text
    assert "\x1b" not in text
    assert "Not sampled" in statistics_text(explanation, "gradcam")
    assert "it marks no cell" in statistics_text(explanation, "lime")
    exact = replace(explanation, exact=make_exact())
    assert statistics_text(exact, "exact").splitlines()[11].split() == ["bottom", "+0.350", "+0.400", "firm"]
    stopped = replace(explanation, exact=replace(make_exact(), stopped=True))
    assert "! Stopped before the exact cells were done under every fill." in statistics_text(stopped, "exact")
    assert statistics_csv(exact, "exact").splitlines()[0] == "fill,row,column,shapley,top,firm"
    assert "Methods counted: RISE, Grad-CAM, LIME." in statistics_text(explanation, "agreement")


def test_the_names_announced_are_those_written() -> None:
    for methods in (("lime", "rise", "gradcam", "gradcam++"), ("rise",)):
        for exact in (None, make_exact()):
            written = [name for name, _ in explanation_files(make_explanation(methods=methods, exact=exact))]
            assert explanation_file_names(methods, exact=exact is not None) == written


def test_the_folder_announced_is_the_one_made(tmp_path: Path) -> None:
    explanation = make_explanation(methods=("gradcam",))
    for name in ("patch", "patch-2", "patch-3"):
        announced = next_folder(tmp_path, explanation.image.path.stem)
        assert announced == tmp_path / name
        assert save_explanation(explanation, tmp_path) == announced


async def test_the_dialog_says_which_folder_it_will_be_and_that_the_old_one_stays(tmp_path: Path) -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "w")
        field = app.screen.query_one("#save-folder")
        field.value = str(tmp_path)
        await settled(pilot)
        assert f"{tmp_path.name}/patch-01" in screen_text(app)
        assert "already exists" not in screen_text(app)
        assert "gradcam-cells.png" in screen_text(app)
        assert "exact-cells.png" in screen_text(app)
        assert "Numbers (CSV): exact.csv, statistics.csv" in screen_text(app)
        assert "Not made yet, and not saved: LIME, RISE, Grad-CAM++, HiResCAM." in " ".join(screen_text(app).split())
        (tmp_path / "patch-01").mkdir()
        field.value = f"{tmp_path}/"
        await until(pilot, lambda: "patch-01-2" in screen_text(app))
        await until(pilot, lambda: "patch-01 already exists and stays as it is." in screen_text(app))


@pytest.mark.parametrize("typed", ["", "~nobody-of-this-name/x", "{file}"])
async def test_what_cannot_be_a_folder_is_refused_in_the_dialog(tmp_path: Path, typed: str) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "w")
        app.screen.query_one("#save-folder").value = typed.format(file=file)
        await press(pilot, "enter")
        assert isinstance(app.screen, SaveDialog)
        assert str(app.screen.query_one("#save-problem").render()).endswith("is not a folder")
        assert not any(call[0] == "save" for call in engine.calls)
        await press(pilot, "escape")
        assert app.explain.images.has_focus


async def test_reports_and_dicom_are_ticked_by_keys_and_saving_is_stopped_by_one(tmp_path: Path) -> None:
    engine = Slow()
    app = make_app(engine)
    state = lambda: app.screen_stack[0].query_one(TopBar).state  # noqa: E731
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await press(pilot, *TO_IMAGES, "e", "w")
        app.screen.query_one("#save-folder").value = str(tmp_path)
        await press(pilot, "tab", "space", "tab", "tab", "space")
        shown = " ".join(screen_text(app).split())
        assert "[x] report, HTML [ ] report, PDF [x] DICOM objects" in shown
        assert "Report on one page: report.html" in shown
        assert "They hold the patient's name and id, as the image does." in shown
        assert "Enter save" in shown  # nothing is cut at the smallest size
        await pilot.press("enter")
        await until(pilot, lambda: state() == "saving, 1 of 3 files, s stops")
        assert engine.wishes == [SaveWish(tmp_path, ("html",), dicom=True)]
        await pilot.press("right")  # nothing waits for the files
        await until(pilot, lambda: app.explain.wall.active != "original")
        await pilot.press("s")
        await told(pilot, "Nothing was written.")
        await until(pilot, lambda: state().startswith("ready"))
        engine.let.set()
        await press(pilot, "w", "enter")
        await told(pilot, "DICOM without Parametric Maps: the image has no frame of reference.")
        assert engine.wishes[1] == engine.wishes[0]  # what was ticked the last time


def test_what_the_dialog_asks_for_is_written(tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    from dicom_files import write_dicom  # late: needs pydicom

    pixels = np.arange(48 * 48, dtype=np.uint16).reshape(48, 48)
    image = read_image(write_dicom(tmp_path / "IM1", pixels, Modality="CR", StudyInstanceUID="1.2.3.4"))
    explanation = make_explanation(image, methods=("gradcam",), view=np.zeros((48, 48, 1), dtype=np.uint8))
    told: list[Progress] = []
    wish = SaveWish(tmp_path / "out", ("html",), dicom=True)
    folder, no_map = Engine().save(explanation, wish, told.append, NeverStop())
    assert "no frame of reference" in no_map
    assert folder == tmp_path / "out" / image.public_name
    written = {path.name for path in folder.iterdir()}
    objects = {f"{folder.name}-{what}.dcm" for what in ("gradcam-overlay", "agreement-overlay", "report")}
    assert written >= {"report.html", "explanation.json", *objects}
    assert [report.done for report in told] == list(range(len(written) + 1))
    assert {report.total for report in told} == {len(written)}
