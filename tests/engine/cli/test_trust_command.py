"""`xaimed trust`: the code is shown, the list is honest, the question is asked, and the answer is kept."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run
from factories import MODEL_CODE, approve, make_model

from engine.bundle.model_bundle import read_bundle
from engine.storage.places import approvals
from engine.trust.bundled import bundled_files
from engine.trust.permission import standing_of


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unapproved model in the user's tasks folder; nothing of it may run here."""
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    code = f"import os\nraise SystemExit('this must not run')\n# \x1b[2J \u202e\n{MODEL_CODE}"
    return make_model(tmp_path / "tasks" / "Lungs" / "CNN", code=code)


def state(model: Path) -> str:
    return standing_of(read_bundle(model)).state


def on_a_terminal(answer: bytes) -> tuple[int, str, str]:
    """`xaimed trust Lungs/CNN`, asked on a terminal: exit status, standard output, and what the terminal got."""
    controlling, terminal = pty.openpty()
    os.write(controlling, answer)
    command = [sys.executable, "-m", "xaimed_tui", "trust", "Lungs/CNN"]
    done = subprocess.run(command, stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, check=False, timeout=60)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(controlling, 4096)
        except OSError:  # Linux says so at the end
            break
        if not piece:
            break
        shown += piece
    os.close(controlling)
    return done.returncode, done.stdout.decode(), shown.decode()


def test_yes_shows_the_code_and_the_list_and_approves_whatever_it_says(xaimed: Run, model: Path) -> None:
    status, out, err = xaimed("trust", "Lungs/CNN", "--yes")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"Lungs/CNN in {model}"
    assert "!  1  import os" in lines
    assert "!  3  # ␛[2J ⟨U+202E⟩" in lines
    assert "  line 1: imports os: files, processes, the environment" in lines
    assert "  line 2: runs on loading" in lines
    assert "  line 3: has characters that cannot be seen or that change the order of the text" in lines
    assert "a help, not a proof" in out
    assert f"Their digest is {read_bundle(model).digest}." in lines
    assert lines[-1] == "Approved: Lungs/CNN."
    assert "\x1b" not in out
    assert state(model) == "approved"


def test_without_a_terminal_and_without_yes_nothing_is_approved(xaimed: Run, model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xaimed_tui", "trust", "Lungs/CNN"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "!  1  import os" in done.stdout
    assert done.stderr == (
        "xaimed: Lungs/CNN: nothing was approved, as there is no terminal to ask on; "
        "add --yes to approve it whatever the list says\n"
    )
    assert state(model) == "unapproved"


@pytest.mark.parametrize(
    ("answer", "status", "after"),
    [(b"y\n", 0, "approved"), (b"Yes\n", 0, "approved"), (b"n\n", 1, "unapproved"), (b"\n", 1, "unapproved")],
)
def test_on_a_terminal_only_a_yes_approves(model: Path, answer: bytes, status: int, after: str) -> None:
    code, out, shown = on_a_terminal(answer)
    assert code == status
    assert "Approve Lungs/CNN, so that its code runs? [y/N] " in shown
    assert ("Lungs/CNN: it was not approved" in shown) == bool(status)
    assert ("Approved: Lungs/CNN." in out) == (not status)
    assert state(model) == after


def test_the_end_of_the_input_is_a_no(model: Path) -> None:
    assert on_a_terminal(b"\x04")[0] == 1
    assert state(model) == "unapproved"


def test_what_was_approved_already_is_not_asked_about_again(xaimed: Run, model: Path) -> None:
    approve(model)
    before = approvals().read_bytes()
    status, out, err = xaimed("trust", "Lungs/CNN")
    assert (status, err) == (0, "")
    assert "Lungs/CNN was approved already, on 20" in out
    assert approvals().read_bytes() == before


def test_what_was_changed_since_is_listed_file_by_file(xaimed: Run, model: Path) -> None:
    approve(model)
    (model / "a\x1b[2J.txt").touch()
    (model / "description.txt").write_text("Other words.")
    status, out, err = xaimed("tasks")
    assert (status, err) == (0, "")
    assert "changed since it was approved (changed: description.txt; added: a␛[2J.txt)" in out
    status, out, err = xaimed("trust", "Lungs", "--yes")
    assert (status, err) == (0, "")
    assert "Changed since it was approved on 20" in out
    assert "\n  changed: description.txt\n  added: a␛[2J.txt\n" in out
    assert state(model) == "approved"


def test_the_list_tells_what_is_approved_and_whether_it_still_is(xaimed: Run, model: Path) -> None:
    for name in ("Gone", "Changed", "Broken"):
        approve(make_model(model.with_name(name)))
    for file in model.with_name("Gone").iterdir():
        file.unlink()
    model.with_name("Gone").rmdir()
    (model.with_name("Changed") / "weights.pt").write_bytes(b"other")
    (model.with_name("Broken") / "pipe").symlink_to("/etc/hostname")
    approve(model)
    status, out, err = xaimed("trust", "--list", "--json")
    assert (status, err) == (0, "")
    assert out.isascii()
    entries = json.loads(out)
    first = len(bundled_files())
    assert [entry["state"] for entry in entries[:first]] == ["bundled"] * first
    entries = entries[first:]
    assert [entry["state"] for entry in entries] == ["gone", "changed", "unreadable", "approved"]
    assert entries[1]["changed"] == ["weights.pt"]
    assert entries[-1]["path"] == str(model)
    assert entries[-1]["digest"] == read_bundle(model).digest
    assert entries[-1]["user"]
    status, out, err = xaimed("trust", "--list")
    assert (status, err) == (0, "")
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    assert [row[1] for row in rows if row and row[0].startswith("Lungs/")] == [e["state"] for e in entries]
    assert any(row[:3] == ["IHC Stain (demo)/Small CNN", "bundled", "comes with XAIMed"] for row in rows)


def test_a_revoked_approval_is_gone_and_copies_lose_it_too(xaimed: Run, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tasks" / "Lungs" / "Copy"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    approve(model, copy)
    status, out, err = xaimed("trust", "--revoke", "Lungs/CNN")
    assert (status, err) == (0, "")
    assert sorted(out.splitlines()) == [f"Revoked: Lungs/{name} in {tmp_path / 'tasks'}." for name in ("CNN", "Copy")]
    assert (state(model), state(copy)) == ("unapproved", "unapproved")
    status, out, err = xaimed("trust", "--revoke", "Lungs/CNN")
    assert (status, out) == (1, "")
    assert err == "xaimed: Lungs/CNN: it was not approved; see what is approved with: xaimed trust --list\n"


@pytest.mark.parametrize("gone", [True, False])
def test_the_approval_of_a_model_that_is_gone_or_broken_can_be_taken_back(
    xaimed: Run, model: Path, tmp_path: Path, gone: bool
) -> None:
    approve(model)
    if gone:
        model.rename(tmp_path / "elsewhere")
    else:
        os.mkfifo(model / "pipe")
    assert xaimed("trust", "--revoke", "Lungs/CNN")[0] == 0
    assert xaimed("trust", "--revoke", "Lungs/CNN")[0] == 1


def test_a_bundled_model_is_shown_but_neither_approved_nor_revoked(
    xaimed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XAIMED_TASKS", raising=False)
    status, out, err = xaimed("trust", "IHC Stain (demo)/Small CNN")
    assert (status, err) == (0, "")
    assert "Every name used in architecture.py is one that networks need" in out
    assert out.endswith("IHC Stain (demo)/Small CNN comes with XAIMed, which approves it: there is nothing to do.\n")
    status, _, err = xaimed("trust", "--revoke", "IHC Stain (demo)")
    assert (status, err) == (1, "xaimed: IHC Stain (demo): it comes with XAIMed, which approves it\n")
    assert not approvals().exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["trust"], 2, "one of the arguments"),
        (["trust", "Lungs/CNN", "--list"], 2, "not allowed with"),
        (["trust", "--list", "--yes"], 2, "--yes goes with TASK/MODEL"),
        (["trust", "Lungs/CNN", "--json"], 2, "--json goes with --list"),
        (["trust", "Lungs/cnn"], 1, "no model 'cnn' in the task Lungs; did you mean 'CNN'?"),
        (["trust", "Lungs/../CNN"], 1, "model '../CNN': the name contains a / or \\"),
        (["trust", "../Lungs/CNN"], 1, "task '..': the name begins with a dot"),
        (["trust", "\x1b[2J/CNN"], 1, "task '␛[2J': the name contains a character that cannot be seen"),
        (["trust", "--revoke", "Lungs/cnn"], 1, "it was not approved"),
    ],
)
def test_wrong_usage_and_names_are_one_line(
    xaimed: Run, model: Path, arguments: list[str], status: int, message: str
) -> None:
    code, out, err = xaimed(*arguments)
    assert (code, out) == (status, "")
    assert message in err
    assert status == 2 or err.count("\n") == 1


def test_the_remedy_works_as_it_is_printed(
    xaimed: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "tasks" / 'a "$(b)" task' / "M")
    monkeypatch.delenv("XAIMED_TASKS")
    python = f"{sys.executable} -m xaimed_tui"
    for task in ("Lungs", 'a "$(b)" task'):
        status, _, err = xaimed("--tasks", tmp_path / "tasks", "predict", "a.png", "--task", task)
        assert status == 1
        command = err[err.index("run xaimed") + len("run xaimed") : err.index(" to look at it and approve it")]
        done = subprocess.run(f"{python}{command} --yes", shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Approved: " in done.stdout
