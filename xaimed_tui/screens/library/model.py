"""Screens about a model: all that is known of it, and a check that tries it as a physician would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from engine.authoring.check_report import model_lines
from engine.bundle.model_bundle import subject_of
from engine.text import safe_name
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.screens.lines import LinesScreen
from xaimed_tui.wording import method_name, time_left

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.library.tasks import ModelEntry
    from xaimed_tui.background.jobs import Jobs


class ModelScreen(LinesScreen):
    """All that is known of a model; its code is not run."""

    def __init__(self, entry: ModelEntry) -> None:
        super().__init__(f"All about {safe_name(entry.name, 80)}", model_lines(entry))


class CheckScreen(LinesScreen):
    """The progress of a check, then its results. Closing the screen stops the check."""

    LEAVING = "stop or close"

    def __init__(self, bundle: ModelBundle) -> None:
        super().__init__(f"Check of {safe_name(subject_of(bundle), 90)}", ())
        self._bundle = bundle
        self._trying = self._left = ""
        self._since: float | None = None

    def on_mount(self) -> None:
        super().on_mount()
        self.say("Loading the network…")
        self._jobs.check_model(self, self._bundle)

    @property
    def _jobs(self) -> Jobs:
        return services(self).jobs

    def on_check_advanced(self, message: messages.CheckAdvanced) -> None:
        """Say which method is being tried."""
        message.stop()
        if self._since is None:  # loading the network is no part of the pace
            self._since = self._jobs.clock()
        self._trying = f"Trying {method_name(message.method)} with few samples…"
        self._say_how_far()

    def on_check_paced(self, message: messages.CheckPaced) -> None:
        """Say how long the rest takes."""
        message.stop()
        if self._since is not None:
            self._left = time_left(self._jobs.clock() - self._since, message.done, message.total)
            self._say_how_far()

    def _say_how_far(self) -> None:
        self.say(f"{self._trying}  {self._left}".rstrip())

    def on_model_checked(self, message: messages.ModelChecked) -> None:
        """Show the results."""
        message.stop()
        if message.passed:
            self.say(Content.styled("Everything works.", "$text-success"))
        else:
            self.say(Content.styled("Not everything works: the lines below say what does not.", "$text-error"))
        self.show(message.lines)

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say why there are no results."""
        message.stop()
        self.say(Content.styled("It could not be checked.", "$text-error"))
        self.show((message.reason,))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to copy once there is something to read."""
        return bool(self.lines) if action == "copy" else True

    def action_leave(self) -> None:
        """Stop the check, and close."""
        self._jobs.withdraw("check")
        self.dismiss(None)
