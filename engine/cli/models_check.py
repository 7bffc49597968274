"""`xaimed models check`: try a model as a physician would meet it; write its self-test and its `fit.npz`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.authoring.check_report import check_lines, undeclared
from engine.bundle.model_bundle import FIT, SETTINGS, subject_of
from engine.cli import common, models_labelled
from engine.cli.arguments import methods_argument
from engine.cli.console import ask, counting, measuring, print_failure, print_json, print_line
from engine.cli.streams import aside
from engine.errors import BundleError
from engine.explainers.registry import METHODS, left_out
from engine.trust import permission

if TYPE_CHECKING:
    from engine.authoring.check import Check
    from engine.bundle.model_bundle import ModelBundle
    from engine.network.classifier import Classifier

DESCRIPTION = (
    "Load a model, let it answer for an image, run the methods on it with few samples and its self-test, and print "
    "what a physician would meet. Fails if a method or the self-test does."
)


_AT_LEAST = 5.0
"""Seconds that the methods get even where loading the model took all of the time."""

_SATURATED = 0.01
"""A probability closer to 0 or 1 than this hardly moves when weights or preprocessing change."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("task", metavar="TASK", help="the task")
    parser.add_argument("model", nargs="?", metavar="NAME", help="the model; may be left out where there is just one")
    parser.add_argument(
        "--image", type=Path, metavar="F", help="image to try it on (default: the first of its samples, else noise)"
    )
    parser.add_argument(
        "--methods",
        type=methods_argument,
        metavar="M,M",
        help=f"methods to try (default: all, which are {','.join(METHODS)} and those of plug-ins)",
    )
    parser.add_argument(
        "--samples",
        type=_samples,
        metavar="N",
        help="masked images for each method that draws any, within its range (default: 300)",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="the longest it may take: on a slow network fewer samples are drawn (default: 60)",
    )
    common.configure_device(parser)
    parser.add_argument(
        "--write-selftest",
        action="store_true",
        help="write the image and the answer into the model's folder as its self-test; the model then has to be "
        "approved again",
    )
    parser.add_argument(
        "--fit-images",
        type=Path,
        metavar="FOLDER",
        help="write what the images in FOLDER and below it look like, those that the network was fitted with, into the "
        "model's folder (fit.npz), so that images unlike them get a warning; the model then has to be approved again",
    )
    parser.add_argument(
        "--groups",
        metavar="PATTERN",
        help="with --fit-images: which images belong together, usually one patient's: a regular expression whose first "
        "group names the group in an image's path, or a CSV file of image and group (default: the subfolder, else the "
        "text before the first _ of the name)",
    )
    parser.add_argument(
        "--labelled",
        type=Path,
        metavar="FOLDER|CSV",
        help="try how images are read (order of colours, range of values, mean and std, inversion, resizing) on images "
        "whose classes are known, in subfolders named after the classes or in a CSV file of file and label, and say "
        "which reading fits; fails if another one than model.toml's does",
    )
    parser.add_argument(
        "--write-reading",
        action="store_true",
        help="with --labelled: write the reading that fits into model.toml, if it can be told from all others; the "
        "model then has to be approved again",
    )
    parser.add_argument("--yes", action="store_true", help="with what is written: approve it again without asking")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, wrong_usage=parser.error)


def _samples(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError("give a number, such as 300")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError("give a number of seconds, such as 60")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Check the model.

    Raises:
        TaskError, BundleError, DeviceError, ImageError, ExplanationError, LibraryError: it could not be checked.
    """
    from engine.authoring.check import SAMPLES, check_model  # late: numpy, which --help does without

    if arguments.yes and not (arguments.write_selftest or arguments.fit_images or arguments.write_reading):
        arguments.wrong_usage("--yes goes with --write-selftest, --write-reading and --fit-images")
    if arguments.write_reading and arguments.labelled is None:
        arguments.wrong_usage("--write-reading goes with --labelled")
    if arguments.write_reading and (arguments.write_selftest or arguments.fit_images):
        arguments.wrong_usage("--write-reading comes first: both are made for the reading that model.toml says")
    if arguments.groups is not None and not arguments.fit_images:
        arguments.wrong_usage("--groups goes with --fit-images")
    for line in left_out():
        print_failure(line)
    bundle = common.find_bundle(arguments)
    started = time.perf_counter()
    classifier = common.load(bundle, device=arguments.device)
    loading = time.perf_counter() - started
    with measuring("Trying it") as advanced, aside():
        check = check_model(
            classifier,
            arguments.image,
            methods=arguments.methods,
            samples=arguments.samples or SAMPLES,
            seconds=max(arguments.seconds - loading, _AT_LEAST),
            advanced=advanced,
        )
    tried = None
    if arguments.labelled is not None:
        tried = models_labelled.try_readings(
            classifier, arguments.labelled, each=check.seconds, seconds=arguments.seconds
        )
    if arguments.json:
        found = _as_json(classifier, check, loading)
        print_json(found if tried is None else {**found, "labelled": tried.as_json(classifier.bundle)})
    else:
        print_line(f"Loaded in {loading:.2f} s.")
        for line in check_lines(classifier, check):
            print_line(line)
        if tried is not None:
            tried.show(classifier.bundle)
    now, written = bundle, set[str]()
    if tried is not None and arguments.write_reading:
        now = models_labelled.write(classifier.bundle, tried)
        written.add(SETTINGS)
    if arguments.fit_images:
        now = _write_fit(classifier, arguments.fit_images, arguments.groups)
        written.add(FIT)
    if arguments.write_selftest:
        now, image = _write_selftest(now, check)
        written |= {SETTINGS, image}
    if written:
        approve_again(bundle, now, frozenset(written), yes=arguments.yes)
    if tried is not None and tried.verdict.contradicts and now.digest == bundle.digest:
        return 1
    passed = check.passed or (arguments.write_selftest and check.maps_made)
    return 0 if passed else 1


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
            {
                "name": layer.name,
                "also": list(layer.also),
                "kind": layer.kind,
                "channels": layer.channels,
                "size": [layer.height, layer.width],
                "branch": layer.branch,
            }
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
                "samples": method.samples,
                "note": method.note or None,
                "warnings": list(method.warnings),
            }
            for method in check.methods
        },
        "warnings": list(diagnosis.warnings),
        "assumed": list(classifier.assumed),
        "undeclared": list(undeclared(bundle.input)),
        "fit": None
        if (fit := classifier.fit) is None
        else {"images": fit.images, "groups": fit.groups, "layer": fit.layer or None, "held_out": fit.held_out},
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


# What it writes


def _write_fit(classifier: Classifier, folder: Path, groups: str | None) -> ModelBundle:
    """Write `fit.npz`, say what it was made from, and return the model as it is now."""
    from engine.authoring import fit_images  # late: torch, which --help does without

    chosen = fit_images.choose_images(folder, classifier.classes, groups)
    count = len(set(chosen.groups))
    print_failure(f"{len(chosen.images):,} images of {count:,} groups ({chosen.rule}) in {folder}")
    if count == len(chosen.images):
        print_failure("if several of them are of one patient, say so with --groups: else too few images get a warning")
    if chosen.left_out:
        print_failure(f"{chosen.left_out:,} more images have no group, and are left out")
    with counting("Looking at them", len(chosen.images)) as (done, _), aside():
        fitted = fit_images.fit_images(classifier, chosen, done)
    if fitted.skipped:
        print_failure(f"{len(fitted.skipped):,} images were skipped; the first: {fitted.skipped[0]}")
    now = fit_images.write_fit_file(classifier.bundle, fitted.fit)
    print_failure(
        f"written: {now.path / FIT}, from {fitted.fit.made_from}; of images whose group had no part in it, "
        f"{fitted.fit.held_out:.1%} would get the warning"
    )
    return now


def _write_selftest(bundle: ModelBundle, check: Check) -> tuple[ModelBundle, str]:
    """Write the self-test; return the model as it is now, and the path of the image in it."""
    from engine.authoring import selftest  # late: numpy, which --help does without

    now, image = selftest.write_selftest(bundle, None if check.made_up else check.image, check.diagnosis)
    print_failure(f"written: [selftest] in {now.path / 'model.toml'}, with the image {image}")
    if all(min(p, 1 - p) < _SATURATED for p in check.diagnosis.probabilities):
        print_failure("the network is so sure of this image that the self-test notices little; choose one with --image")
    if image not in bundle.files and not check.made_up:
        print_failure(f"{now.path / image} is a copy of {check.image.path}: it goes wherever the model goes")
    return now, image


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
