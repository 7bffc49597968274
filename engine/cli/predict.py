"""`xaimed predict`: what a network says about images, and how sure it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from engine import __version__
from engine.bundle.specs import ExplainSpec
from engine.cli import common, named_images
from engine.cli.console import counting, is_terminal, print_json, print_line, print_table
from engine.cli.streams import aside
from engine.errors import DeviceError, ExplanationError, XAIMedError
from engine.images.image import read_image
from engine.results.caution import codes_of
from engine.results.diagnosis import probability_text
from engine.text import path_record

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bundle.model_bundle import ModelBundle
    from engine.images.bits import Bits
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.diagnosis import Diagnosis
    from engine.results.exact_cells import ExactCells

HELP = "classify images"
DESCRIPTION = "Print the class, its confidence and the probabilities of all classes for each image."

SCHEMA = 1
"""Version of what `--json` prints, which `engine/export/schemas/predict.json` describes."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found about an image.

    Attributes:
        diagnosis: the network's answer.
        sha256: hash of the decoded pixels.
        bits: how many bits of a sample were taken for significant, and who says so.
        exact: the exact cells, or why there are none; None if they were not asked for.
    """

    diagnosis: Diagnosis
    sha256: str
    bits: Bits
    exact: ExactCells | XAIMedError | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    named_images.configure(parser)
    common.configure(parser)
    common.configure_device(parser)
    parser.add_argument(
        "--exact",
        action="store_true",
        help="add the exact cells of the predicted class, a line an image: what each of the nine cells adds to the "
        "probability. That takes 1,023 passes an image with two fills (the model's, else mean and blur)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with an entry for refused images too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Classify the images in the order of the arguments; one that fails is reported and does not stop the others.

    Raises:
        TaskError, BundleError, DeviceError: nothing can be classified.
    """
    bundle = common.find_bundle(arguments)
    given = named_images.named_images(arguments, bundle.input)
    outcomes: dict[int, _Answer | XAIMedError] = {i: image.refusal for i, image in enumerate(given) if image.refusal}
    fit = [(i, image.path) for i, image in enumerate(given) if not image.refusal]
    answers: list[tuple[str, _Answer]] = []
    make = partial(_answer, bits=arguments.bits, exact=arguments.exact)
    complete = not any(image.fails for image in given)
    # On a terminal the sentences stand below the table, and once is enough.
    warn = arguments.json or not is_terminal(sys.stdout)
    if fit:
        classifier = common.load(bundle, device=arguments.device)
        with counting("Images", len(fit)) as (count_on, say):
            for i, path in fit:
                outcomes[i] = answer = common.attempt(path, partial(make, classifier, path), say)
                if isinstance(answer, _Answer):
                    answers.append((given[i].text, answer))
                    if isinstance(answer.exact, XAIMedError):
                        say(f"{path}: exact cells: {answer.exact.message}")
                        complete = False
                    for warning in answer.diagnosis.warnings if warn else ():
                        say(f"{path}: {warning}")
                else:
                    complete = False
                count_on()
        if answers:
            common.say_what_was_assumed(classifier)
    if arguments.json:
        print_json([_as_json(image.text, outcomes[i], bundle) for i, image in enumerate(given)])
    elif answers:
        _print_answers(answers)
    return 0 if complete else 1


def _answer(classifier: Classifier, path: Path, *, bits: int | None, exact: bool) -> _Answer:
    from engine.images.bits import bits_of  # late: numpy, which --help does without

    image = read_image(path, bits=bits)
    with aside():
        diagnosis = classifier.diagnose(image)
        cells = _exact(classifier, image, diagnosis.predicted) if exact else None
    return _Answer(diagnosis, image.sha256, bits_of(image, classifier.bundle.input), cells)


def _exact(classifier: Classifier, image: MedicalImage, target: str) -> ExactCells | XAIMedError:
    """Return the exact cells, or why there are none: the class is the answer all the same."""
    from engine.explainers.settings import Settings
    from engine.explanation.exact import explain_exact  # late: torch

    settings = Settings() if classifier.bundle.explain.exact_fills else Settings(exact_fills=ExplainSpec().exact_fills)
    try:
        return explain_exact(classifier, image, settings, target=target)
    except (ExplanationError, DeviceError) as error:
        return error


def _as_json(path: str, outcome: _Answer | XAIMedError, bundle: ModelBundle) -> dict[str, object]:
    entry: dict[str, object] = {**path_record(path), "schema": SCHEMA, "xaimed": __version__}
    if isinstance(outcome, XAIMedError):
        return {**entry, "error": {"code": outcome.code, "message": outcome.message}}
    diagnosis = outcome.diagnosis
    exact: dict[str, object] = {}
    if outcome.exact is not None:
        from engine.export.record import exact_record  # late: numpy

        exact["exact"] = None if isinstance(outcome.exact, XAIMedError) else exact_record(outcome.exact)
    return {
        **entry,
        "classes": list(diagnosis.classes),
        "probabilities": [float(p) for p in diagnosis.probabilities],
        "predicted": diagnosis.predicted,
        "confidence": diagnosis.confidence.value,
        "undecided": diagnosis.undecided,
        "warnings": list(diagnosis.warnings),
        "warning_codes": list(diagnosis.warning_codes),
        "model": {"task": bundle.task, "name": bundle.name},
        "digest": bundle.digest,
        "image_sha256": outcome.sha256,
        "bits_used": outcome.bits.used,
        "bits_source": outcome.bits.source,
        **exact,
    }


def _print_answers(answers: Sequence[tuple[str, _Answer]]) -> None:
    rows = []
    for path, answer in answers:
        diagnosis = answer.diagnosis
        order = sorted(range(len(diagnosis.classes)), key=lambda i: -diagnosis.probabilities[i])
        listed = ", ".join(f"{diagnosis.classes[i]} {probability_text(diagnosis.probabilities[i], 3)}" for i in order)
        codes = ", ".join(dict.fromkeys(diagnosis.warning_codes))
        rows.append((path, diagnosis.predicted, diagnosis.standing, listed, codes))
    header = ("Image", "Class", "Confidence", "Probabilities", "Warnings")
    shown = len(header) if any(row[-1] for row in rows) else len(header) - 1
    print_table(header[:shown], [row[:shown] for row in rows])
    for path, answer in answers:
        if answer.exact is not None and not isinstance(answer.exact, XAIMedError):
            print_line(f"{path}: {_exact_line(answer.exact)}")
            for note in _exact_notes(answer.exact, answer.diagnosis):
                print_line(f"{path}: exact cells: {note}")
    for line in _legend([(path, answer.diagnosis) for path, answer in answers]):
        print_line(line)


def _exact_line(exact: ExactCells) -> str:
    """Return the exact cells in one line: `exact cells of IDC: mean: centre +0.310, ...; blur: ...; firm: centre`."""
    from engine.explanation.exact_words import firm_words, found_words  # late: numpy

    fills = "; ".join(f"{fill}: {found_words(found)}" for fill, found in exact.fills.items())
    return f"exact cells of {exact.target}: {fills}; {firm_words(exact)}"


def _exact_notes(exact: ExactCells, diagnosis: Diagnosis) -> list[str]:
    """Return what must not be overlooked about the exact cells, and was not said of the answer already."""
    from engine.explanation.exact_words import exact_notes  # late, as above

    return [note for note in exact_notes(exact) if note not in diagnosis.warnings]


def _legend(answers: Sequence[tuple[str, Diagnosis]]) -> list[str]:
    """Return the sentences of all warnings, each once, with the image where they differ from one to another."""
    found: dict[str, dict[str, list[str]]] = {}
    for path, diagnosis in answers:
        for code, sentence in zip(codes_of(diagnosis.warnings), diagnosis.warnings, strict=True):
            found.setdefault(code, {}).setdefault(sentence, []).append(path)
    lines = []
    for code, sentences in found.items():
        for sentence, paths in sentences.items():
            alone = len(sentences) == 1
            lines += [f"{code}: {sentence}"] if alone else [f"{code}: {path}: {sentence}" for path in paths]
    return lines
