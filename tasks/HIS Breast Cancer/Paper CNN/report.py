"""What a run's figures become: model.toml, description.png, and the tables of description.txt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import architecture
import matplotlib
import numpy as np
import torch
from learning import Weights, network
from patches import DENSE, Patches
from scoring import COMPARED, Arm, Measured, Patient, Result

from engine.bundle.model_toml import toml_string, toml_value
from engine.evaluation.scores import Interval
from engine.evaluation.speed import milliseconds

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CLASSES = architecture.CLASSES
WANTED = (("JPEG 90, 4:2:0", 0.05), ("blur, sd 0.5 pixels", 0.05), ("noise, sd 0.02", 0.05))  # most IDC recall lost
WANTED_F1 = (0.90, 0.75)
SINGLE_OUT = 5  # so many patients are named as the worst of a kind ...
ENOUGH = 8  # ... among those with so many patches of the class


def draw_confusion(confusion: np.ndarray, path: Path) -> None:
    """Draw the confusion matrix, legible even at 60 pixels: per cent of each true class, in large digits."""
    share = 100 * confusion / confusion.sum(1, keepdims=True)
    names = [name.replace("NO-IDC", "NO") for name in CLASSES]
    figure, axes = plt.subplots(figsize=(6, 6), dpi=100)
    axes.imshow(share, cmap="cividis", vmin=0, vmax=100)
    for truth, prediction in np.ndindex(2, 2):
        value, count = share[truth, prediction], confusion[truth, prediction]
        colour = "black" if value > 50 else "white"
        axes.text(
            prediction, truth - 0.05, f"{value:.0f}", ha="center", va="center", size=84, weight="bold", color=colour
        )
        axes.text(prediction, truth + 0.38, f"{count:,} patches", ha="center", va="center", size=15, color=colour)
    axes.set_xticks([0, 1], names, size=34, weight="bold")
    axes.set_yticks([0, 1], names, size=34, weight="bold", rotation=90, va="center")
    axes.set_xlabel("predicted", size=24)
    axes.set_ylabel("true, in %", size=24)
    axes.tick_params(length=0)
    figure.tight_layout(pad=0.4)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def milliseconds_per_patch(weights: Weights, batch: int) -> float:
    """Return the processor time per patch of a forward pass over `batch` patches, in milliseconds."""
    model, images = network(weights), torch.rand(batch, 3, *architecture.INPUT_SIZE)
    with torch.inference_mode():
        return milliseconds(lambda: model(images)) / batch


def further(interval: Interval) -> tuple[float, float]:
    """Return where the figure of as many further patients lies in 19 of 20 sets of them, in [0, 1].

    Both sets of patients are drawn by chance, so the interval's half-widths grow by the square root of two.
    """
    reach = math.sqrt(2)
    low = interval.value - reach * (interval.value - interval.low)
    high = interval.value + reach * (interval.high - interval.value)
    return max(0.0, low), min(1.0, high)


def scores_lines(found: Result) -> list[str]:
    """Return the tables of all patients and of those with few patches."""
    lines = []
    for title, scores in (("all patients", found.every), (f"those with fewer than {DENSE} patches", found.small)):
        lines += ["", f"{title}: {scores.patients}, with {scores.images:,} patches", *scores.lines(CLASSES)]
    return lines[1:]


def further_lines(found: Result) -> list[str]:
    """Return a table of where the main figures of a further set of as many patients are expected."""
    rows = [(f"{name} {kind}", kind.lower(), index) for kind in ("recall", "F1") for index, name in enumerate(CLASSES)]
    lines = [f"{'':<15}  {'all patients':<14}  fewer than {DENSE} patches each"]
    for title, kind, index in rows:
        spans = [_span(further(getattr(scores, kind)[index])) for scores in (found.every, found.small)]
        lines.append(f"{title:<15}  {spans[0]:<14}  {spans[1]}")
    spans = [_span(further(scores.auroc)) for scores in (found.every, found.small)]
    return [*lines, f"{'area under ROC':<15}  {spans[0]:<14}  {spans[1]}"]


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.2f} to {limits[1]:.2f}"


def worst_lines(patients: Sequence[Patient]) -> list[str]:
    """Return which patients' IDC was missed most, and who had the most false alarms, by number."""
    lines = []
    for label, words in ((1, "IDC missed most"), (0, "most false alarms")):
        known = [one for one in patients if one.patches[label] >= ENOUGH]
        chosen = sorted(known, key=lambda one: (one.recall[label], one.number))[:SINGLE_OUT]
        named = ", ".join(f"{one.number} ({one.recall[label]:.2f} of {one.patches[label]})" for one in chosen)
        lines.append(f"{words:<17}  {named}")
    return lines


def change_lines(measured: Measured) -> list[str]:
    """Return by how much each alteration changes the recall of IDC, with its interval by patient."""
    width = max(map(len, measured.changes))
    return [f"{name:<{width}}  {_signed(change)}" for name, change in measured.changes.items()]


def _signed(change: Interval) -> str:
    value, low, high = (round(one, 3) + 0.0 for one in (change.value, change.low, change.high))  # no -0.000
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"


def verdicts(measured: Measured) -> list[str]:
    """Return what was aimed at, what was reached, and whether that is enough, a line each."""
    lines = []
    for name, least, found in zip(CLASSES, WANTED_F1, measured.test.every.f1, strict=True):
        lines.append(f"F1 {name}: at least {least:.2f} wanted, {found} {_reached(found.value >= least)}")
    for name, most in WANTED:
        change = measured.changes[name]
        reached = _reached(-change.value <= most)
        lines.append(f"IDC recall after {name}: at least {-most:.2f} wanted, {_signed(change)} {reached}")
    return lines


def _reached(enough: bool) -> str:
    return "- reached" if enough else "- NOT REACHED"


def comparison(arms: Sequence[Arm]) -> list[str]:
    """Return a table of ways of training: F1 and area of patches as they are, and how alterations move IDC recall."""
    width = max(len(one.name) for one in arms)
    heads = "".join(f"  {head:>{max(len(head), 6)}}" for head in COMPARED.values())
    lines = [f"{'trained':<{width}}  F1 NO  F1 IDC  AUROC{heads}"]
    for one in arms:
        clean = one.table[0].scores
        altered = {row.name: row.scores for row in one.table}
        cells = "".join(
            f"  {float(altered[name].recall[1] - clean.recall[1]):>+{max(len(head), 6)}.3f}"
            for name, head in COMPARED.items()
        )
        figures = f"{clean.f1[0]:.3f}   {clean.f1[1]:.3f}  {clean.auroc:.3f}"
        lines.append(f"{one.name:<{width}}  {figures}{cells}")
    return lines


def census(patches: Patches, rows: np.ndarray, name: str) -> str:
    """Return one line of text: how many patches of each class and how many patients are in a set."""
    labels = patches.labels[rows]
    return f"{name:<20} {(~labels).sum():>7,} {labels.sum():>6,} {len(np.unique(patches.patients[rows])):>9}"


def performance(measured: Measured) -> list[str]:
    """Return the lines of `[performance]` on the test patients: what the weights give, and what alterations change."""
    changes = [f"{toml_string(name)} = {round(one.value, 3) + 0.0}" for name, one in measured.changes.items()]
    limits = [f"{toml_string(name)} = {one.limits()}" for name, one in measured.changes.items()]
    return [
        *measured.test.every.performance(CLASSES),
        *measured.test.small.performance(CLASSES, "test_small"),
        f"idc_recall_changed_by = {{ {', '.join(changes)} }}",
        f"idc_recall_changed_by_interval = {{ {', '.join(limits)} }}",
    ]


def model_toml(measured: Measured, folds: Result, threshold: float) -> str:
    """Return the text of model.toml: the constants of architecture.py and the results of this run.

    Args:
        measured: the scores on the test patients.
        folds: those of the cross-validation.
        threshold: the probability from which on a patch is called IDC.
    """
    told = "\n".join([*performance(measured), *folds.every.performance(CLASSES, "cross_validated")])
    return f"""# Written by train.py. Classes, sizes and colours are the constants of architecture.py.
[input]
size = {list(architecture.INPUT_SIZE)}
channels = {architecture.CHANNELS}
exact_size = false
mean = {list(architecture.MEAN)}
std = {list(architecture.STD)}
accept_grey = {toml_value(architecture.ACCEPT_GREY)}

[output]
classes = {toml_value(CLASSES)}
activation = "{architecture.ACTIVATION}"
threshold = {threshold:g}   # fitted on the answers of the cross-validation, to patients not trained on

[explain]
target_layer = "{architecture.TARGET_LAYER}"

[intended_use]
statement = "Research use only. Not a medical device; not for diagnosis."
images = "H&E-stained breast tissue, RGB patches of 50x50 pixels, about 4 micrometres a pixel."
limits = "Other magnifications, stains, scanners and laboratories were not tried."

[training]
data = "A subset of Breast Histopathology Images (CC0): Cruz-Roa et al. 2014; Janowczyk and Madabhushi 2016."
split = "By patient: 20 % test, never trained on; five-fold cross-validation on the others, then trained on them."
script = "train.py"

[performance]
test = "{measured.test.every.patients} patients never trained on, {measured.test.every.images:,} patches"
test_small = "those of them with fewer than {DENSE} patches: {measured.test.small.patients}"
cross_validated = "{folds.every.patients} patients, each answered by a network that was not trained on them"
intervals = "95 %, by patient"
command = "python train.py --data idc/patches.zip --only-score"
{told}
"""
