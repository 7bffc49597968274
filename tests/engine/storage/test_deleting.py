"""Deletion stays on its own ground: it enters no other mount, follows no link, and says what it left."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from factories import make_model

from engine.storage import deleting
from engine.storage.deleting import OTHER_MOUNT, Left, delete, mounts_below


def may_mount() -> bool:
    """Whether this user may mount something in a namespace of his own."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    script = f"mount --bind {shlex.quote(str(ROOT))} {shlex.quote(str(ROOT))}"
    return in_namespace(script).returncode == 0


def in_namespace(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as root of a mount namespace of its own; its mounts end with it."""
    command = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script]
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


needs_mounts = pytest.mark.skipif(not may_mount(), reason="no mount namespaces here")


def test_folders_files_and_links_go_and_what_links_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"x")
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_bytes(b"x")
    (top / "a" / "b" / "link").symlink_to(kept)
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    assert delete(top) == ()
    assert not top.exists()
    (tmp_path / "link").symlink_to(kept)
    assert delete(tmp_path / "link") == ()
    assert not (tmp_path / "link").is_symlink()
    assert (kept / "file").exists()
    assert delete(kept / "file") == delete(tmp_path / "nothing") == delete(tmp_path / "no" / "thing") == ()
    assert list(kept.iterdir()) == []


def test_no_depth_is_too_deep(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):  # longer than any path may be
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert delete(top) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete everything")
def test_what_may_not_be_deleted_is_left_and_said(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "locked").mkdir(parents=True)
    (top / "locked" / "file").write_bytes(b"x")
    (top / "free").write_bytes(b"x")
    (top / "locked").chmod(0o500)
    try:
        assert delete(top) == (Left(top / "locked" / "file", "permission denied"),)
        assert [path.name for path in top.iterdir()] == ["locked"]
    finally:
        (top / "locked").chmod(0o700)


def test_a_folder_on_another_device_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "top" / "mount").mkdir(parents=True)
    (tmp_path / "top" / "mount" / "file").write_bytes(b"x")
    inode = (tmp_path / "top" / "mount").stat().st_ino
    monkeypatch.setattr(deleting, "_mount_of", lambda folder: os.fstat(folder).st_ino == inode)
    assert delete(tmp_path / "top") == (Left(tmp_path / "top" / "mount", OTHER_MOUNT),)
    assert (tmp_path / "top" / "mount" / "file").exists()


@needs_mounts
def test_a_folder_bound_from_the_same_disk_is_neither_entered_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_bytes(b"x")
    (tmp_path / "top" / "a b" / "mount").mkdir(parents=True)
    (tmp_path / "top" / "file").write_bytes(b"x")
    code = (
        "import sys; from pathlib import Path; from engine.storage.deleting import delete, mounts_below\n"
        "top = Path(sys.argv[1]); print(*mounts_below(top), sep='|'); print(*mounts_below(top / 'a'), sep='|')\n"
        "print(*delete(top))"
    )
    script = (
        f'cd {shlex.quote(str(tmp_path))}; mount --bind data "top/a b/mount"; {sys.executable} -c "$CODE" "$PWD/top"'
    )
    done = in_namespace(script, CODE=code)
    mount = tmp_path / "top" / "a b" / "mount"
    assert done.stdout.splitlines() == [str(mount), "", str(Left(mount, OTHER_MOUNT))], done.stderr
    assert (tmp_path / "data" / "file").exists()
    assert not (tmp_path / "top" / "file").exists()
    assert mounts_below(tmp_path / "top") == ()


@needs_mounts
def test_a_model_with_a_mount_in_it_is_neither_removed_nor_purged(tmp_path: Path) -> None:
    data, tasks = tmp_path / "data", tmp_path / "tasks"
    data.mkdir()
    (data / "patient.png").write_bytes(b"x")
    for name in ("A", "B"):
        (make_model(tasks / "Task" / name) / "samples").mkdir()
    script = f"""
        xaimed() {{ {shlex.quote(sys.executable)} -m xaimed_tui --tasks "$TASKS" "$@" || echo "status $?"; }}
        mount --bind "$DATA" "$TASKS/Task/A/samples"
        xaimed models remove Task A
        umount "$TASKS/Task/A/samples"
        xaimed models remove Task A
        mount --bind "$DATA" "$TASKS"/.trash/*.model/Task/A/samples
        xaimed models remove Task B
        xaimed tasks purge --yes
        xaimed tasks add Other --description x
    """
    variables = {
        "TASKS": str(tasks),
        "DATA": str(data),
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = in_namespace(script, **variables)
    assert (data / "patient.png").exists(), done
    refused, kept = done.stderr.splitlines()[0], done.stderr
    assert "another file system is mounted in it" in refused
    assert "umount" in refused
    assert "not all of it was deleted: another file system is mounted there; unmount it" in kept
    assert done.stdout.count("status 1") == 2, done
    left = sorted(path.relative_to(tasks).parts[-2:] for path in (tasks / ".trash").glob("*/*/*"))
    assert left == [("Task", "A")], "what has no mount in it is gone"
    assert (tasks / "Other").is_dir()
