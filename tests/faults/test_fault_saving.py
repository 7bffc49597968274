"""Saving under adversity: killed, on a full disk, in a read-only or vanishing folder."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled
from checkout import ROOT, SUPPORT
from factories import make_explanation
from fakes import FakeEngine

from engine.cli.main import run
from engine.errors import ExportError
from engine.explanation.explain import Explanation
from engine.export import folder
from engine.storage.partial import notes
from xaimed_tui.background.backend import SaveWish


def test_killed_at_fifty_moments_results_are_whole_or_absent_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.torture.kill_saving", "--kills", "50", "--below", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {what: int(count) for count, what in re.findall(r"^ *(\d+)  (.*)$", done.stdout, re.MULTILINE)}
    assert set(counts) == {"nothing", "left hidden", "whole"}
    assert sum(counts.values()) == 50
    assert counts["left hidden"] > 0, "no kill met a saving at work: nothing was tried"


DIES = """
import os, sys
from pathlib import Path
from factories import make_explanation
from engine.export import folder

def write(path, content):
    if path.name == "saliency.npz":
        os.kill(os.getpid(), 9)
    path.write_bytes(content)

folder._write = write
folder.save_explanation(make_explanation(), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("arguments", [[], ["tasks"]], ids=["app", "command"])
def test_the_next_start_of_any_kind_removes_what_a_killed_saving_left_anywhere(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, beside = tmp_path / "results", tmp_path / "results" / "mine"
    beside.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", DIES, str(out)], cwd=SUPPORT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = out.glob(".xaimed-*.partial")
    assert any(left.iterdir())
    assert run(arguments, open_app=lambda _: 0) == 0
    capsys.readouterr()
    assert list(out.iterdir()) == [beside]
    assert list(notes().iterdir()) == []


def test_notes_lead_to_nothing_but_what_a_saving_left(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x", encoding="utf-8")
    notes().mkdir(parents=True)
    name = f".xaimed-00000000-1-{'0' * 16}.partial"
    elsewhere, link = notes() / "precious", notes() / name
    elsewhere.symlink_to(tmp_path / "precious")  # not called as such folders are
    (tmp_path / name).symlink_to(tmp_path / "precious")  # called so, but a link
    link.symlink_to(tmp_path / name)
    os.utime(link, (0, 0), follow_symlinks=False)
    assert run([], open_app=lambda _: 0) == 0
    assert (tmp_path / "precious" / "file").exists()


def _may_mount() -> bool:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs {shlex.quote(str(ROOT))}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="disks may not be mounted here")
def test_on_disks_of_every_size_and_on_a_read_only_one_there_is_all_or_nothing() -> None:
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-m", "tests.torture.small_disks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {what: int(count) for count, what in re.findall(r"^ *(\d+)  (.*)$", done.stdout, re.MULTILINE)}
    assert counts["there is no space left on the disk: nothing left"] >= 20
    assert counts["the disk is read-only: nothing left"] == 1
    assert counts["saved whole"] >= 1


class Disk:
    """Fails at the `fail_at`-th step that changes something below a folder, and at all later ones that write.

    Steps are making, opening for writing, renaming and flushing; removing is let through, as on a full disk.
    """

    def __init__(self, below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.below, self.code, self.fail_at, self.steps = str(below), errno.ENOSPC, 0, 0
        real = {name: getattr(os, name) for name in ("open", "mkdir", "rename", "fsync")}

        def wrapped(name: str) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                place = arguments[0]
                if name == "fsync":
                    place = Path(f"/proc/self/fd/{place}").readlink()
                writes = name != "open" or int(str(arguments[1])) & (os.O_WRONLY | os.O_RDWR)
                if writes and os.fspath(place).startswith(self.below):  # type: ignore[arg-type]
                    self._step(str(place))
                return real[name](*arguments, **options)

            return call

        for name in real:
            monkeypatch.setattr(os, name, wrapped(name))
        real_open = io.open

        def opened(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
            if mode != "r" and str(file).startswith(self.below):
                self._step(str(file))
            return real_open(file, mode, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(io, "open", opened)

    def _step(self, place: str) -> None:
        self.steps += 1
        if self.fail_at and self.steps >= self.fail_at:
            raise OSError(self.code, os.strerror(self.code), place)


REASONS = {
    errno.ENOSPC: "there is no space left on the disk; free some space",
    errno.EDQUOT: "your disk quota is used up; free some space",
    errno.EROFS: "the disk is read-only; choose a folder on another disk",
    errno.EACCES: "you may not write there; choose another folder",
    errno.EIO: "the results could not be written: Input/output error; choose another folder",
}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    (tmp_path / "disk").mkdir()
    content = tuple(folder.explanation_files(make_explanation(methods=("rise", "gradcam"))))
    monkeypatch.setattr(folder, "explanation_files", lambda *_, **__: iter(content))
    return Disk(tmp_path / "disk", monkeypatch)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what a descriptor leads to is not known here")
@pytest.mark.parametrize("code", REASONS)
def test_at_whatever_step_the_disk_fails_the_reason_is_named_and_nothing_stays(code: int, disk: Disk) -> None:
    out = Path(disk.below)
    folder.save_explanation(make_explanation(), out)
    shutil.rmtree(out / "patch")
    steps, disk.code = disk.steps, code
    assert steps > 20
    for disk.fail_at in range(1, steps + 1):
        disk.steps = 0
        with pytest.raises(ExportError) as caught:
            folder.save_explanation(make_explanation(), out)
        assert str(caught.value).startswith(f"{out}: {REASONS[code]}")
        assert list(out.iterdir()) == []
        assert not any(notes().iterdir())


async def test_the_app_says_why_it_could_not_save_goes_on_and_saves_when_there_is_room(disk: Disk) -> None:
    class Engine(FakeEngine):
        def save(self, explanation: Explanation, wish: SaveWish, *_: object) -> tuple[Path, str]:
            return folder.save_explanation(explanation, wish.folder), ""

    out = Path(disk.below)
    app = make_app(Engine())
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        for code, words in ((errno.ENOSPC, "no space left on the disk"), (errno.EROFS, "the disk is read-only")):
            disk.code, disk.fail_at, disk.steps = code, 5, 0
            app.jobs.save(app.explain, app.explain.explanation, SaveWish(out))
            await settled(pilot)
            assert words in " ".join(screen_text(app).split())
            assert list(out.iterdir()) == []
            await press(pilot, "escape")
        disk.fail_at = 0
        app.jobs.save(app.explain, app.explain.explanation, SaveWish(out))
        await settled(pilot)
        assert {entry.name for entry in (out / "patch-01").iterdir()} >= {"explanation.json", "saliency.npz"}
        await press(pilot, "down")
        assert app.is_running
