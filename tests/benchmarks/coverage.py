"""Whether the three cells that LIME calls certain hold for other segmentations, and how often it calls them certain.

    python -m tests.benchmarks.coverage [--only IDC IHC MRI known] [--data FOLDER] [--images N] [--samples N]
        [--segmentations 1 5 10] [--json FILE]

LIME runs with its default number of samples, shared by 1 (the paper's LIME), 5 (the default) or more segmentations.
What it calls certain is held against 16,000 samples over 12 other segmentations. So are all differences between two
cells: their 95 % intervals, with the reference's own error, should hold the reference's difference in 95 %.

`IDC`, `IHC` and `MRI` are bundled networks, with one image of each of N patients they were not trained on; for IHC, the
demo, N patches of an area of its slide, and for IDC without a FOLDER the patches beside the checkout. `known` are N
small networks whose evidence is known (`tests.benchmarks.known_evidence`), with an image each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import load, machine, make_classifier, patches, say, settle_environment, table, write_json
from tests.benchmarks.fakes import wilson
from tests.benchmarks.unlike import MODELS, unseen
from tests.benchmarks.worth import one_each

if TYPE_CHECKING:
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.saliency import CellEstimate

NETWORKS = ("IDC", "IHC", "MRI", "known")

_TASKS = {"IDC": "HIS", "IHC": "IHC", "MRI": "MRI"}
"""Their names in `tests.benchmarks.unlike`."""

_REFERENCE = 16_000, 12
"""Samples and segmentations."""

_REPORT_EVERY = 10
_GOAL = 0.97

PAIRS = 36
"""Differences between two of the nine cells."""


def cases(network: str, count: int, data: Path | None) -> Iterator[tuple[Classifier, MedicalImage]]:
    """Yield networks, each with an image that it was not trained on."""
    if network == "known":
        yield from _known(count)
    elif network == "IDC" and data is None:
        classifier = make_classifier("idc")
        images, _ = patches(count, None, classifier.bundle.input.size[0])
        yield from ((classifier, image) for image in images)
    else:
        from engine.bundle.model_bundle import read_bundle
        from engine.images.image import MedicalImage
        from engine.network.classifier import Classifier

        name = _TASKS[network]
        pictures, _ = unseen(data or Path(), {name})  # first: a loaded model's own files cannot be imported
        classifier = Classifier.load(read_bundle(MODELS[name]), device="cpu", precision="fp32")
        for _, pixels in one_each(pictures[name], count):
            yield classifier, MedicalImage.from_array(pixels)


def _known(count: int) -> Iterator[tuple[Classifier, MedicalImage]]:
    import numpy as np

    from tests.benchmarks.known_evidence import make_world

    for seed in range(count):
        world = make_world(seed, "trained" if seed % 3 == 2 else "built")
        yield from ((world.classifier, case.image) for case in world.cases(np.random.default_rng(seed), 1))


def measure(
    network: str, of: Iterable[tuple[Classifier, MedicalImage]], samples: int, segmentations: Sequence[int]
) -> dict[int, dict[str, int]]:
    """Return by number of segmentations how many choices are certain, and how many agree with the reference.

    Now and then the table so far is printed.
    """
    from engine.explainers.base import Request
    from engine.explainers.lime import Lime
    from engine.results.statistics import grid_statistics

    keys = ("images", "shared", "same", "certain", "right", "pairs", "held")
    found = {count: dict.fromkeys(keys, 0) for count in segmentations}
    for number, (classifier, image) in enumerate(of):
        target = classifier.class_index(classifier.diagnose(image).predicted)
        request = Request(classifier=classifier, tensor=classifier.tensor(image), target=target, seed=1)
        reference = Lime(samples=_REFERENCE[0], segmentations=_REFERENCE[1]).explain(replace(request, seed=2))
        truth = set(grid_statistics(reference).top)
        for count, row in found.items():
            made = Lime(samples=samples, segmentations=count).explain(replace(request, kept={}))
            statistics = grid_statistics(made)
            shared = len(truth & set(statistics.top))
            row["images"] += 1
            row["shared"] += shared
            row["same"] += shared == len(truth)
            row["certain"] += statistics.certain
            row["right"] += statistics.certain and shared == len(truth)
            if made.cells is not None and reference.cells is not None:
                row["pairs"] += PAIRS
                row["held"] += _held(made.cells, reference.cells)
        say(f"{number + 1} images, load {load()}")
        if (number + 1) % _REPORT_EVERY == 0:
            report(network, found)
    return found


def _held(own: CellEstimate, reference: CellEstimate) -> int:
    """Return how many of the 36 differences between two cells agree with the reference's, by their 95 % intervals."""
    import numpy as np
    from scipy.special import stdtrit

    first, second = np.triu_indices(len(own.means), 1)
    covariance = own.covariance + reference.covariance
    variance = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    apart = own.means - reference.means
    return int((np.abs(apart[first] - apart[second]) <= stdtrit(own.freedom, 0.975) * np.sqrt(variance)).sum())


def report(network: str, found: dict[int, dict[str, int]]) -> None:
    """Print the table of one network, and whether what is called certain holds."""
    rows = []
    for count, row in found.items():
        low, high = wilson(row["right"], row["certain"])
        held = row["held"] / row["pairs"] if row["pairs"] else None
        each = row["shared"] / row["images"], row["same"], row["certain"], row["right"], low, high, held
        rows.append((str(count), row["images"], *each))
    head = (
        "segmentations",
        "images",
        "shared of 3",
        "all 3",
        "certain",
        "of these all 3",
        "at least",
        "at most",
        "95 % hold",
    )
    say("", network, table(head, rows))
    for count, row in found.items():
        if count > 1:
            met = "met " if row["right"] >= _GOAL * row["certain"] else "LOST"
            say(f"{met} {count} segmentations: {row['right']} of {row['certain']} certain choices are right")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NETWORK", help="IDC, IHC, MRI, known")
    parser.add_argument("--data", type=Path, help="folder with idc/patches.zip and brain_mri/slices.zip")
    parser.add_argument("--images", type=int, default=24, help="of each network (default 24)")
    parser.add_argument("--samples", type=int, default=1000, help="of each run (default 1000)")
    parser.add_argument("--segmentations", type=int, nargs="+", default=(1, 5, 10), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    given = parser.parse_args()
    only = given.only or [network for network in NETWORKS if network != "MRI" or given.data]
    if given.data is None and "MRI" in only:
        parser.error("MRI needs --data")
    settle_environment()
    results: dict[str, Any] = {"machine": machine(), "samples": given.samples, "networks": {}}
    for network in only:
        found = measure(network, cases(network, given.images, given.data), given.samples, given.segmentations)
        report(network, found)
        results["networks"][network] = found
    write_json(given.json, results)


if __name__ == "__main__":
    main()
