"""What the commands that run a model share: choose it, load it, and go on where one image fails."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.bundle.model_bundle import subject_of
from engine.cli.arguments import check_working_directory
from engine.cli.console import print_failure, waiting
from engine.cli.streams import aside
from engine.errors import DeviceError, XAIMedError, as_ours
from engine.images.decoding.pool import get_ready
from engine.library.tasks import find_model
from engine.storage.places import task_folders
from engine.trust.permission import check_approved

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.bundle.model_bundle import ModelBundle
    from engine.network.classifier import Classifier, Precision

_Result = TypeVar("_Result")

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that choose the model and how images are read."""
    parser.add_argument("--task", required=True, metavar="T", help="name of the task")
    parser.add_argument("--model", metavar="M", help="name of the model; may be left out where the task has just one")
    parser.add_argument(
        "--bits",
        type=int,
        choices=range(1, 17),
        metavar="N",
        help="how many bits of the images' samples are significant, such as 12 in files of 16 (default: what the model "
        "or else the file declares)",
    )


def configure_device(parser: argparse.ArgumentParser) -> None:
    """Declare the argument that chooses the device."""
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="where to compute (default: auto)")


def find_bundle(arguments: argparse.Namespace) -> ModelBundle:
    """Return the model that the arguments name, ready to be loaded.

    Its approval and the spelling of the device are checked here, long before torch is imported.

    Raises:
        TaskError, BundleError, DeviceError: as their names say.
        XAIMedError: the working directory is gone.
    """
    check_working_directory()
    check_device(arguments.device)
    bundle = find_model(task_folders(arguments.tasks), arguments.task, arguments.model)
    check_approved(bundle)
    return bundle


def check_device(device: str) -> None:
    """Check how a device is spelt.

    Raises:
        DeviceError: there can be no such device.
    """
    if not _DEVICE.fullmatch(device):
        raise DeviceError("no such device", subject=f"device {device}", remedy="use auto, cpu or cuda:<number>")


def attempt(
    path: Path, work: Callable[[], _Result], say: Callable[[str], None] = print_failure
) -> _Result | XAIMedError:
    """Do the work on one image; if it fails, report why and return the error, so that the other images go on.

    Args:
        path: the image.
        work: what to do.
        say: takes the line that names the image and says why it failed.

    Raises:
        Exception: a fault of the program, if `$XAIMED_TRACEBACK` is set.
    """
    try:
        return work()
    # Whatever one image makes the program raise, the others still get their answers.
    except Exception as error:
        if os.environ.get("XAIMED_TRACEBACK") and not isinstance(error, XAIMedError):
            raise
        failure = as_ours(error)
    say(failure.message if failure.subject == str(path) else f"{path}: {failure.message}")
    return failure


def load(bundle: ModelBundle, *, device: str, precision: Precision = "auto") -> Classifier:
    """Load the model.

    Raises:
        BundleError, DeviceError: as their names say.
    """
    get_ready()  # the decoding process starts while torch is imported and the weights are read
    with waiting(f"Loading {bundle.task} / {bundle.name}"), aside():
        from engine.network.classifier import Classifier  # late: torch, which takes seconds

        return Classifier.load(bundle, device=device, precision=precision)


def say_what_was_assumed(classifier: Classifier) -> None:
    """Report on standard error what was assumed about the model, once there are results that rest on it."""
    for sentence in classifier.assumed:
        print_failure(f"{subject_of(classifier.bundle)}: {sentence}")


def names_of_work() -> dict[str, str]:
    """Return what is shown beside a bar of progress: methods, and questions about their maps."""
    from engine.evidence.exact import KEY  # late, like the next lines: torch
    from engine.explainers.registry import method_keys, method_name
    from engine.explanation.evidence_words import QUESTION_WORDS
    from engine.explanation.exact_words import EXACT_TITLE

    names = {key: method_name(key) for key in method_keys()}
    asked = {
        f"{key} {question}": f"{name}: {QUESTION_WORDS[question]}?"
        for key, name in names.items()
        for question in QUESTION_WORDS
    }
    return names | asked | {KEY: EXACT_TITLE}
