"""How long RISE, LIME and Grad-CAM take beside bare forward passes and beside others' code, on one machine in one run.

    python -m tests.benchmarks.speed [--quick] [--only idc resnet18 resnet50 memory stop] [--json FILE]

The machine may be busy: everything compared is run in turn, several rounds of it, ratios are taken within a round, and
medians are shown. Bare passes are timed before and after each method in chunks and counted up to the method's samples.
`lime ours` shares its samples among segmentations, as many as by default; `lime-1 ours` has one, as the others have.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import (
    NETWORKS,
    load,
    machine,
    make_classifier,
    make_request,
    say,
    settle_environment,
    table,
    write_json,
)
from tests.benchmarks.footprint import measure_memory, measure_stop
from tests.benchmarks.verdict import verdict

if TYPE_CHECKING:
    import torch
    from torch import nn

    from engine.explainers.base import Request
    from engine.network.classifier import Classifier
    from tests.benchmarks.timing import Record

Case = tuple[str, Callable[[], None]]
"""Its name and one run of it."""

PARTS = (*NETWORKS, "memory", "stop")
RISE, LIME = 4000, 1000
"""Samples that every time is stated for."""

_REPEATS = 20
"""In a round, of what takes a single pass: other work on the machine disturbs single passes most."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run.

    Attributes:
        rise, lime: samples actually drawn, by network; times are stated for 4,000 and 1,000.
        chunk: bare passes before and after each method, by network.
        rounds: how often everything is run in turn.
        many: masks of the larger memory case.
    """

    rise: dict[str, int]
    lime: dict[str, int]
    chunk: dict[str, int]
    rounds: int
    many: int


FULL = Effort(
    rise={"idc": 4000, "resnet18": 2000, "resnet50": 500},
    lime={"idc": 1000, "resnet18": 1000, "resnet50": 300},
    chunk={"idc": 2000, "resnet18": 256, "resnet50": 128},
    rounds=3,
    many=16_000,
)
QUICK = Effort(
    rise={"idc": 4000, "resnet18": 400, "resnet50": 200},
    lime={"idc": 1000, "resnet18": 300, "resnet50": 100},
    chunk={"idc": 1000, "resnet18": 128, "resnet50": 64},
    rounds=3,
    many=16_000,
)


@dataclass(slots=True)
class Contest:
    """One network: the engine in two precisions, the bare passes beside it, and the others."""

    name: str
    effort: Effort
    only: str = ""
    records: dict[str, Record] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Contest:
        """Set everything up, then run all cases in turn, round by round."""
        say(f"\n{self.name}: setting up (calibration, best batch of the bare passes)")
        made = [*self._own_cases(), *self._others()]
        self.records = {name: record for name, record in self.records.items() if re.search(self.only, name)}
        cases = [case for name, case in made if name in self.records]
        for number in range(self.effort.rounds):
            for case in cases if number % 2 == 0 else reversed(cases):
                case()
            say(f"{self.name}: round {number + 1} of {self.effort.rounds} done, load {load()}")
        return self

    def _own_cases(self) -> Iterable[Case]:
        from engine.explainers.gradcam import GradCam
        from engine.explainers.lime import Lime
        from engine.explainers.perturbation import prepared_tuning
        from engine.explainers.rise import Rise
        from tests.benchmarks.timing import Bare

        for precision in ("fp32", "auto"):
            classifier = make_classifier(self.name, precision)
            request = make_request(classifier)
            started = time.perf_counter()
            tuning = prepared_tuning(request)
            calibration = time.perf_counter() - started
            chunk = self.effort.chunk[self.name]
            rise, lime = Rise(samples=self.effort.rise[self.name]), Lime(samples=self.effort.lime[self.name])
            # What auto settles on depends on image and method; each is held against bare passes in its own precision.
            settled = {
                trial.key: str(trial.explain(request).parameters["precision"])
                for trial in (replace(rise, samples=64), replace(lime, samples=128))
            }
            bare = {kind: Bare(classifier.network, request.tensor, kind) for kind in sorted(set(settled.values()))}
            self.facts[precision] = {
                "calibration_seconds": calibration,
                "batch": {kind: tuning.batch_for(kind) for kind in bare},
                "settled": settled,
                "bare_batch": {kind: passes.batch for kind, passes in bare.items()},
            }
            kind = settled["rise"]
            fast = Bare(partial(classifier.logits, fast=True), request.tensor, kind)
            for what, passes in (("bare", bare[kind]), ("bare fast", fast)):
                record = self._record(f"{what} {precision}", chunk, RISE, f"batch {passes.batch}, {kind}")
                yield self._alone(record, partial(passes, chunk))
            alone = replace(lime, segmentations=1)
            for case, method, stated in (("rise", rise, RISE), ("lime", lime, LIME), ("lime-1", alone, LIME)):
                kind = settled[method.key]
                note = f"batch {tuning.batch_for(kind)}, {kind}"
                record = self._record(f"{case} ours {precision}", method.samples, stated, note)
                run = partial(afresh, classifier, method, request)
                yield record.case, partial(record.run_beside, bare[kind], chunk, run)
            if precision == "fp32":
                yield self._alone(self._record("gradcam ours", 1, 1), partial(afresh, classifier, GradCam(), request))

    def _others(self) -> Iterable[Case]:
        from engine.explainers.superpixels import superpixels
        from tests.benchmarks.rivals import (
            captum_gradcam,
            captum_lime,
            lime_as_it_comes,
            make_plain,
            quickshift_count,
            rise_masks,
            rise_of_the_paper,
            rise_of_xaitk,
        )

        classifier = make_classifier(self.name)
        plain = make_plain(classifier)
        size, layer = classifier.bundle.input.size, classifier.default_layer
        ours = superpixels(plain.picture.astype("float32"))
        theirs = quickshift_count(plain.picture)
        self.facts["superpixels"] = {"ours": ours.count, "quickshift": theirs}

        passes = min(self.effort.rise[self.name], 200 if size[0] > 100 else 1000)
        record = self._record(
            "rise of the paper", passes, RISE, f"masks up front, batch 100, NCHW; {passes} masks scaled to {RISE}"
        )
        yield self._alone(record, lambda: rise_of_the_paper(plain, rise_masks(passes, size)))
        if importlib.util.find_spec("xaitk_saliency"):
            record = self._record("rise of xaitk", passes, RISE, f"batch 100, NCHW; {passes} masks scaled to {RISE}")
            yield self._alone(record, lambda: rise_of_xaitk(plain, passes))

        samples = self.effort.lime[self.name]
        labels = ours.labels if theirs < 5 else None
        how = f"our {ours.count} superpixels (its quickshift finds {theirs})" if theirs < 5 else f"{theirs} quickshift"
        record = self._record("lime as it comes", samples, LIME, f"batch 10; {how}")
        yield self._alone(record, lambda: lime_as_it_comes(plain, samples, labels))
        batch = self.facts["fp32"]["bare_batch"]["fp32"]
        record = self._record("lime of captum", samples, LIME, f"batch {batch}; our {ours.count} superpixels")
        yield self._alone(record, lambda: captum_lime(plain, samples, ours.labels, batch))
        yield self._alone(self._record("gradcam of captum", 1, 1), lambda: captum_gradcam(plain, layer))

    def _record(self, case: str, samples: int, stated: int, note: str = "") -> Record:
        from tests.benchmarks.timing import Record

        self.records[case] = Record(case, samples, stated, note=note)
        return self.records[case]

    @staticmethod
    def _alone(record: Record, run: Callable[[], object]) -> Case:
        return record.case, partial(record.run, run, _REPEATS if record.samples == 1 else 1)

    def table(self) -> str:
        """Seconds for the stated samples and ratios."""
        fp32, auto = (self.facts[precision] for precision in ("fp32", "auto"))
        lines = [
            f"\n{self.name}: auto settled on {auto['settled']}; superpixels: {self.facts['superpixels']}",
            *(
                f"{precision}: batch {found['batch']}, best for bare passes {found['bare_batch']}, "
                f"calibration {found['calibration_seconds']:.1f} s"
                for precision, found in (("fp32", fp32), ("auto", auto))
            ),
        ]
        rows = []
        for case, record in self.records.items():
            method = case.split()[0]
            ours = [self.records.get(f"{method} ours {precision}") for precision in ("fp32", "auto")]
            others = [own if "ours" not in case else None for own in ours]
            times = [record.seconds / own.seconds if own else None for own in others]
            times_cpu = [record.seconds_cpu / own.seconds_cpu if own else None for own in others]
            over = (record.overhead, record.overhead_cpu) if record.bare else (None, None)
            both = (value for pair in zip(times, times_cpu, strict=True) for value in pair)
            rows.append((case, record.seconds, record.samples, record.stated, *over, *both, record.note))
        head = ("case", "seconds", "run with", "for", "over bare", "(cpu)")
        head += ("x ours fp32", "(cpu)", "x ours auto", "(cpu)", "note")
        return "\n".join([*lines, table(head, rows)])


def afresh(classifier: Classifier, method: Any, request: Request) -> None:
    """Run a method on a request that remembers nothing, and see that it made its passes.

    The engine keeps the outputs of an image's masks, so that another class costs nothing: a second run with the same
    request would measure that memory.
    """
    passed, scores = 0, classifier.scores

    def counted(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        nonlocal passed
        passed += len(inputs[0])
        return scores(network, *inputs)

    with patch.object(classifier, "scores", counted):
        found = method.explain(replace(request, kept={}))
    if passed < max(found.samples, 1):
        raise RuntimeError(f"{method.key} made {passed} passes for {found.samples} samples: it reused earlier ones")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer samples, scaled up")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--cases", default="", metavar="REGEX", help="of the networks' cases, only these")
    parser.add_argument("--rounds", type=int, help="how often everything is run in turn (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    arguments = parser.parse_args()
    settle_environment()
    effort = QUICK if arguments.quick else FULL
    if arguments.rounds:
        effort = replace(effort, rounds=arguments.rounds)
    results: dict[str, Any] = {"machine": machine(), "effort": asdict(effort), "networks": {}}
    say(json.dumps(results["machine"]))
    if importlib.util.find_spec("xaitk_saliency") is None:
        say("xaitk-saliency is not installed and left out; the extra `benchmark` has it.")
    if arguments.quick:
        say("Quick: what a run costs once (the check of the precision, the fit) is scaled up too, to our disadvantage.")
    for name in NETWORKS:
        if name in arguments.only:
            contest = Contest(name, effort, arguments.cases).run()
            say(contest.table())
            results["networks"][name] = {
                "facts": contest.facts,
                "records": {case: record.summary() for case, record in contest.records.items()},
            }
    if "memory" in arguments.only:
        results["memory"] = measure_memory(
            effort.many, ("idc", "sketch") if arguments.quick else ("idc", "sketch", "resnet18")
        )
        rows = [
            (
                f"{r['who']} {r['network']}",
                *(f"{n}: {kib / 1024:.0f} MiB" for n, kib in r["peak_kib"].items()),
                100 * r["growth"],
            )
            for r in results["memory"]
        ]
        say("", table(("peak memory of RISE", "masks", "masks", "growth %"), rows))
    if "stop" in arguments.only:
        results["stop"] = measure_stop(3 if arguments.quick else 8)
        rows = [
            (
                f"{r['method']} {r['precision']}",
                r["batch"],
                median(r["stop_seconds"]),
                max(r["stop_seconds"]),
                median(r["pass_seconds"]),
            )
            for r in results["stop"]
        ]
        say("", table(("stop on resnet50", "batch", "median s", "longest s", "one pass s"), rows))
    results["verdict"] = verdict(results)
    results["load_average_at_end"] = load()
    say("", *results["verdict"], f"\nload average at start {results['machine']['load_average']}, at end {load()}")
    write_json(arguments.json, results)


if __name__ == "__main__":
    main()
