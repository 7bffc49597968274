"""Train the paper's CNN for invasive ductal carcinoma and write all that the model folder says about it.

    python train.py --data idc/patches.zip --compare

reads 50x50 patches named `<patient>_idx5_x<X>_y<Y>_class<0|1>.png` from a zip and writes `weights.pt`, `model.toml`,
`description.txt` and `description.png` beside this script (or into `--out`). No patient is in two sets:

1. a fifth of the patients is the test set; nothing is trained or fitted on it (only the colours' mean and spread, which
   scale the input and the augmentation, were taken over all patches);
2. the others, the development set, are split into five folds. Five networks are each trained without one fold (the
   paper's 80/20 and again 80/20) and give a logit to every patch of it. From these logits comes the offset that puts
   the decision at probability 0.5;
3. the network that is shipped is trained on the whole development set in the same way and for as long; the offset is
   added to its last bias; it is scored on the test set.

From the development set comes `fit.npz`, too: what its patches look like, so that others get a warning. `--only-fit`
makes it again for the weights in `--out`.

`--compare` does steps 2 and 3 without stain augmentation too. On one machine with one version of torch the same
arguments give the same weights.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import architecture
import matplotlib
import numpy as np
import torch
from PIL import Image
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor, nn

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FILE_NAME = re.compile(r"(?P<patient>\d+)_idx5_x\d+_y\d+_class(?P<label>[01])\.png")
DENSE = 200  # patients with at least so many patches are spread evenly over the sets: they hold half of all patches
FOLDS = 5
PUBLIC_SHARE = 78_786 / 277_524  # of IDC in the whole public data set
RESTAINING = 2.0  # the test set is also scored in stains that vary so many times as much as in training
DARKEST = 1e-6  # as in scikit-image: log(0) is avoided, and densities are in units of log(1e-6)


@dataclass(frozen=True)
class Recipe:
    """What may be varied in training. Chosen on the development set."""

    epochs: int = 8
    batch: int = 64
    rate: float = 1e-3  # the peak of a one-cycle schedule
    decay: float = 0.2  # decoupled weight decay of Adam, on weights but not on biases and batch norm
    gain: float = 0.15  # each stain channel of an image is multiplied by 1 + U(-gain, gain)
    bias: float = 0.25  # ... and shifted by U(-bias, bias) times the channel's standard deviation over the data

    def without_stain(self) -> Recipe:
        """Return the same recipe without stain augmentation."""
        return replace(self, gain=0.0, bias=0.0)


@dataclass(frozen=True)
class Patches:
    """The data set: rgb (N, 3, 50, 50) uint8, labels (N,) bool (True: IDC), patients (N,) int."""

    rgb: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of (NO-IDC, IDC), the confusion matrix [truth][prediction], the area under the ROC."""

    precision: tuple[float, float]
    recall: tuple[float, float]
    f1: tuple[float, float]
    confusion: np.ndarray
    area: float


def read_patches(path: Path) -> Patches:
    """Decode all patches of the zip, sorted by name, so that the order does not depend on how the zip was made."""
    with zipfile.ZipFile(path) as archive:
        matches = [(name, FILE_NAME.fullmatch(Path(name).name)) for name in sorted(archive.namelist())]
        found = [(name, match) for name, match in matches if match]
        if not found:
            raise SystemExit(f"{path}: no file in it is named like 10253_idx5_x1001_y751_class0.png")
        rgb = np.empty((len(found), 3, *architecture.INPUT_SIZE), np.uint8)
        for row, (name, _) in enumerate(found):
            with Image.open(io.BytesIO(archive.read(name))) as image:
                rgb[row] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    labels = np.array([match["label"] == "1" for _, match in found])
    return Patches(rgb, labels, np.array([int(match["patient"]) for _, match in found]))


def patient_folds(patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold (N,) of every patch: a patient is in one fold, and dense patients are spread evenly."""
    names, rows, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(counts[order] < DENSE, kind="stable")]
    fold = np.empty(len(names), int)
    fold[order] = np.arange(len(names)) % folds
    return fold[rows]


class Stains:
    """All patches as densities of haematoxylin, eosin and a residual, kept as float so that each can be changed.

    The stain vectors and units are those of `skimage.color.rgb2hed` and `hed2rgb` (Ruifrok and Johnston 2001). Unlike
    in `rgb2hed` negative densities are kept (here 29 % of eosin's): what is not augmented comes back unchanged, so that
    training sees the colours that are served.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        unmix = torch.tensor(hed_from_rgb.T, dtype=torch.float32)
        self.images = torch.empty(len(rgb), 3, rgb[0, 0].size)
        self.height, self.width = rgb.shape[2:]
        for start in range(0, len(rgb), 1024):
            part = torch.from_numpy(rgb[start : start + 1024]).float().div(255).clamp(min=DARKEST)
            self.images[start : start + 1024] = unmix @ part.flatten(2).log().div(np.log(DARKEST))
        self.spread = self.images[::16].transpose(0, 1).flatten(1).std(dim=1)
        self.mix = torch.tensor(rgb_from_hed.T * np.log(DARKEST), dtype=torch.float32)

    def render(self, rows: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) in [0, 1] of these rows after `density * gain + bias` (each (B, 3))."""
        offset = (bias @ self.mix.T)[:, :, None]
        images = torch.baddbmm(offset, self.mix * gain[:, None, :], self.images[rows]).exp_().clamp_(0, 1)
        return images.unflatten(2, (self.height, self.width))

    def vary(self, rows: Tensor, gain: float, bias: float, generator: torch.Generator) -> Tensor:
        """Return the images of these rows, each in a stain of its own: see `Recipe` for `gain` and `bias`."""
        gains, biases = (torch.rand(2, len(rows), 3, generator=generator) * 2 - 1).unbind()
        return self.render(rows, 1 + gain * gains, bias * biases * self.spread)


def normalise(images: Tensor) -> Tensor:
    """Return (x - mean) / std of images (B, 3, H, W) in [0, 1], as `model.toml` asks the app to do."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (architecture.MEAN, architecture.STD))
    return (images - mean) / std


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the batch with each eighth of it in another of the square's eight symmetries."""
    symmetries = torch.randperm(8, generator=generator).tolist()
    parts = [
        torch.rot90(part.flip(2) if symmetry >= 4 else part, symmetry % 4, (2, 3))
        for symmetry, part in zip(symmetries, images.chunk(8), strict=False)
    ]
    return torch.cat(parts)


def batches(
    stains: Stains, labels: Tensor, rows: Tensor, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented images (B, 3, H, W) and labels (B,); a short last batch is left out."""
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    for chosen in shuffled[: len(rows) // recipe.batch * recipe.batch].split(recipe.batch):
        images = normalise(stains.vary(chosen, recipe.gain, recipe.bias, generator))
        yield turn(images, generator).contiguous(memory_format=torch.channels_last), labels[chosen]


def train(stains: Stains, labels: np.ndarray, rows: np.ndarray, recipe: Recipe, seed: int) -> architecture.PaperCNN:
    """Return the network trained on these rows: Adam, binary cross-entropy, one-cycle learning rate."""
    torch.manual_seed(seed)  # initial weights and dropout
    generator = torch.Generator().manual_seed(seed)
    model = architecture.build_model().to(memory_format=torch.channels_last)
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": weights, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
    steps = recipe.epochs * (len(rows) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.2)
    target, indices = torch.from_numpy(labels).float(), torch.from_numpy(rows)
    model.train()
    for _ in range(recipe.epochs):
        for images, wanted in batches(stains, target, indices, recipe, generator):
            with torch.autocast("cpu", torch.bfloat16):  # half the time of float32; the weights stay float32
                logits = model.logit(images)[:, 0].float()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


@torch.inference_mode()
def logits_of(model: architecture.PaperCNN, rgb: np.ndarray) -> np.ndarray:
    """Return the logits (N,) of patches as they are, uint8, fed as the app feeds them."""
    parts = (torch.from_numpy(rgb[start : start + 256]) for start in range(0, len(rgb), 256))
    return torch.cat([model.logit(normalise(part.float() / 255))[:, 0] for part in parts]).numpy()


def restain(stains: Stains, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return these rows' patches (N, 3, H, W) uint8 in other stains, varied RESTAINING times as much as in training."""
    generator = torch.Generator().manual_seed(seed)
    images = stains.vary(torch.from_numpy(rows), RESTAINING * Recipe.gain, RESTAINING * Recipe.bias, generator)
    return images.mul(255).round().to(torch.uint8).numpy()


def score(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Return the scores at the decision logit > 0, that is probability > 0.5."""
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (labels.astype(int), (logits > 0).astype(int)), 1)
    right = confusion.diagonal()
    recall = right / confusion.sum(1).clip(1)
    precision = right / confusion.sum(0).clip(1)
    f1 = 2 * right / (confusion.sum(0) + confusion.sum(1)).clip(1)
    order = np.argsort(logits, kind="stable")
    below = np.cumsum(~labels[order])[labels[order]].sum()  # pairs in which the IDC patch has the higher logit
    pairs = labels.sum() * (~labels).sum()
    return Scores(tuple(precision), tuple(recall), tuple(f1), confusion, float(below / pairs))


def f1_at(confusion: np.ndarray, share: float) -> np.ndarray:
    """Return the F1 of both classes that the recalls of this matrix give where `share` of all patches is IDC."""
    rates = confusion / confusion.sum(1, keepdims=True) * np.array([[1 - share], [share]])
    return 2 * rates.diagonal() / (rates.sum(0) + rates.sum(1))


def best_offset(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return what to add to all logits for the best decision at probability 0.5.

    Best is the highest mean F1 of both classes, averaged over the share of IDC here and that of the public data set:
    what share the next slide has is not known.
    """
    offsets, shares = np.linspace(-1, 1, 81), (labels.mean(), PUBLIC_SHARE)
    confusions = [score(logits + offset, labels).confusion for offset in offsets]
    means = [np.mean([f1_at(confusion, share) for share in shares]) for confusion in confusions]
    # A few patches move the maximum, so it is sought in the moving average over nine offsets.
    smooth = np.convolve(np.pad(means, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    return round(float(offsets[smooth.argmax()]), 4)


@dataclass(frozen=True)
class Job:
    """One network to train: on which rows, for which other rows its logits are wanted, and from which seed."""

    title: str
    recipe: Recipe
    rows: np.ndarray
    held_out: np.ndarray
    seed: int


@dataclass(frozen=True)
class Trained:
    """The weights that a job gave, and its logits of the rows that it held out."""

    weights: dict[str, np.ndarray]
    logits: np.ndarray


class Laboratory:
    """The data, read once in each process, and what is done with it."""

    def __init__(self, path: Path) -> None:
        torch.set_num_threads(1)  # several would give other sums, and so other weights
        self.patches = read_patches(path)
        self.stains = Stains(self.patches.rgb)

    def work(self, job: Job) -> Trained:
        """Train one network and ask it about the patients whom it has not seen."""
        begun = time.perf_counter()
        labels = self.patches.labels
        model = train(self.stains, labels, job.rows, job.recipe, job.seed)
        logits = logits_of(model, self.patches.rgb[job.held_out])
        now, seconds = score(logits, labels[job.held_out]), time.perf_counter() - begun
        print(f"{job.title}: F1 {now.f1[0]:.3f} {now.f1[1]:.3f}, AUC {now.area:.3f} ({seconds:.0f} s)", flush=True)
        return Trained({name: value.contiguous().numpy() for name, value in model.state_dict().items()}, logits)


_laboratory: list[Laboratory] = []  # of a worker process


def _open_laboratory(path: Path) -> None:
    _laboratory.append(Laboratory(path))


def _work(job: Job) -> Trained:
    return _laboratory[0].work(job)


def work_through(jobs: list[Job], laboratory: Laboratory, path: Path, processes: int) -> list[Trained]:
    """Do all jobs, in order or in several processes; each has its own seed, so that the results are the same."""
    if processes == 1:
        return [laboratory.work(job) for job in jobs]
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_open_laboratory, initargs=(path,)) as pool:
        return list(pool.map(_work, jobs))


def draw_confusion(confusion: np.ndarray, path: Path) -> None:
    """Draw the confusion matrix, legible even at 60 pixels: per cent of each true class, in large digits."""
    share = 100 * confusion / confusion.sum(1, keepdims=True)
    names = [name.replace("NO-IDC", "NO") for name in architecture.CLASSES]
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


@dataclass(frozen=True)
class Sets:
    """Row numbers of the test set and of the development set, and the fold of every row of the development set."""

    test: np.ndarray
    development: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class Arm:
    """One way of training and what it gave: per fold, on the test set, and on the test set restained."""

    recipe: Recipe
    offset: float
    folds: tuple[Scores, ...]
    test: Scores
    restained: Scores

    def spread(self, values: Callable[[Scores], float]) -> str:
        """Return mean and standard deviation of a value over the folds as text."""
        numbers = [values(scores) for scores in self.folds]
        return f"{np.mean(numbers):.3f} ({np.std(numbers, ddof=1):.3f})"


def split(patients: np.ndarray, seed: int) -> Sets:
    """Return a fifth of the patients as the test set and five folds of the others."""
    fold = patient_folds(patients, FOLDS, seed)
    development = np.flatnonzero(fold != 0)
    return Sets(np.flatnonzero(fold == 0), development, patient_folds(patients[development], FOLDS, seed + 1))


def plan(sets: Sets, recipe: Recipe, seed: int, title: str) -> list[Job]:
    """Return the jobs for one way of training: one for each fold, and the last on the whole development set."""
    rows = sets.development
    folds = [
        Job(f"{title}, fold {fold + 1}", recipe, rows[sets.folds != fold], rows[sets.folds == fold], seed + fold)
        for fold in range(FOLDS)
    ]
    return [*folds, Job(f"{title}, test before the offset", recipe, rows, sets.test, seed)]


def judge(
    laboratory: Laboratory, sets: Sets, recipe: Recipe, results: list[Trained], seed: int
) -> tuple[Arm, architecture.PaperCNN]:
    """Return the scores that the results of `plan` give, and the last network with the offset in its last bias."""
    patches, (*folds, last) = laboratory.patches, results
    truths = [patches.labels[sets.development[sets.folds == fold]] for fold in range(FOLDS)]
    logits, labels = np.concatenate([fold.logits for fold in folds]), np.concatenate(truths)
    offset = best_offset(logits, labels)
    model = architecture.build_model().eval()
    model.load_state_dict({name: torch.from_numpy(value) for name, value in last.weights.items()})
    with torch.no_grad():
        model.classifier[-1].bias += offset
    truth = patches.labels[sets.test]
    arm = Arm(
        recipe,
        offset,
        folds=tuple(score(fold.logits + offset, truth) for fold, truth in zip(folds, truths, strict=True)),
        test=score(logits_of(model, patches.rgb[sets.test]), truth),
        restained=score(logits_of(model, restain(laboratory.stains, sets.test, seed)), truth),
    )
    return arm, model


def table(scores: Scores) -> str:
    """Return precision, recall, F1 and number of patches of both classes as lines of text."""
    lines = ["  class   precision  recall     F1  patches"]
    for row, name in enumerate(architecture.CLASSES):
        numbers = f"{scores.precision[row]:>9.3f} {scores.recall[row]:>7.3f} {scores.f1[row]:>6.3f}"
        lines.append(f"  {name:<7} {numbers} {scores.confusion[row].sum():>8,}")
    return "\n".join(lines)


def fold_table(arm: Arm) -> str:
    """Return mean and standard deviation over the folds of both classes' scores as lines of text."""
    lines = ["  class   precision      recall         F1"]
    for row, name in enumerate(architecture.CLASSES):
        precision, recall, f1 = (
            arm.spread(lambda scores, row=row, key=key: getattr(scores, key)[row])
            for key in ("precision", "recall", "f1")
        )
        lines.append(f"  {name:<7} {precision}  {recall}  {f1}")
    return "\n".join(lines)


def comparison(arms: dict[str, Arm]) -> str:
    """Return a table of several ways of training: F1 and AUC over the folds, on the test set, and on it restained."""
    lines = ["  stain augmentation          F1 NO-IDC      F1 IDC         AUC"]
    for name, arm in arms.items():
        folds = (lambda scores: scores.f1[0], lambda scores: scores.f1[1], lambda scores: scores.area)
        lines.append(f"  {name + ', folds':<26}  " + "  ".join(arm.spread(value) for value in folds))
        for place, scores in (("test", arm.test), ("test, restained", arm.restained)):
            values = (*scores.f1, scores.area)
            lines.append(f"  {f'{name}, {place}':<26}  " + "          ".join(f"{value:.3f}" for value in values))
    return "\n".join(lines)


def census(patches: Patches, rows: np.ndarray, name: str) -> str:
    """Return one line of text: how many patches of each class and how many patients are in a set."""
    labels = patches.labels[rows]
    counts = f"{(~labels).sum():>7,} {labels.sum():>6,} {len(np.unique(patches.patients[rows])):>9}"
    return f"  {name:<20} {counts}"


def milliseconds(model: nn.Module, batch: int) -> float:
    """Return the median time per patch of a forward pass over `batch` patches, on as many threads as torch has now."""
    images, times = torch.rand(batch, 3, *architecture.INPUT_SIZE), []
    with torch.inference_mode():
        for _ in range(60):
            begun = time.perf_counter()
            model(images)
            times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times[10:])) / batch


def describe(patches: Patches, sets: Sets, arms: dict[str, Arm], speeds: dict[int, float], seed: int) -> str:
    """Return the text of description.txt; every result in it comes from this run."""
    arm = arms["with"]
    recipe, first = arm.recipe, sets.folds == 0
    dense = int((np.unique(patches.patients, return_counts=True)[1] >= DENSE).sum())
    compared = ""
    if len(arms) > 1:
        compared = f"""
DOES STAIN AUGMENTATION HELP? Same patients, folds, seeds and epochs; each with its own offset
{comparison(arms)}
  Folds: mean (standard deviation). Restained: every test patch in other stain densities, drawn at random with
  {RESTAINING:g} times the spread of the augmentation.
"""
    return f"""Paper CNN: invasive ductal carcinoma (IDC) in H&E patches

The network of the XAIMed paper's table 1, layer for layer: two 3x3 convolutions (16 and 32 maps), each with
ReLU, batch normalisation and 2x2 max pooling; a dense layer of 256 with ReLU; dropout 0.5; one unit with a
sigmoid. Its output is the probability of IDC; above 0.5 the patch is called IDC.
Input: RGB, 50 x 50 pixels of about 4 micrometres (slides scanned at 40x, reduced to 2.5x by the data's authors).

TEST: {len(np.unique(patches.patients[sets.test]))} patients of whom the network has seen no patch
{table(arm.test)}
  Area under the ROC curve {arm.test.area:.3f}.
  The paper reports F1 0.90 and 0.75 with thirteen times more patches.

CROSS-VALIDATION on the other patients: mean over {FOLDS} folds (standard deviation)
{fold_table(arm)}
  One number, the offset below, was fitted on these results. Single patients differ far more than folds do.
{compared}
DATA
  set                   NO-IDC    IDC  patients
{census(patches, sets.test, "test")}
{census(patches, sets.development, "development")}
{census(patches, sets.development[~first], "  fold 1, training")}
{census(patches, sets.development[first], "  fold 1, validation")}
  All patches of a patient are in one set. The {dense} patients with {DENSE} patches or more are spread evenly.
  A subset of "Breast Histopathology Images" (CC0; 277,524 patches, 28 % of them IDC). Patients with many
  patches were capped in it, so here {patches.labels.mean():.0%} are IDC.
  Cruz-Roa A. et al. 2014, Proc. SPIE 9041, doi 10.1117/12.2043872.
  Janowczyk A., Madabhushi A. 2016, J Pathol Inform 7:29.

TRAINING (train.py, seed {seed})
  Adam (decoupled weight decay {recipe.decay:g}), binary cross-entropy, {recipe.epochs} epochs,
  batches of {recipe.batch}, one-cycle learning rate up to {recipe.rate:g}; bfloat16 in the forward pass.
  Flips and turns by 90 degrees.
  Stain augmentation: a patch is unmixed into haematoxylin, eosin and a residual; each is multiplied by
  1 +- {recipe.gain:g} and shifted by up to {recipe.bias:g} standard deviations at random; then they are mixed again.
  The recipe was chosen among a few on the development patients (weight decay on one fold only; the rule for the
  offset after an earlier run, whose test results were known by then). The shipped weights were trained
  on all development patients, the folds' training and validation sets together; only the test patients are new.
  {arm.offset:+.3f} was added to the last bias: it gave the cross-validated logits the best mean F1 of both classes at
  probability 0.5, averaged over the share of IDC here and the 28 % of the whole data set.

INFERENCE TIME
  {speeds[1]:.2f} ms for a patch alone, {speeds[64]:.2f} ms a patch in batches of 64 (float32, one CPU thread of a
  shared server, median of 50 forward passes, without reading the file).

NOT TO BE USED
  - for diagnosis or any decision about a patient: research and teaching only, not a medical device;
  - for other stains than H&E, other magnifications, other organs; carcinoma in situ counts as NO-IDC;
  - to find a tumour's outline: labels come from outlines drawn on the slide, and are unsure at their borders;
  - on slides of other laboratories or scanners without testing it there first: it has seen one study only;
  - as a calibrated probability: only the decision at 0.5 was fitted.
"""


def model_toml(arm: Arm) -> str:
    """Return the text of model.toml: the constants of architecture.py and the results of this run."""
    numbers = {
        "test_precision": arm.test.precision,
        "test_recall": arm.test.recall,
        "test_f1": arm.test.f1,
        "cross_validated_f1": [np.mean([scores.f1[row] for scores in arm.folds]) for row in (0, 1)],
    }
    performance = "\n".join(f"{key} = [{a:.3f}, {b:.3f}]" for key, (a, b) in numbers.items())
    return f"""# Written by train.py. Classes, sizes and colours are the constants of architecture.py.
[input]
size = {list(architecture.INPUT_SIZE)}
channels = {architecture.CHANNELS}
exact_size = false
mean = {list(architecture.MEAN)}
std = {list(architecture.STD)}
accept_grey = {json.dumps(architecture.ACCEPT_GREY)}

[output]
classes = {json.dumps(architecture.CLASSES)}
activation = "{architecture.ACTIVATION}"

[explain]
target_layer = "{architecture.TARGET_LAYER}"

[intended_use]
statement = "Research use only. Not a medical device; not for diagnosis."
images = "H&E-stained breast tissue, RGB patches of 50x50 pixels, about 4 micrometres a pixel."

[training]
data = "A subset of Breast Histopathology Images (CC0): Cruz-Roa et al. 2014; Janowczyk and Madabhushi 2016."
split = "By patient: 20 % test, never trained on; five-fold cross-validation on the others, then trained on them."
script = "train.py"

[performance]
classes = {json.dumps(architecture.CLASSES)}
{performance}
"""


def write_fit(folder: Path, patches: Patches, rows: np.ndarray) -> str:
    """Write `fit.npz` for the weights in a model folder from these rows' patches; return what it was made from."""
    from engine.authoring.fit_images import fit_after_training

    model = architecture.build_model().eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    images = (patches.rgb[row].transpose(1, 2, 0) for row in rows)
    return fit_after_training(folder, model, images, (str(patches.patients[row]) for row in rows)).made_from


def main() -> None:
    """Read the arguments, train, and write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the zip of patches, idc/patches.zip")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="where to write (default: beside this script)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the weights and the augmentation (default: 0)"
    )
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help=f"default: {Recipe.epochs}")
    parser.add_argument("--processes", type=int, default=1, help="networks trained at once (default: 1)")
    parser.add_argument("--compare", action="store_true", help="also train without stain augmentation, and report both")
    parser.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    arguments = parser.parse_args()

    if arguments.only_fit:
        patches = read_patches(arguments.data)
        print(write_fit(arguments.out, patches, split(patches.patients, arguments.seed).development))
        return
    laboratory = Laboratory(arguments.data)
    sets = split(laboratory.patches.patients, arguments.seed)
    recipes = {"with": Recipe(epochs=arguments.epochs)}
    if arguments.compare:
        recipes["without"] = recipes["with"].without_stain()
    plans = {name: plan(sets, recipe, arguments.seed, f"{name} stain augmentation") for name, recipe in recipes.items()}
    jobs = [job for jobs in plans.values() for job in jobs]
    results = work_through(jobs, laboratory, arguments.data, arguments.processes)
    judged = {
        name: judge(laboratory, sets, recipe, results[start : start + FOLDS + 1], arguments.seed)
        for start, (name, recipe) in zip(range(0, len(results), FOLDS + 1), recipes.items(), strict=True)
    }
    arms = {name: arm for name, (arm, _) in judged.items()}
    arm, model = judged["with"]
    print(f"offset {arm.offset:+.3f}\ntest\n{table(arm.test)}\nfolds\n{fold_table(arm)}\n{comparison(arms)}")

    speeds = {batch: milliseconds(model, batch) for batch in (1, 64)}
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), arguments.out / "weights.pt")
    draw_confusion(arm.test.confusion, arguments.out / "description.png")
    text = describe(laboratory.patches, sets, arms, speeds, arguments.seed)
    (arguments.out / "description.txt").write_text(text, encoding="utf-8")
    (arguments.out / "model.toml").write_text(model_toml(arm), encoding="utf-8")
    if (arguments.out / "architecture.py").is_file():  # else it is no model folder
        print(write_fit(arguments.out, laboratory.patches, sets.development))


if __name__ == "__main__":
    main()
