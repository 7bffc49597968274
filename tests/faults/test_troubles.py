"""What the app says where something cannot be read, loaded, run, shown or saved, and how it goes on."""

from __future__ import annotations

import re
from pathlib import Path

from app_driver import TO_IMAGES, caption_of, make_app, notices, press, screen_text, settled, told, until
from fakes import FakeEngine, make_entry, make_task

from engine.errors import BundleError, ExplanationError, ImageError, TaskError
from xaimed_tui.screens.failure import FailureScreen

BIG = (160, 50)


async def test_a_method_that_fails_says_why_and_the_others_go_on() -> None:
    engine = FakeEngine(failures={"gradcam": ExplanationError("the network has no convolution")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert app.explain.runs["gradcam"].state == "failed"
        assert "the network has no convolution" in caption_of(app.explain.wall.card("gradcam"))
        assert app.explain.explanation.failures == {"gradcam": "the network has no convolution"}
        assert set(app.explain.explanation.maps) == {"lime", "rise", "gradcam++", "hirescam"}
        engine.failures.clear()
        await press(pilot, "g")
        assert app.explain.runs["gradcam"].state == "done"


async def test_a_fault_of_the_program_names_the_log_and_the_app_goes_on() -> None:
    engine = FakeEngine(failures={"rise": RuntimeError("CUDA error: \x1b[31mdevice-side assert")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "r")
        assert isinstance(app.screen, FailureScreen)
        text = screen_text(app)
        assert "␛[31mdevice-side assert" in text
        assert "xaimed.log" in re.sub(r"[\s│]", "", text)  # a long path is wrapped
        await press(pilot, "enter", "l")
        assert app.explain.runs["lime"].state == "done"


async def test_a_model_that_cannot_be_loaded_says_why_where_one_chose_it() -> None:
    engine = FakeEngine(failures={"load": BundleError("weights.pt lacks the key fc.weight", subject="Paper CNN")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert isinstance(app.screen, FailureScreen)
        assert "The model cannot be used" in screen_text(app)
        await press(pilot, "escape")
        assert app.selection.models.has_focus
        assert "lacks the key fc.weight" in " ".join(screen_text(app).split())
        engine.failures.clear()
        await press(pilot, "enter")
        assert app.explain.images.has_focus


async def test_a_model_that_cannot_be_used_stays_listed_with_its_reason() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "2", "enter", "down")
        assert "weights.pt is missing" in screen_text(app)
        await press(pilot, "enter")
        assert not any(call[0] == "load" for call in engine.calls)


async def test_values_that_no_file_gives_are_shown_as_assumed() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "2")
        assert "the output is taken as logits" in " ".join(screen_text(app).split())


async def test_a_folder_without_images_says_so() -> None:
    app = make_app(FakeEngine(names=()))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "no images in this folder" in screen_text(app)
        await press(pilot, "e", "enter", "w", "s")
        assert len(app.screen_stack) == 1


async def test_a_folder_that_cannot_be_read_says_why() -> None:
    app = make_app(FakeEngine(failures={"list_images": ImageError("no permission", subject="/samples")}))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "/samples: no permission" in screen_text(app)
        assert not notices(app)  # twice: before the network was there, and after


async def test_an_image_that_cannot_be_read_is_greyed_with_its_reason() -> None:
    app = make_app(FakeEngine(names=("a.png", "broken.png"), refused={}))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "down")
        for line in ("broken.png: the file is", "truncated; copy it again"):  # as the card wraps it
            assert line in screen_text(app)
        assert app.explain.images.shown[-1].reason


async def test_no_tasks_at_all_is_said_in_words() -> None:
    app = make_app(FakeEngine(tasks=()))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "2")
        assert "no tasks" in screen_text(app)
        await press(pilot, "enter", "enter", "1", "d")
        await told(pilot, "There is no task IHC Stain (demo)")


HOSTILE = "a[red]b[/]\x1b]52;c;aGk=\x07\u202egnp.x\u200b[@click=app.quit]c.png"


async def test_names_with_markup_and_escape_codes_arrive_as_text() -> None:
    task = make_task(
        f"T{HOSTILE}",
        [
            make_entry(f"T{HOSTILE}", f"M{HOSTILE}", description=f"D{HOSTILE}"),
            make_entry("x", "y", reason=f"R{HOSTILE}"),
        ],
        f"about {HOSTILE}",
    )
    engine = FakeEngine(tasks=(task,), names=(HOSTILE,), classes=("neg", f"C{HOSTILE}"), warnings=(f"W{HOSTILE}",))
    app = make_app(engine)
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, "2", "tab")
        seen = [screen_text(app)]
        await press(pilot, "down")
        seen.append(screen_text(app))
        await press(pilot, "up", "enter", "e")
        seen.append(screen_text(app))
        await press(pilot, "t")
        seen.append(screen_text(app))
        await press(pilot, "escape", "right", "enter")
        seen.append(screen_text(app))
        await press(pilot, "escape", "w")
        seen.append(screen_text(app))
    for text in seen:
        assert not set(text) & {"\x1b", "\x07", "\u202e", "\u200b"}
    assert "a[red]b[/]␛]52;c;aGk=" in seen[0]
    assert all("[red]" in text for text in seen[:5])


async def test_a_saving_that_fails_says_why(tmp_path: Path) -> None:
    from engine.errors import ExportError

    app = make_app(FakeEngine(failures={"save": ExportError("the disk is full", subject=tmp_path)}))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "w", "enter")
        assert "Nothing was saved" in screen_text(app)
        assert "the disk is full" in app.screen.failure.words


async def test_why_the_tasks_cannot_be_read_stays_where_they_would_be_described() -> None:
    reason = TaskError("there is no such folder", subject="/tasks", remedy="choose another with --tasks")
    app = make_app(FakeEngine(failures={"list_tasks": reason}))
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2")
        await until(pilot, lambda: "the tasks cannot be read" in screen_text(app))
        await settled(pilot)
        assert "choose another with --tasks" in " ".join(str(app.selection.query_one("#task-text").render()).split())
