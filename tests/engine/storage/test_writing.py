"""Files of our own: one writer at a time, and a lock that leads nowhere else."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.storage import writing
from engine.storage.writing import locked, replace_file

HOLD = """
import sys
from pathlib import Path
from engine.storage.writing import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def count_up(path: Path, times: int) -> None:
    """Read a number, wait, and write it back increased: numbers are lost wherever two do so at once."""
    for _ in range(times):
        with locked(path):
            number = int(path.read_text())
            time.sleep(0.002)
            replace_file(path, str(number + 1).encode())


def test_threads_and_programs_change_a_file_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("0")
    start = multiprocessing.get_context("spawn").Process
    workers = [start(target=count_up, args=(path, 10)), start(target=count_up, args=(path, 10))]
    workers += [threading.Thread(target=count_up, args=(path, 10)) for _ in range(2)]  # type: ignore[misc]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "40"


def test_who_waits_too_long_is_told_and_costs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    with locked(path):
        pass  # imported, made
    monkeypatch.setattr(writing, "_PATIENCE", 0.5)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        begin, used = time.monotonic(), time.thread_time()
        with pytest.raises(OSError, match="another program is writing it and does not end") as caught, locked(path):
            pytest.fail("two have the lock")
        assert time.monotonic() - begin >= 0.5
        assert time.thread_time() - used < 0.1
        assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(path))
        holder.kill()
    with locked(path):  # it was let go when its holder was killed
        pass


def test_the_lock_is_a_file_beside_it_that_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a"
    for _ in range(2):
        with locked(path):
            pass
        assert [file.name for file in path.parent.iterdir()] == ["a.lock"]
        mode = stat.S_IMODE(path.with_name("a.lock").stat().st_mode)
        assert mode == 0o600


def test_what_is_in_the_lock_file_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    (tmp_path / "a.lock").hardlink_to(elsewhere)
    with locked(tmp_path / "a"):
        pass
    assert elsewhere.read_text() == "kept"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path, there: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    if there:
        elsewhere.write_text("kept")
    (tmp_path / "a.lock").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "a"):
        pytest.fail("locked something else")
    assert elsewhere.exists() == there


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    begin = time.monotonic()
    with pytest.raises(PermissionError), locked(tmp_path / "a"):
        pytest.fail("locked")
    assert time.monotonic() - begin < 5


def test_an_error_of_whoever_has_the_lock_is_not_taken_for_one_of_locking(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path / "a"):
        raise OSError(errno.ENOLCK, "mine")
    with locked(tmp_path / "a"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_there_are_no_locks_one_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with locked(tmp_path / "a"):
        replace_file(tmp_path / "a", b"written")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "a.lock"]
