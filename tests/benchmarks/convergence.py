"""How many passes RISE and LIME need on the bundled IDC network until their cell means are those of many more.

    python -m tests.benchmarks.convergence [--quick] [--images FOLDER] [--only rise lime] [--json FILE]

For every image the nine cell means at 250 to 4,000 passes are held against those of 48,000 masks (RISE) and 20,000
samples (LIME) drawn with another seed. `paper`, `centred` and `regressed` (centred, with the control variate) are
computed here from the same passes, whose masks are drawn one by one; `shipped` is what the engine gives: `regressed` on
masks in antithetic pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import (
    load,
    machine,
    make_classifier,
    patches,
    say,
    settle_environment,
    table,
    write_json,
)

if TYPE_CHECKING:
    from engine.explainers.base import Request
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.saliency import CellEstimate

COUNTS = (250, 500, 1000, 2000, 4000)
CONVERGED = {"rise": 48_000, "lime": 20_000}
TARGET_COUNT, TARGET = 1000, 0.98
_SEED, _REFERENCE_SEED = 1000, 1
_BATCH = 64


@dataclass(slots=True)
class Tally:
    """What one way of estimating gave over all images and seeds.

    Attributes:
        correlations: of the nine cell means with the converged ones.
        overlaps: how many of the three top cells are among the converged three.
        certain: whether the choice was called certain.
        right: whether the three cells were the converged three.
        samples: passes used.
    """

    correlations: list[float] = field(default_factory=list)
    overlaps: list[int] = field(default_factory=list)
    certain: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)

    def add(self, estimate: CellEstimate, truth: CellEstimate, samples: int) -> None:
        """Take in one estimate."""
        import numpy as np

        from engine.results.certainty import unsettled_cells

        overlap = len(top(estimate) & top(truth))
        self.correlations.append(float(np.corrcoef(estimate.means, truth.means)[0, 1]))
        self.overlaps.append(overlap)
        self.certain.append(not unsettled_cells(estimate))
        self.right.append(overlap == 3)
        self.samples.append(samples)

    def summary(self) -> dict[str, Any]:
        """Medians, means and shares."""
        claims = [right for right, certain in zip(self.right, self.certain, strict=True) if certain]
        return {
            "runs": len(self.correlations),
            "median_correlation": median(self.correlations),
            "worst_correlation": min(self.correlations),
            "mean_overlap": mean(self.overlaps),
            "certain_share": len(claims) / len(self.certain),
            "certain_claims": len(claims),
            "certain_right": sum(claims),
            "median_samples": median(self.samples),
        }


def top(estimate: CellEstimate) -> set[tuple[int, int]]:
    """The three cells with the highest means."""
    from engine.results.cells import rank_cells

    return set(rank_cells(estimate.means.reshape(3, 3))[:3])


def rise(classifier: Classifier, image: MedicalImage, seeds: int, tallies: dict[tuple[str, int], Tally]) -> bool:
    """RISE on one image; whether the converged map's own three cells are settled."""
    from engine.explainers.rise import Rise
    from engine.results.certainty import unsettled_cells

    truth = _cells(Rise(samples=CONVERGED["rise"]), _request(classifier, image, _REFERENCE_SEED))
    for seed in range(_SEED, _SEED + seeds):
        request = _request(classifier, image, seed)
        for (how, count), estimate in _by_formula(request).items():
            _tally(tallies, how, count).add(estimate, truth, count)
        for count in COUNTS:
            _tally(tallies, "shipped", count).add(_cells(Rise(samples=count), request), truth, count)
        _until_certain(tallies, Rise(samples=COUNTS[-1], until="certain"), request, truth)
    return not unsettled_cells(truth)


def lime(classifier: Classifier, image: MedicalImage, seeds: int, tallies: dict[tuple[str, int], Tally]) -> bool:
    """LIME on one image; whether the converged map's own three cells are settled."""
    from engine.explainers.lime import Lime
    from engine.results.certainty import unsettled_cells

    truth = _cells(Lime(samples=CONVERGED["lime"]), _request(classifier, image, _REFERENCE_SEED))
    for seed in range(_SEED, _SEED + seeds):
        request = _request(classifier, image, seed)
        for count in COUNTS:
            _tally(tallies, "shipped", count).add(_cells(Lime(samples=count), request), truth, count)
        _until_certain(tallies, Lime(samples=1000, until="certain"), request, truth)
    return not unsettled_cells(truth)


def _until_certain(tallies: dict[tuple[str, int], Tally], method: Any, request: Request, truth: CellEstimate) -> None:
    found = method.explain(request)
    if found.cells is not None:
        _tally(tallies, "until certain", method.samples).add(found.cells, truth, found.samples)


def _by_formula(request: Request) -> dict[tuple[str, int], CellEstimate]:
    """Petsiuk's equation 6, the plain covariance, and that with the control variate, averaged over cells."""
    import numpy as np
    import torch

    from engine.explainers.rise import RiseEstimate
    from engine.explainers.rise_masks import RiseMasks
    from engine.results.cells import part_weights
    from engine.results.saliency import CellEstimate

    draw, classifier = RiseMasks(request.size, 7, 0.5, request.seed), request.classifier
    rows, columns = (torch.tensor(part_weights(3, side), dtype=torch.float32) for side in request.size)
    outputs, means = [], []
    for start in range(0, COUNTS[-1], _BATCH):
        masks = draw(start, min(start + _BATCH, COUNTS[-1]))
        with torch.inference_mode():
            probabilities = classifier.probabilities(classifier.logits(masks * request.tensor))
        outputs.append(probabilities[:, request.target].numpy())
        means.append((rows @ masks[:, 0] @ columns.T).flatten(1).double().numpy())
    f, m = np.concatenate(outputs), np.concatenate(means)
    found = {}
    for n in COUNTS:
        for how, terms in (
            ("paper", f[:n, None] * m[:n] / 0.5),
            ("centred", (f[:n] - f[:n].mean())[:, None] * (m[:n] - m[:n].mean(axis=0)) / 0.5),
        ):
            found[how, n] = CellEstimate(terms.mean(axis=0), np.cov(terms.T) / n)
        found["regressed", n] = RiseEstimate(draw, f[:n], "centred", 1).cells()
    return found


def _cells(method: Any, request: Request) -> CellEstimate:
    cells = method.explain(request).cells
    if cells is None:
        raise RuntimeError(f"{method.key} gave no cell means")
    result: CellEstimate = cells
    return result


def _request(classifier: Classifier, image: MedicalImage, seed: int) -> Request:
    from engine.explainers.base import Request

    target = classifier.class_index(classifier.diagnose(image).predicted)
    return Request(classifier=classifier, tensor=classifier.tensor(image), target=target, seed=seed)


def _tally(tallies: dict[tuple[str, int], Tally], how: str, count: int) -> Tally:
    return tallies.setdefault((how, count), Tally())


def show(method: str, rows: Sequence[dict[str, Any]], settled: int, images: int) -> str:
    """The table of one method."""
    head = ("estimator", "passes", "correlation", "worst", "of 3 cells", "certain %", "of these right", "passes used")
    lines = [
        (
            row["how"],
            row["passes"],
            row["median_correlation"],
            row["worst_correlation"],
            row["mean_overlap"],
            100.0 * row["certain_share"],
            f"{row['certain_right']}/{row['certain_claims']}",
            int(row["median_samples"]),
        )
        for row in rows
    ]
    title = (
        f"\n{method} against {CONVERGED[method]} samples, whose own three cells are settled on {settled} of {images}"
    )
    return title + "\n" + table(head, lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.convergence", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="6 images instead of 30")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="50x50 pictures to use")
    parser.add_argument("--seeds", type=int, default=1, help="runs of every image (default 1)")
    parser.add_argument("--precision", choices=("fp32", "auto"), default="fp32")
    parser.add_argument("--only", nargs="+", choices=("rise", "lime"), default=("rise", "lime"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    arguments = parser.parse_args()
    settle_environment()
    classifier = make_classifier("idc", arguments.precision)
    images, source = patches(6 if arguments.quick else 30, arguments.images, classifier.bundle.input.size[0])
    results: dict[str, Any] = {"machine": machine(), "images": len(images), "from": source, "methods": {}}
    say(json.dumps(results["machine"]), f"{len(images)} images: {source}; {arguments.precision}")
    for method in arguments.only:
        started, tallies, settled = time.perf_counter(), {}, 0
        for image in images:
            settled += (rise if method == "rise" else lime)(classifier, image, arguments.seeds, tallies)
        order = ("paper", "centred", "regressed", "shipped", "until certain")
        rows = [
            {"how": how, "passes": count, **tally.summary()}
            for (how, count), tally in sorted(tallies.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
        ]
        results["methods"][method] = {"rows": rows, "converged_settled": settled}
        say(show(method, rows, settled, len(images)), f"({time.perf_counter() - started:.0f} s)")
        if method == "rise":
            reached = next(r for r in rows if r["how"] == "shipped" and r["passes"] == TARGET_COUNT)
            word = "met " if reached["median_correlation"] >= TARGET else "LOST"
            found = f"{reached['median_correlation']:.4f} (at least {TARGET})"
            say(f"{word} correlation of RISE's cell means at {TARGET_COUNT} passes: {found}")
    results["load_average_at_end"] = load()
    say(f"\nload average at start {results['machine']['load_average']}, at end {load()}")
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
