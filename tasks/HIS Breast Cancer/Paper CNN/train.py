"""Train the paper's CNN for invasive ductal carcinoma and write all that the model folder says about it.

    python train.py --data idc/patches.zip --compare --processes 2

reads 50x50 patches named `<patient>_idx5_x<X>_y<Y>_class<0|1>.png` from a zip and writes `weights.pt`, `model.toml`,
`description.txt`, `description.png`, `selftest.png` and `fit.npz` beside this script (or into `--out`). No patient is
in two sets:

1. a fifth of the patients is the test set; nothing is trained or fitted on it (only the colours' mean and spread, which
   scale the input and the augmentation, were taken over all patches);
2. the others, the development set, are split into five folds. Five networks are each trained without one fold (the
   paper's 80/20 and again 80/20) and give a logit to every patch of it. From these logits come the number of epochs and
   the threshold, the probability from which on a patch is called IDC;
3. the network that is shipped is trained on the whole development set in the same way and for as many epochs; it is
   scored on the test set, as it is and altered: compressed, blurred, with noise, brighter, darker, in other stains.

`--only-score` trains nothing: it scores the weights in `--out` on the test set again, and fails if the figures are not
those in `model.toml`. `--only-fit` makes `fit.npz` again, what the development set's patches look like, so that others
get a warning. `--compare` trains on one fold without each augmentation, too. `--keep` keeps each network's result, so
that a run that was interrupted can go on. On one machine with the same versions of torch and simplejpeg the same
arguments give the same weights.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import replace
from pathlib import Path

import architecture
import numpy as np
import torch
from augmentation import Augmentation
from description import COMPARED_EPOCHS, Run, describe
from learning import Job, Laboratory, Recipe, Weights, network, work_through
from patches import FOLDS, Sets, split
from PIL import Image
from report import (
    draw_confusion,
    milliseconds_per_patch,
    model_toml,
    performance,
    scores_lines,
    verdicts,
)
from scoring import (
    Arm,
    Measured,
    areas,
    arm,
    best_epochs,
    best_threshold,
    measure,
    plan,
    probabilities,
    result,
)

from engine.authoring.fit_images import fit_after_training
from engine.authoring.selftest import selftest_after_training
from engine.evaluation.robustness import table

PARTS = ("JPEG", "blur", "noise", "brightness", "stain", "all")
SELFTEST = "selftest.png"
ROUNDING = 0.0025  # another processor adds in another order, and moves a patch or two across the threshold


def compare(laboratory: Laboratory, sets: Sets, recipe: Recipe, arguments: argparse.Namespace) -> list[Arm]:
    """Train on one fold with each augmentation left out, and score what comes out."""
    short = replace(recipe, epochs=min(COMPARED_EPOCHS, recipe.epochs))
    ways: dict[str, Augmentation] = {"with all": recipe.augmentation}
    ways |= {f"without {part}": recipe.augmentation.without(part) for part in PARTS}
    jobs = [Job(name, replace(short, augmentation=way), *sets.fold(0), arguments.seed) for name, way in ways.items()]
    results = work_through(jobs, laboratory, arguments.data, arguments.processes)
    arms = [
        arm(job.title, laboratory, job, trained.weights[short.epochs])
        for job, trained in zip(jobs, results, strict=True)
    ]
    return [*arms, arm("with all, not averaged", laboratory, jobs[0], results[0].last)]


def selftest_picture() -> Image.Image:
    """Return smooth noise in the colours of the stains, always the same; a patch of the data may not be shipped."""
    rng = np.random.default_rng(0)
    coarse = np.clip(np.add(architecture.MEAN, architecture.STD * rng.standard_normal((9, 9, 3))), 0, 1)
    picture = Image.fromarray((255 * coarse).round().astype(np.uint8))
    return picture.resize(architecture.INPUT_SIZE[::-1], Image.Resampling.BILINEAR)


def write_fit(laboratory: Laboratory, sets: Sets, weights: Weights, folder: Path) -> str:
    """Write `fit.npz` for the weights in a model folder from the development set; return what it was made from."""
    patches, rows = laboratory.patches, sets.development
    groups = (str(patient) for patient in patches.patients[rows])
    return fit_after_training(folder, network(weights), iter(patches.images(rows)), groups).made_from


def differences(told: object, found: object, name: str) -> list[str]:
    """Return a line for each figure that was measured and is not the one that model.toml tells."""
    if isinstance(found, dict):
        known = told if isinstance(told, dict) else {}
        return [line for key, value in found.items() for line in differences(known.get(key), value, f"{name}.{key}")]
    if isinstance(found, list) and isinstance(told, list) and len(told) == len(found):
        return [line for pair in zip(told, found, strict=True) for line in differences(*pair, name)]
    # An interval's limits have two digits, so that a patch can move one by 0.01.
    most = 0.0101 if name.endswith("_interval") or "_interval." in name else ROUNDING
    alike = isinstance(told, float) and isinstance(found, float) and abs(told - found) <= most
    return [] if alike or told == found else [f"{name}: {told} in model.toml, {found} now"]


def show(measured: Measured) -> None:
    """Print the figures of the test patients."""
    print(*scores_lines(measured.test), *table(measured.table, architecture.CLASSES), *verdicts(measured), sep="\n")


def train(laboratory: Laboratory, sets: Sets, recipe: Recipe, arguments: argparse.Namespace) -> tuple[Run, Weights]:
    """Train all networks, choose the epochs and the threshold by the folds, and score the last network."""
    *folds, last = work_through(plan(sets, recipe, arguments.seed), laboratory, arguments.data, arguments.processes)
    patches = laboratory.patches
    curve = areas(patches, sets, folds)
    epochs = best_epochs(curve)
    rows = np.concatenate([sets.fold(number)[1] for number in range(FOLDS)])
    found = probabilities(np.concatenate([fold.logits[epochs] for fold in folds]))
    threshold = best_threshold(patches.labels[rows], found)
    weights = last.weights[epochs]
    measured = measure(laboratory, sets, weights, threshold)
    arms = compare(laboratory, sets, recipe, arguments) if arguments.compare else []
    speeds = {batch: milliseconds_per_patch(weights, batch) for batch in (1, 64)}
    cross_validated = result(patches, rows, found, threshold)
    run = Run(recipe, epochs, curve, threshold, measured, cross_validated, arms, speeds, arguments.seed)
    return run, weights


def write(run: Run, weights: Weights, laboratory: Laboratory, sets: Sets, folder: Path) -> None:
    """Write all files of the model folder but the scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(weights, folder / "weights.pt")
    settings = model_toml(run.measured, run.folds, run.threshold)
    (folder / "model.toml").write_text(settings, encoding="utf-8")
    draw_confusion(run.measured.table[0].scores.confusion.astype(int), folder / "description.png")
    (folder / "description.txt").write_text(describe(run, laboratory.patches, sets), encoding="utf-8")
    if (folder / "architecture.py").is_file():  # else it is no model folder
        selftest_picture().save(folder / SELFTEST)
        selftest_after_training(folder, network(weights), SELFTEST)
        print(write_fit(laboratory, sets, weights, folder))


def main() -> int:
    """Read the arguments, do what they say, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the zip of patches, idc/patches.zip")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="where to write (default: beside this script)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the weights and the augmentation (default: 0)"
    )
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help=f"the most; default: {Recipe.epochs}")
    parser.add_argument("--processes", type=int, default=1, help="networks trained at once (default: 1)")
    parser.add_argument("--keep", type=Path, help="a folder in which each network's result is kept, and looked for")
    parser.add_argument("--compare", action="store_true", help="also train without each augmentation, and report it")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    only.add_argument(
        "--only-score", action="store_true", help="train nothing; score the weights in --out and check model.toml"
    )
    arguments = parser.parse_args()

    laboratory = Laboratory(arguments.data, arguments.keep)
    sets = split(laboratory.patches.patients, arguments.seed)
    if arguments.only_fit or arguments.only_score:
        weights = torch.load(arguments.out / "weights.pt", weights_only=True)
        if arguments.only_fit:
            print(write_fit(laboratory, sets, weights, arguments.out))
            return 0
        settings = tomllib.loads((arguments.out / "model.toml").read_text(encoding="utf-8"))
        measured = measure(laboratory, sets, weights, settings["output"]["threshold"])
        show(measured)
        found = tomllib.loads("\n".join(performance(measured)))
        differing = differences(settings["performance"], found, "performance")
        print(*differing or ["All figures are those in model.toml."], sep="\n")
        return 1 if differing else 0
    run, weights = train(laboratory, sets, Recipe(epochs=arguments.epochs), arguments)
    write(run, weights, laboratory, sets, arguments.out)
    show(run.measured)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
