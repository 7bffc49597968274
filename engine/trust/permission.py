"""Whether a model's code may run, and what a person said about it.

A model folder is a program. It runs only if the digest over all of its files is one that a person has approved on this
machine (`engine.trust.approvals`) or one that the package itself carries (`engine.trust.bundled`). What is looked at
here is never run here; `engine.network.loading` runs what `approved_content` returns, and nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.bundle.digest import FileDigest, Snapshot, take_snapshot
from engine.bundle.model_bundle import ARCHITECTURE, ModelBundle, read_with_code, subject_of
from engine.errors import BundleError
from engine.storage import places
from engine.trust.approvals import Approval, Approvals, add_approval, read_approvals, remove_approvals
from engine.trust.bundled import bundled_digests, bundled_files
from engine.trust.inspection import Finding, what_deserves_a_look

State = Literal["bundled", "approved", "unapproved", "changed"]

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
        state: `bundled` (the package carries its digest), `approved`, `unapproved`, or `changed` since it was approved.
        approval: the one that counts, or that it was changed since; None for `unapproved` and what is bundled.
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
        return self.state in ("bundled", "approved")

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
    """A model's code as a person has to look at it before approving it.

    Attributes:
        bundle: the model as it was read; `approve` takes it.
        code: text of `architecture.py`, of the bytes that the bundle's digest covers. Not made safe.
        findings: what in it deserves a look.
        standing: whether it may run already.
    """

    bundle: ModelBundle
    code: str
    findings: tuple[Finding, ...]
    standing: Standing


def review(path: Path, *, task: str | None = None) -> Review:
    """Read a model folder for a person who is to approve it; nothing of it is run.

    Raises:
        BundleError: see `engine.bundle.model_bundle.read_bundle`.
    """
    bundle, code = read_with_code(path, task=task)
    return Review(bundle, code, what_deserves_a_look(code), standing_of(bundle))


NO_PROOF = (
    "This list is a help, not a proof: read the code. Once approved, it runs with your rights and can do whatever you "
    "can do."
)


def words_about(seen: Review) -> tuple[str, ...]:
    """What is to be said below the code: the findings, what they mean, its standing. The lines are not made safe."""
    bundle, standing = seen.bundle, seen.standing
    lines = [f"What deserves a look in {ARCHITECTURE}:" if seen.findings else f"Nothing in {ARCHITECTURE} stands out."]
    lines += [f"  line {finding.line}: {finding.what}" for finding in seen.findings]
    lines += [NO_PROOF, ""]
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


def standing_of(bundle: ModelBundle, approvals: Approvals | None = None) -> Standing:
    """How a model that was read stands with the approvals, which are read unless given."""
    return _standing(bundle.path, bundle.digest, bundle.files, approvals or read_approvals())


def check_approved(bundle: ModelBundle) -> None:
    """Refuse a model whose code may not run, as far as what was read of it tells.

    Raises:
        BundleError: it is not approved, or was changed since; names the command that approves.
    """
    _check(bundle, standing_of(bundle))


def approved_content(bundle: ModelBundle) -> Snapshot:
    """The model's `architecture.py` and weights, read now, once, and found to be what was approved.

    Every file of the folder is read and hashed anew; the content returned is what was hashed.

    Raises:
        BundleError: it is not approved, or was changed since it was approved or since the bundle was read.
    """
    content = take_snapshot(bundle.path, {ARCHITECTURE: None, bundle.weights.name: None}, fresh=True)
    _check(bundle, _standing(bundle.path, content.digest, content.files, read_approvals()))
    if content.digest != bundle.digest:
        differences = changes_between(bundle.files, content.files)
        raise BundleError(
            f"the model was changed after it was read ({differences}), so it was not loaded",
            subject=subject_of(bundle),
            remedy="read the tasks again",
        )
    return content


def approve(bundle: ModelBundle) -> Approval:
    """Keep that this user approves the model as it was read; a change to the folder since then is not approved.

    Raises:
        ApprovalError: it could not be kept.
    """
    return add_approval(bundle.path, bundle.files)


def revoke(path: Path, digest: str | None = None) -> tuple[Approval, ...]:
    """Take back every approval of a model folder, and of folders with the same digest; returns those taken back.

    Raises:
        ApprovalError: the approvals could not be read or written.
    """
    real = places.real_path(path)
    return remove_approvals(lambda approval: approval.path == real or approval.digest == digest)


def state_now(approval: Approval) -> tuple[Literal["approved", "changed", "unreadable", "gone"], Changes]:
    """How the folder that an approval was given for is today, and what differs if it was changed."""
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
    """The command that shows a model's code and approves it."""
    name = subject_of(bundle)
    # In double quotes a shell still acts on these; then it is quoted in the less readable way.
    quoted = shlex.quote(name) if any(character in name for character in '"$`\\!') else f'"{name}"'
    folder = bundle.path.parent.parent
    known = {places.real_path(place) for place in places.task_folders()}
    chosen = "" if places.real_path(folder) in known else f"--tasks {shlex.quote(str(folder))} "
    return f"xaimed {chosen}trust {quoted}"


def remedy_for(bundle: ModelBundle) -> str:
    """What to do about a model that is not approved, as an imperative."""
    return f"run {command_for(bundle)} to look at it and approve it"


def _check(bundle: ModelBundle, standing: Standing) -> None:
    if not standing.allowed:
        raise BundleError(standing.cause, subject=subject_of(bundle), remedy=remedy_for(bundle))


def _standing(path: Path, digest: str, files: Mapping[str, FileDigest], approvals: Approvals) -> Standing:
    if digest in bundled_digests():
        return Standing("bundled", problem=approvals.problem)
    real = places.real_path(path)
    here = next((approval for approval in approvals.all if approval.path == real), None)
    same = next((approval for approval in reversed(approvals.all) if approval.digest == digest), None)
    if same is not None:  # of the folder itself if there is one, else of one with the same content
        return Standing("approved", here if here is not None and here.digest == digest else same)
    if here is not None:
        return Standing("changed", here, changes_between(here.files, files))
    if (known := _known_of(real)) is not None:
        return Standing("changed", None, changes_between(known, files), approvals.problem)
    return Standing("unapproved", problem=approvals.problem)


def _known_of(real: Path) -> Mapping[str, FileDigest] | None:
    """The files that a bundled model must have, if this is one's folder."""
    tasks = places.real_path(places.bundled_tasks())
    return bundled_files().get(real.relative_to(tasks).as_posix()) if real.is_relative_to(tasks) else None


def changes_between(before: Mapping[str, FileDigest], after: Mapping[str, FileDigest]) -> Changes:
    """How a folder's files differ from what they were."""
    return Changes(
        changed=tuple(sorted(name for name in before if name in after and before[name] != after[name])),
        added=tuple(sorted(name for name in after if name not in before)),
        removed=tuple(sorted(name for name in before if name not in after)),
    )
