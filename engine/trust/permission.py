"""Decides whether a model's code may run, and shows it to the person who may approve it.

A model folder is a program. It runs only if the digest of all its files is one that the user has approved on this
machine (`engine.trust.approvals`) or one that comes with the package (`engine.trust.bundled`). No model's code is run
here; `engine.network.loading` runs what `approved_content` returns, and nothing else.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.bundle.digest import FileDigest, Snapshot, take_snapshot
from engine.bundle.model_bundle import (
    ARCHITECTURE,
    CONFIG,
    CONFIG_LIMIT,
    FIT,
    FIT_LIMIT,
    TORCHSCRIPT,
    ModelBundle,
    read_with_code,
    subject_of,
)
from engine.bundle.torchscript import code_in
from engine.errors import BundleError
from engine.storage import places
from engine.trust.approvals import Approval, Approvals, add_approval, read_approvals, remove_approvals
from engine.trust.bundled import bundled_digests, bundled_files
from engine.trust.inspection import Finding, Gravity, grouped, what_deserves_a_look

State = Literal["bundled", "approved", "unapproved", "changed", "no code"]

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Changes:
    """How a folder differs from what was approved: relative paths, each sorted."""

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As a clause: `changed: weights.pt; added: helper.py`."""
        parts = []
        for word, names in (("changed", self.changed), ("added", self.added), ("removed", self.removed)):
            if names:
                more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
                parts.append(f"{word}: {', '.join(names[:_MOST_NAMED])}{more}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a model's code may run.

    Attributes:
        state: `bundled` (the package has its digest), `approved`, `unapproved`, or `changed` since it was approved; `no
            code` if it has none, so that there is nothing to approve.
        approval: the one that allows it, or since which it was changed; None for `unapproved` and bundled models.
        changes: for `changed`, what differs.
        problem: a sentence if the approvals could not be read, else empty.
    """

    state: State
    approval: Approval | None = None
    changes: Changes = Changes()
    problem: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the code may run."""
        return self.state in ("bundled", "approved", "no code")

    @property
    def cause(self) -> str:
        """Why the code may not run, as a clause; empty if it may."""
        if self.allowed:
            return ""
        if self.state == "changed":
            clause = f"the model was changed since it was approved ({self.changes}), so its code does not run"
        else:
            clause = "its code was not approved on this machine, so it does not run"
        return f"{clause}. {self.problem.rstrip('.')}" if self.problem else clause


@dataclass(frozen=True, slots=True)
class Review:
    """What a person needs to see of a model before approving it.

    Attributes:
        bundle: the model as it was read, for `approve`.
        code: text of each file that runs, by its path: `architecture.py`, then those that it imports from beside it; or
            all code in a TorchScript archive. From the bytes that the bundle's digest covers; not made safe. Empty if
            the model has no code.
        findings: what in the code deserves a look.
        standing: whether the code may already run.
    """

    bundle: ModelBundle
    code: Mapping[str, str]
    findings: tuple[Finding, ...]
    standing: Standing


def review(path: Path, *, task: str | None = None) -> Review:
    """Read a model folder for a person who may approve it, without running any of it.

    Raises:
        BundleError: see `engine.bundle.model_bundle.read_bundle`.
    """
    bundle, code = read_with_code(path, task=task)
    if bundle.code_file == TORCHSCRIPT:  # what its code does is not told by names
        return Review(bundle, {TORCHSCRIPT: _code_in_archive(bundle)}, (), standing_of(bundle))
    return Review(bundle, code, what_deserves_a_look(code), standing_of(bundle))


def _code_in_archive(bundle: ModelBundle) -> str:
    """Return the code in a TorchScript archive, from the bytes that the bundle's digest covers."""
    content = take_snapshot(bundle.path, {TORCHSCRIPT: None}, fresh=True)
    if content.digest != bundle.digest:
        raise BundleError("the folder changed while it was read", subject=bundle.path, remedy="try again")
    return code_in(content.kept[TORCHSCRIPT])


NOTHING_UNEXPECTED = (
    "Every name used in {code} is one that networks need: layers, tensor functions, arithmetic, and names of its own."
)
NO_PROOF = (
    "This was found by comparing names. It is a help, not a proof: read the code. Once approved, it runs with your "
    "rights and can do whatever you can do."
)

TORCHSCRIPT_IS_CODE = (
    f"{TORCHSCRIPT} is a program that torch runs, shown here as its archive holds it. It was not searched for names. "
    "Once approved, it runs with your rights: among other things, it can read and write files."
)

_HEADINGS = {
    Gravity.GRAVE: "this can reach files, programs, the network or other code:",
    Gravity.UNEXPECTED: "this is not expected of a network:",
    Gravity.NOTE: "this deserves a look:",
}
_MOST_NUMBERS = 8


def words_about(seen: Review) -> tuple[str, ...]:
    """Return the lines to show below the code: the findings, what they mean, its standing. They are not made safe."""
    bundle, standing = seen.bundle, seen.standing
    if not bundle.runs_code:
        return (no_code_words(bundle), f"The digest of its {len(bundle.files):,} files is {bundle.digest}.")
    several = len(seen.code) > 1
    where = "its code" if several else ARCHITECTURE
    lines = []
    for gravity, found in itertools.groupby(seen.findings, key=lambda finding: finding.gravity):
        lines.append(f"In {where}, {_HEADINGS[gravity]}")
        for file, of_it in itertools.groupby(found, key=lambda finding: finding.file):
            start = f"{file}, " if several else ""
            lines += [f"  {start}{_lines(numbers)}: {what}" for what, numbers in grouped(of_it)]
    if bundle.code_file == TORCHSCRIPT:
        lines += [TORCHSCRIPT_IS_CODE, ""]
    else:
        lines += [NO_PROOF if lines else f"{NOTHING_UNEXPECTED.format(code=where)} {NO_PROOF}", ""]
    if several:
        lines.append(f"These files run, and no others: {', '.join(seen.code)}.")
    size = sum(file.size for file in bundle.files.values())
    lines.append(f"An approval covers all {len(bundle.files):,} files of the folder, {size:,} bytes, byte for byte.")
    lines.append(f"Their digest is {bundle.digest}.")
    if standing.state == "changed":
        since = f" on {standing.approval.time} by {standing.approval.user}" if standing.approval else ""
        lines.append(f"Changed since it was approved{since}:")
        for word, names in (
            ("changed", standing.changes.changed),
            ("added", standing.changes.added),
            ("removed", standing.changes.removed),
        ):
            lines += [f"  {word}: {name}" for name in names]
    elif standing.state == "unapproved":
        lines.append("Nobody has approved it on this machine.")
    if standing.problem:
        lines.append(standing.problem)
    return tuple(lines)


def no_code_words(bundle: ModelBundle) -> str:
    """Say, of a model without code, that it needs no approval; not made safe."""
    return f"It has {bundle.built_from}. Its files are read as data, so there is nothing to approve."


def _lines(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
    more = f" and {len(numbers) - _MOST_NUMBERS:,} more" if len(numbers) > _MOST_NUMBERS else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"


def standing_of(bundle: ModelBundle, approvals: Approvals | None = None) -> Standing:
    """Return whether a model's code may run by the approvals, which are read unless given."""
    return _standing(bundle, bundle.digest, bundle.files, approvals or read_approvals())


def check_approved(bundle: ModelBundle) -> None:
    """Refuse a model whose code may not run, judging by its files as they were read.

    Raises:
        BundleError: it is not approved, or was changed since; the remedy is the command that approves it.
    """
    _check(bundle, standing_of(bundle))


def approved_content(bundle: ModelBundle, more: Iterable[str] = ()) -> Snapshot:
    """Read the files that a model is loaded from, once, and check that they are what was approved.

    A model without code needs no approval: then they are checked to be what was read.

    Every file in the folder is read and hashed again. The bytes returned are the bytes that were hashed, so a file
    that is changed afterwards makes no difference.

    Args:
        bundle: the model.
        more: names of other files at the top of its folder whose content is needed.

    Raises:
        BundleError: it is not approved, or was changed since it was approved or since the bundle was read.
    """
    # fresh: before code runs, a file's unchanged size and times are not proof enough that it is unchanged.
    keep: dict[str, int | None] = {**dict.fromkeys(bundle.code), bundle.weights.name: None}
    keep |= {FIT: FIT_LIMIT, CONFIG: CONFIG_LIMIT, **dict.fromkeys(more, None)}
    content = take_snapshot(bundle.path, keep, fresh=True)
    _check(bundle, _standing(bundle, content.digest, content.files, read_approvals()))
    if content.digest != bundle.digest:
        differences = changes_between(bundle.files, content.files)
        raise BundleError(
            f"the model was changed after it was read ({differences}), so it was not loaded",
            subject=subject_of(bundle),
            remedy="read the tasks again",
        )
    return content


def approve(bundle: ModelBundle) -> Approval:
    """Record that this user approves the model as it was read. Later changes to the folder are not approved.

    Raises:
        ApprovalError: the approval could not be written.
    """
    return add_approval(bundle.path, bundle.files)


def revoke(path: Path, digest: str | None = None) -> tuple[Approval, ...]:
    """Withdraw every approval of a model folder, and of folders with the same digest; return them.

    Raises:
        ApprovalError: the approvals could not be read or written.
    """
    real = places.real_path(path)
    return remove_approvals(lambda approval: approval.path == real or approval.digest == digest)


def state_now(approval: Approval) -> tuple[Literal["approved", "changed", "unreadable", "gone"], Changes]:
    """Return the state in which an approved folder is now, and what differs if it was changed."""
    if not approval.path.is_dir():
        return "gone", Changes()
    try:
        content = take_snapshot(approval.path)
    except BundleError:
        return "unreadable", Changes()
    if content.digest == approval.digest:
        return "approved", Changes()
    return "changed", changes_between(approval.files, content.files)


def command_for(bundle: ModelBundle) -> str:
    """Return the command that shows a model's code and approves it."""
    name = subject_of(bundle)
    # A shell interprets these characters even in double quotes: then shlex quotes the name, which is less readable.
    quoted = shlex.quote(name) if any(character in name for character in '"$`\\!') else f'"{name}"'
    folder = bundle.path.parent.parent
    known = {places.real_path(place) for place in places.task_folders()}
    chosen = "" if places.real_path(folder) in known else f"--tasks {shlex.quote(str(folder))} "
    return f"xaimed {chosen}trust {quoted}"


def remedy_for(bundle: ModelBundle) -> str:
    """Return what to do about a model that is not approved, as an imperative."""
    return f"run {command_for(bundle)} to look at it and approve it"


def _check(bundle: ModelBundle, standing: Standing) -> None:
    if not standing.allowed:
        raise BundleError(standing.cause, subject=subject_of(bundle), remedy=remedy_for(bundle))


def _standing(bundle: ModelBundle, digest: str, files: Mapping[str, FileDigest], approvals: Approvals) -> Standing:
    if not bundle.runs_code:
        return Standing("no code")
    if digest in bundled_digests():
        return Standing("bundled", problem=approvals.problem)
    real = places.real_path(bundle.path)
    here = next((approval for approval in approvals.all if approval.path == real), None)
    same = next((approval for approval in reversed(approvals.all) if approval.digest == digest), None)
    if same is not None:  # prefer the folder's own approval to that of a folder with the same content
        return Standing("approved", here if here is not None and here.digest == digest else same)
    if here is not None:
        return Standing("changed", here, changes_between(here.files, files))
    # A bundled model that was changed where it is installed: compare it with what the package says.
    if (bundled := _bundled_files_of(real)) is not None:
        return Standing("changed", None, changes_between(bundled, files), approvals.problem)
    return Standing("unapproved", problem=approvals.problem)


def _bundled_files_of(real: Path) -> Mapping[str, FileDigest] | None:
    """Return the files that a bundled model must have; None if this is not the folder of one."""
    tasks = places.real_path(places.bundled_tasks())
    return bundled_files().get(real.relative_to(tasks).as_posix()) if real.is_relative_to(tasks) else None


def changes_between(before: Mapping[str, FileDigest], after: Mapping[str, FileDigest]) -> Changes:
    """Return how a folder's files differ from what they were."""
    return Changes(
        changed=tuple(sorted(name for name in before if name in after and before[name] != after[name])),
        added=tuple(sorted(name for name in after if name not in before)),
        removed=tuple(sorted(name for name in before if name not in after)),
    )
