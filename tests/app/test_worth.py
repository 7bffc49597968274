"""What every map is worth: the exact cells and the questions about the maps, and how they give way to a person."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from app_driver import TO_IMAGES, caption_of, make_app, press, press_until_held, screen_text, settled, until
from factories import make_diagnosis, make_evidence, make_exact, make_image, make_map
from fakes import FakeEngine, FakeModel, demo_tasks
from textual.message import Message

from engine.errors import ExplanationError, Stopped
from engine.explainers.settings import Settings
from engine.explanation.exact_words import ordinal
from engine.explanation.explain import Explanation
from engine.progress import Progress
from engine.results.evidence import BetterThanChance, Evidence, OfThisNetwork, Right, Stable, Verdict
from engine.results.exact_cells import ExactCells, Judged
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background import messages, weighing
from xaimed_tui.background.backend import SaveWish
from xaimed_tui.background.explaining import Subject
from xaimed_tui.background.lanes import Ticket
from xaimed_tui.background.weighing import Turn, Weighing
from xaimed_tui.preferences.settings import AppSettings
from xaimed_tui.screens.detail.evidence import EvidenceScreen
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.failure import FailureScreen
from xaimed_tui.widgets.curves import OWN, RANDOM, chart_parts
from xaimed_tui.widgets.evidence_words import evidence_line
from xaimed_tui.widgets.exact_words import exact_caption, worth_line
from xaimed_tui.widgets.key_line import KeyLine

BIG = (160, 50)


class Saving(FakeEngine):
    """Keeps what it was to save."""

    saved: Explanation | None = None

    def save(self, explanation: Explanation, wish: SaveWish, *_: object) -> tuple[Path, str]:
        self.saved = explanation
        return wish.folder, ""


def said(engine: FakeEngine, *what: str) -> list[tuple[str, ...]]:
    return [call for call in engine.calls if call[0] in what]


def screen(app: XAIMedApp) -> str:
    return " ".join(screen_text(app).split())


async def test_the_exact_cells_come_after_the_cams_and_the_questions_after_all() -> None:
    engine = Saving()
    gate = engine.hold("lime")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        await press_until_held(pilot, "e", engine, "lime")
        wall = app.explain.wall
        await until(pilot, lambda: app.explain.scene.exact is not None and wall.exact_run.state == "done")
        made = [call for call in engine.calls if call[0] in {*app.explain.runs, "exact"}]
        assert [call[0] for call in made] == ["gradcam", "gradcam++", "hirescam", "exact", "exact", "lime"]
        assert [call[3] for call in made if call[0] == "exact"] == ["mean", "mean blur"], "fill by fill"
        exact = wall.card("exact")
        await until(pilot, lambda: exact.view.picture is not None and exact.view.picture.style == "exact")
        assert exact.view.picture.exact == ((2, 1), (2, 0), (1, 1))
        assert exact.view.picture.firm == ((1, 1), (2, 1))
        assert "hidden: mean colour" in caption_of(exact)
        assert "firm: centre, bottom" in caption_of(exact)
        # The three of Grad-CAM are bottom, bottom left and bottom right.
        assert "2 of 3 shared (chance 1)\nkept 2nd, hidden 2nd of 84" in caption_of(wall.card("gradcam"))
        assert caption_of(wall.card("gradcam")).startswith("?··· "), "right at once, the others later"
        assert "of 84" not in caption_of(wall.card("lime")), "an intermediate map is not judged"
        assert "exact: bottom, bottom left, centre" in caption_of(wall.card("agreement"))
        assert wall.card("agreement").view.picture.exact == exact.view.picture.exact
        assert not said(engine, "ask")
        gate.set()
        await settled(pilot)
        asked = [call[1:] for call in said(engine, "ask")]
        methods = tuple(app.explain.explanation.maps)
        assert [question for _, question in asked] == [question for question in engine.questions() for _ in methods], (
            "the quick questions about every map first"
        )
        assert {method for method, _ in asked} == {*methods}
        assert "✓?✓✗ not of this network" in caption_of(wall.card("lime"))
        assert "ready on cpu" in screen(app)

        # Another fill, by one key that stands in the line of keys.
        assert "u Fill" in [f"{key.label} {key.description}" for key in app.screen.query_one(KeyLine).shown]
        await press(pilot, "u")
        assert exact.view.picture.exact == ((2, 1), (1, 0), (1, 1))
        assert "hidden: blur" in caption_of(exact)
        assert "1 of 3 shared" in caption_of(wall.card("gradcam"))
        assert wall.card("agreement").view.picture.exact == exact.view.picture.exact
        await press(pilot, "n", "down")
        assert caption_of(exact).startswith("left\nmean colour +0.050 · 5th of 9\nblur +0.200 · 2nd of 9")
        await press(pilot, "escape")

        # The detail of the exact cells, of a map, and the figures behind its line.
        await press(pilot, "c", "enter")
        assert isinstance(app.screen, DetailScreen)
        words = screen(app)
        assert "cell mean colour blur firm" in words
        assert "1 bottom +0.350 +0.400 firm" in words
        assert "all 512 ways" in words
        await press(pilot, "u")
        assert "2 bottom left +0.200 +0.100" in screen(app)
        await press(pilot, "h")  # HiResCAM
        assert app.screen.check_action("fill", ()) is False
        words = screen(app)
        assert "by chance 1 of 3 shared, rank 42.5" in words
        assert "? right, ? better than chance, ✓ stable, ✗ of this network" in words or "right" in words
        await press(pilot, "e")
        assert isinstance(app.screen, EvidenceScreen)
        words = screen(app)
        for part in ("Deletion", "Insertion", OWN, RANDOM, "better than chance: cannot be said", "It beats 12 of 16"):
            assert part in words
        await press(pilot, "escape", "escape", "w", "enter")
        assert engine.saved is not None
        assert engine.saved.exact is app.explain.scene.exact
        assert engine.saved.evidence["lime"].stable.verdict is Verdict.YES

        # Another class needs its own; going on and back needs nothing.
        engine.calls.clear()
        app.explain.scene.target = "NO-IDC"
        app.explain._explain_again((*app.explain.runs, "exact"))
        await settled(pilot)
        assert [call[2:] for call in said(engine, "exact")] == [("NO-IDC", "mean"), ("NO-IDC", "mean blur")]
        assert app.explain.scene.exact.target == "NO-IDC"
        await press(pilot, "j")
        assert app.explain.scene.exact is None
        assert exact.view.picture is None
        engine.calls.clear()
        await press(pilot, "k")
        assert app.explain.scene.exact is not None
        assert not said(engine, "exact", "ask")
        assert "✓?✓✗" in caption_of(wall.card("lime"))


async def test_the_questions_give_way_to_a_person_and_go_on_afterwards() -> None:
    engine = FakeEngine()
    gate = engine.hold("ask")
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        await press_until_held(pilot, "e", engine, "ask")
        wall = app.explain.wall
        await until(pilot, lambda: "asking: stable, 1 of 15 (at most 2.50 s a map)" in screen(app))
        assert app.explain.check_action("stop", ()) is True
        # A method that is asked for goes first.
        engine.waiting["ask"].clear()
        await press_until_held(pilot, "l", engine, "ask")
        order = [call[0] for call in engine.calls]
        assert order[-3:] == ["ask", "lime", "ask"]
        assert engine.stopped == ["ask"]
        # So does a comparison, which needs the network.
        engine.waiting["ask"].clear()
        wall.hold_asking(True)
        await until(pilot, lambda: engine.stopped == ["ask", "ask"] and wall.asking.state == "idle")
        await pilot.pause(0.3)
        assert not engine.waiting["ask"].is_set()
        wall.hold_asking(False)
        await until(pilot, engine.waiting["ask"].is_set)
        # However soon that is over: the asking that gave way may end only afterwards.
        engine.waiting["ask"].clear()
        wall.hold_asking(True)
        wall.hold_asking(False)
        await until(pilot, engine.waiting["ask"].is_set)
        # Stopped by a person, they stay so until they are asked for.
        await pilot.press("s")
        await until(pilot, lambda: wall.asking.state == "stopped")
        engine.waiting["ask"].clear()
        await pilot.pause(0.3)
        assert not engine.waiting["ask"].is_set()
        assert "ready on cpu" in screen(app)
        await press_until_held(pilot, "e", engine, "ask")
        # The next image does not wait for them.
        old = wall.subject
        await pilot.press("j")
        await until(pilot, lambda: app.explain.scene.diagnosis is not None and old.stops.get("evidence") is None)
        assert engine.stopped == ["ask"] * 5
        assert wall.asking.state == "idle"
        # Going back goes on with them; the setting turns them off.
        engine.waiting["ask"].clear()
        await pilot.press("k")
        await until(pilot, engine.waiting["ask"].is_set)
        gate.set()
        await settled(pilot)
        assert all(run.evidence.stable.verdict is Verdict.YES for run in app.explain.runs.values())
        # A comparison that is left for another view holds them no longer.
        await press(pilot, "b", "enter")
        assert wall.held
        await press(pilot, "3")
        assert not wall.held


async def test_questions_that_fail_are_not_asked_again_and_again() -> None:
    engine = FakeEngine(failures={"ask": ExplanationError("no memory")})
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g")
        await until(pilot, lambda: app.explain.wall.asking.state == "failed")
        await pilot.pause(0.3)
        assert len(said(engine, "ask")) == 1
        engine.failures.clear()
        await press(pilot, "g")  # a new map is asked about
        await until(pilot, lambda: app.explain.wall.asking.state == "done")


async def test_what_is_stopped_turned_off_or_fails_is_said_on_the_card() -> None:
    engine = FakeEngine(failures={"exact": ExplanationError("no memory")})
    app = make_app(engine, settings=AppSettings(evidence="off"))
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        wall = app.explain.wall
        exact = wall.card("exact")
        assert wall.exact_run.state == "failed"
        assert "failed: no memory" in caption_of(exact)
        assert "1,000 samples" in caption_of(wall.card("lime")), "without exact cells, its own facts"
        assert app.explain.explanation.exact_failure == "no memory"
        await press(pilot, "j", "k")
        assert "failed: no memory" in caption_of(exact), "after another image, too"
        await press(pilot, "g")
        assert app.explain.explanation.exact_failure == "no memory", "and in what is made then"
        assert len(said(engine, "exact")) == 1
        await press(pilot, "c")
        assert app.explain.wall.active == "exact"
        await press(pilot, "enter")
        assert isinstance(app.screen, FailureScreen)
        await press(pilot, "escape")
        engine.failures.clear()
        gate = engine.hold("exact")
        await press_until_held(pilot, "c", engine, "exact")
        await until(pilot, lambda: "256/1,023" in caption_of(exact))
        await pilot.press("x")
        await until(pilot, lambda: wall.exact_run.state == "stopped")
        assert app.explain.scene.exact is None
        gate.set()
        await press(pilot, "e")
        assert app.explain.explanation.exact is not None
        assert not said(engine, "ask")
        # Stopped under the second fill, they are known as stopped after another image, too, and can be made whole.
        gate = engine.hold("exact")
        await press(pilot, "j")
        await press_until_held(pilot, "g", engine, "exact")
        first, gate = gate, engine.hold("exact")
        first.set()
        await until(pilot, engine.waiting["exact"].is_set)
        await pilot.press("s")
        await until(pilot, lambda: wall.exact_run.state == "stopped")
        await press(pilot, "k", "j")
        assert wall.exact_run.state == "stopped"
        assert app.explain.explanation.exact.stopped
        gate.set()
        await press(pilot, "c")
        assert wall.exact_run.state == "done"
        assert not app.explain.explanation.exact.stopped
        # A model that asks for no fill gets no exact cells, and that is no failure.
        scene = app.explain.scene
        scene.bundle = replace(scene.bundle, explain=replace(scene.bundle.explain, exact_fills=()))
        engine.calls.clear()
        await press(pilot, "j", "e")
        assert said(engine, "rise")
        assert not said(engine, "exact")
    engine = FakeEngine()
    app = make_app(engine, settings=AppSettings(exact="off"))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "e")
        assert not said(engine, "exact")
        await press(pilot, "c")
        assert len(said(engine, "exact")) == 2
        await press(pilot, "g")
        lines = screen_text(app).splitlines()
        assert any(
            "2 of 3 shared (chance 1)" in line or "2/3 (chance 1) · kept 2nd, hidden 2nd of 84" in line
            for line in lines
        )
        assert any("?✓" in line or "?··" in line or "??" in line for line in lines), "the marks in one line"


class Slow(FakeEngine):
    """Passes a batch at a time, by a clock of its own; what is passed is kept, as by the engine."""

    now = 0.0
    passed = 0

    def exact_cells(self, model: Any, image: Any, settings: Any, fills: Any, progress: Any, stop: Any) -> ExactCells:
        total = 1 + 511 * len(fills)
        self.calls.append(("exact", " ".join(fills)))
        while self.passed < total:
            if stop.is_set():
                if self.passed > 511 and len(fills) > 1:
                    return replace(make_exact(fills=fills[:1]), stopped=True)
                raise Stopped("exact")
            self.now += 0.1
            self.passed = min(self.passed + 8, total)
            progress(Progress("exact", self.passed, total))
        return make_exact(fills=fills)


def weighed(engine: Slow, monkeypatch: pytest.MonkeyPatch, *, stop_at: int | None = None) -> list[Message]:
    """The messages of exact cells on this engine, all turns one after the other."""
    monkeypatch.setattr(weighing, "time", SimpleNamespace(monotonic=lambda: engine.now))
    sent: list[Message] = []
    turns: list[Any] = []
    bundle = demo_tasks()[0].models[0].bundle
    assert bundle is not None
    stop = threading.Event()
    maps = {"gradcam": make_map("gradcam")}
    subject = Subject(Ticket(1), FakeModel(bundle), make_image(), make_diagnosis(), Settings(), maps)
    subject.stops["exact"] = stop
    target: Any = SimpleNamespace(post_message=sent.append)
    job = Weighing(engine, target, target, subject, "exact", stop, again=lambda: turns.append(1))
    job.run()
    while turns:
        if len(sent) == stop_at:
            stop.set()
        turns.pop()
        job.run()
    assert not subject.stops, "it can be started again"
    return [message for message in sent if not isinstance(message, messages.MethodAdvanced)]


def test_exact_cells_that_take_long_wait_for_the_maps_and_keep_what_was_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Slow()
    told = [type(message).__name__ for message in weighed(engine, monkeypatch)]
    assert told == ["MethodStarted", "MethodPostponed", "MethodStarted", "ExactFound", "MethodStarted", "ExactFound"]
    assert [call[1] for call in engine.calls] == ["mean", "mean", "mean blur"]
    assert engine.now == pytest.approx(0.1 * (1 + 1022 / 8), abs=0.1), "nothing was passed twice"

    quick = Slow()
    quick.passed = 900  # as after another class
    told = [type(message).__name__ for message in weighed(quick, monkeypatch)]
    assert told == ["MethodStarted", "ExactFound", "MethodStarted", "ExactFound"]


def test_exact_cells_that_cannot_be_put_together_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Slow):
        def assemble(self, *args: Any) -> Explanation:
            raise RuntimeError("broken")

    engine = Broken()
    engine.passed = 900
    told = [type(message).__name__ for message in weighed(engine, monkeypatch)]
    assert told == ["MethodStarted", "FaultFound", "FaultFound", "MethodFailed"]
    assert len(engine.calls) == 1


def test_a_turn_is_overdue_by_its_pace_and_only_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(weighing, "time", SimpleNamespace(monotonic=lambda: clock.now))
    turn, patient = Turn(threading.Event(), limited=True), Turn(threading.Event(), limited=False)
    # Three seconds of preparation, in which nothing is passed, are no pace.
    for clock.now, done in ((1.0, 1), (3.0, 1), (3.1, 9), (3.3, 200)):
        turn.advanced(done, 1023)
        patient.advanced(done, 1023)
        assert not turn.is_set()
    clock.now = 3.6
    turn.advanced(400, 1023)
    patient.advanced(400, 1023)
    assert (turn.is_set(), patient.is_set()) == (False, False)
    clock.now = 4.5
    turn.advanced(410, 1023)
    patient.advanced(410, 1023)
    assert (turn.is_set(), patient.is_set()) == (True, False)
    patient.stop.set()
    assert patient.is_set()


@pytest.mark.parametrize("width", [20, 25, 30, 43, 60, 100])
def test_worth_fits_its_width_and_has_chance_beside_it(width: int) -> None:
    for shared, kept, hidden in product((0, 3), (1.0, 42.5, 84.0), (12.0, 61.5)):
        lines = worth_line(Judged(shared, kept, hidden), width).split("\n")
        assert max(map(len, lines)) <= max(width, 26)
        assert len(lines) <= (1 if width >= 43 else 2)
        assert "chance 1" in lines[0]
        assert f"{shared}" in lines[0]
        assert "84" in lines[-1]
    assert "no cell matters" in worth_line(Judged(1, None, None), width)
    assert [ordinal(rank) for rank in (1.0, 2.0, 3.0, 11.0, 21.0, 84.0, 14.5)] == [
        *("1st", "2nd", "3rd", "11th", "21st", "84th", "14.5")
    ]


def test_the_line_under_a_map_can_be_told_without_colour_and_never_praises_a_doubtful_map() -> None:
    seen = {}
    for right, better, stable, own in product(Verdict, repeat=4):
        evidence = Evidence(Right(right), BetterThanChance(better), Stable(stable), OfThisNetwork(own))
        for width in (25, 43, 90):
            line = "".join(part if isinstance(part, str) else part[0] for part in evidence_line(evidence, width))
            assert len(line) <= width
            seen.setdefault(line[:4], set()).add((right, better, stable, own))
            if Verdict.NO in (right, better, stable, own):
                assert "right" not in line[5:]
    assert len(seen) == 4**4
    assert all(len(verdicts) == 1 for verdicts in seen.values())


def test_an_exact_caption_says_where_no_cell_matters_or_is_firm() -> None:
    from xaimed_tui.preferences.look import Look

    weak = exact_caption(make_exact(matters=False), Look(), 40).plain
    assert "no cell matters: range 0.0" in weak
    assert "firm" not in weak
    one = make_exact(fills=("mean",))
    assert "cannot be said" in exact_caption(one, Look(fill="blur"), 40).plain


def test_curves_have_no_gaps_and_lie_within_their_chart() -> None:
    evidence = make_evidence()
    assert evidence.better_than_chance.deletion is not None
    for curves, (width, height) in product(
        (evidence.better_than_chance.deletion, evidence.better_than_chance.insertion), ((36, 9), (80, 30))
    ):
        assert curves is not None
        text = "".join(part if isinstance(part, str) else part[0] for part in chart_parts(curves, width, height))
        lines = text.split("\n")
        assert len(lines) == height
        assert max(map(len, lines)) <= width
        rows = [line[4:] for line in lines[1:-3]]
        own = [
            {row for row, line in enumerate(rows) if line[column : column + 1] == OWN} for column in range(width - 5)
        ]
        assert all(own)
        assert all(min(abs(a - b) for a in one for b in other) <= 1 for one, other in pairwise(own))
        assert f"{curves.area:.2f}" in lines[-1]
    steep = replace(evidence.better_than_chance.deletion, probabilities=np.where(np.arange(33) < 10, 1.0, 0.0))
    assert "".join(part if isinstance(part, str) else part[0] for part in chart_parts(steep, 40, 14)).count(OWN) > 40
