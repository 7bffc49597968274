"""What stands on the screen belongs together: image, answer, maps, counts and words, whatever happened meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from app_driver import TO_IMAGES, held, make_app, press, press_until_held, screen_text, settled, until
from fakes import FakeEngine, demo_tasks, make_entry, make_task

from engine.errors import ImageError, NotFiniteError
from engine.images.image import MedicalImage
from xaimed_tui.background import messages
from xaimed_tui.screens.library.manage import Form
from xaimed_tui.widgets.image_view import ImageView

BIG = (160, 50)


def on_the_wall(app) -> set[str]:
    return {method for method, run in app.explain.runs.items() if run.map is not None}


async def test_a_method_made_again_and_stopped_before_its_turn_keeps_the_map_that_the_counts_are_of() -> None:
    async with held("rise", "g", "g", "r") as at:
        first = at.app.explain.runs["gradcam"].map
        await at.pilot.press("g")
        await until(at.pilot, lambda: at.app.explain.runs["gradcam"].state == "waiting")
        await at.pilot.press("x")
        at.gate.set()
        await settled(at.pilot)
        assert at.app.explain.runs["gradcam"].state == "done"
        assert at.app.explain.runs["gradcam"].map is first
        assert set(at.app.explain.explanation.maps) == on_the_wall(at.app) == {"gradcam", "rise"}


async def test_a_method_made_again_that_fails_is_counted_no_more() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "p")
        engine.failures["gradcam"] = NotFiniteError("no valid map")
        await press(pilot, "g")
        assert app.explain.runs["gradcam"].state == "failed"
        assert set(app.explain.explanation.maps) == on_the_wall(app) == {"gradcam++"}
        assert app.explain.explanation.consensus.methods == ("gradcam++",)
        engine.failures["gradcam++"] = NotFiniteError("no valid map")
        await press(pilot, "p")
        assert app.explain.explanation is None
        assert app.explain.check_action("save", ()) is False


async def test_that_the_last_method_failed_is_part_of_what_is_saved() -> None:
    engine = FakeEngine(failures={"rise": NotFiniteError("no valid map")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert dict(app.explain.explanation.failures) == {"rise": "no valid map"}


async def test_another_layer_takes_nothing_from_maps_that_know_no_layer() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l", "y", "down", "enter")
        assert on_the_wall(app) == {"lime"}
        assert set(app.explain.explanation.maps) == {"lime"}
        assert app.explain.explanation.settings.layer == "features.0", "what a map made from now on is made with"
        assert app.explain.check_action("save", ()) is True
        await press(pilot, "g")
        assert set(app.explain.explanation.maps) == {"lime", "gradcam"}


async def test_maps_that_know_no_layer_stay_counted_when_the_cams_fail_at_another_one() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l", "g")
        engine.failures["gradcam"] = NotFiniteError("no valid map")
        await press(pilot, "y", "down", "enter")
        assert app.explain.runs["gradcam"].state == "failed"
        assert set(app.explain.explanation.maps) == on_the_wall(app) == {"lime"}


async def test_what_was_found_out_about_the_files_of_one_folder_is_not_said_of_those_of_another() -> None:
    engine = FakeEngine(refused={})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        side = app.explain.side
        late = messages.ComplianceFound(side._judged, {"patch-01.png": "it is too small"})
        app.explain.use_folder(Path("/elsewhere"))
        side.post_message(late)  # it was on its way
        await settled(pilot)
        assert side.reason_of(Path("/elsewhere/patch-01.png")) == ""


async def test_of_files_that_have_gone_nothing_is_counted(tmp_path: Path) -> None:
    engine = FakeEngine(names=("a.png", "b.png"), refused={"b.png": "it is too small"})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "1 not usable" in screen_text(app)
        side = app.explain.side
        side.post_message(messages.FolderListed(side._run, side.folder, ("a.png", "c.png"), whole=True))  # renamed
        await settled(pilot)
        assert "not usable" not in screen_text(app)


class Rewritten(FakeEngine):
    """Whose files have another content once `digest` is set."""

    digest = ""

    def read(self, path: Path) -> MedicalImage:
        image = super().read(path)
        return replace(image, sha256=self.digest or image.sha256)


async def test_a_file_that_is_written_anew_while_it_is_shown_is_read_again() -> None:
    engine = Rewritten()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g")
        side = app.explain.side
        before = app.explain.explanation
        side.post_message(messages.FilesModified(side._run, frozenset({"patch-01.png"})))
        await settled(pilot)
        assert app.explain.explanation is before, "only touched"
        engine.digest = "f" * 64
        side.post_message(messages.FilesModified(side._run, frozenset({"patch-02.png"})))
        await settled(pilot)
        assert app.explain.explanation is before, "another file"
        side.post_message(messages.FilesModified(side._run, frozenset({"patch-01.png"})))
        await settled(pilot)
        assert app.explain.scene.image.sha256 == engine.digest
        assert app.explain.explanation is None
        assert app.explain.scene.diagnosis is not None


async def test_a_file_that_is_only_touched_stops_no_method() -> None:
    async with held("rise", "r") as at:
        side = at.app.explain.side
        reads = at.engine.calls.count(("read", "patch-01.png"))
        side.post_message(messages.FilesModified(side._run, frozenset({"patch-01.png"})))
        await until(at.pilot, lambda: at.engine.calls.count(("read", "patch-01.png")) > reads)
        at.gate.set()
        await settled(at.pilot)
        assert not at.app.explain.runs["rise"].map.stopped


async def test_maps_do_not_stay_beside_the_words_that_their_image_cannot_be_read() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "j")
        engine.failures["read"] = ImageError("the file is truncated")
        await press(pilot, "k")
        assert "the file is truncated" in screen_text(app)
        assert on_the_wall(app) == set()
        assert app.explain.scene.image is None
        assert app.explain.check_action("explain_all", ()) is False


async def test_an_image_of_late_that_has_gone_leaves_the_one_that_is_shown() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "j")
        app.open_folder(Path("/samples"), Path("/samples/gone.png"))
        await settled(pilot)
        assert app.explain.scene.diagnosis is not None
        assert app.explain.scene.image.path.name == "patch-02.png"


@pytest.mark.parametrize(("key", "choice"), [("t", ("home", "down")), ("y", ("home",))])
async def test_a_choice_made_for_one_network_is_not_taken_for_the_next(key: str, choice: tuple[str, ...]) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        await press(pilot, key)
        other = demo_tasks()[1].models[0]
        engine.classes = ("a", "b", "c")
        app.explain.use_model(other.bundle, engine.load(other.bundle))  # it was being loaded
        await settled(pilot)
        await press(pilot, *choice, "enter")
        scene = app.explain.scene
        assert (scene.target, scene.layer) == (None, None)
        assert scene.explained_class in engine.classes


async def test_a_dialog_stays_open_when_a_model_is_ready_meanwhile() -> None:
    engine = FakeEngine()
    gate = engine.hold("load")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES[:2])
        await press_until_held(pilot, "enter", engine, "load")
        await pilot.press("m")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Form) and app.screen.focused is not None)
        await pilot.press("x")
        gate.set()
        await settled(pilot)
        assert isinstance(app.screen, Form)
        assert app.screen.query_one("#field-name").value == "x"
        assert app.explain.scene.model is not None
        await press(pilot, "escape")
        assert app.selection.display


async def test_no_model_s_picture_stands_beside_the_words_about_another() -> None:
    task = "Task"
    models = [make_entry(task, name, picture=Path(f"{name}/description.png")) for name in ("One", "Two")]
    engine = FakeEngine(tasks=(make_task(task, models),))
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "2", "right")
        view = app.selection.query_one("#model-picture", ImageView)
        assert view.picture is not None
        gate = engine.hold("read")
        await press_until_held(pilot, "down", engine, "read")
        assert view.picture is None
        gate.set()
        await settled(pilot)
        assert view.picture is not None


@pytest.mark.parametrize("samples", ["lime", "gradcam"])
async def test_a_map_with_a_warning_is_called_certain_nowhere(samples: str) -> None:
    app = make_app(FakeEngine(warnings=("hiding parts of the image moved the probability by less than 0.01",)))
    copied: list[str] = []
    async with app.run_test(size=BIG) as pilot:
        app.copy_to_clipboard = copied.append
        await press(pilot, *TO_IMAGES, {"lime": "l", "gradcam": "g"}[samples], "enter", "c")
        shown = screen_text(app)
        assert "moved the probability" in shown
        for text in (shown, copied[0]):
            assert not [word for word in ("Certain:", "Exact:", "Not sampled:") if word in text]
