"""`xaimed predict`: what a network says about images, and how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli import common
from engine.cli.console import counting, print_json, print_table
from engine.cli.streams import aside
from engine.errors import XAIMedError
from engine.images.image import read_image
from engine.results.diagnosis import probability_text

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from engine.results.diagnosis import Diagnosis

HELP = "classify images"
DESCRIPTION = "Print the class, its confidence and the probabilities of all classes for each image."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    common.configure(parser)
    common.configure_device(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Classify the images in the order of the arguments; one that fails is reported and does not stop the others.

    Raises:
        TaskError, BundleError, DeviceError: nothing can be classified.
    """
    bundle = common.find_bundle(arguments)
    images = common.fit_for(bundle, arguments.images)
    answers: list[tuple[Path, Diagnosis]] = []
    if images:
        classifier = common.load(bundle, device=arguments.device)
        with counting("Images", len(images)) as (count_on, say):
            for path in images:
                try:
                    image = read_image(path, bits=arguments.bits)
                    with aside():
                        diagnosis = classifier.diagnose(image)
                except XAIMedError as error:
                    say(common.about(path, error))
                else:
                    answers.append((path, diagnosis))
                    for warning in diagnosis.warnings:
                        say(f"{path}: {warning}")
                count_on()
        if answers:
            common.say_what_was_assumed(classifier)
    if arguments.json:
        print_json([_as_json(path, diagnosis) for path, diagnosis in answers])
    elif answers:
        _print_answers(answers)
    return 0 if len(answers) == len(arguments.images) else 1


def _as_json(path: Path, diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "path": str(path),
        "classes": list(diagnosis.classes),
        "probabilities": [float(p) for p in diagnosis.probabilities],
        "predicted": diagnosis.predicted,
        "confidence": diagnosis.confidence.value,
    }


def _print_answers(answers: list[tuple[Path, Diagnosis]]) -> None:
    rows = []
    for path, diagnosis in answers:
        order = sorted(range(len(diagnosis.classes)), key=lambda i: -diagnosis.probabilities[i])
        listed = ", ".join(f"{diagnosis.classes[i]} {probability_text(diagnosis.probabilities[i], 3)}" for i in order)
        codes = ", ".join(dict.fromkeys(diagnosis.warning_codes))
        rows.append((str(path), diagnosis.predicted, diagnosis.standing, listed, codes))
    header = ("Image", "Class", "Confidence", "Probabilities", "Warnings")
    # The sentences go to standard error; the codes stay with the table where that is sent to a file.
    kept = len(header) if any(row[-1] for row in rows) else len(header) - 1
    print_table(header[:kept], [row[:kept] for row in rows])
