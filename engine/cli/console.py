"""The output of the commands: tables for people, JSON for programs, one line per failure, bars on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from engine.errors import XAIMedError
from engine.text import safe_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from engine.progress import Progress, ProgressCallback

_PIPED_WIDTH = 4000
"""Columns that a table may have if no terminal limits it, so that every row is one line."""


class OutputError(XAIMedError):
    """Standard output cannot be written; most likely the disk is full."""


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"it cannot be written: {(error.strerror or str(error)).lower()}",
            subject="standard output",
            remedy="send it elsewhere",
        ) from error


def emit(text: str) -> None:
    """Write text to standard output at once; do nothing if that is closed.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: the program that reads it has ended.
    """
    if sys.stdout is not None:
        with _writing():
            sys.stdout.write(text)


def print_json(value: object) -> None:
    """Write a value to standard output as indented ASCII JSON.

    Raises:
        ValueError: it holds NaN or infinity, which JSON does not have.
        OutputError: see `emit`; `print_line` and `print_table` raise it too.
    """
    emit(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def print_line(text: str = "") -> None:
    """Make a line safe and write it to standard output."""
    emit(f"{safe_text(text)}\n")


def print_failure(message: str) -> None:
    """Write a failure or a warning as one line to standard error."""
    _print_to(sys.stderr, message)


def _print_to(stream: TextIO | None, message: str) -> None:
    if stream is not None:  # print() would take None for standard output
        with suppress(OSError, ValueError):  # it is full or closed: the exit status alone can tell
            print(f"xaimed: {safe_text(message)}", file=stream, flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to standard output. Cells are made safe; long ones are wrapped, never cut off."""
    # Late, here and below: --help and --json do not need Rich, and it takes longer to import than all they do need.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if sys.stdout is None:
        return
    console = Console(width=_columns(sys.stdout), markup=False, emoji=False, highlight=False)
    drawn = box.SIMPLE_HEAD if "utf" in console.encoding.lower() else box.ASCII2
    table = Table(box=drawn, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe_text(cell)) for cell in row))
    with _writing():
        console.print(table)


def _columns(stream: TextIO) -> int | None:
    """Return the columns of a stream's terminal; None to let Rich guess; `_PIPED_WIDTH` if it is no terminal.

    Rich would ask descriptors 0 to 2, which may lead elsewhere (see `engine.cli.streams`).
    """
    if not stream.isatty():
        return _PIPED_WIDTH
    try:
        return None if "COLUMNS" in os.environ else os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; it is None, or closed, where whoever started the program closed it."""
    return stream is not None and not stream.closed and stream.isatty()


def ask(question: str) -> bool | None:
    """Ask a yes-or-no question on the terminal; None if there is no terminal to ask on.

    Args:
        question: ends in a question mark; it is made safe here.
    """
    if not is_terminal(sys.stdin) or sys.stderr is None:
        return None
    # Not on standard output, which may lead into a file.
    sys.stderr.write(f"{safe_text(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _bars_are_welcome() -> bool:
    return is_terminal(sys.stderr)


@contextmanager
def waiting(text: str) -> Iterator[Callable[[str], None]]:
    """Show on standard error, if that is a terminal, what the program is busy with.

    Yields:
        A function that says what takes longer than usual, also where standard error is not a terminal.
    """
    if not _bars_are_welcome():
        stream = sys.stderr  # while a model's code runs, it is another one
        yield lambda more: _print_to(stream, more)
        return
    with _progress(counted=False) as bars:
        bar = bars.add_task(safe_text(text), total=None)
        yield lambda more: bars.update(bar, description=safe_text(f"{text}: {more}"))


@contextmanager
def counting(text: str, total: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """Show a bar on standard error, if that is a terminal, that counts up to `total`.

    Yields:
        A function that counts one more, and one that writes a line without disturbing the bar.
    """
    if not _bars_are_welcome():
        yield lambda: None, print_failure
        return
    from rich.text import Text

    with _progress() as bars:
        bar = bars.add_task(safe_text(text), total=total)
        yield (
            lambda: bars.advance(bar),
            lambda message: bars.console.print(Text(f"xaimed: {safe_text(message)}"), soft_wrap=True),
        )


@contextmanager
def measuring(text: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar with the time left on standard error, if that is a terminal.

    Yields:
        A function that takes how much is done and how much there is, in any unit.
    """
    if not _bars_are_welcome():
        yield lambda done, total: None
        return
    with _progress(numbers=False) as bars:
        bar = bars.add_task(safe_text(text), total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@contextmanager
def following(text: str, names: dict[str, str]) -> Iterator[ProgressCallback]:
    """Show a bar for each method on standard error, if that is a terminal. Print nothing else until the bars end.

    Args:
        text: what is being explained, shown before each method's name.
        names: the methods' names for people, by key.
    """
    if not _bars_are_welcome():
        from engine.progress import no_progress  # late: the app starts with this module and does without

        yield no_progress
        return
    with _progress() as bars:
        started: dict[str, TaskID] = {}

        def follow(report: Progress) -> None:
            if report.method not in started:
                name = f"{safe_text(text)}  {names.get(report.method, report.method)}"
                started[report.method] = bars.add_task(name, total=report.total)
            bars.update(started[report.method], completed=report.done)

        yield follow


@contextmanager
def _progress(*, counted: bool = True, numbers: bool = True) -> Iterator[RichProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    # The stream is chosen here, once: while a model's code runs, `sys.stderr` is another one, and the bars go on.
    columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    if not numbers:
        del columns[2]
    with Progress(
        *(columns if counted else [SpinnerColumn(), columns[0]]),
        console=Console(file=sys.stderr, stderr=True, markup=False, emoji=False, highlight=False),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield progress
