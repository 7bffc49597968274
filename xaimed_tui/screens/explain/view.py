"""Visualize & Explain: what a person can do with the image, key by key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from engine.explainers.registry import looks_at_layer
from engine.results.cells import CELLS
from engine.text import safe_name
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.explain.diagnosis_panel import READ_ON
from xaimed_tui.screens.explain.method_wall import MethodWall
from xaimed_tui.screens.explain.viewing import Viewing
from xaimed_tui.screens.explain.wall import Wall
from xaimed_tui.screens.explain.window_keys import GIVEN_BINDING, GIVEN_OFFER
from xaimed_tui.terminal.textual_private import bind
from xaimed_tui.widgets.look_keys import LOOK_BINDINGS, LOOK_OFFERS, LookKeys, Offer
from xaimed_tui.widgets.row_list import RowList
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.wording import EXACT, EXACT_KEY, doubts, method_bindings, method_name

if TYPE_CHECKING:
    from xaimed_tui.background.backend import SaveWish
    from xaimed_tui.background.failure import Failure


_NOT_WEIGHED = f"The exact cells are not known yet: {EXACT_KEY} weighs them."


def _are(key: str) -> str:
    return "are" if key == EXACT else "is"


class ExplainView(LookKeys, WhyNot, Viewing):
    """Images, what the network says about one, and where the methods say it looked."""

    DEFAULT_CSS = "ExplainView #wall { width: 1fr; height: 100%; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "explain_all", "Explain"),
        Binding("s", "stop", "Stop all"),
        Binding("left", "card(-1)", "Previous picture", show=False, priority=False),
        Binding("right", "card(1)", "Next picture", show=False),
        Binding("enter", "open", "Detail"),
        Binding("f", "folder", "Folder"),
        Binding("w", "save", "Save"),
        Binding("z", "zoom", "Zoom"),
        *LOOK_BINDINGS,
        Binding("t", "target", "Class"),
        Binding("n", "numbers", "Numbers"),
        Binding(EXACT_KEY, "explain('exact')", "Exact cells"),
        Binding("b", "compare", "Beside"),
        Binding("y", "layer", "Layer"),
        Binding("x", "stop_one", "Stop this"),
        Binding(READ_ON, "read_on", "Read on"),
        GIVEN_BINDING,
        Binding("escape", "back", "Back", show=False),
    ]

    @property
    def offered(self) -> Iterable[Offer]:
        """The commands of this view in the palette, which shows those that can be used now."""
        yield from (
            ("Choose an image folder", "f", "folder"),
            ("Explain with all methods", "e", "explain_all"),
            *((f"Explain with {method_name(method)}", "one map", f"explain({method!r})") for method in self.runs),
            ("Weigh the nine cells exactly", EXACT_KEY, f"explain({EXACT!r})"),
            ("Stop all methods", "s", "stop"),
            ("Stop the method chosen", "x", "stop_one"),
            ("Look closely at the picture chosen", "Enter", "open"),
            ("Read all that is doubtful about the answer", READ_ON, "read_on"),
            ("Choose the class to explain", "t", "target"),
            ("Side by side with another class or network", "b", "compare"),
            ("Choose the layer of the CAMs", "y", "layer"),
            *LOOK_OFFERS,
            ("One cell in all pictures, with its numbers", "n", "numbers"),
            ("Zoom", "z", "zoom"),
            GIVEN_OFFER,
            ("Save", "w", "save"),
            ("Stop saving", "s", "stop_saving"),
        )

    def __init__(
        self, *, folder: Path | None = None, image: Path | None = None, look: Look | None = None, id: str | None = None
    ) -> None:
        super().__init__(folder=folder, image=image, look=look, id=id)
        for key, method in method_bindings().items():
            bind(self, key, f"explain('{method}')", method_name(method))
        self._wish: SaveWish | None = None  # what was saved last, and where: offered for the next image
        self._pointed_from: Widget | None = None  # what had the focus before a cell was pointed out

    def focus_first(self) -> None:
        """Focus the images, shown with the look that another screen may have changed."""
        if self.wall.held:  # by a comparison that was left for another view: it did not close by itself
            self.wall.hold_asking(False)
        self.images.focus()
        self.look_changed()

    @on(Wall.Moved)
    def _card_moved(self) -> None:
        self.wall.show_card(self.wall.active)
        self.refresh_bindings()

    @on(MethodWall.Explained)
    def _more_is_known(self) -> None:
        """Tell the screens that lie above this one and show the explanation."""
        from xaimed_tui.screens.detail.evidence import EvidenceScreen
        from xaimed_tui.screens.detail.screen import DetailScreen

        explanation = self.scene.explanation
        for screen in self.app.screen_stack[1:]:
            if isinstance(screen, DetailScreen | EvidenceScreen) and explanation is not None:
                screen.renew(explanation)

    @on(Wall.Opened)
    def _card_opened(self) -> None:
        self.action_open()

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        if not self.is_mounted:
            return False
        answered, explanation = self.scene.diagnosis is not None, self.scene.explanation
        match action:
            case "explain_all":
                return self.awaits_answer or (answered and (bool(self.wall.unfinished()) or self.wall.unasked))
            case "explain":
                return self.awaits_answer or answered
            case "target" | "compare" | "given":
                return answered
            case "read_on":
                return bool(self._doubts)
            case "stop":
                return self._explaining or self.jobs.saving
            case "stop_saving":
                return self.jobs.saving
            case "stop_one":
                run = self.wall.run(self.wall.active)
                return run is not None and run.busy
            case "fill":
                return len(self.fills) > 1
            case "open":
                if self._failure is not None:
                    return True
                return explanation is not None and (self.wall.active == "original" or self._can_open())
            case "numbers" | "display" | "colormap":
                return self._has_maps
            case "opacity":
                return self._has_maps and self.steps_opacity(parameters)
            case "zoom":
                return self.wall.card(self.wall.active).view.picture is not None
            case "layer":
                return self.scene.model is not None
            case "save":
                return explanation is not None
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say what a key needs that is not there yet."""
        active = self.wall.active
        no_map = self._why_no_answer() or "There is no map yet: e makes them."
        match action:
            case "explain_all":
                done = "All methods are at work." if self.wall.busy else "All methods have made their maps."
                return self._why_no_answer() or done
            case "read_on":
                return self._why_no_answer() or "Nothing is doubtful about this answer."
            case "stop":
                return "No method is at work."
            case "stop_saving":
                return "Nothing is being saved."
            case "stop_one":
                chosen = self.wall.run(active) is not None
                return f"{method_name(active)} {_are(active)} not at work." if chosen else "No method is chosen."
            case "fill":
                return self._why_no_answer() or (self.why_no_fill if self.fills else _NOT_WEIGHED)
            case "opacity" if self._has_maps:
                return self.no_more_opacity(parameters)
            case "open" if self.scene.explanation is not None:
                if active == EXACT:
                    return _NOT_WEIGHED
                return f"{method_name(active)} has no map yet: e makes it."
            case "open" | "numbers" | "display" | "colormap" | "opacity":
                return no_map
            case "zoom":
                return "There is no picture here yet."
            case "save":
                return self._why_no_answer() or "There is nothing to save yet: e makes the maps."
        return self._why_no_answer()

    def _why_no_answer(self) -> str:
        """Return why there is nothing to explain; empty if there is an answer."""
        if self.scene.model is None:
            return (
                "The network is still being loaded."
                if self.expects_network
                else "There is no network yet: 2 chooses one."
            )
        if self.image_failure is not None or self.side.problem or self.side.reason_of(self._path):
            return "There is no answer to explain: the reason stands below the images."
        if self._path is None:
            return "The folder is still being read." if self.side.listing else "There is no image: f chooses a folder."
        return "The network has not answered yet." if self.scene.diagnosis is None else ""

    @property
    def _failure(self) -> Failure | None:
        """What went wrong with the image, or with the method of the active card."""
        run = self.wall.run(self.wall.active)
        return self.image_failure or (run.failure if run is not None and run.state == "failed" else None)

    @property
    def _has_maps(self) -> bool:
        return any(run.map is not None for run in self.runs.values())

    def _can_open(self) -> bool:
        return self.scene.explanation is not None and (
            self.wall.active in self.scene.explanation.maps
            or self.wall.active == "agreement"
            or (self.wall.active == EXACT and self.scene.explanation.exact is not None)
        )

    @on(RowList.Chosen, "#images-list")
    def _image_chosen(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Open the detail of a method, or what went wrong."""
        if self._failure is not None:
            services(self).show_failure(self._failure)
            return
        if self.scene.explanation is None:
            return
        if self.wall.active == "original":
            self.wall.go(next(iter(self.scene.explanation.maps)))
            self.refresh_bindings()
        if self._can_open():
            from xaimed_tui.screens.detail.screen import DetailScreen

            self.app.push_screen(DetailScreen(self.scene.explanation, self.wall.active, self.look), self.wall_after)

    def wall_after(self, key: str | None) -> None:
        """Make the card active that another screen showed last; show all with its look."""
        if key is not None:
            self.wall.go(key)
            self.refresh_bindings()
        # The screen that asked for these last may be gone before they were there.
        if self.scene.eye is not None:
            self.look_through(self.scene.eye)
        self.ask_for_input()
        self.look_changed()

    def action_explain_all(self) -> None:
        """Start every method without a whole map; show the first one if only the original has room.

        Before the answer is there, remember it.
        """
        self.side.stay()
        if self.awaits_answer:
            self.ask_for(())
            return
        methods = self.wall.unfinished()
        if not methods:
            self.wall.ask()
            return
        if self.wall.one and self.wall.active == "original" and methods:
            self.wall.go(methods[0])
        self.wall.start(methods)

    def action_explain(self, method: str) -> None:
        """Start one method and show it; before the answer is there, remember it."""
        self.side.stay()
        self.wall.go(method)
        if self.awaits_answer:
            self.ask_for((method,))
        elif method != EXACT or self.wall.exact_run.state != "done":  # exact cells would be the same again
            self.wall.start((method,))

    def start_methods(self, methods: tuple[str, ...]) -> None:
        """Start methods, all of them if none is named."""
        if methods:
            self.wall.start(methods)
        else:
            self.action_explain_all()

    def action_stop(self) -> None:
        """Stop all methods; their maps so far are kept. Those that wait for the answer are forgotten.

        Where no method is at work, what is being saved is stopped.
        """
        if not self._explaining:
            self.jobs.stop_saving()
            return
        if self.asked:
            self.forget_asked()
        self.wall.stop()

    @property
    def _explaining(self) -> bool:
        """Whether anything is at work, or waits for the answer, that makes maps or judges them."""
        return self.wall.busy or self.wall.asking.busy or bool(self.asked)

    def action_stop_saving(self) -> None:
        self.jobs.stop_saving()

    def on_saving_progressed(self, message: messages.SavingProgressed) -> None:
        """Say how many files are written, and how to stop, in the line at the top."""
        how = "" if self._explaining else ", s stops"
        services(self).say(f"saving, {message.done} of {message.total} files{how}")

    @on(messages.ExplanationSaved)
    @on(messages.SavingStopped)
    @on(messages.JobFailed)
    def _saving_ended(self, message: Message) -> None:
        """Say again what is going on; the app says how saving ended."""
        if not isinstance(message, messages.JobFailed) or message.what == "save":
            self.wall.changed()

    def action_stop_one(self) -> None:
        """Stop the method of the active card."""
        self.jobs.stop_methods(self.wall.active)

    def action_card(self, step: int) -> None:
        """Make another card active, or point at the neighbouring cell."""
        if not self.wall.move_point(0, step):
            self.wall.step(step)

    def action_numbers(self) -> None:
        """Point out one cell in all pictures, with its numbers; arrows and the mouse choose the cell."""
        if self.scene.cell is None:
            self._pointed_from = self.screen.focused
            self.wall.point_at(CELLS[0])
            # The list of images would take the up and down arrows for itself.
            self.wall.focus()
        else:
            self._leave_numbers()

    def _leave_numbers(self) -> None:
        """Point out no cell any more, and give back the focus that it took."""
        self.wall.point_at(None)
        if self.wall.has_focus and self._pointed_from is not None:
            self._pointed_from.focus()

    @property
    def look(self) -> Look:
        return self.scene.look

    @property
    def fills(self) -> Sequence[str]:
        return () if self.scene.exact is None else tuple(self.scene.exact.fills)

    def look_changed(self) -> None:
        """Show every card in the new way."""
        self.show_everything()

    def action_zoom(self) -> None:
        """Fill the screen with the active picture."""
        from xaimed_tui.screens.explain.zoom import ZoomScreen

        self.side.stay()
        self.app.push_screen(ZoomScreen(self.wall, self.scene), self.wall_after)

    def action_given(self) -> None:
        """Show what the network was given in place of the image, or the image again."""
        self.wall.go("original")
        super().action_given()

    def action_folder(self) -> None:
        from xaimed_tui.screens.explain.folder_dialog import FolderDialog

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self.use_folder(folder)

        recent = [Path(path) for path in services(self).memory.now.folders]
        self.app.push_screen(FolderDialog(self.folder or Path.cwd(), recent), chosen)

    def action_target(self) -> None:
        """Choose the class to explain."""
        from xaimed_tui.screens.choices import choose_class

        choose_class(self.app, self.scene, lambda: self._explain_again((*self.runs, EXACT)))

    def action_layer(self) -> None:
        """Choose the layer at which the CAMs look."""
        from xaimed_tui.screens.choices import choose_layer

        choose_layer(self.app, self.scene, lambda: self._explain_again(filter(looks_at_layer, self.runs)))

    def _explain_again(self, methods: Iterable[str]) -> None:
        self.show_answer()
        self.wall.again(methods)

    @property
    def _doubts(self) -> list[str]:
        """All that is doubtful about the answer shown."""
        return [] if self.answer is None else doubts(self.answer)

    def action_read_on(self) -> None:
        """Show all that is doubtful about the answer, in full."""
        from xaimed_tui.screens.lines import LinesScreen

        if self._path is not None and (lines := self._doubts):
            title = f"What is doubtful about {safe_name(self._path.name, 60)}"
            self.app.push_screen(LinesScreen(title, [line for doubt in lines for line in (doubt, "")][:-1]))

    def action_compare(self) -> None:
        """Compare with another class or another network on this image."""
        from xaimed_tui.screens.compare.choosing import open_comparison

        open_comparison(services(self), self.scene, self.runs, self.wall.active, self.wall.hold_asking)

    def action_save(self) -> None:
        from xaimed_tui.screens.explain.save import SaveDialog

        if self.scene.explanation is None:
            return
        explanation = self.scene.explanation

        def chosen(wish: SaveWish | None) -> None:
            if wish is not None:
                self._wish = wish
                self.jobs.save(self, explanation, wish)
                self.refresh_bindings()

        self.app.push_screen(SaveDialog(explanation, self._wish), chosen)

    def action_back(self) -> None:
        """Forget what waits for the answer; else go back from the pictures to the images, and then to the models."""
        if self.asked:
            self.forget_asked()
        elif self.scene.cell is not None:
            self._leave_numbers()
        elif self.images.has_focus:
            services(self).action_go("selection")
        else:
            self.images.focus()
