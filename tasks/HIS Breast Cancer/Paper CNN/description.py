"""The text of description.txt. Every result in it comes from the run that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from augmentation import JPEG_QUALITIES
from learning import Recipe
from patches import DENSE, FOLDS, Patches, Sets
from report import CLASSES, census, change_lines, comparison, further_lines, scores_lines, verdicts, worst_lines
from scoring import BIAS, GAIN, Arm, Measured, Result

from engine.evaluation.description import lay_out, verbatim
from engine.evaluation.robustness import table, worst

COMPARED_EPOCHS = 8
"""The epochs of the networks that `--compare` trains."""


@dataclass(frozen=True)
class Run:
    """All that a run of train.py found out.

    Attributes:
        recipe: how the networks were trained.
        epochs: how many epochs were chosen.
        curve: the mean over the folds of the area under the ROC curve, by number of epochs.
        threshold: the probability from which on a patch is called IDC.
        measured: the scores on the test patients.
        folds: the scores of the cross-validation.
        arms: the ways of training that were compared; empty if none were.
        speeds: milliseconds per patch by the size of a batch.
        seed: of the split, the weights and the augmentation.
    """

    recipe: Recipe
    epochs: int
    curve: dict[int, float]
    threshold: float
    measured: Measured
    folds: Result
    arms: Sequence[Arm]
    speeds: dict[int, float]
    seed: int


def describe(run: Run, patches: Patches, sets: Sets) -> str:
    """Return the text of description.txt."""
    test, first = run.measured.test, sets.folds == 0
    dense = len(np.unique(patches.patients[patches.dense()]))
    sections = [
        ["Paper CNN: invasive ductal carcinoma (IDC) in H&E patches"],
        ["WHAT IT CANNOT DO", *_limits(run)],
        [
            "WHAT IT IS",
            "The network of the XAIMed paper's table 1, layer for layer: two 3x3 convolutions (16 and 32 maps), each "
            "with ReLU, batch normalisation and 2x2 max pooling; a dense layer of 256 with ReLU; dropout 0.5; one unit "
            "with a sigmoid. Input: RGB, 50 x 50 pixels of about 4 micrometres (slides scanned at 40x, reduced to 2.5x "
            "by the data's authors).",
        ],
        [
            "TEST: patients of whom the network has seen no patch; in brackets the 95 % interval by patient",
            *map(verbatim, scores_lines(test)),
            "",
            "The figures of another set of as many patients like these lie here in 19 of 20 cases:",
            *map(verbatim, further_lines(test)),
            "",
            "The worst patients, by their numbers in the data, and the recall of so many patches:",
            *map(verbatim, worst_lines(test.patients)),
            "",
            "The paper reports F1 0.90 and 0.75 with thirteen times more patches.",
            "Command: python train.py --data idc/patches.zip --only-score",
        ],
        [
            "DOES IT HOLD UP? All test patients, altered; first the figures, below them the changes",
            *map(verbatim, table(run.measured.table, CLASSES)),
            "",
            "Change of IDC recall, with its 95 % interval by patient:",
            *map(verbatim, change_lines(run.measured)),
            f"Worst: {worst(run.measured.table).name}. Another stain: haematoxylin, eosin and residual each times "
            f"1 +- {GAIN:g} and shifted by up to {BIAS:g} standard deviations, drawn for each patch; in training half "
            "of that.",
            "Command: as above",
        ],
        ["WHAT WAS AIMED AT", *map(verbatim, verdicts(run.measured)), "Command: as above"],
        [
            f"CROSS-VALIDATION: the other patients, each answered by one of {FOLDS} networks that had not seen them",
            *map(verbatim, scores_lines(run.folds)),
            "",
            "The threshold and the number of epochs were chosen on these answers. The worst of these patients:",
            *map(verbatim, worst_lines(run.folds.patients)),
            "Command: python train.py --data idc/patches.zip",
        ],
        *([_compared(run)] if run.arms else []),
        [
            "DATA",
            verbatim("set                   NO-IDC    IDC  patients"),
            verbatim(census(patches, sets.test, "test")),
            verbatim(census(patches, sets.development, "development")),
            verbatim(census(patches, sets.development[~first], "  fold 1, training")),
            verbatim(census(patches, sets.development[first], "  fold 1, validation")),
            f"All patches of a patient are in one set. The {dense} patients "
            f'with {DENSE} patches or more are spread evenly. A subset of "Breast Histopathology Images" (CC0; 277,524 '
            "patches, 28 % of them IDC). Patients with many patches were capped in it, so here "
            f"{patches.labels.mean():.0%} are IDC.",
            "Cruz-Roa A. et al. 2014, Proc. SPIE 9041, doi 10.1117/12.2043872.",
            "Janowczyk A., Madabhushi A. 2016, J Pathol Inform 7:29.",
        ],
        [f"TRAINING (train.py, seed {run.seed})", *_training(run)],
        [
            "INFERENCE TIME",
            f"{run.speeds[1]:.2f} ms for a patch alone, {run.speeds[64]:.2f} ms a patch in batches of 64 (processor "
            "time, float32, one thread, median of 50 forward passes, without reading the file).",
        ],
    ]
    return lay_out(sections)


def _limits(run: Run) -> list[str]:
    clean, threshold = run.measured.table[0].scores, run.threshold
    recalls = [one.recall[1] for one in run.measured.test.patients if one.patches[1]]
    half = sum(recall < 0.5 for recall in recalls)
    return [
        f"- It misses {1 - clean.recall[1]:.0%} of the IDC patches of unseen patients, and calls "
        f"{1 - clean.recall[0]:.0%} of their other patches IDC. Patients differ: of {half} of the {len(recalls)} test "
        "patients with IDC it finds less than half of the IDC patches.",
        "- It is no diagnosis and no basis for a decision about a patient: research and teaching only, not a medical "
        "device.",
        "- Other magnifications, stains, scanners, laboratories and organs were not tried: all data come from one "
        "study. The altered patches below are no substitute; they show only that it hangs on no single file format.",
        "- Carcinoma in situ counts as NO-IDC. A patch without tissue gets an answer, too.",
        "- It cannot outline a tumour: its labels come from outlines drawn on the slide, and are unsure at their "
        "borders.",
        "- Its probability is not calibrated: in training both classes counted the same. Only the decision was fitted: "
        f"a patch is called IDC from {threshold:g} on.",
    ]


def _compared(run: Run) -> list[str]:
    patches = int(run.arms[0].table[0].scores.confusion.sum())
    return [
        f"WHAT DOES EACH AUGMENTATION BRING? Fold 1 only, {COMPARED_EPOCHS} epochs, each with its own threshold",
        *map(verbatim, comparison(run.arms)),
        f"On the fold's {patches:,} held-out patches: F1 and area of the patches as they are; then by how much the "
        "recall of IDC changes when they are altered (JPEG with 4:2:0). It is one fold of 34 patients: differences of "
        "less than about 0.02 mean little.",
        "Command: python train.py --data idc/patches.zip --compare",
    ]


def _training(run: Run) -> list[str]:
    recipe, part = run.recipe, run.recipe.augmentation
    low, high = JPEG_QUALITIES
    curve = ", ".join(f"{area:.4f} ({epochs})" for epochs, area in sorted(run.curve.items()))
    return [
        f"Adam (decoupled weight decay {recipe.decay:g}), binary cross-entropy in which both classes count the same, "
        f"batches of {recipe.batch}, one-cycle learning rate up to {recipe.rate:g} over {recipe.epochs} epochs; "
        "bfloat16 in the forward pass.",
        "Every patch is varied anew at every time: flips and turns by 90 degrees; stain (haematoxylin, eosin and "
        f"residual each times 1 +- {part.gain:g} and shifted by up to {part.bias:g} standard deviations); brightness "
        f"(to the power of {np.exp(-part.gamma):.2f} to {np.exp(part.gamma):.2f}, times 1 +- {part.brightness:g}); a "
        f"blur ({part.blur:.0%} of the patches, sd up to {part.widest:g} pixels); noise ({part.noise:.0%}, sd up to "
        f"{part.loudest:g}); a JPEG file ({part.jpeg:.0%}, quality {low} to {high}, colour 4:2:0 or 4:4:4).",
        f"The weights are the mean over the last {recipe.averaged} epochs. Of {recipe.epochs} epochs {run.epochs} were "
        f"used: there the mean area over the folds' held-out patients was largest. Area (epochs): {curve}.",
        "The threshold gave the cross-validated answers the best mean F1 of both classes, averaged over the share of "
        "IDC here and the 28 % of the whole data set. The recipe was chosen among a few on fold 1. The shipped weights "
        "were trained on all development patients, the folds' training and validation sets together; only the test "
        "patients are new.",
    ]
