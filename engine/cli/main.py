"""`xaimed`: read the arguments, call the command, and turn errors into one line and an exit status.

Only what the arguments need is imported: `--version` and `--help` end sooner than numpy alone could be imported, and of
the commands only the one that is called is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from engine import __version__
from engine.cli.arguments import check_working_directory, folder_argument
from engine.cli.console import OutputError, emit, print_failure
from engine.errors import XAIMedError, as_ours
from engine.text import safe_text
from engine.threads import settle_threads

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

FAILED = 1
INTERRUPTED = 130
"""Exit status of a program that Ctrl+C ended, as shells count it."""


@dataclass(frozen=True, slots=True)
class AppRequest:
    """What the app opens with; None where the user chooses.

    Attributes:
        tasks: the folder given by `--tasks`.
        task, model: names of the task and model to select.
        folder: the image folder to show.
        flags: the app's settings given on the command line, by name.
    """

    tasks: Path | None = None
    task: str | None = None
    model: str | None = None
    folder: Path | None = None
    flags: Mapping[str, object] = field(default_factory=dict)


class Command(Protocol):
    """A module that defines a command; the command is named after the module."""

    HELP: str
    DESCRIPTION: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments, and set the default of `run` to the function that takes them once they are parsed."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A setting of the app that can be given on the command line.

    Attributes:
        name: in lower case with `_`; the flag has `-` instead.
        metavar, about: for the help.
        check: turns the text into a value; raises ValueError with a clause that says what is allowed.
    """

    name: str
    metavar: str
    about: str
    check: Callable[[object], object]


def run(
    argv: Sequence[str],
    *,
    open_app: Callable[[AppRequest], int],
    flags: Sequence[Flag] = (),
    commands: Sequence[str] = (),
    for_good: bool = False,
) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name.
        open_app: opens the app and returns its exit status; called for no command and for `demo`.
        flags: the app's settings.
        commands: modules (see `Command`) of the commands that the front end adds.
        for_good: whether the process ends afterwards; see `engine.cli.streams`.

    Returns:
        The exit status: 0, 1 (failed; a line on standard error says why), 2 (wrong usage) or 130 (Ctrl+C).
    """
    for stream in (sys.stdout, sys.stderr):  # None if it was closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter is no reason to fail
    settle_threads()
    try:
        return _run(argv, open_app, flags, (*_COMMANDS, *commands), for_good=for_good)
    except OutputError as error:
        _drop_output()
        return _failed(error.message)
    except XAIMedError as error:
        return _failed(error.message)
    except KeyboardInterrupt:
        _failed("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # the reader, such as `head`, has seen enough
        return FAILED
    except SystemExit as leaving:  # argparse, after --help, --version or wrong usage
        return leaving.code if isinstance(leaving.code, int) else FAILED
    # The last resort: even for a fault of the program itself, people see one line and not a traceback.
    except Exception as error:
        if os.environ.get("XAIMED_TRACEBACK"):
            raise
        return _failed(as_ours(error).message)


def _run(
    argv: Sequence[str],
    open_app: Callable[[AppRequest], int],
    flags: Sequence[Flag],
    commands: Sequence[str],
    *,
    for_good: bool,
) -> int:
    named = {module.rpartition(".")[2]: module for module in commands}
    folder, rest = _take_folder(argv, named)
    parser = _parser(flags, _called(rest, named))
    index = _first_word(rest)
    if index is not None and rest[index] not in named:
        parser.error(
            f"{rest[index]}: this is neither a command nor a folder; give one of {', '.join(named)}, or a folder"
        )
    arguments = parser.parse_args(rest)
    # After parsing, with which --help and --version end.
    _clean_up()
    chosen: Path | None = arguments.tasks
    given: dict[str, object] = {
        flag.name: value for flag in flags if (value := getattr(arguments, f"app_{flag.name}")) is not None
    }
    task: str | None = arguments.app_task
    if folder is not None and not folder.is_dir():
        there = "this is a file; name the folder that it is in" if folder.exists() else "there is no such folder"
        parser.error(f"{folder}: {there}")
    if arguments.command is None:
        if arguments.app_model is not None and task is None:
            parser.error("--model needs --task")
        check_working_directory()
        return open_app(AppRequest(chosen, task, arguments.app_model, folder, given))
    if folder is not None:
        parser.error(f"{folder} is a folder for the app, and {arguments.command} a command: give only one of them")
    if task is not None or arguments.app_model is not None:
        parser.error(f"--task and --model go after the command {arguments.command}")
    if arguments.command == "demo":
        from engine.cli import demo  # late, like the imports below: --version and --help do not get this far

        check_working_directory()
        found, bundle = demo.find(chosen)
        return open_app(AppRequest(found, bundle.task, bundle.name, bundle.samples, given))
    if given:
        parser.error(f"--{next(iter(given)).replace('_', '-')} is for the app, not for the command {arguments.command}")
    _silence_libraries()
    command: Callable[[argparse.Namespace], int] = arguments.run
    if named[arguments.command] not in _COMMANDS:
        return command(arguments)  # a front end's command may have to talk to the terminal itself
    from engine.cli.streams import own_streams

    with own_streams(for_good=for_good):
        return command(arguments)


def _clean_up() -> None:
    """Remove what killed runs left, and keep matplotlib, which grad-cam imports, from making folders of its own."""
    from engine.storage import places
    from engine.storage.partial import remove_noted

    os.environ.setdefault("MPLCONFIGDIR", str(places.cache() / "matplotlib"))
    remove_noted()


_COMMANDS = (
    "engine.cli.demo",
    "engine.cli.tasks",
    "engine.cli.methods",
    "engine.cli.models",
    "engine.cli.trust",
    "engine.cli.predict",
    "engine.cli.explain",
    "engine.cli.reproduce",
)


def _first_word(argv: Sequence[str]) -> int | None:
    """Return the index of the first argument that is neither an option nor an option's value."""
    skip = False
    for index, text in enumerate(argv):
        if skip:
            skip = False
        elif text.startswith("--"):
            skip = "=" not in text and text not in ("--help", "--version")  # all others have a value
        elif not text.startswith("-"):
            return index
    return None


def _take_folder(argv: Sequence[str], commands: Container[str]) -> tuple[Path | None, list[str]]:
    """Return the folder to open in the app, if the first word is one, and the other arguments.

    Any existing path or word with a slash is taken for a folder; `_run` refuses it if it is none. Any other word that
    is no command stays among the arguments: it may be a mistyped command or a mistyped folder.
    """
    index = _first_word(argv)
    if index is not None:
        text = argv[index]
        if text and text not in commands and (Path(text).exists() or os.sep in text):
            return Path(text), [*argv[:index], *argv[index + 1 :]]
    return None, list(argv)


def _called(argv: Sequence[str], commands: Mapping[str, str]) -> Mapping[str, Command]:
    """Return the command that is called; all commands if they are to be listed, none if the app is to be opened."""
    index = _first_word(argv)
    listed = not {"-h", "--help", "--"}.isdisjoint(argv[:index])
    if index is not None and argv[index] in commands and not listed:
        names: Iterable[str] = (argv[index],)
    else:
        names = commands if index is not None or listed else ()
    return {name: cast("Command", import_module(commands[name])) for name in names}


def _parser(flags: Sequence[Flag], commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="xaimed",
        usage="xaimed [options] [FOLDER | COMMAND ...]",
        description="See what a convolutional network says about a medical image, how sure it is, and where it looked. "
        "Without a command the app opens, on the images of FOLDER if one is given.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"xaimed {__version__}")
    parser.add_argument(
        "--tasks",
        type=folder_argument,
        metavar="DIR",
        help="folder of tasks; otherwise $XAIMED_TASKS, or yours and the bundled ones",
    )
    app = parser.add_argument_group(
        "the app", "What it opens, and its settings (also in its settings file, or $XAIMED_…)."
    )
    app.add_argument("--task", dest="app_task", metavar="T", help="name of the task to open")
    app.add_argument("--model", dest="app_model", metavar="M", help="name of its model; otherwise its first usable one")
    for flag in flags:
        name = f"--{flag.name.replace('_', '-')}"
        kind = partial(_checked, flag.check)
        app.add_argument(name, dest=f"app_{flag.name}", type=kind, metavar=flag.metavar, help=flag.about)
    parser.set_defaults(command=None)
    if not commands:
        return parser
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, module in commands.items():
        command = subparsers.add_parser(
            name,
            prog=f"xaimed {name}",
            help=module.HELP,
            description=module.DESCRIPTION,
            allow_abbrev=False,
        )
        module.configure(command)
    return parser


def _checked(check: Callable[[object], object], text: str) -> object:
    try:
        return check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


class _Parser(argparse.ArgumentParser):
    """Argparse that makes safe what it repeats of the arguments."""

    def error(self, message: str) -> NoReturn:
        super().error(safe_text(message))

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # Argparse ignores write errors, but `xaimed --help` must report them like any other command.
        if file is sys.stdout:
            emit(message)
        else:
            super()._print_message(message, file)


def _failed(message: str) -> int:
    print_failure(message)
    return FAILED


def _silence_libraries() -> None:
    """Keep libraries' warnings and log records, which are for programmers, off standard error."""
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())  # records without a handler would be printed


def _drop_output() -> None:
    """Discard what is still in standard output's buffer, so that Python does not complain when it exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
