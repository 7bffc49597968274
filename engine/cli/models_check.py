"""`xaimed models check`: try a model as a physician would meet it, and run or write its self-test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.check_report import check_lines, undeclared
from engine.bundle.model_bundle import subject_of
from engine.cli import common
from engine.cli.console import ask, print_failure, print_json, print_line, waiting
from engine.cli.streams import aside
from engine.errors import BundleError
from engine.trust import permission

if TYPE_CHECKING:
    import argparse

    from engine.authoring.check import Check
    from engine.bundle.model_bundle import ModelBundle
    from engine.network.classifier import Classifier

DESCRIPTION = (
    "Load a model, let it answer for an image, run the methods on it with few samples and its self-test, and print "
    "what a physician would meet. Fails if a method or the self-test does."
)


_SATURATED = 0.01
"""A probability closer to 0 or 1 than this hardly moves when weights or preprocessing change."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("task", metavar="TASK", help="the task")
    parser.add_argument("model", nargs="?", metavar="NAME", help="the model; may be left out where there is just one")
    parser.add_argument(
        "--image", type=Path, metavar="F", help="image to try it on (default: the first of its samples, else noise)"
    )
    common.configure_device(parser)
    parser.add_argument(
        "--write-selftest",
        action="store_true",
        help="write the image and the answer into the model's folder as its self-test; the model then has to be "
        "approved again",
    )
    parser.add_argument("--yes", action="store_true", help="with --write-selftest: approve it again without asking")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, wrong_usage=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Check the model.

    Raises:
        TaskError, BundleError, DeviceError, ImageError, ExplanationError, LibraryError: it could not be checked.
    """
    from engine.authoring.check import check_model  # late: numpy, which --help does without

    if arguments.yes and not arguments.write_selftest:
        arguments.wrong_usage("--yes goes with --write-selftest")
    bundle = common.find_bundle(arguments)
    started = time.perf_counter()
    classifier = common.load(bundle, device=arguments.device)
    loading = time.perf_counter() - started
    with waiting("Trying it"), aside():
        check = check_model(classifier, arguments.image)
    if arguments.json:
        print_json(_as_json(classifier, check, loading))
    else:
        print_line(f"Loaded in {loading:.2f} s.")
        for line in check_lines(classifier, check):
            print_line(line)
    if arguments.write_selftest:
        _write_selftest(bundle, check, yes=arguments.yes)
        return 0 if not any(method.failure for method in check.methods) else 1
    return 0 if check.passed else 1


def _as_json(classifier: Classifier, check: Check, loading: float) -> dict[str, object]:
    bundle, diagnosis, test = classifier.bundle, check.diagnosis, check.selftest
    return {
        "task": bundle.task,
        "model": bundle.name,
        "digest": bundle.digest,
        "device": classifier.device,
        "passed": check.passed,
        "load_seconds": loading,
        "input": {"size": list(bundle.input.size), "channels": bundle.input.channels},
        "outputs": classifier.anatomy.outputs,
        "activation": classifier.activation,
        "classes": list(classifier.classes),
        "layer": check.layer or None,
        "layers": [
            {"name": layer.name, "channels": layer.channels, "size": [layer.height, layer.width]}
            for layer in classifier.layers
        ],
        "image": {
            "path": None if check.made_up else str(check.image.path),
            "size": [check.image.height, check.image.width],
        },
        "probabilities": [float(p) for p in diagnosis.probabilities],
        "predicted": diagnosis.predicted,
        "confidence": diagnosis.confidence.value,
        "undecided": diagnosis.undecided,
        "predict_seconds": check.seconds,
        "methods": {
            method.method: {
                "works": not method.failure,
                "failure": method.failure or None,
                "seconds": method.seconds,
                "whole_map_seconds": method.full_map_seconds,
                "warnings": list(method.warnings),
            }
            for method in check.methods
        },
        "warnings": list(diagnosis.warnings),
        "assumed": list(classifier.assumed),
        "undeclared": list(undeclared(bundle.input)),
        "selftest": None
        if test is None
        else {
            "passed": not test.failure,
            "failure": test.failure or None,
            "image": test.image,
            "expected": list(test.expected),
            "found": list(test.found),
            "tolerance": test.tolerance,
        },
    }


# The self-test


def _write_selftest(bundle: ModelBundle, check: Check, *, yes: bool) -> None:
    """Write the self-test, and say that the model's approval was for other bytes."""
    from engine.authoring import selftest  # late: numpy, which --help does without

    now, image = selftest.write_selftest(bundle, None if check.made_up else check.image, check.diagnosis)
    print_failure(f"written: [selftest] in {now.path / 'model.toml'}, with the image {image}")
    if all(min(p, 1 - p) < _SATURATED for p in check.diagnosis.probabilities):
        print_failure("the network is so sure of this image that the self-test notices little; choose one with --image")
    if image not in bundle.files and not check.made_up:
        print_failure(f"{now.path / image} is a copy of {check.image.path}: it goes wherever the model goes")
    approve_again(bundle, now, frozenset({"model.toml", image}), yes=yes)


def approve_again(before: ModelBundle, now: ModelBundle, written: frozenset[str], *, yes: bool) -> None:
    """Say that a model's approval no longer holds, after this program has changed it, and ask to approve it again.

    Args:
        before: the model as it was approved.
        now: the model as it is now.
        written: the files that this program wrote.
        yes: approve it without asking.

    Raises:
        BundleError: other files changed too.
        ApprovalError: the approval could not be recorded.
    """
    changes = permission.changes_between(before.files, now.files)
    subject = subject_of(now)
    if not {*changes.changed, *changes.added, *changes.removed} <= written:
        raise BundleError(f"other files changed too ({changes})", subject=subject, remedy=permission.remedy_for(now))
    if before.digest == now.digest or permission.standing_of(now).allowed:
        return
    print_failure(
        f"{subject}: an approval covers every byte, so the previous one no longer holds ({changes}; nothing else "
        "differs)"
    )
    if yes or ask(f"Approve {subject} as it is now?"):
        permission.approve(now)
        print_failure(f"approved: {subject}")
    else:
        print_failure(f"it does not run until it is approved again: {permission.command_for(now)}")
