"""Whether the three cells that LIME calls certain hold for other segmentations, and how often it calls them certain.

    python -m tests.benchmarks.coverage [--images N] [--samples N] [--segmentations 1 5 10] [--json FILE]

On patches for the bundled IDC network LIME runs with its default number of samples, shared by 1 (the paper's LIME), 5
(the default) or more segmentations. What it calls certain is held against 16,000 samples over 12 other segmentations.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import load, machine, make_classifier, patches, say, settle_environment, table, write_json

if TYPE_CHECKING:
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier

_REFERENCE = 16_000, 12
"""Samples and segmentations."""

_GOAL = 0.97


def measure(
    classifier: Classifier, images: Sequence[MedicalImage], samples: int, segmentations: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Return by number of segmentations how many choices are certain, and how many agree with the reference."""
    from engine.explainers.base import Request
    from engine.explainers.lime import Lime
    from engine.results.statistics import grid_statistics

    found = {count: {"images": 0, "shared": 0, "certain": 0, "right": 0} for count in segmentations}
    for number, image in enumerate(images):
        target = classifier.class_index(classifier.diagnose(image).predicted)
        request = Request(classifier=classifier, tensor=classifier.tensor(image), target=target, seed=1)
        reference = Lime(samples=_REFERENCE[0], segmentations=_REFERENCE[1]).explain(replace(request, seed=2))
        truth = set(grid_statistics(reference).top)
        for count, row in found.items():
            statistics = grid_statistics(Lime(samples=samples, segmentations=count).explain(request))
            shared = len(truth & set(statistics.top))
            row["images"] += 1
            row["shared"] += shared
            row["certain"] += statistics.certain
            row["right"] += statistics.certain and shared == len(truth)
        say(f"{number + 1} of {len(images)} images, load {load()}")
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=24, help="patches, half of each class (default 24)")
    parser.add_argument("--samples", type=int, default=1000, help="of each run (default 1000)")
    parser.add_argument("--segmentations", type=int, nargs="+", default=(1, 5, 10), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    arguments = parser.parse_args()
    settle_environment()
    classifier = make_classifier("idc")
    images, source = patches(arguments.images, None, classifier.bundle.input.size[0])
    say(f"{len(images)} images: {source}; {arguments.samples} samples")
    found = measure(classifier, images, arguments.samples, arguments.segmentations)
    rows = [
        (str(count), row["images"], row["shared"] / row["images"], row["certain"], row["right"])
        for count, row in found.items()
    ]
    say(table(("segmentations", "runs", "shared of 3", "certain", "of these right"), rows))
    for count, row in found.items():
        if count > 1:
            met = "met " if row["right"] >= _GOAL * row["certain"] else "LOST"
            say(f"{met} {count} segmentations: {row['right']} of {row['certain']} certain choices are right")
    write_json(arguments.json, {"machine": machine(), "from": source, "segmentations": found})


if __name__ == "__main__":
    main()
