"""What is doubtful about an answer is said beside it: undecided and why, warnings, the threshold on the bars."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driver import TO_IMAGES, caption_of, make_app, press, screen_text
from factories import make_diagnosis
from fakes import FakeEngine

from engine.errors import NotCompliantError
from engine.images.image import MedicalImage
from engine.results.diagnosis import Diagnosis
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Model
from xaimed_tui.screens.explain.diagnosis_panel import bar, warning_lines
from xaimed_tui.screens.lines import LinesScreen

SMALL, BIG = (80, 24), (160, 50)
GREY = "The image is grey, and the network takes colour images: its answer may mean nothing."
LARGE = "The image is 4000 x 3000 pixels, 80 times the network's 50 x 50: fine detail is lost by shrinking."
WIDE = "The image is 4000 x 1000 pixels, the network's input 50 x 50: the network sees it 4 times narrower than it is."


def answering(*probabilities: float, **options: object) -> XAIMedApp:
    answer = make_diagnosis(probabilities, ("NO-IDC", "IDC"), **options)  # type: ignore[arg-type]
    return make_app(FakeEngine(answer=answer))


def side_of(app: XAIMedApp) -> str:
    """What can be read on the left side, as one line."""
    side = app.explain.side.region
    lines = screen_text(app).splitlines()[side.y : side.bottom]
    return " ".join(" ".join(line[side.x : side.right - 1] for line in lines).split())


@pytest.mark.parametrize("size", [SMALL, BIG])
async def test_undecided_stands_beside_the_class_with_the_reason(size: tuple[int, int]) -> None:
    app = answering(0.48, 0.52)
    async with app.run_test(size=size) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "IDC, undecided medium confidence the two highest are 0.04 apart" in side_of(app)


async def test_a_decided_answer_says_nothing_of_it_and_offers_nothing_to_read() -> None:
    app = answering(0.1, 0.9)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "undecided" not in screen_text(app)
        assert app.explain.check_action("read_on", ()) is False
        await press(pilot, "i")
        assert not isinstance(app.screen, LinesScreen)


@pytest.mark.parametrize("no_color", [False, True])
@pytest.mark.parametrize("size", [SMALL, BIG])
async def test_with_three_warnings_all_that_matters_is_in_view_and_the_rest_a_key_away(
    size: tuple[int, int], no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = answering(0.52, 0.48, one_logit=True, threshold=0.5, warnings=(GREY, LARGE, WIDE))
    async with app.run_test(size=size) as pilot:
        await press(pilot, *TO_IMAGES)
        shown = side_of(app)
        assert "NO-IDC, undecided medium confidence IDC is 0.02 from its threshold 0.5" in shown
        assert "0.52 medium" in shown
        assert "0.48 medium" in shown
        assert "│ threshold 0.5" in shown
        assert shown.count("│·") == 2
        if size == BIG:
            assert f"! {GREY} ! {LARGE} ! {WIDE}" in shown
        else:
            assert "! The image is grey, and the network takes… i shows 2 more" in shown
        assert caption_of(app.explain.wall.card("original")).splitlines()[-1] == "i shows 2 more"
        await press(pilot, "i")
        assert isinstance(app.screen, LinesScreen)
        said = " ".join(app.screen.lines)
        places = [said.index(each) for each in ("Undecided: ", GREY, LARGE, WIDE)]
        assert places == sorted(places)


async def test_many_classes_do_not_push_a_warning_out_of_sight() -> None:
    classes = tuple(f"class {i}" for i in range(12))
    answer = make_diagnosis([0.45, *[0.05] * 11], classes, warnings=(GREY,))
    app = make_app(FakeEngine(classes=classes, answer=answer))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "class 0 medium confidence ! The image is grey,… i shows all of it" in side_of(app)


async def test_undecided_is_said_in_the_dialogs_the_detail_and_beside_another_class() -> None:
    app = answering(0.48, 0.52, warnings=(GREY,))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "t")
        assert "the predicted class (IDC, undecided)" in screen_text(app)
        await press(pilot, "escape", "g", "enter")
        text = " ".join(screen_text(app).split())
        assert "what speaks for IDC, undecided (" in text
        assert "! Undecided: the two highest are 0.04 apart." in text
        assert f"! {GREY[:30]}" in text
        await press(pilot, "escape", "b", "enter")
        text = " ".join(screen_text(app).split())
        assert "IDC 0.52 medium, undecided" in text
        assert "NO-IDC 0.48 medium, not predicted, undecided" in text
        assert "AB! Undecided: the two highest are 0.04 apart." in text


async def test_a_refusal_found_while_reading_is_shown_as_one_found_before() -> None:
    class Refusing(FakeEngine):
        def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
            raise NotCompliantError("the image is grey", subject=image.path, remedy="use another", code="colour")

    app = make_app(Refusing())
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_IMAGES)
        name = app.explain.images.current
        assert name is not None
        assert isinstance(name.key, Path)
        assert "The image is grey; use another." in side_of(app)
        assert app.explain.side.reason_of(name.key) == "The image is grey; use another."
        assert app.explain.check_action("explain_all", ()) is False


@pytest.mark.parametrize(
    ("share", "threshold", "drawn"),
    [
        (0.0, 0.5, "·····│····"),
        (1.0, 0.5, "█████│████"),
        (0.5, 0.5, "█████│····"),
        (0.25, 0.9, "██▌······│"),
        (0.25, 0.999, "██▌······│"),
        (0.25, 0.001, "│█▌·······"),
        (0.25, None, "██▌·······"),
    ],
)
def test_the_threshold_is_a_line_on_the_bar(share: float, threshold: float | None, drawn: str) -> None:
    assert bar(share, 10, threshold) == drawn


def test_warnings_that_have_no_room_are_counted() -> None:
    assert warning_lines((), 20, 3) == []
    assert warning_lines(("one two three four five",), 12, 0) == ["! one two", "three four", "five"]
    assert warning_lines(("one two three four five",), 12, 3) == ["! one two", "three four", "five"]
    assert warning_lines(("one two three four five",), 12, 2) == ["! one two…", "i shows all of it"]
    assert warning_lines(("one two", "three"), 12, 2) == ["! one two", "! three"]
    assert warning_lines(("one two", "three", "four"), 12, 2) == ["! one two", "i shows 2 more"]
