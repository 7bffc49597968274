"""What are the three cells of each map worth, and what do the four questions say of it? On images not trained on.

    python -m tests.benchmarks.worth --data FOLDER [--only HIS MRI IHC] [--images N] [--rise N] [--evidence N]
        [--json FILE]

FOLDER holds `idc/patches.zip` and `brain_mri/slices.zip`, which the models' `train.py` read. One image of each of N
patients (for the demo: N patches of an area of its slide) is explained for the predicted class. For every choice of
three cells (the methods', the three with the most votes, the exact three of each fill, the best of all 84) the tables
say how far the probability falls when they are hidden, and what it is when only they are shown, under each fill, with
95 % intervals by patient. Where cells are chosen under one fill and judged under the other, nothing favours them. The
questions that cost passes are asked about the maps of N of the images, evenly chosen (all of them without --evidence).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import machine, say, settle_environment, table, write_json
from tests.benchmarks.unlike import MODELS, unseen

if TYPE_CHECKING:
    import numpy as np

    from engine.explanation.explain import Explanation
    from engine.network.classifier import Classifier
    from engine.results.cells import Cell
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import FillValues
    from tests.benchmarks.unlike import Pictures

FILLS = ("mean", "blur")
WAYS = ("hidden", "kept")
COLUMNS = [(way, fill) for way in WAYS for fill in FILLS]
AGREEMENT, CHANCE = "agreement", "chance"

Worth = dict[str, list[float]]
"""By who chose three cells, what these are worth on one image, in the order of `COLUMNS`."""


def one_each(pictures: Pictures, most: int) -> Pictures:
    """One picture of each patient, the middle one of theirs, of at most so many patients, evenly chosen."""
    of_patient: dict[str, list[Any]] = {}
    for patient, pixels in pictures:
        of_patient.setdefault(patient, []).append(pixels)
    names = sorted(of_patient)
    if len(names) < most:  # the demo has one slide
        return [pictures[row * len(pictures) // most] for row in range(most)]
    chosen = [names[row * len(names) // most] for row in range(most)]
    return [(name, of_patient[name][len(of_patient[name]) // 2]) for name in chosen]


def explained(classifier: Classifier, pixels: np.ndarray, rise: int) -> Explanation | None:
    """Return all maps of an image with the exact cells, and the evidence that costs nothing; None if it is refused."""
    from dataclasses import replace

    from engine.errors import NotCompliantError
    from engine.explainers.settings import Settings
    from engine.explanation.evidence import first_answers
    from engine.explanation.explain import explain
    from engine.images.image import MedicalImage

    try:
        found = explain(classifier, MedicalImage.from_array(pixels), settings=Settings(samples={"rise": rise}))
    except NotCompliantError:
        return None
    known = first_answers(classifier, found.maps, found.statistics, found.settings, exact=found.exact)
    return replace(found, evidence=known)


def worth_of(explanation: Explanation) -> Worth:
    """Return what everyone's three cells are worth on one image; nothing for maps that name no cells."""
    from engine.results.cells import TOP, rank_cells

    assert explanation.exact is not None
    fills = explanation.exact.fills
    votes = rank_cells(explanation.consensus.counts)[:TOP]
    named = {method: found.top for method, found in explanation.statistics.items() if found.top} | {AGREEMENT: votes}
    found = {name: [_worth(fills[fill], way, cells) for way, fill in COLUMNS] for name, cells in named.items()}
    for own in FILLS:
        found[f"exact three, {own}"] = [_worth(fills[fill], way, fills[own].top) for way, fill in COLUMNS]
        best = {"hidden": fills[own].best_hidden, "kept": fills[own].best_kept}
        found[f"best of 84, {own}"] = [_worth(fills[fill], way, best[way]) for way, fill in COLUMNS]
    found[CHANCE] = [_by_chance(fills[fill], way) for way, fill in COLUMNS]
    return found


def _worth(found: FillValues, way: str, cells: Sequence[Cell]) -> float:
    return found.all_shown - found.without(cells) if way == "hidden" else found.kept(cells)


def _by_chance(found: FillValues, way: str) -> float:
    from engine.results.exact_cells import TRIPLES

    return sum(_worth(found, way, three) for three in TRIPLES) / len(TRIPLES)


def evidence_of(classifier: Classifier, explanation: Explanation) -> Iterator[tuple[str, Evidence]]:
    """Yield the evidence for every map; of this network is looked up, and not asked where it was not measured."""
    from engine.explanation.evidence import LATER, ask, with_answer
    from engine.results.evidence import Verdict

    for method, saliency in explanation.maps.items():
        known = explanation.evidence[method]
        for question in LATER:
            if question != "of_this_network" and known.verdicts[question] is Verdict.NOT_ASKED:
                answer = ask(classifier, explanation.image, saliency, question, explanation.settings)
                known = with_answer(known, answer)
        yield method, known


def measure(classifier: Classifier, pictures: Pictures, rise: int, evidence: int) -> dict[str, Any]:
    """Return what the cells are worth on every picture, who named them, and the verdicts by method and question.

    Args:
        classifier: the network.
        pictures: the images.
        rise: RISE's masks.
        evidence: about the maps of how many images the questions that cost passes are asked.
    """
    few = min(evidence, len(pictures))
    asked = {number * len(pictures) // few for number in range(few)}
    worth: list[tuple[str, Worth]] = []
    verdicts: dict[str, dict[str, Counter[str]]] = {}
    shared: dict[str, list[tuple[int, ...]]] = {}
    started, refused = time.process_time(), 0
    for number, (patient, pixels) in enumerate(pictures):
        found = explained(classifier, pixels, rise)
        if found is None or found.exact is None:
            refused += 1
            continue
        worth.append((patient, worth_of(found)))
        for method, statistics in found.statistics.items():
            counts = tuple(one.shared for one in found.exact.judge(statistics.top).values())
            shared.setdefault(method, []).append(counts or (0,) * len(FILLS))
        for method, known in evidence_of(classifier, found) if number in asked else found.evidence.items():
            for question, verdict in known.verdicts.items():
                verdicts.setdefault(method, {}).setdefault(question, Counter())[str(verdict)] += 1
        say(f"{number + 1} of {len(pictures)} images, {time.process_time() - started:.0f} s of processor time")
    return {"refused": refused, "worth": worth, "shared": shared, "verdicts": verdicts}


def report(name: str, found: Mapping[str, Any], by_patient: bool) -> None:
    """Print the tables of one model."""
    import numpy as np

    from engine.evaluation.scores import mean_by_patient
    from engine.explanation.evidence import QUESTIONS

    worth: list[tuple[str, Worth]] = found["worth"]
    units = "patients" if by_patient else "patches of one slide"
    say("", f"{name}: {len(worth)} images of as many {units}; {found['refused']} refused", "")
    rows = []
    for who in dict.fromkeys(key for _, of_image in worth for key in of_image):
        own = [(patient, of_image[who]) for patient, of_image in worth if who in of_image]
        patients = np.array([patient for patient, _ in own]) if by_patient else np.arange(len(own))
        values = np.array([values for _, values in own])
        intervals = [mean_by_patient(values[:, column], patients) for column in range(len(COLUMNS))]
        said = [f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in intervals]
        rows.append((who, len(own), *said))
    say(table(("three cells of", "images", *(f"{way}, {fill}" for way, fill in COLUMNS)), rows), "")
    means = {method: np.mean(each, axis=0) for method, each in found["shared"].items()}
    said = [(method, *(float(value) for value in values)) for method, values in means.items()]
    say(table(("shared of 3 with the exact three of", *FILLS), said), "")
    rows = [
        (method, *(_counted(of_method.get(question, Counter())) for question in QUESTIONS))
        for method, of_method in found["verdicts"].items()
    ]
    say("yes / no / cannot be said / not asked", table(("map of", *QUESTIONS), rows))


def _counted(verdicts: Counter[str]) -> str:
    return " / ".join(str(verdicts[verdict]) for verdict in ("yes", "no", "unknown", "not_asked"))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with idc/patches.zip and brain_mri/slices.zip")
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--images", type=int, default=30, metavar="N", help="images of each model (default 30)")
    parser.add_argument("--rise", type=int, default=1000, metavar="N", help="RISE's masks (default 1000)")
    parser.add_argument("--evidence", type=int, metavar="N", help="images whose maps are asked all questions (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there; - for standard output")
    given = parser.parse_args()
    settle_environment()
    from engine.bundle.model_bundle import read_bundle
    from engine.network.classifier import Classifier

    tasks = {name: name.partition(",")[0] for name in given.only}
    pictures, _ = unseen(given.data, set(tasks.values()))
    results: dict[str, Any] = {"machine": machine(), "models": {}}
    for name in given.only:
        classifier = Classifier.load(read_bundle(MODELS[name]), device="cpu", precision="fp32")
        chosen = one_each(pictures[tasks[name]], given.images)
        found = measure(classifier, chosen, given.rise, given.images if given.evidence is None else given.evidence)
        report(name, found, by_patient=len({patient for patient, _ in chosen}) == len(chosen))
        results["models"][name] = found
    write_json(given.json, results)


if __name__ == "__main__":
    main()
