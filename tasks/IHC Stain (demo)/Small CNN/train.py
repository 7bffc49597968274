"""Train the demo network on scikit-image's immunohistochemistry picture and write everything this folder ships.

    python train.py                    (about four minutes on one core; the same machine gives the same files)
    python train.py --only-score       prints the figures of the weights in --out; writes nothing

The truth is a rule on the unmixed stains, known for every pixel (`stain_truth`); a patch's class follows from the
shares of its pixels (`patch_class`). The picture is split by area, so no pixel of the test area was seen in training.
"""

import argparse
import platform
import runpy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import color, data, filters
from torch import nn

from engine.authoring.fit_images import fit_after_training
from engine.authoring.selftest import selftest_after_training
from engine.evaluation.alterations import COLOUR, blur, jpeg, noise
from engine.evaluation.description import draw_confusion, lay_out, verbatim, write_performance
from engine.evaluation.robustness import Row, robustness, table
from engine.evaluation.scores import ScoresByPatient, score, score_by_patient
from engine.evaluation.speed import milliseconds

_ARCHITECTURE = runpy.run_path(str(Path(__file__).with_name("architecture.py")))
build_model: Callable[[], nn.Module] = _ARCHITECTURE["build_model"]
CLASSES: tuple[str, ...] = _ARCHITECTURE["CLASSES"]
MEAN: tuple[float, ...] = _ARCHITECTURE["MEAN"]
STD: tuple[float, ...] = _ARCHITECTURE["STD"]
SIDE: int = _ARCHITECTURE["INPUT_SIZE"][0]

DAB, NUCLEI, BACKGROUND = range(3)
DAB_DENSITY, NUCLEI_DENSITY = 0.05, 0.03  # on rgb2hed's channels, beside the valleys of their histograms
DAB_SHARE, NUCLEI_SHARE = 0.25, 0.12  # of a patch's pixels
DAB_SOFTNESS, NUCLEI_SOFTNESS = 0.04, 0.02  # widths of the training targets around those shares
AREAS = {"train": (0, 236), "val": (248, 320), "test": (332, 512)}  # columns of the picture; 12 lie between two areas
STRIDE = 6  # between the patches that are counted and measured
BLOCK = (85, 78)  # rows and columns of the parts of the train area that stand for patients in fit.npz
PART = (86, 90)  # rows and columns of the parts of the test area that stand for patients in the intervals
BRIGHTNESS = (0.87, 1.14)  # by which whole patches are multiplied in training
RESTAINED = 8  # copies of the picture with other stain densities, for training


def stain_truth(rgb: np.ndarray) -> np.ndarray:
    """Return what each pixel of an IHC picture is: 0 DAB, 1 nuclei (haematoxylin without DAB), 2 background.

    Args:
        rgb: the picture, (H, W, 3) uint8. Take the whole picture and crop the result: the smoothing sees neighbours.

    Returns:
        (H, W) uint8. The stains are unmixed by Ruifrok and Johnston's matrix (skimage `rgb2hed`) and smoothed by a
        Gaussian of one pixel; DAB above 0.05 makes a pixel DAB, else haematoxylin above 0.03 makes it nuclei.
    """
    stains = color.rgb2hed(rgb)
    haematoxylin = filters.gaussian(stains[..., 0], 1, mode="nearest")
    dab = filters.gaussian(stains[..., 2], 1, mode="nearest")
    truth = np.where(haematoxylin > NUCLEI_DENSITY, NUCLEI, BACKGROUND)
    return np.where(dab > DAB_DENSITY, DAB, truth).astype(np.uint8)


def patch_class(truth: np.ndarray) -> np.ndarray:
    """Return the classes (N,) of patches (N, H, W) of `stain_truth`: at least 25 % DAB, else 12 % nuclei, else none."""
    dab, nuclei = _shares(truth)
    return np.where(dab >= DAB_SHARE, DAB, np.where(nuclei >= NUCLEI_SHARE, NUCLEI, BACKGROUND))


def soft_targets(truth: np.ndarray) -> np.ndarray:
    """Return target probabilities (N, 3) for patches (N, H, W): certain far from the rule's limits, even on them."""
    dab, nuclei = _shares(truth)
    p_dab = 1 / (1 + np.exp(-(dab - DAB_SHARE) / DAB_SOFTNESS))
    p_nuclei = 1 / (1 + np.exp(-(nuclei - NUCLEI_SHARE) / NUCLEI_SOFTNESS))
    return np.stack([p_dab, (1 - p_dab) * p_nuclei, (1 - p_dab) * (1 - p_nuclei)], axis=1)


def _shares(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (truth == DAB).mean(axis=(1, 2)), (truth == NUCLEI).mean(axis=(1, 2))


@dataclass(frozen=True)
class Patches:
    """Patches of one area: corners (N, 2) as row and column, pixels (N, S, S, 3) uint8, pixel truth (N, S, S)."""

    corners: np.ndarray
    pixels: np.ndarray
    truth: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The class of every patch, (N,)."""
        return patch_class(self.truth)


def cut_patches(picture: np.ndarray, truth: np.ndarray, area: str, stride: int) -> Patches:
    """Cut every patch that lies wholly inside an area, `stride` pixels apart."""
    left, right = AREAS[area]
    rows = range(0, picture.shape[0] - SIDE + 1, stride)
    corners = np.array([(y, x) for y in rows for x in range(left, right - SIDE + 1, stride)])
    pixels = np.stack([picture[y : y + SIDE, x : x + SIDE] for y, x in corners])
    return Patches(corners, pixels, np.stack([truth[y : y + SIDE, x : x + SIDE] for y, x in corners]))


def restained(picture: np.ndarray, copies: int, rng: np.random.Generator, spread: float = 0.29) -> list[np.ndarray]:
    """Return the picture and copies of it with each stain weaker or stronger; the rule holds for them too.

    Each stain is multiplied by up to exp(`spread`) or its inverse: by default 25 % weaker to 33 % stronger.
    """
    stains = color.rgb2hed(picture)
    factors = np.exp(rng.uniform(-spread, spread, size=(copies, 3)))
    return [picture, *(np.round(255 * color.hed2rgb(stains * factor)).astype(np.uint8) for factor in factors)]


def joined(parts: list[Patches]) -> Patches:
    """Return all patches of several sets as one."""
    return Patches(*(np.concatenate([getattr(part, f) for part in parts]) for f in ("corners", "pixels", "truth")))


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Return uint8 patches (N, H, W, 3) as the network's input: /255, minus MEAN, by STD, (N, 3, H, W)."""
    scaled = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def altered(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a patch (S, S, 3) uint8: half are left as they are, a sixth each is blurred, gets noise, or is a JPEG."""
    match int(rng.integers(6)):
        case 0:
            return blur(patch, rng.uniform(0.3, 1.0))
        case 1:
            return noise(patch, rng.uniform(0.01, 0.04), rng)
        case 2:
            return jpeg(patch, int(rng.integers(50, 96)), "4:2:0" if rng.random() < 0.7 else "4:4:4")
        case _:
            return patch


def augmented(patches: Patches, chosen: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and soft targets of the chosen patches: turned, mirrored, altered, brightened, parts blanked.

    The truth is that of the patch before it was altered: the network learns to see past brightness, JPEG, blur and
    noise. A blanked rectangle takes the colour MEAN and counts as background in the truth, so the target stays right.
    It teaches the network what hidden pixels mean, which perturbation methods such as RISE and LIME ask about.
    """
    pixels, truth = patches.pixels[chosen].astype(np.float32), patches.truth[chosen].copy()
    for i in range(len(chosen)):
        turns = int(rng.integers(4))
        pixels[i], truth[i] = np.rot90(pixels[i], turns), np.rot90(truth[i], turns)
        if rng.random() < 0.5:
            pixels[i], truth[i] = pixels[i, :, ::-1].copy(), truth[i, :, ::-1].copy()
        pixels[i] = altered(pixels[i].astype(np.uint8), rng)
        pixels[i] *= rng.uniform(*BRIGHTNESS) * rng.uniform(0.97, 1.03, size=(1, 1, 3))
        if rng.random() < 0.5:
            height, width = rng.integers(8, SIDE, size=2)
            y, x = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
            pixels[i, y : y + height, x : x + width] = 255 * np.float32(MEAN)
            truth[i, y : y + height, x : x + width] = BACKGROUND
    targets = torch.from_numpy(soft_targets(truth).astype(np.float32))
    return to_tensor(np.clip(pixels, 0, 255)), targets


def probabilities(model: nn.Module, pixels: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the probabilities (N, 3) that the network gives to patches (S, S, 3) uint8."""
    model.eval()
    stacked = np.stack(list(pixels))
    with torch.inference_mode():
        parts = [model(to_tensor(stacked[i : i + 64])).softmax(1) for i in range(0, len(stacked), 64)]
    return torch.cat(parts).numpy()


def train(train_set: Patches, val_set: Patches, steps: int, batch: int, seed: int) -> nn.Module:
    """Train on soft targets, classes drawn equally often; validation is only watched, the last weights are kept."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = build_model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    of_class = [np.flatnonzero(train_set.labels == k) for k in range(len(CLASSES))]
    for step in range(1, steps + 1):
        model.train()
        chosen = np.array([rng.choice(of_class[k]) for k in rng.integers(len(CLASSES), size=batch)])
        inputs, targets = augmented(train_set, chosen, rng)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            watched = score(val_set.labels, probabilities(model, val_set.pixels)).balanced_accuracy
            print(f"step {step:5d}  loss {loss.item():.3f}  validation balanced accuracy {watched:.3f}", flush=True)
    return model.eval()


def milliseconds_per_image(model: nn.Module) -> float:
    """Return the processor time of a forward pass of one image, in milliseconds."""
    image = torch.zeros(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        return milliseconds(lambda: model(image))


@dataclass(frozen=True)
class Findings:
    """What the patches of the test area show of a network; `clear` of those away from the rule's limits alone."""

    scores: ScoresByPatient
    clear: ScoresByPatient
    rows: tuple[Row, ...]
    milliseconds: float


def findings(model: nn.Module, test: Patches) -> Findings:
    """Measure a network on the test area; its parts stand for the patients that there are not."""
    probability, clear = probabilities(model, test.pixels), clear_cut(test)
    row, column = (test.corners - (0, AREAS["test"][0]) + SIDE // 2).T
    part = row // PART[0] * 10 + column // PART[1]
    rows = robustness(lambda pixels: probabilities(model, pixels), list(test.pixels), test.labels, COLOUR)
    return Findings(
        score_by_patient(test.labels, probability, part),
        score_by_patient(test.labels[clear], probability[clear], part[clear]),
        rows,
        milliseconds_per_image(model),
    )


def write_samples(test_set: Patches, probability: np.ndarray, folder: Path) -> list[str]:
    """Save telling patches of the test area as PNG, named by what they show and by their corner in the picture.

    Each is the best patch by one criterion among those at least half a patch away from the samples chosen before.
    """
    dab_map, nuclei_map = test_set.truth == DAB, test_set.truth == NUCLEI
    half = SIDE // 2

    def lean(found: np.ndarray, side: str) -> np.ndarray:
        """Share of the found pixels in one half of the patch minus that in the other, each of the half's pixels."""
        first, second = (found[:, :, :half], found[:, :, half:]) if side in "lr" else (found[:, :half], found[:, half:])
        difference = first.mean(axis=(1, 2)) - second.mean(axis=(1, 2))
        return difference if side in "lt" else -difference

    dab, nuclei = _shares(test_set.truth)
    no_dab = np.where(dab > 0.01, -9.0, 0.0)
    corner = dab_map[:, half:, :half].mean(axis=(1, 2)) - 2 * np.abs(dab - 0.28)
    enough_nuclei = np.where(nuclei < 0.15, -9.0, 0.0) + no_dab
    lumen = test_set.pixels.mean(axis=(1, 2, 3)) / 255 - np.abs(dab - 0.12) * 4 - nuclei * 4
    doubt = -np.abs(np.sort(probability, axis=1)[:, -1] - 0.5)
    criteria = {
        "dab-full": dab - nuclei,
        "dab-left-half": lean(dab_map, "l"),
        "dab-right-half": lean(dab_map, "r"),
        "dab-top-half": lean(dab_map, "t"),
        "dab-bottom-half": lean(dab_map, "b"),
        "dab-lower-left-corner": corner,
        "nuclei-dense": nuclei + no_dab,
        "nuclei-left": lean(nuclei_map, "l") + enough_nuclei,
        "nuclei-right": lean(nuclei_map, "r") + enough_nuclei,
        "background-stroma": no_dab - nuclei,
        "background-rim-of-dab": lumen + np.where((dab < 0.08) | (dab > 0.17), -9.0, 0.0),
        "mixed-dab-or-nuclei": doubt - np.where((np.abs(dab - DAB_SHARE) < 0.05) & (nuclei > 0.15), 0.0, 9.0),
        "mixed-nuclei-or-background": doubt - np.where((np.abs(nuclei - NUCLEI_SHARE) < 0.02) & (dab < 0.02), 0.0, 9.0),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    free = np.ones(len(test_set.corners), dtype=bool)
    lines = []
    for name, merit in criteria.items():
        best = int(np.where(free, merit, -np.inf).argmax())
        free &= np.abs(test_set.corners - test_set.corners[best]).max(axis=1) >= half
        y, x = test_set.corners[best]
        Image.fromarray(test_set.pixels[best]).save(folder / f"{name}_x{x}_y{y}.png", optimize=True)
        answer = ", ".join(f"{c} {p:.2f}" for c, p in zip(CLASSES, probability[best], strict=True))
        lines.append(f"{name}_x{x}_y{y}.png: {dab[best]:.0%} DAB, {nuclei[best]:.0%} nuclei; predicted {answer}")
    return lines


def write_fit(folder: Path, model: nn.Module, picture: np.ndarray, seed: int) -> str:
    """Write `fit.npz` for the weights in a model folder from the train area; return what it was made from.

    Blocks that share no pixel stand for patients. One copy in stains up to 10 % weaker or stronger is added, as the
    test area is stained a little differently.
    """
    (rows, columns), (left, right) = BLOCK, AREAS["train"]
    patches, groups = [], []
    for source in restained(picture, 1, np.random.default_rng(seed), spread=0.1):
        for top in range(0, picture.shape[0] - rows + 1, rows):
            for side in range(left, right - columns + 1, columns):
                for y in range(top, top + rows - SIDE + 1, 3):
                    for x in range(side, side + columns - SIDE + 1, 3):
                        patches.append(source[y : y + SIDE, x : x + SIDE])
                        groups.append(f"{top}_{side}")
    return fit_after_training(folder, model, patches, groups).made_from


def clear_cut(patches: Patches) -> np.ndarray:
    """Return which patches (N,) lie away from the rule's limits: 10 points of DAB, 4 points of nuclei."""
    dab, nuclei = _shares(patches.truth)
    return (np.abs(dab - DAB_SHARE) > 0.1) & ((dab >= DAB_SHARE) | (np.abs(nuclei - NUCLEI_SHARE) > 0.04))


def describe(sets: dict[str, Patches], found: Findings, args: argparse.Namespace) -> str:
    """Return description.txt: what the network cannot do, its figures on the test area, the data and the recipe."""
    scores = found.scores
    census = ["area   columns   patches  " + "  ".join(f"{name:<10}" for name in CLASSES)]
    for area, patches in sets.items():
        numbers = "  ".join(f"{n:<10}" for n in np.bincount(patches.labels, minlength=len(CLASSES)))
        columns = "{}-{}".format(*AREAS[area])
        census.append(f"{area:<6} {columns:<9} {len(patches.labels):<8} {numbers}")
    sections = [
        ["Small CNN: does a 48x48 patch of an IHC section show DAB, nuclei, or neither?"],
        [
            "WHAT IT CANNOT DO",
            "It is not for diagnosis and not for scoring stains: the truth is a colour rule on one picture, made to "
            "try out explanations where the right pixels are known.",
            "Other slides, stains, magnifications and scanners were not tried: it has seen one picture of one slide of "
            "one patient. It names one of its three classes for any image at all.",
        ],
        [
            f"RESULTS on the test area ({scores.images:,} patches, {STRIDE} pixels apart, so they overlap)",
            *map(verbatim, scores.lines(CLASSES)),
            f"Of the {found.clear.images:,} patches away from the rule's limits (15-35 % DAB, 8-16 % nuclei left out): "
            f"balanced accuracy {found.clear.balanced_accuracy}.",
            f"In brackets: 95 % interval. As there is one patient only, {scores.patients} parts of the test area were "
            "drawn anew, 2,000 times: it tells of other places in this picture, and nothing of other patients. "
            "description.png: confusion matrix, per cent of each true class (rows). Command for every figure on this "
            "page:",
            verbatim("python train.py --only-score"),
        ],
        [
            "ROBUSTNESS",
            "The test patches, altered. The first row has the figures, those below it the changes.",
            *map(verbatim, table(found.rows, CLASSES)),
            "JPEG by Pillow's quality and chroma subsampling; Gaussian blur; noise as a share of full scale, drawn for "
            "each value.",
        ],
        [
            "DATA",
            "One picture, skimage.data.immunohistochemistry (512x512 RGB, colonic glands; brown DAB, blue "
            "haematoxylin), distributed with scikit-image. Split by area: patches lie wholly inside one area.",
            *map(verbatim, census),
            f"Resolution: {SIDE}x{SIDE} pixels, RGB, no resizing. One patient, one slide, one stain.",
        ],
        [
            "TRAINING",
            f"{args.steps:,} steps of {args.batch} patches from every 4th pixel of the train area, classes drawn "
            f"equally, of the picture and of {RESTAINED} copies with other stain densities (truth by the same rule). "
            "AdamW 3e-3, weight decay 1e-3, one cycle; turns, mirroring; brightness x "
            f"{BRIGHTNESS[0]} to {BRIGHTNESS[1]}; half of the patches blurred, with noise or from a JPEG; half have a "
            "rectangle blanked, and their targets follow. Targets are soft near the limits, so that confidence is "
            "moderate there.",
            verbatim(f"python train.py --seed {args.seed} --steps {args.steps} --batch {args.batch}"),
            f"Inference time: {found.milliseconds:.1f} ms an image ({platform.machine()} CPU, 1 thread, batch 1, "
            "float32).",
        ],
    ]
    return lay_out(sections)


def performance(scores: ScoresByPatient) -> list[str]:
    """Return the lines of `[performance]` in model.toml."""
    return [
        f'test = "{scores.images} patches of columns {AREAS["test"][0]}-{AREAS["test"][1]}; one patient"',
        f'intervals = "95 %, between {scores.patients} parts of that area; they tell nothing of other patients"',
        'command = "python train.py --only-score"',
        *scores.performance(CLASSES),
    ]


def shipped(folder: Path) -> nn.Module:
    """Return the network with the weights in a folder."""
    model = build_model().eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return model


def main() -> None:
    """Train, measure on the test area, and write weights, descriptions and samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the picture as a file (default: the one scikit-image ships)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=64)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-score", action="store_true", help="train and write nothing; measure the weights in --out")
    only.add_argument("--only-describe", action="store_true", help="the same, and write what is said of them")
    only.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the order of sums, and so the weights, would depend on it
    torch.use_deterministic_algorithms(True)

    picture = np.asarray(Image.open(args.data).convert("RGB")) if args.data else data.immunohistochemistry()
    if args.only_fit:
        print(write_fit(args.out, shipped(args.out), picture, args.seed))
        return
    truth = stain_truth(picture)
    sets = {area: cut_patches(picture, truth, area, STRIDE) for area in AREAS}
    trained = not (args.only_score or args.only_describe)
    if trained:
        copies = restained(picture, RESTAINED, np.random.default_rng(args.seed))
        train_set = joined([cut_patches(copy, stain_truth(copy), "train", 4) for copy in copies])
        model = train(train_set, sets["val"], args.steps, args.batch, args.seed)
        args.out.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), args.out / "weights.pt")
    else:
        model = shipped(args.out)
    found = findings(model, sets["test"])
    description = describe(sets, found, args)
    print(description)
    if args.only_score:
        return
    draw_confusion(found.rows[0].scores.confusion, CLASSES, args.out / "description.png")
    (args.out / "description.txt").write_text(description, encoding="utf-8")
    samples = write_samples(sets["test"], probabilities(model, sets["test"].pixels), args.out / "samples")
    print("\n".join(samples))
    if (args.out / "architecture.py").is_file():  # else it is no model folder
        write_performance(args.out, performance(found.scores))
        unsure = next(line.partition(":")[0] for line in samples if line.startswith("mixed-dab"))  # any change shows
        selftest_after_training(args.out, model, f"samples/{unsure}")
        if trained:
            print(write_fit(args.out, model, picture, args.seed))


if __name__ == "__main__":
    main()
