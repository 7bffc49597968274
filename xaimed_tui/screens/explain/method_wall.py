"""The wall and the methods at work on it: starts them, receives their messages, shows their maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

from engine.explainers.registry import voting
from engine.text import safe_text
from xaimed_tui.app_services import services
from xaimed_tui.screens.explain.asking import AsksLater
from xaimed_tui.screens.explain.card import Card
from xaimed_tui.screens.explain.cards import show_agreement, show_exact, show_method, show_original, show_progress
from xaimed_tui.screens.explain.wall import Wall
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.widgets.cell_keys import neighbour
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.wording import EVIDENCE, EXACT

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.results.cells import Cell
    from engine.results.diagnosis import Diagnosis
    from engine.results.exact_cells import ExactCells
    from xaimed_tui.background.backend import Model
    from xaimed_tui.background.explaining import Subject
    from xaimed_tui.background.jobs import Jobs
    from xaimed_tui.session.scene import Scene


class MethodWall(AsksLater, Wall):
    """The cards of one scene, and the state of every method on it."""

    exact_run: MethodRun

    class Explained(Message):
        """There are other maps than before, or more is known of them."""

    def __init__(self, scene: Scene, *, methods: Sequence[str] | None = None, id: str | None = None) -> None:
        super().__init__(methods, id=id)
        self.scene = scene
        self.runs = {method: MethodRun(method) for method in self._methods}
        self.exact_run = MethodRun(EXACT)
        self.forget_asking()

    def on_mount(self) -> None:
        """Keep the elapsed times of running methods up to date."""
        self.set_interval(0.5, self._tick, name="elapsed")

    @property
    def jobs(self) -> Jobs:
        return services(self).jobs

    @property
    def weighs(self) -> bool:
        """Whether the exact cells come with the maps: they do unless a setting or the model is against it."""
        bundle = self.scene.bundle
        return services(self).settings.exact == "on" and (bundle is None or bool(bundle.explain.exact_fills))

    def unfinished(self) -> list[str]:
        """What is left to do: methods without a whole map, and the exact cells if a fill is missing."""
        missing = [
            method
            for method, run in self.runs.items()
            if not run.busy and (run.state != "done" or (run.map is not None and run.map.stopped))
        ]
        whole = self.exact_run.busy or self.exact_run.state == "done"
        return [*missing, *([] if whole or not self.weighs else [EXACT])]

    def run(self, key: str) -> MethodRun | None:
        """Return the run of a card; None for one that shows no work."""
        return self.exact_run if key == EXACT else self.runs.get(key)

    # Starting

    def forget(self) -> None:
        """Stop all methods and drop their maps."""
        self.jobs.withdraw("explain")
        self.subject = self.scene.explanation = self.scene.exact = None
        self.runs = {method: MethodRun(method) for method in self.runs}
        self.exact_run = MethodRun(EXACT)
        self.forget_asking()
        self.changed()

    def restore(self, explanation: Explanation | None, exact: ExactCells | None) -> None:
        """Show what was made before, the maps and the exact cells, and what failed."""
        scene = self.scene
        scene.explanation, scene.exact = explanation, exact
        if explanation is not None:
            for method, made in explanation.maps.items():
                self.runs[method] = MethodRun(
                    method,
                    "done",
                    map=made,
                    statistics=explanation.statistics[method],
                    evidence=explanation.evidence.get(method),
                )
            for method, why in explanation.failures.items():
                self.runs[method] = MethodRun(method, "failed", reason=safe_text(why))
        if exact is not None:
            self.exact_run = MethodRun(EXACT, "stopped" if exact.stopped else "done")
        elif explanation is not None and explanation.exact_failure:
            self.exact_run = MethodRun(EXACT, "failed", reason=safe_text(explanation.exact_failure))
        self.changed()

    def start(self, methods: Iterable[str]) -> None:
        """Start methods on the scene, except those that already work or wait.

        The exact cells, which say what a map is worth, begin with the first of them where `weighs` says so.
        """
        scene = self.scene
        if scene.model is None or scene.image is None or scene.diagnosis is None:
            return
        subject = self.subject_of(scene.model, scene.image, scene.diagnosis)
        wanted = [method for method in methods if (run := self.run(method)) is not None and not run.busy]
        if wanted and EXACT not in wanted and self.exact_run.state == "idle" and self.weighs:
            wanted.append(EXACT)
        if not wanted:
            self.changed()
            return
        for method in wanted:
            if method == EXACT:
                self.exact_run = MethodRun(EXACT, "waiting")
            else:
                self.runs[method] = MethodRun(method, "waiting")
            self.show_card(method)
        self.give_way()
        self.jobs.explain(self, subject, wanted)
        self.changed()

    def subject_of(self, model: Model, image: MedicalImage, diagnosis: Diagnosis) -> Subject:
        """Return what is explained now. Finished maps are not made again, but count in the agreement."""
        if self.subject is None:
            scene = self.scene
            kept = {m: run for m, run in self.runs.items() if run.map is not None and run.state == "done"}
            self.subject = self.jobs.prepare(
                model,
                image,
                diagnosis,
                target_class=scene.target,
                layer=scene.layer,
                maps={method: run.map for method, run in kept.items() if run.map is not None},
                failures={method: run.reason for method, run in self.runs.items() if run.state == "failed"},
                exact=scene.exact,
                exact_failure=self.exact_run.reason if self.exact_run.state == "failed" else "",
                evidence={method: run.evidence for method, run in kept.items() if run.evidence is not None},
            )
        return self.subject

    def again(self, affected: Iterable[str]) -> None:
        """Make the affected maps again with the new settings, and whatever is still at work; other maps stay."""
        scene, affected = self.scene, tuple(affected)
        again = [run.method for run in self.all_runs if run.busy or (run.method in affected and run.state != "idle")]
        self.jobs.withdraw("explain")
        self.subject = None
        self.forget_asking()
        if again or scene.explanation is None:
            scene.explanation = None  # until the first of them is done
        else:
            # No map changes, but what is saved has to name the new class and layer.
            settings = replace(scene.explanation.settings, target=scene.target, layer=scene.layer)
            scene.explanation = replace(scene.explanation, settings=settings)
        for method in {*again, *affected}:
            if method == EXACT:
                self.exact_run = MethodRun(EXACT)
            else:
                self.runs[method] = MethodRun(method)
        if EXACT in affected:
            scene.exact = None
        self.show_all()
        self.start(again)

    def on_card_state_clicked(self, message: Card.StateClicked) -> None:
        """Start a method without a whole map, or stop one at work."""
        message.stop()
        key = message.card.key
        self.go(key)
        self.post_message(self.Moved(key))
        if (run := self.run(key)) is None:
            return
        if run.busy:
            self.jobs.stop_methods(key)
        elif run.state != "done":
            self.start((key,))

    # What the methods report

    def run_changed(self, run: MethodRun) -> None:
        """Show the method's card; of exact cells that failed nothing is left, and of stopped ones it is known."""
        if run.method == EVIDENCE:
            self.asking_changed()
            return
        if run.method == EXACT and self.scene.exact is not None:
            if run.state == "failed":
                self.scene.exact = None
                self.show_all()  # the maps' cards say what they are worth by them
            elif run.state == "stopped":
                self.scene.exact = replace(self.scene.exact, stopped=True)
        self.show_card(run.method)

    def run_advanced(self, run: MethodRun) -> None:
        """Update the words of the method's card."""
        if run.method == EVIDENCE:
            return
        show_progress(self.card(run.method), run, self.scene, self.jobs.clock())

    def exact_found(self, exact: ExactCells) -> None:
        """Show what every map is worth by the exact cells."""
        self.scene.exact = exact
        for run in self.runs.values():
            if run.statistics is not None:
                self.show_card(run.method)

    def explained(self, explanation: Explanation | None) -> None:
        """Show the new counts of where the methods agree, and what is known by now of every map's worth."""
        self.scene.explanation = explanation
        self.show_card("agreement")
        self.post_message(self.Explained())
        for method, run in self.runs.items():
            known = None if explanation is None else explanation.evidence.get(method)
            if known is not run.evidence and run.state == "done":
                run.evidence = known
                self.show_card(method)

    def run_ended(self) -> None:
        """Offer what can be done now."""
        self.changed()

    def changed(self) -> None:
        """Update what can be done, and what the line at the top says."""
        self.refresh_bindings()
        self.ask_soon()
        if self.scene.model is None:
            return
        asked = [run for run in self.all_runs if run.state != "idle"]
        ended = sum(1 for run in asked if not run.busy)
        if ended < len(asked):
            services(self).say(f"explaining, {ended} of {len(asked)} done")
        elif self.asking.state == "waiting":
            services(self).say("asking what the maps are worth")
        elif not self.asking.busy:
            services(self).say(f"ready on {safe_text(self.scene.model.device, limit=20)}")

    # One cell in all pictures

    def point_at(self, cell: Cell | None) -> None:
        """Point out a cell in every picture, with its numbers below; None shows the captions again."""
        if cell != self.scene.cell:
            self.scene.cell = cell
            self.show_all()

    def move_point(self, rows: int, columns: int) -> bool:
        """Point at the neighbouring cell; False if no cell is pointed out."""
        if self.scene.cell is None:
            return False
        self.point_at(neighbour(self.scene.cell, rows, columns))
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the rows of cells while one is pointed out."""
        return (action == "vertical" and self.scene.cell is not None) or super().check_action(action, parameters)

    def action_vertical(self, step: int) -> None:
        """Move between the rows: of cells while one is pointed out, else of pictures."""
        if not self.move_point(step, 0):
            super().action_vertical(step)

    def on_image_view_cell_hovered(self, message: ImageView.CellHovered) -> None:
        """Let the mouse choose the cell while one is pointed out; else it may pass without a repaint."""
        if self.scene.cell is not None and message.cell is not None:
            self.point_at(message.cell)

    # Showing

    def show_all(self) -> None:
        for card in self:
            self.show_card(card.key)

    def show_card(self, key: str) -> None:
        """Show one card: a method's, the exact cells', the `original` or the `agreement`."""
        card = self.card(key)
        if key == "original":
            show_original(card, self.scene)
        elif key == "agreement":
            show_agreement(card, self.scene, len(voting(self.runs, services(self).settings.voters)))
        elif key == EXACT:
            show_exact(card, self.exact_run, self.scene, self.jobs.clock())
        else:
            show_method(card, self.runs[key], self.scene, self.jobs.clock())

    def _tick(self) -> None:
        for run in self.all_runs:
            if run.state == "running":
                self.run_advanced(run)
