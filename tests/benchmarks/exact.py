"""How long the exact cells take beside bare forward passes and beside RISE, on one machine in one run.

    python -m tests.benchmarks.exact [--only idc resnet18] [--rounds N] [--rise N] [--threads N] [--json FILE]

In every round all three are run in turn: bare passes before and after (at the best batch size, in the same precision),
the exact cells under both fills, and RISE in float32. Ratios are taken within a round, medians are shown, and the same
in processor time, which other work on the machine disturbs less. The exact cells are always run whole; the bare passes
and RISE's masks are fewer on large inputs, and scaled up to 1,023 and 4,000.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import load, machine, make_classifier, make_request, say, settle_environment, write_json

if TYPE_CHECKING:
    from engine.explainers.base import Request
    from engine.results.exact_cells import ExactCells

NETWORKS = {"idc": (1000, 4000), "resnet18": (128, 400), "resnet50": (64, 200)}
"""Bare passes before and after, and RISE's masks, by network."""

FILLS = ("mean", "blur")
MOST_OVER_BARE = 1.1
LEAST_OF_RISE = 3.5
RISE = 4000
"""What issue 16 asks for: times as many bare passes, and how many times faster than RISE's 4,000 masks in float32."""


class _ExactCells:
    """The exact cells as a method, so that they are timed as any other.

    Attributes:
        found: by the last run.
        samples: that surely passed through the whole network, for `tests.benchmarks.speed.afresh`: what is looked up
            does not.
    """

    key, samples = "exact", 1
    found: ExactCells

    def explain(self, request: Request) -> _ExactCells:
        from engine.evidence.exact import exact_cells

        self.found = exact_cells(request, FILLS)
        return self


def measure(name: str, rounds: int, masks: int | None) -> dict[str, Any]:
    """Time one network; return its ratios and seconds."""
    from engine.explainers.rise import Rise
    from tests.benchmarks.speed import afresh
    from tests.benchmarks.timing import Bare, Record

    chunk, usual = NETWORKS[name]
    rise = Rise(samples=masks or usual)
    classifier = make_classifier(name, "fp32")
    request = make_request(classifier)
    bare = Bare(classifier.network, request.tensor, "fp32")
    replace(rise, samples=32).explain(replace(request, kept={}))  # tuned, and everything imported
    method, passes = _ExactCells(), 1 + 511 * len(FILLS)
    exact, of_rise = Record("exact", passes, passes), Record("rise", rise.samples, RISE)
    for number in range(rounds):
        for record, timed in ((exact, method), (of_rise, rise)):
            record.run_beside(bare, chunk, partial(afresh, classifier, timed, request))
        say(f"{name}: round {number + 1} of {rounds} done, load {load()}")
    found = method.found
    summary = {
        "passes": found.passes,
        "batch": found.parameters["batch"],
        "convolutions_looked_up": found.parameters["convolutions_looked_up"],
        "seconds": exact.seconds,
        "seconds_cpu": exact.seconds_cpu,
        "over_bare": exact.overhead,
        "over_bare_cpu": exact.overhead_cpu,
        "rise_over_exact": _ratio(of_rise.wall, exact.wall, RISE / rise.samples),
        "rise_over_exact_cpu": _ratio(of_rise.cpu, exact.cpu, RISE / rise.samples),
        "records": [exact.summary(), of_rise.summary()],
    }
    over, over_cpu = summary["over_bare"], summary["over_bare_cpu"]
    rise_over, rise_over_cpu = summary["rise_over_exact"], summary["rise_over_exact_cpu"]
    say(
        f"{name}: exact cells, {found.passes} passes in {exact.seconds:.2f} s ({exact.seconds_cpu:.2f} s of processor "
        f"time), {over:.2f} ({over_cpu:.2f}) times as long as so many bare passes; RISE's {RISE:,} masks in float32 "
        f"take {rise_over:.2f} ({rise_over_cpu:.2f}) times as long as they. Batch {summary['batch']}, "
        f"{summary['convolutions_looked_up']} convolutions looked up.",
        f"{name}: in processor time "
        + ("within" if over_cpu <= MOST_OVER_BARE else "ABOVE")
        + f" {MOST_OVER_BARE} of the bare passes, "
        + ("at least" if rise_over_cpu >= LEAST_OF_RISE else "LESS than")
        + f" {LEAST_OF_RISE} times faster than RISE.",
    )
    return summary


def _ratio(numerators: list[float], denominators: list[float], scale: float) -> float:
    return median(scale * a / b for a, b in zip(numerators, denominators, strict=True))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.exact", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=["idc", "resnet18"], metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is run in turn (default 3)")
    parser.add_argument("--rise", type=int, metavar="N", help="masks that RISE draws, scaled up to 4,000")
    parser.add_argument("--threads", type=int, metavar="N", help="threads; 1 on a busy machine (default: torch's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    arguments = parser.parse_args()
    settle_environment()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    results: dict[str, Any] = {"machine": machine(), "networks": {}}
    say(json.dumps(results["machine"]))
    for name in arguments.only:
        results["networks"][name] = measure(name, arguments.rounds, arguments.rise)
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
