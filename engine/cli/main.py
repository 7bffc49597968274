"""`xaimed`: reads the arguments, calls the command, and turns errors into one line and an exit status.

Only what the arguments need is imported: `--version` and `--help` are ready before numpy would be.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine import __version__
from engine.cli import demo, explain, model, models, predict, tasks, trust
from engine.cli.console import OutputError, emit, print_failure
from engine.errors import XAIMedError
from engine.text import safe_text
from engine.threads import settle_threads

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

FAILED = 1
INTERRUPTED = 130
"""Exit status of a program that Ctrl+C ended, as shells count it."""


@dataclass(frozen=True, slots=True)
class AppRequest:
    """What the app is to open with; None where the person is to choose.

    Attributes:
        tasks: the folder given by `--tasks`.
        task, model: names of the task and model to select.
        folder: the image folder to show.
    """

    tasks: Path | None = None
    task: str | None = None
    model: str | None = None
    folder: Path | None = None


def run(argv: Sequence[str], *, open_app: Callable[[AppRequest], int]) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name.
        open_app: opens the app and returns its exit status; called for no command and for `demo`.

    Returns:
        The exit status: 0, 1 (failed; a line on standard error says why), 2 (wrong usage) or 130 (Ctrl+C).
    """
    for stream in (sys.stdout, sys.stderr):  # None where they were closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is no reason to fail
    settle_threads()
    try:
        return _run(argv, open_app)
    except OutputError as error:
        _drop_output()
        return _failed(error.message)
    except XAIMedError as error:
        return _failed(error.message)
    except KeyboardInterrupt:
        _failed("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # whoever read it has seen enough
        return FAILED
    except SystemExit as leaving:  # argparse, after --help, --version or wrong usage
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except Exception as error:
        if os.environ.get("XAIMED_TRACEBACK"):
            raise
        return _failed(
            f"a fault in the program: {type(error).__name__}: {error}; set XAIMED_TRACEBACK=1 to see where it arose"
        )


def _run(argv: Sequence[str], open_app: Callable[[AppRequest], int]) -> int:
    arguments = _parser().parse_args(list(argv))
    chosen: Path | None = arguments.tasks
    match arguments.command:
        case None:
            return open_app(AppRequest(tasks=chosen))
        case "demo":
            folder, bundle = demo.find(chosen)
            return open_app(AppRequest(tasks=folder, task=bundle.task, model=bundle.name, folder=bundle.samples))
    _silence_libraries()
    command: Callable[[argparse.Namespace], int] = arguments.run
    return command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="xaimed",
        description="See what a convolutional network says about a medical image, how sure it is, and where it looked. "
        "Without a command the app opens.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"xaimed {__version__}")
    parser.add_argument(
        "--tasks",
        type=model.folder,
        metavar="DIR",
        help="folder of tasks; otherwise $XAIMED_TASKS, or yours and the bundled ones",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for module in (demo, tasks, models, trust, predict, explain):
        command = commands.add_parser(module.NAME, help=module.HELP, description=module.DESCRIPTION, allow_abbrev=False)
        module.configure(command)
    return parser


class _Parser(argparse.ArgumentParser):
    """Argparse, with what it repeats of the arguments made safe to print."""

    def error(self, message: str) -> NoReturn:
        super().error(safe_text(message))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # Argparse would drop errors of writing; `xaimed --help` must end like any other command.
        if file is sys.stdout:
            emit(message)
        else:
            super()._print_message(message, file)


def _failed(message: str) -> int:
    print_failure(message)
    return FAILED


def _silence_libraries() -> None:
    """Keep warnings and log records, which libraries write for programmers, from standard error."""
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())  # records without a handler would be printed


def _drop_output() -> None:
    """Let what is still in standard output's buffer go nowhere, so that Python does not complain when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
