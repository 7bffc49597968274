"""The console script: a command line without a command opens the app."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cli.main import AppRequest

_ENGINE = Path(__file__).absolute().parents[1] / "engine" / "__init__.py"
"""The engine that belongs to this app: both lie in one folder, whether installed or in a checkout."""

_BEGINNING = b'"""XAIMed\'s engine'
"""How that file begins."""


def open_app(request: AppRequest) -> int:
    """Open the app and return its exit status."""
    from xaimed_tui.startup.start import start

    return start(
        tasks=request.tasks, task=request.task, model=request.model, folder=request.folder, flags=request.flags
    )


def main() -> int:
    """Run the command line, which opens the app if it gets no command."""
    try:
        if problem := take_engine():
            return _cannot_start(problem)
        from engine.cli.main import run
        from xaimed_tui.preferences.settings import FLAGS
    # Something else stands where our code or a library should be, and it may raise anything.
    except Exception as error:
        if os.environ.get("XAIMED_TRACEBACK"):
            raise
        return _cannot_start(f"{type(error).__name__}: {error}")

    status = run(sys.argv[1:], open_app=open_app, flags=FLAGS, commands=("xaimed_tui.startup.doctor",), for_good=True)
    if "engine.cli.streams" in sys.modules:  # --version and the app do not import it
        from engine.cli.streams import discard_later_output

        discard_later_output()
    return status


def take_engine() -> str | None:
    """Make `engine` the package that belongs to this app, even if another one of that name comes first in the path.

    The path itself is not changed: plug-ins and models' code import from it what they always did.

    Returns:
        What stands in the way; None if nothing does.
    """
    if (there := sys.modules.get("engine")) is not None:
        file = getattr(there, "__file__", None)
        if file is not None and _ENGINE.exists() and _ENGINE.samefile(file):
            return None
        return f"another package called engine was imported before XAIMed's own: {file or there}"
    try:
        beginning = _ENGINE.read_bytes()[: len(_BEGINNING)]
    except OSError as error:
        return f"{_ENGINE}: this file of XAIMed cannot be read: {(error.strerror or str(error)).lower()}"
    if beginning != _BEGINNING:
        from importlib.metadata import packages_distributions  # late: needed for this message only

        others = sorted({name for name in packages_distributions().get("engine", ()) if name != "xaimed"})
        return f"{_ENGINE}: {', '.join(others) or 'another package'} has replaced this file of XAIMed"
    spec = spec_from_file_location("engine", _ENGINE)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["engine"] = engine = module_from_spec(spec)
    spec.loader.exec_module(engine)
    return None


def _cannot_start(problem: str) -> int:
    """Say why, without `engine`, and return the exit status."""
    line = "".join(character if character.isprintable() else "?" for character in problem)
    if sys.stderr is not None:
        remedy = "install XAIMed in an environment of its own, for example with pipx"
        print(f"xaimed: {line}; {remedy}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
