"""`xaimed reproduce`: make a saved explanation again, and say whether it is identical or how far apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli import common
from engine.cli.arguments import check_working_directory
from engine.cli.console import following, is_terminal, print_json, print_line, print_table, waiting
from engine.cli.streams import aside
from engine.explainers.registry import method_name
from engine.storage.places import task_folders
from engine.trust.permission import check_approved

if TYPE_CHECKING:
    import argparse

    from engine.export.reproduction import MethodDifference, Reproduction
    from engine.export.saved import SavedExplanation

HELP = "make a saved explanation again, and say whether it is identical"
DESCRIPTION = (
    "Read an explanation.json, find its image by the hash of its pixels, explain it again in the same way, and say "
    "whether everything is identical, or how far apart it is and what is not as it was: image, model, device or "
    "versions. Nothing is written. The exit status is 0 where all is identical, and 1 otherwise."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("record", type=Path, metavar="EXPLANATION", help="an explanation.json, or the folder it is in")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--image", type=Path, metavar="PATH", help="the image (default: it is sought where it lay, in "
                       "the working directory and beside the record)")  # fmt: skip
    where.add_argument("--search", type=Path, metavar="DIR", help="look for the image in this folder and below it")
    common.configure_device(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the explanation again and print what differs.

    Raises:
        ExportError, ImageError, TaskError, BundleError, DeviceError, ExplanationError: it cannot be made again.
    """
    from engine.export.saved import read_saved  # late: numpy

    check_working_directory()
    common.check_device(arguments.device)
    saved = read_saved(arguments.record)
    with waiting("Looking for the model and the image") as say:
        from engine.export.reproduction import (
            find_bundle,
            find_image,
            precision_of,
        )  # late: it brings most of the engine

        counted = say if is_terminal(sys.stderr) else lambda text: None  # elsewhere each count would be a line
        bundle = find_bundle(saved, task_folders(arguments.tasks))
        check_approved(bundle)
        image = find_image(
            saved, image=arguments.image, search=arguments.search, looked=lambda count: counted(f"{count:,} files")
        )
    classifier = common.load(bundle, device=arguments.device, precision=precision_of(saved))
    with following(image.path.name, common.names_of_work()) as progress, aside():
        from engine.export.reproduction import reproduce

        made = reproduce(saved, classifier, image, progress=progress)
    if arguments.json:
        print_json(_as_json(saved, made))
    else:
        _print(saved, made)
    return 0 if made.identical else 1


def _print(saved: SavedExplanation, made: Reproduction) -> None:
    names = common.names_of_work()
    print_line(f"{saved.path}: {'identical' if made.identical else 'not identical'}")
    print_line(f"Image: {made.explanation.image.path}")
    rows = [(method_name(each.method), _far(each), f"{each.shared} of {each.marked}") for each in made.methods]
    if rows:
        print_table(("Method", "Largest difference", "Same cells"), rows)
    if made.probability:
        print_line(f"The probabilities differ by up to {made.probability:.2g}.")
    if not made.predicted:
        print_line(f"The answer was {saved.predicted} and is {made.explanation.diagnosis.predicted} now.")
    if not made.agreement:
        print_line("The agreement of the methods is another.")
    if made.exact:
        print_line(f"What the cells add to the probability (exact cells) differs by up to {made.exact:.2g}.")
    for method, why in made.missing.items():
        print_line(f"Not made again: {names.get(method, method)}: {why}")
    for each in made.methods:
        for name, (was, now) in each.parameters.items():
            print_line(f"{method_name(each.method)}: {name} was {_shown(was)} and is {_shown(now)}")
    for cause, sentence in made.causes.items():
        print_line(f"Not as it was, {cause}: {sentence}")


def _far(each: MethodDifference) -> str:
    if each.largest is not None:
        return f"{each.largest:.2g} of the map's range" if each.largest else "none"
    if each.cells is None:
        return "not known"
    return f"{each.cells:.2g} in a cell's mean" if each.cells else "none in the cells' means"


def _shown(value: object) -> str:
    return "not recorded" if value is None else str(value)


def _as_json(saved: SavedExplanation, made: Reproduction) -> dict[str, object]:
    return {
        "identical": made.identical,
        "image": str(made.explanation.image.path),
        "probability_difference": made.probability,
        "predicted": {"saved": saved.predicted, "now": made.explanation.diagnosis.predicted},
        "methods": {
            each.method: {
                "identical": each.identical,
                "map_difference": each.largest,
                "cell_difference": each.cells,
                "shared": each.shared,
                "parameters": {name: list(pair) for name, pair in each.parameters.items()},
            }
            for each in made.methods
        },
        "missing": dict(made.missing),
        "agreement_identical": made.agreement,
        "exact_difference": made.exact,
        "causes": dict(made.causes),
    }
