"""What the networks' answers are worth: where to stop, where to decide, and how often they are right, by patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from augmentation import Stains
from learning import Job, Laboratory, Recipe, Trained, Weights, logits_of, network
from patches import FOLDS, Patches, Sets

from engine.evaluation.alterations import COLOUR, Alteration
from engine.evaluation.robustness import Row, robustness
from engine.evaluation.scores import Interval, ScoresByPatient, mean_by_patient, score, score_by_patient

PUBLIC_SHARE = 78_786 / 277_524  # of IDC in the whole public data set
COMPARED = {
    "JPEG 90, 4:2:0": "JPEG 90",
    "JPEG 50, 4:2:0": "JPEG 50",
    "blur, sd 0.5 pixels": "blur .5",
    "blur, sd 1 pixels": "blur 1",
    "noise, sd 0.04": "noise .04",
    "brightness x 0.9": "x 0.9",
    "brightness x 1.1": "x 1.1",
    "another stain": "stain",
}
"""The alterations on which ways of training are compared, and their short names."""

GAIN, BIAS = 0.3, 0.5  # stains of the table: each channel times 1 +- GAIN, shifted by up to BIAS standard deviations


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the sigmoids (N,) of logits, as float64."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def predictor(weights: Weights) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Return a function from images (50, 50, 3) uint8 to the network's probabilities (N,) of IDC."""
    model = network(weights)
    return lambda images: probabilities(logits_of(model, np.stack(images).transpose(0, 3, 1, 2)))


def best_epochs(curve: dict[int, float]) -> int:
    """Return the number of epochs with the largest area; `curve` gives the mean area over the folds by epochs."""
    return max(curve, key=lambda epochs: (round(curve[epochs], 4), -epochs))


def areas(patches: Patches, sets: Sets, folds: Sequence[Trained]) -> dict[int, float]:
    """Return the mean over the folds of the area under the ROC curve of held-out patients, by number of epochs."""
    held_out = [patches.labels[sets.fold(number)[1]] for number in range(FOLDS)]
    return {
        epochs: float(np.mean([score(y, fold.logits[epochs]).auroc for y, fold in zip(held_out, folds, strict=True)]))
        for epochs in folds[0].logits
    }


def f1_at(recall: np.ndarray, share: float) -> np.ndarray:
    """Return the F1 of both classes that these recalls give where `share` of all patches is IDC."""
    rates = np.array([[recall[0], 1 - recall[0]], [1 - recall[1], recall[1]]]) * np.array([[1 - share], [share]])
    return 2 * rates.diagonal() / (rates.sum(0) + rates.sum(1))


def best_threshold(labels: np.ndarray, found: np.ndarray) -> float:
    """Return the probability from which on a patch is best called IDC.

    Best is the highest mean F1 of both classes, averaged over the share of IDC here and that of the public data set:
    what share the next slide has is not known.
    """
    thresholds, shares = np.linspace(0.2, 0.8, 121), (labels.mean(), PUBLIC_SHARE)
    recalls = [np.array([(found[~labels] < t).mean(), (found[labels] >= t).mean()]) for t in thresholds]
    means = [np.mean([f1_at(recall, share) for share in shares]) for recall in recalls]
    # A few patches move the maximum, so it is sought in the moving average over nine thresholds.
    smooth = np.convolve(np.pad(means, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    return round(float(thresholds[smooth.argmax()]), 3)


def restained(stains: Stains) -> Alteration:
    """Return the alteration that gives a patch another stain, drawn at random; see `GAIN` and `BIAS`."""

    def apply(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        one = Stains(image.transpose(2, 0, 1)[None])
        one.spread = stains.spread
        drawn = torch.Generator().manual_seed(int(rng.integers(2**31)))
        altered = one.vary(torch.tensor([0]), GAIN, BIAS, drawn)[0]
        return altered.mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()

    return Alteration("another stain", apply)


@dataclass(frozen=True)
class Patient:
    """How one patient's patches were answered: counts of both classes, and the share of each that was recognised."""

    number: int
    patches: tuple[int, int]
    recall: tuple[float, float]


def by_patient(patches: Patches, rows: np.ndarray, found: np.ndarray, threshold: float) -> list[Patient]:
    """Return how the patients of these rows were answered, in the order of their numbers."""
    labels, numbers = patches.labels[rows], patches.patients[rows]
    right = (found >= threshold) == labels
    patients = []
    for number in np.unique(numbers):
        parts = [right[(numbers == number) & (labels == label)] for label in (False, True)]
        recalls = [float(part.mean()) if len(part) else float("nan") for part in parts]
        patients.append(Patient(int(number), (len(parts[0]), len(parts[1])), (recalls[0], recalls[1])))
    return patients


@dataclass(frozen=True)
class Result:
    """The scores of some patients: of all, of those with fewer than `DENSE` patches, and of each alone."""

    every: ScoresByPatient
    small: ScoresByPatient
    patients: list[Patient]


def result(patches: Patches, rows: np.ndarray, found: np.ndarray, threshold: float) -> Result:
    """Return the scores of the answers (N,) to these rows."""
    labels, numbers, small = patches.labels[rows].astype(int), patches.patients[rows], ~patches.dense()[rows]
    return Result(
        score_by_patient(labels, found, numbers, threshold),
        score_by_patient(labels[small], found[small], numbers[small], threshold),
        by_patient(patches, rows, found, threshold),
    )


@dataclass(frozen=True)
class Measured:
    """What the shipped weights give on the test patients, and what alterations of their patches cost.

    Attributes:
        test: the scores of the patches as they are.
        table: the scores of the patches as they are, then of the altered ones.
        changes: by how much each alteration changes the recall of IDC, by its name.
    """

    test: Result
    table: tuple[Row, ...]
    changes: dict[str, Interval]


def measure(laboratory: Laboratory, sets: Sets, weights: Weights, threshold: float) -> Measured:
    """Ask a network about the test patients, as they are and altered."""
    patches, predict = laboratory.patches, predictor(weights)
    images, labels = patches.images(sets.test), patches.labels[sets.test].astype(int)
    answers: list[np.ndarray] = []

    def ask(shown: Sequence[np.ndarray]) -> np.ndarray:
        answers.append(predict(shown))
        return answers[-1]

    rows = robustness(ask, images, labels, (*COLOUR, restained(laboratory.stains)), threshold)
    found = result(patches, sets.test, answers[0], threshold)
    idc = labels == 1
    called = [(answer[idc] >= threshold).astype(float) for answer in answers]
    changes = {
        row.name: mean_by_patient(altered - called[0], patches.patients[sets.test][idc])
        for row, altered in zip(rows[1:], called[1:], strict=True)
    }
    return Measured(found, rows, changes)


@dataclass(frozen=True)
class Arm:
    """One way of training, tried on one fold: its threshold, and the scores of the fold's patches after alterations."""

    name: str
    threshold: float
    table: tuple[Row, ...]


def arm(name: str, laboratory: Laboratory, job: Job, weights: Weights) -> Arm:
    """Score a network on the patients that its job held out, at the threshold that is best for them as they are."""
    patches, predict = laboratory.patches, predictor(weights)
    images, labels = patches.images(job.held_out), patches.labels[job.held_out]
    threshold = best_threshold(labels, predict(images))
    alterations = [one for one in (*COLOUR, restained(laboratory.stains)) if one.name in COMPARED]
    return Arm(name, threshold, robustness(predict, images, labels.astype(int), alterations, threshold))


def plan(sets: Sets, recipe: Recipe, seed: int) -> list[Job]:
    """Return the jobs: one for each fold, and the last on the whole development set."""
    folds = [Job(f"fold {number + 1}", recipe, *sets.fold(number), seed + number) for number in range(FOLDS)]
    return [*folds, Job("all folds", recipe, sets.development, sets.test[:0], seed)]
