"""`xaimed trust`: look at a model's code and approve it, list approvals, revoke them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundle.digest import digest_of, take_snapshot
from engine.bundle.model_bundle import subject_of
from engine.cli.console import ask, emit, print_failure, print_json, print_line, print_table
from engine.errors import ApprovalError, BundleError, TaskError
from engine.library.names import check_name, place_of
from engine.library.tasks import find_model_folder
from engine.storage.places import bundled_tasks, task_folders
from engine.text import safe_text
from engine.trust.approvals import files_set_aside, read_approvals
from engine.trust.bundled import bundled_digests, bundled_files
from engine.trust.inspection import lines_of
from engine.trust.permission import Changes, Review, approve, review, revoke, state_now, words_about

if TYPE_CHECKING:
    import argparse

HELP = "look at a model's code and approve it"
DESCRIPTION = (
    "Show a model's architecture.py and the files that it imports from beside it, with a list of what deserves a look, "
    "or the code in its model.torchscript; ask, and record the approval. A model's code runs only if it was approved "
    "and no byte of its folder has changed since. A model whose network is named in model.toml, or is a model.onnx, "
    "has no code of its own, and needs no approval."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", metavar="TASK/MODEL", help="the model to look at and approve")
    what.add_argument("--list", action="store_true", help="list what is approved, and whether it still is")
    what.add_argument("--revoke", metavar="TASK/MODEL", help="revoke the approval of a model")
    parser.add_argument("--yes", action="store_true", help="approve without asking, whatever the list says")
    parser.add_argument("--json", action="store_true", help="with --list: print JSON")
    parser.set_defaults(run=run, wrong_usage=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for.

    Raises:
        TaskError, BundleError: there is no such model, or it is broken.
        ApprovalError: nobody could be asked, or the approvals could not be read or written.
    """
    if arguments.json and not arguments.list:
        arguments.wrong_usage("--json goes with --list")
    if arguments.yes and arguments.model is None:
        arguments.wrong_usage("--yes goes with TASK/MODEL")
    if arguments.list:
        return _list(as_json=arguments.json)
    if arguments.revoke is not None:
        return _revoke(arguments.revoke, arguments.tasks)
    return _approve(arguments.model, arguments.tasks, yes=arguments.yes)


# Approving


def _approve(name: str, tasks: Path | None, *, yes: bool) -> int:
    task, model = _split(name)
    seen = review(find_model_folder(task_folders(tasks), task, model), task=task)
    subject = subject_of(seen.bundle)
    emit(shown(seen))
    if not seen.bundle.runs_code:
        return 0
    if seen.standing.state == "bundled":
        print_line(f"{subject} comes with XAIMed, which approves it: there is nothing to do.")
        return 0
    if (given := seen.standing.approval) is not None and seen.standing.allowed:
        print_line(f"{subject} was approved already, on {given.time} by {given.user}.")
        return 0
    if not yes and not _agreed(subject):
        raise ApprovalError("it was not approved", subject=subject)
    approve(seen.bundle)
    print_line(f"Approved: {subject}.")
    return 0


def _agreed(subject: str) -> bool:
    answer = ask(f"Approve {subject}, so that its code runs?")
    if answer is None:
        raise ApprovalError(
            "nothing was approved, as there is no terminal to ask on",
            subject=subject,
            remedy="add --yes to approve it whatever the list says",
        )
    return answer


def shown(seen: Review, place: Path | None = None) -> str:
    """Return where the model lies, its code with numbered and marked lines, and what to know about it.

    Args:
        seen: the model.
        place: where its code lies, if that is elsewhere.
    """
    out = [f"{safe_text(subject_of(seen.bundle))} in {safe_text(place or seen.bundle.path)}", ""]
    for file, text in seen.code.items():
        code = lines_of(text)
        width = len(str(len(code)))
        marked = {finding.line for finding in seen.findings if finding.file == file}
        out.append(safe_text(file))
        out += (
            f"{'!' if i in marked else ' '}{i:>{width + 1}}  {safe_text(line, multiline=True)}"
            for i, line in enumerate(code, start=1)
        )
        out.append("")
    out += (safe_text(line) for line in words_about(seen))
    return "\n".join(out) + "\n\n"


def _split(name: str) -> tuple[str, str | None]:
    """Split `TASK/MODEL` into task and model; the model may be left out if the task has just one."""
    task, slash, model = name.partition("/")
    check_name("task", task)
    if not slash:
        return task, None
    check_name("model", model)
    return task, model


# What was approved


def _list(*, as_json: bool) -> int:
    approvals = read_approvals()
    if approvals.problem:
        print_failure(approvals.problem)
    for path in files_set_aside():
        print_failure(f"{path}: it holds approvals that could not be read; delete it once you have looked at it")
    entries = [
        _entry(bundled_tasks() / name, digest_of(files), "bundled", Changes())
        for name, files in bundled_files().items()
    ]
    for approval in approvals.all:
        state, changes = state_now(approval)
        given = {"time": approval.time, "user": approval.user}
        entries.append(_entry(approval.path, approval.digest, state, changes) | given)
    if as_json:
        print_json(entries)
    else:
        print_table(("Model", "Now", "Approved", "Digest", "Tasks folder"), [_row(entry) for entry in entries])
    return 1 if approvals.problem else 0


def _entry(path: Path, digest: str, state: str, changes: Changes) -> dict[str, object]:
    differences = {"changed": changes.changed, "added": changes.added, "removed": changes.removed}
    return {
        "path": str(path),
        "digest": digest,
        "state": state,
        "time": None,
        "user": None,
        **{key: list(names) for key, names in differences.items()},
    }


def _row(entry: dict[str, object]) -> tuple[str, ...]:
    path = Path(str(entry["path"]))
    given = "comes with XAIMed" if entry["time"] is None else f"{entry['time']} by {entry['user']}"
    return (
        f"{path.parent.name}/{path.name}",
        str(entry["state"]),
        given,
        str(entry["digest"])[:16],
        str(path.parents[1]),
    )


def _revoke(name: str, tasks: Path | None) -> int:
    task, model = _split(name)
    digest, places = None, []
    try:
        places = [find_model_folder(task_folders(tasks), task, model)]
        digest = take_snapshot(places[0]).digest
    except TaskError:
        if model is None:
            raise
        places = [place_of(folder, task, model) for folder in task_folders(tasks)]  # its folder may be gone
    except BundleError:  # an approval can be revoked even if the model is broken
        pass
    taken = [approval for place in places for approval in revoke(place, digest)]
    if not taken:
        carried = digest in bundled_digests()
        raise ApprovalError(
            "it comes with XAIMed, which approves it" if carried else "it was not approved",
            subject=name,
            remedy=None if carried else "see what is approved with: xaimed trust --list",
        )
    for approval in taken:
        print_line(f"Revoked: {approval.path.parent.name}/{approval.path.name} in {approval.path.parents[1]}.")
    return 0
