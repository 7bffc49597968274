"""Train the demo network on scikit-image's immunohistochemistry picture and write everything this folder ships.

    python train.py --out .            (about two minutes on one core; the same machine gives the same files)

The truth is a rule on the unmixed stains, known for every pixel (`stain_truth`); a patch's class follows from the
shares of its pixels (`patch_class`). The picture is split by area, so no pixel of the test area was seen in training.
"""

import argparse
import platform
import runpy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from skimage import color, data, filters
from torch import nn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

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


def restained(picture: np.ndarray, copies: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the picture and copies of it with each stain 25 % weaker to 33 % stronger; the rule holds for them too."""
    stains = color.rgb2hed(picture)
    factors = np.exp(rng.uniform(-0.29, 0.29, size=(copies, 3)))
    return [picture, *(np.round(255 * color.hed2rgb(stains * factor)).astype(np.uint8) for factor in factors)]


def joined(parts: list[Patches]) -> Patches:
    """Return all patches of several sets as one."""
    return Patches(*(np.concatenate([getattr(part, f) for part in parts]) for f in ("corners", "pixels", "truth")))


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Return uint8 patches (N, H, W, 3) as the network's input: /255, minus MEAN, by STD, (N, 3, H, W)."""
    scaled = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def augmented(patches: Patches, chosen: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and soft targets of the chosen patches: turned, mirrored, brightness jittered, parts blanked.

    A blanked rectangle takes the colour MEAN and counts as background in the truth, so the target stays right. It
    teaches the network what hidden pixels mean, which perturbation methods such as RISE and LIME ask about.
    """
    pixels, truth = patches.pixels[chosen].astype(np.float32), patches.truth[chosen].copy()
    for i in range(len(chosen)):
        turns = int(rng.integers(4))
        pixels[i], truth[i] = np.rot90(pixels[i], turns), np.rot90(truth[i], turns)
        if rng.random() < 0.5:
            pixels[i], truth[i] = pixels[i, :, ::-1].copy(), truth[i, :, ::-1].copy()
        pixels[i] *= rng.uniform(0.96, 1.04, size=(1, 1, 3))
        if rng.random() < 0.5:
            height, width = rng.integers(8, SIDE, size=2)
            y, x = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
            pixels[i, y : y + height, x : x + width] = 255 * np.float32(MEAN)
            truth[i, y : y + height, x : x + width] = BACKGROUND
    targets = torch.from_numpy(soft_targets(truth).astype(np.float32))
    return to_tensor(np.clip(pixels, 0, 255)), targets


def probabilities(model: nn.Module, patches: Patches) -> np.ndarray:
    """Return the probabilities (N, 3) that the network gives to patches."""
    model.eval()
    with torch.inference_mode():
        parts = [model(to_tensor(patches.pixels[i : i + 64])).softmax(1) for i in range(0, len(patches.pixels), 64)]
    return torch.cat(parts).numpy()


def confusion(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return counts (K, K): rows are the truth, columns the prediction."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def balanced_accuracy(counts: np.ndarray) -> float:
    """Return the mean recall over the classes of a confusion matrix."""
    return float((counts.diagonal() / counts.sum(axis=1)).mean())


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
            score = balanced_accuracy(confusion(val_set.labels, probabilities(model, val_set).argmax(1)))
            print(f"step {step:5d}  loss {loss.item():.3f}  validation balanced accuracy {score:.3f}", flush=True)
    return model.eval()


def seconds_per_image(model: nn.Module) -> float:
    """Return the median seconds of 100 forward passes of one image."""
    image, seconds = torch.zeros(1, 3, SIDE, SIDE), []
    with torch.inference_mode():
        for _ in range(110):
            start = time.perf_counter()
            model(image)
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[10:]))


def draw_confusion(counts: np.ndarray, path: Path) -> None:
    """Draw the confusion matrix in per cent of each true class, with digits that survive 60x60 pixels."""
    percent = 100 * counts / counts.sum(axis=1, keepdims=True)
    size = len(CLASSES) + 1
    figure = plt.figure(figsize=(4.8, 4.8), dpi=100, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.axis("off")
    for row in range(len(CLASSES)):
        initial = CLASSES[row][0].upper()
        axes.text(0.5, row + 1.5, initial, ha="center", va="center", fontsize=52, weight="bold", color="#444444")
        axes.text(row + 1.5, 0.5, initial, ha="center", va="center", fontsize=52, weight="bold", color="#444444")
        for column in range(len(CLASSES)):
            value = percent[row, column]
            axes.add_patch(
                plt.Rectangle((column + 1, row + 1), 1, 1, facecolor=plt.get_cmap("Blues")(value / 100), edgecolor="w")
            )
            ink = "white" if value > 50 else "black"
            text = f"{value:.0f}"
            points = 58 if len(text) < 3 else 38
            axes.text(column + 1.5, row + 1.5, text, ha="center", va="center", size=points, weight="bold", color=ink)
    axes.text(0.5, 0.5, "predicted →\n\ntrue ↓", ha="center", va="center", fontsize=12, color="#444444")
    figure.savefig(path)
    plt.close(figure)


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
    for name, score in criteria.items():
        best = int(np.where(free, score, -np.inf).argmax())
        free &= np.abs(test_set.corners - test_set.corners[best]).max(axis=1) >= half
        y, x = test_set.corners[best]
        Image.fromarray(test_set.pixels[best]).save(folder / f"{name}_x{x}_y{y}.png", optimize=True)
        answer = ", ".join(f"{c} {p:.2f}" for c, p in zip(CLASSES, probability[best], strict=True))
        lines.append(f"{name}_x{x}_y{y}.png: {dab[best]:.0%} DAB, {nuclei[best]:.0%} nuclei; predicted {answer}")
    return lines


def write_fit(folder: Path, picture: np.ndarray, seed: int) -> str:
    """Write `fit.npz` for the weights in a model folder from the train area; return what it was made from.

    Blocks that share no pixel stand for patients. One copy in stains up to 10 % weaker or stronger is added, as the
    test area is stained a little differently.
    """
    from engine.authoring.fit_images import fit_after_training

    factors = np.exp(np.random.default_rng(seed).uniform(-0.1, 0.1, size=3))
    restained_copy = np.round(255 * color.hed2rgb(color.rgb2hed(picture) * factors)).astype(np.uint8)
    (rows, columns), (left, right) = BLOCK, AREAS["train"]
    patches, groups = [], []
    for source in (picture, restained_copy):
        for top in range(0, picture.shape[0] - rows + 1, rows):
            for side in range(left, right - columns + 1, columns):
                for y in range(top, top + rows - SIDE + 1, 3):
                    for x in range(side, side + columns - SIDE + 1, 3):
                        patches.append(source[y : y + SIDE, x : x + SIDE])
                        groups.append(f"{top}_{side}")
    model = build_model().eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return fit_after_training(folder, model, patches, groups).made_from


def clear_cut(patches: Patches) -> np.ndarray:
    """Return which patches (N,) lie away from the rule's limits: 10 points of DAB, 4 points of nuclei."""
    dab, nuclei = _shares(patches.truth)
    return (np.abs(dab - DAB_SHARE) > 0.1) & ((dab >= DAB_SHARE) | (np.abs(nuclei - NUCLEI_SHARE) > 0.04))


def describe(sets: dict[str, Patches], predicted: np.ndarray, seconds: float, args: argparse.Namespace) -> str:
    """Return description.txt: the data, the recipe and the test results of this run."""
    test = sets["test"]
    counts, clear = confusion(test.labels, predicted), clear_cut(test)
    clear_counts = confusion(test.labels[clear], predicted[clear])
    lines = [
        "Small CNN: does a 48x48 patch of an IHC section show DAB, nuclei, or neither?",
        "",
        f"Results on the test area ({counts.sum()} patches, {STRIDE} pixels apart, so they overlap):",
        f"  balanced accuracy {balanced_accuracy(counts):.3f}, accuracy {counts.trace() / counts.sum():.3f}",
        "  class        precision  recall  F1",
    ]
    for k, name in enumerate(CLASSES):
        precision, recall = counts[k, k] / max(counts[:, k].sum(), 1), counts[k, k] / counts[k].sum()
        f1 = 2 * precision * recall / (precision + recall)
        lines.append(f"  {name:<12} {precision:.3f}      {recall:.3f}   {f1:.3f}")
    lines += [
        f"  Of the {clear.sum()} patches away from the rule's limits (15-35 % DAB, 8-16 % nuclei left out): balanced",
        f"  accuracy {balanced_accuracy(clear_counts):.3f}.",
        "  description.png: confusion matrix, per cent of each true class (D, N, B; rows are true).",
        "",
        "Data: one picture, skimage.data.immunohistochemistry (512x512 RGB, colonic glands; brown DAB, blue",
        "haematoxylin), distributed with scikit-image. Split by area: patches lie wholly inside one area.",
        "  area   columns   patches  " + "  ".join(f"{name:<10}" for name in CLASSES),
    ]
    for area, patches in sets.items():
        numbers = "  ".join(f"{n:<10}" for n in np.bincount(patches.labels, minlength=len(CLASSES)))
        columns = "{}-{}".format(*AREAS[area])
        lines.append(f"  {area:<6} {columns:<9} {len(patches.labels):<8} {numbers}".rstrip())
    lines += [
        f"Resolution: {SIDE}x{SIDE} pixels, RGB, no resizing. One patient, one slide, one stain.",
        "",
        f"Training: {args.steps} steps of {args.batch} patches from every 4th pixel of the train area, classes drawn",
        f"equally, of the picture and of {RESTAINED} copies with other stain densities (truth by the same rule). AdamW",
        "3e-3, weight decay 1e-3, one cycle; turns, mirroring, brightness; half of the patches have a",
        "rectangle blanked, and their targets follow. Targets are soft near the limits, so that confidence is",
        "moderate there.",
        f"Made by train.py --seed {args.seed} --steps {args.steps} --batch {args.batch}.",
        f"Inference time: {1000 * seconds:.1f} ms an image ({platform.machine()} CPU, 1 thread, batch 1, float32).",
        "",
        "Not to be used for diagnosis, for scoring of stains, or on any other slide: the truth is a colour rule on one",
        "picture, made to try out explanations where the right pixels are known.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Train, measure on the test area, and write weights, descriptions and samples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the picture as a file (default: the one scikit-image ships)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the order of sums, and so the weights, would depend on it
    torch.use_deterministic_algorithms(True)

    picture = np.asarray(Image.open(args.data).convert("RGB")) if args.data else data.immunohistochemistry()
    if args.only_fit:
        print(write_fit(args.out, picture, args.seed))
        return
    truth = stain_truth(picture)
    sets = {area: cut_patches(picture, truth, area, STRIDE) for area in AREAS}
    copies = restained(picture, RESTAINED, np.random.default_rng(args.seed))
    train_set = joined([cut_patches(copy, stain_truth(copy), "train", 4) for copy in copies])
    model = train(train_set, sets["val"], args.steps, args.batch, args.seed)
    probability = probabilities(model, sets["test"])
    counts = confusion(sets["test"].labels, probability.argmax(1))

    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out / "weights.pt")
    draw_confusion(counts, args.out / "description.png")
    description = describe(sets, probability.argmax(1), seconds_per_image(model), args)
    (args.out / "description.txt").write_text(description, encoding="utf-8")
    print(description)
    print(counts)
    bands = np.histogram(probability.max(1), [0, 0.33, 0.66, 0.9, 0.99, 1.01])[0] / len(probability)
    print("highest probability below .33, .66, .9, .99, 1:", bands.round(3))
    print("\n".join(write_samples(sets["test"], probability, args.out / "samples")))
    if (args.out / "architecture.py").is_file():
        print(write_fit(args.out, picture, args.seed))


if __name__ == "__main__":
    main()
