"""Is the line of evidence worth anything? Maps known to be wrong, and maps that are right, are asked all questions.

    python -m tests.benchmarks.fakes [--worlds N] [--images N] [--trained SHARE] [--sampling N] [--maps MAP...]
        [--first SEED] [--json FILE]

Networks and images come from `tests.benchmarks.known_evidence`. Five fakes are methods that make a map which tells
nothing of the network's reasons: a random smooth map, a blob in the centre, the edges of the image, the map of the
wrong class, the map of the network with random weights. A fake counts where it is wrong: where its three cells rank
above 8, kept and hidden, under every fill that matters. Right maps are that of the known evidence itself, and the
built-in methods' where their three cells are of the known ones. Each fake should get a *no* somewhere in at least 95 %,
right maps in at most 5 %.

*Right* judges by the same exact cells that say which fakes count, so a column says how many get a *no* from the other
three questions alone. To save time, *better than chance* is asked of four of the fakes on the first image of each
network only, which can but lower these shares, and LIME and RISE are asked about on every Nth network only.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import machine, say, settle_environment, table, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explainers.base import Request
    from engine.results.evidence import Evidence, OfThisNetwork
    from engine.results.exact_cells import ExactCells, Judged
    from engine.results.saliency import SaliencyMap
    from tests.benchmarks.known_evidence import Case, World

Explain = Callable[["Request"], "SaliencyMap"]

TRUTH = "known evidence"
WRONG_CLASS = "wrong class"
FAKES = ("random smooth", "centre blob", "edges", WRONG_CLASS, "random weights")
SAMPLING = ("lime", "rise")
BUILT_IN = (*SAMPLING, "gradcam", "gradcam++", "hirescam")
MAPS = (TRUTH, *BUILT_IN, *FAKES)
QUESTIONS = ("right", "better_than_chance", "stable", "of_this_network")
WRONG_RANK = 8.0
_PER_WORLD = 4
_STRANGERS = 6
_REPORT_EVERY = 10


@dataclass(slots=True)
class Tally:
    """What was answered about one kind of map.

    Attributes:
        asked: maps that were asked about and count.
        left_out: maps that do not count: fakes that are right, methods that missed the known cells, constant maps.
        refused: how many got a *no* somewhere.
        refused_otherwise: how many got one from another question than *right*.
        verdicts: by question, how many got each verdict.
    """

    asked: int = 0
    left_out: int = 0
    refused: int = 0
    refused_otherwise: int = 0
    verdicts: dict[str, Counter[str]] = field(default_factory=lambda: {question: Counter() for question in QUESTIONS})

    def note(self, evidence: Evidence) -> None:
        """Count the answers about one map."""
        verdicts = {question: str(verdict) for question, verdict in evidence.verdicts.items()}
        self.asked += 1
        self.refused += "no" in verdicts.values()
        self.refused_otherwise += any(verdicts[question] == "no" for question in QUESTIONS[1:])
        for question, verdict in verdicts.items():
            self.verdicts[question][verdict] += 1


def main(argv: Sequence[str]) -> int:
    """Ask about all maps of all worlds, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=80, metavar="N", help="networks to make")
    parser.add_argument("--images", type=int, default=_PER_WORLD, metavar="N", help="images for each network")
    parser.add_argument("--trained", type=float, default=1 / 3, metavar="SHARE", help="of networks that are trained")
    parser.add_argument("--sampling", type=int, default=4, metavar="N", help="LIME and RISE on every Nth network")
    parser.add_argument("--maps", nargs="+", choices=MAPS, default=MAPS, metavar="MAP", help=", ".join(MAPS))
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="seed of the first network")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(argv)
    settle_environment()
    # Where nothing can be stored, the batch size is not measured for each network, but fixed.
    os.environ["XDG_CACHE_HOME"] = os.devnull
    from tests.benchmarks.known_evidence import make_world

    tallies = {name: Tally() for name in given.maps}
    started = time.process_time()
    for number in range(given.worlds):
        trained = math.floor((number + 1) * given.trained) > math.floor(number * given.trained)
        world = make_world(given.first + number, "trained" if trained else "built")
        ask_world(world, given.first + number, given.images, tallies, sampling=number % given.sampling == 0)
        say(f"{number + 1} of {given.worlds} networks, {time.process_time() - started:.0f} s of processor time")
        if (number + 1) % _REPORT_EVERY == 0 and number + 1 < given.worlds:
            report(tallies)
    report(tallies)
    rows = {
        name: {
            "asked": tally.asked,
            "left_out": tally.left_out,
            "refused": tally.refused,
            "refused_otherwise": tally.refused_otherwise,
            "verdicts": tally.verdicts,
        }
        for name, tally in tallies.items()
    }
    write_json(given.json, {"machine": machine(), "worlds": given.worlds, "maps": rows})
    return 0


def ask_world(world: World, seed: int, images: int, tallies: Mapping[str, Tally], *, sampling: bool) -> None:
    """Ask about every map that has a tally, of every image of one network; about LIME's and RISE's where `sampling`."""
    import numpy as np

    from engine.evidence.better_than_chance import ask_better_than_chance
    from engine.explanation.exact import explain_exact
    from engine.results.statistics import grid_statistics
    from tests.benchmarks.known_evidence import CLASSES

    cases = list(world.cases(np.random.default_rng(seed + 10_000), images))
    if not cases:
        return
    methods = {name: explain for name, explain in _built_in().items() if sampling or name not in SAMPLING}
    methods = {name: explain for name, explain in (methods | _fakes(world, cases, seed)).items() if name in tallies}
    quick = {**methods, **_with_few_samples(methods)}
    of_the_network = {name: _of_this_network(world, cases, quick[name], seed) for name in methods}
    for number, case in enumerate(cases):
        exact = explain_exact(world.classifier, case.image, target=CLASSES[1])
        asked = _request(world, case, seed + number)
        for name, explain in {TRUTH: _truth(case), **methods}.items():
            if name not in tallies:
                continue
            saliency = explain(asked)
            top = grid_statistics(saliency).top
            if not top or not _counts(name, case, exact.judge(top), top):
                tallies[name].left_out += 1
                continue
            evidence = _evidence(asked, saliency, exact, explain, of_the_network.get(name))
            if name not in FAKES or name == WRONG_CLASS or number == 0:
                evidence = replace(evidence, better_than_chance=ask_better_than_chance(asked, saliency))
            tallies[name].note(evidence)


def _counts(name: str, case: Case, judged: Mapping[str, Judged], top: Sequence[tuple[int, int]]) -> bool:
    """Whether a map is one of those that must get, or must not get, a *no*."""
    if name in FAKES:
        ranks = [(one.kept_rank, one.hidden_rank) for one in judged.values() if one.kept_rank is not None]
        return bool(ranks) and all(min(pair) > WRONG_RANK for pair in ranks)
    return len(set(top) & set(case.cells)) == min(len(case.cells), 3)


def _evidence(
    asked: Request, saliency: SaliencyMap, exact: ExactCells, explain: Explain, of_this_network: OfThisNetwork | None
) -> Evidence:
    from engine.evidence.right import judge_right
    from engine.evidence.stable import ask_stable
    from engine.results.evidence import Evidence
    from engine.results.statistics import grid_statistics

    statistics = grid_statistics(saliency)
    found = Evidence(
        right=judge_right(exact, statistics.top, statistics.named),
        stable=ask_stable(asked, saliency, explain),
    )
    return found if of_this_network is None else replace(found, of_this_network=of_this_network)


def _of_this_network(world: World, cases: Sequence[Case], explain: Explain, seed: int) -> OfThisNetwork:
    from engine.errors import ExplanationError
    from engine.evidence.of_this_network import Measurement, inputs_of, judge_figures
    from engine.progress import NeverStop
    from engine.results.evidence import OfThisNetwork, Verdict

    base = _request(world, cases[0], seed)
    inputs = inputs_of(world.classifier, [_request(world, case, 0).tensor for case in cases])
    requests = [replace(base, tensor=tensor, seed=seed + number, kept={}) for number, tensor in enumerate(inputs)]
    try:
        return judge_figures(Measurement(requests, seed).run(explain, stop=NeverStop()))
    except ExplanationError as error:
        return OfThisNetwork(Verdict.UNKNOWN, why=error.cause)


def _request(world: World, case: Case, seed: int) -> Request:
    from engine.explainers.base import Request

    return Request(world.classifier, world.classifier.tensor(case.image), 1, seed)


def _built_in() -> dict[str, Explain]:
    from engine.explainers.gradcam import GradCam
    from engine.explainers.lime import Lime
    from engine.explainers.rise import Rise

    cams = {key: GradCam(key).explain for key in BUILT_IN[2:]}  # type: ignore[arg-type]  # keys of CAMs
    return {"lime": Lime().explain, "rise": Rise(samples=1500).explain, **cams}


def _with_few_samples(methods: Collection[str]) -> dict[str, Explain]:
    """Return the sampling methods among these as *of this network* asks them."""
    from engine.evidence.of_this_network import MOST_SAMPLES
    from engine.explainers.lime import Lime
    from engine.explainers.rise import Rise

    few = {"lime": Lime(samples=MOST_SAMPLES).explain, "rise": Rise(samples=MOST_SAMPLES).explain}
    return {name: explain for name, explain in few.items() if name in methods}


def _truth(case: Case) -> Explain:
    return lambda asked: _as_map(case.evidence, asked)


def _fakes(world: World, cases: Sequence[Case], seed: int) -> dict[str, Explain]:
    """Return the five fakes, each a way to make a map for a request."""
    import numpy as np
    import torch
    from scipy.ndimage import gaussian_filter, sobel

    from engine.evidence.chance_maps import centre_blob
    from engine.evidence.random_weights import randomised
    from engine.explainers.gradcam import GradCam

    gradcam = GradCam("gradcam").explain
    requests = [_request(world, case, seed) for case in cases]
    inputs = torch.cat([asked.tensor for asked in requests])
    # A constant map names no cell, so it deceives nobody: of a few strangers, the one with the most maps is taken.
    strangers = [randomised(world.classifier, "all", inputs, seed + number) for number in range(_STRANGERS)]
    stranger = max(
        strangers,
        key=lambda one: sum(not gradcam(replace(asked, classifier=one, kept={})).constant for asked in requests),
    )

    def smooth(asked: Request) -> SaliencyMap:
        height, width = asked.size
        drawn = np.random.default_rng(asked.seed).standard_normal((height, width))
        return _as_map(gaussian_filter(drawn, max(height, width) / 8, mode="wrap"), asked)

    def edges(asked: Request) -> SaliencyMap:
        grey = asked.tensor[0].mean(0).double().numpy()
        return _as_map(gaussian_filter(np.hypot(sobel(grey, 0), sobel(grey, 1)), 1.5), asked)

    def wrong_class(asked: Request) -> SaliencyMap:
        made = gradcam(replace(asked, target=2, kept={}))
        return replace(made, target=asked.classifier.classes[asked.target])

    def of_random_weights(asked: Request) -> SaliencyMap:
        return gradcam(replace(asked, classifier=stranger, kept={}))

    blob: Explain = lambda asked: _as_map(centre_blob(*asked.size), asked)  # noqa: E731 - beside the others
    return dict(zip(FAKES, (smooth, blob, edges, wrong_class, of_random_weights), strict=True))


def _as_map(values: NDArray[np.float64], asked: Request) -> SaliencyMap:
    from engine.explainers.base import scaled_map

    return scaled_map(values, asked, method="fake", parameters={}, started=time.perf_counter())


def report(tallies: Mapping[str, Tally]) -> None:
    """Print how many maps of each kind got a *no*, and what every question said."""
    say("", "Maps that are wrong must get a no; the bound is Wilson's, 95 %, one-sided.", "")
    head = ("map", "counted", "left out", "a no", "share", "at least", "at most", "a no, but for right")
    say(table(head, list(_shares(tallies))))
    for question in QUESTIONS:
        rows = [
            (name, *(tally.verdicts[question][verdict] for verdict in ("yes", "no", "unknown", "not_asked")))
            for name, tally in tallies.items()
        ]
        say("", table((question, "yes", "no", "unknown", "not asked"), rows))


def _shares(tallies: Mapping[str, Tally]) -> Iterator[tuple[object, ...]]:
    for name, tally in tallies.items():
        low, high = wilson(tally.refused, tally.asked)
        share = tally.refused / tally.asked if tally.asked else None
        yield name, tally.asked, tally.left_out, tally.refused, share, low, high, tally.refused_otherwise


def wilson(count: int, total: int) -> tuple[float | None, float | None]:
    """Return Wilson's bounds of a share, each 95 %; None where nothing was counted."""
    from scipy import stats

    if not total:
        return None, None
    bounds = stats.binomtest(count, total).proportion_ci(0.9, "wilson")  # 5 % beyond either
    return float(bounds.low), float(bounds.high)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
