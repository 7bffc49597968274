"""The console script: a command line without a command opens the app."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cli.main import AppRequest


def open_app(request: AppRequest) -> int:
    """Open the app and return its exit status."""
    from xaimed_tui.startup.start import start

    return start(
        tasks=request.tasks, task=request.task, model=request.model, folder=request.folder, flags=request.flags
    )


def main() -> int:
    """Run the command line, which opens the app if it gets no command."""
    from engine.cli.main import run
    from xaimed_tui.preferences.settings import FLAGS

    status = run(sys.argv[1:], open_app=open_app, flags=FLAGS, commands=("xaimed_tui.startup.doctor",), for_good=True)
    if "engine.cli.streams" in sys.modules:  # --version and the app do not import it
        from engine.cli.streams import discard_later_output

        discard_later_output()
    return status


if __name__ == "__main__":
    sys.exit(main())
