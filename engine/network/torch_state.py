"""Restores and reports what a bundle's code sets for the whole process, so that no model changes another's answers."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.acceleration.torch_settings import cuda_started, torch_settings
from engine.errors import BundleError
from engine.results.caution import Caution

CODE = "torch-state"

_SETTINGS = torch_settings()
_READS = tuple(setting.read for setting in _SETTINGS)
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTSTP", "SIGCONT", "SIGWINCH", "SIGCHLD", "SIGALRM", "SIGPIPE")
    if hasattr(signal, name)
)


class _Gate:
    """A re-entrant lock that goes to whoever has waited longest for it, not to a loop that takes it pass after pass."""

    def __init__(self) -> None:
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._holder: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = threading.get_ident()
        if self._holder != me:
            # Whoever waits holds the turn, so the loop that has just let go of the lock has to wait behind it.
            with self._turn:
                self._lock.acquire()
            self._holder = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
            self._lock.release()


gate = _Gate()
"""Held during every pass through a network and while a network is built.

Most settings of PyTorch belong to the process: what one model's code sets during its pass would otherwise change the
pass of another model in another thread. Each pass uses all the cores or the GPU by itself, so little is lost.
"""


class StateWatch:
    """Watches over the code of one model: restores the settings of PyTorch that it changes, and remembers them.

    The code always runs under the settings that the process had before it: XAIMed's, if nothing else has set any. What
    the code sets holds until the end of the pass that sets it, never for the next pass, nor for another model.

    Random generators, the environment and the like (see `_PROCESS`) are restored silently: seeding a generator, say, is
    common and changes no answer.
    """

    def __init__(self) -> None:
        self._changed: dict[int, str] = {}
        self._unsteady = False

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """What the code has changed so far, as one warning; empty if nothing."""
        if not self._changed:
            return ()
        it = "it" if len(self._changed) == 1 else "them"
        return (Caution(CODE, f"The model's code sets {self._said}; XAIMed set {it} back."),)

    @property
    def _said(self) -> str:
        *most, last = self._changed.values()
        return f"{', '.join(most)} and {last}" if most else last

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Hold the gate during one pass, and restore the settings of PyTorch at its end."""
        with gate:
            before = _read()
            try:
                yield
            finally:
                if _read() != before:
                    self._restore(before)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Hold the gate while a network is built or tried; restore the settings of PyTorch and of the process.

        The random generators start from fixed seeds, so that what a network draws at random, and does not take from its
        weights, is the same in every process.
        """
        with gate, _process_restored(), _interop_threads_ignored(), self.passing():
            _seed()
            yield

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Do the same as `loading` around a network's first passes, and note whether they change the process."""
        with self.loading():
            before = [read() for read, _ in _PROCESS]
            yield
            self._unsteady = self._unsteady or before != [read() for read, _ in _PROCESS]

    @contextmanager
    def job(self) -> Iterator[None]:
        """Restore what belongs to the process after a job, if the network's first passes have changed any of it."""
        with _jobs.one() if self._unsteady else contextlib.nullcontext():
            yield

    def blamed(self, error: BundleError) -> BundleError:
        """Return the error of a network that could not be used; it names the settings that may be the reason."""
        if error.code == CODE or not any(_SETTINGS[at].breaks for at in self._changed):
            return error
        cause = f"{error.cause} (its code sets {self._said}, which XAIMed sets back)"
        remedy = "remove that setting from its code, or ask who made the model"
        return BundleError(cause, subject=error.subject, remedy=remedy, code=CODE)

    def _restore(self, before: tuple[Any, ...]) -> None:
        for at, (setting, value) in enumerate(zip(_SETTINGS, _read(), strict=True)):
            if value != before[at]:
                self._changed[at] = setting.said(value)
        for setting, value in zip(_SETTINGS, before, strict=True):
            # Read again: some settings set others, too.
            if setting.read() != value:
                setting.write(value)


@contextmanager
def _interop_threads_ignored() -> Iterator[None]:
    # They can be set only once in a process, so a second model that sets them would fail. They change no answer.
    kept = torch.set_num_interop_threads
    torch.set_num_interop_threads = lambda _: None  # type: ignore[assignment]  # another type than the builtin's
    try:
        yield
    finally:
        torch.set_num_interop_threads = kept


def _read() -> tuple[Any, ...]:
    return tuple([read() for read in _READS])


def _seed() -> None:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


@contextmanager
def _process_restored() -> Iterator[None]:
    """Restore what belongs to the process, and numpy's error handling, which belongs to the thread."""
    with np.errstate():
        before = [read() for read, _ in _PROCESS]
        try:
            yield
        finally:
            _restore_process(before)


def _restore_process(before: list[Any]) -> None:
    for (read, write), value in zip(_PROCESS, before, strict=True):
        if read() != value:
            write(value)


class _Jobs:
    """Restores what belongs to the process when the last of the jobs that may have changed it has ended."""

    def __init__(self) -> None:
        self._running = 0
        self._before: list[Any] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a job while the context is open."""
        with gate:
            if not self._running:
                self._before = [read() for read, _ in _PROCESS]
            self._running += 1
        try:
            with np.errstate():
                yield
        finally:
            with gate:
                self._running -= 1
                if not self._running:
                    _restore_process(self._before)


_jobs = _Jobs()


def _numpy_random() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()
    return name, np.asarray(keys).tobytes(), *rest


def _set_numpy_random(state: tuple[Any, ...]) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))


def _torch_random() -> tuple[bytes, ...]:
    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if cuda_started() else ())]
    return tuple(state.numpy().tobytes() for state in states)


def _set_torch_random(states: tuple[bytes, ...]) -> None:
    own, *cuda = (torch.frombuffer(bytearray(state), dtype=torch.uint8) for state in states)
    torch.set_rng_state(own)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


def _set_environment(kept: dict[str, str]) -> None:
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    for name, value in kept.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it has been removed
        return None


def _set_folder(folder: str | None) -> None:
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]  # declared as a sequence, but it is a list
    with warnings.catch_warnings():  # makes Python forget which warnings it has already judged by the filters
        pass


def _handlers() -> tuple[Any, ...]:
    main = threading.current_thread() is threading.main_thread()  # no other thread can set any
    return tuple(signal.getsignal(number) for number in _SIGNALS) if main else ()


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=False):
        if handler is not None and signal.getsignal(number) != handler:  # None: it was not set from Python
            signal.signal(number, handler)


_PROCESS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (random.getstate, random.setstate),
    (_numpy_random, _set_numpy_random),
    (_torch_random, _set_torch_random),
    (lambda: dict(os.environ), _set_environment),
    (_folder, _set_folder),
    (lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
    (lambda: list(warnings.filters), _set_filters),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: locale.setlocale(locale.LC_ALL), lambda where: locale.setlocale(locale.LC_ALL, where)),
    (lambda: logging.root.manager.disable, logging.disable),
    (_handlers, _set_handlers),
)
"""What belongs to the process: for each part, how to read and how to restore it."""
