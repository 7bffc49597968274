"""Train the brain tumour network and write everything this folder ships.

    python train.py --data FOLDER --out .         (FOLDER or FOLDER.zip as described in --help)

Slices are split by patient. While a recipe is being chosen, fit on `--fit train` and look at the validation patients;
the shipped weights are fitted on `--fit train+val` with that recipe. The test patients take part in neither.

A decoder that outlines the tumour by its class is trained along with the network and then thrown away: the outlines
tell the shared layers what to look at. They also guide the attention, which stays.

The slices that were fitted also give `fit.npz`: what they look like, so that others get a warning. `--only-fit` makes
it again for the weights in `--out`.
"""

import argparse
import csv
import io
import math
import platform
import runpy
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_ARCHITECTURE = runpy.run_path(str(Path(__file__).with_name("architecture.py")))
build_model: Callable[[], nn.Module] = _ARCHITECTURE["build_model"]
CLASSES: tuple[str, ...] = _ARCHITECTURE["CLASSES"]
MEAN: float = _ARCHITECTURE["MEAN"][0]
STD: float = _ARCHITECTURE["STD"][0]
SIDE: int = _ARCHITECTURE["INPUT_SIZE"][0]

SPLIT_SEED = 2015  # fixed: another split would let test patients into the training of compared runs
HELD_OUT = 0.15  # of each class's patients, for validation and again for test
LEARNING_RATE, WEIGHT_DECAY, LABEL_SMOOTHING = 3e-3, 0.05, 0.05
OUTLINE_WEIGHT, ATTENTION_WEIGHT = 1.0, 0.2  # of the two helper losses, beside the classes' cross-entropy
EMA_DECAY, EMA_START = 0.997, 0.2  # the average begins after a fifth of the steps, or it would remember noise


@dataclass(frozen=True)
class Slices:
    """Slices (N, H, W) uint8 as stored, tumour masks (N, H, W) bool, labels (N,) and patients (N,)."""

    pixels: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    def of(self, patients: set[str]) -> "Slices":
        """Return the slices of some patients."""
        keep = np.isin(self.patients, sorted(patients))
        return Slices(self.pixels[keep], self.masks[keep], self.labels[keep], self.patients[keep])


def read_slices(source: Path) -> Slices:
    """Read index.csv, slices and masks from a folder or a zip file."""
    archive = zipfile.ZipFile(source) if source.is_file() else None

    def read(name: str) -> io.BytesIO:
        return io.BytesIO(archive.read(name) if archive else (source / name).read_bytes())

    def grey(name: str) -> np.ndarray:
        return np.asarray(Image.open(read(name)).convert("L"))

    rows = list(csv.DictReader(io.StringIO(read("index.csv").getvalue().decode("utf-8"))))
    return Slices(
        np.stack([grey(f"{row['label']}/{row['sample_id']}.jpg") for row in rows]),
        np.stack([grey(f"{row['label']}/{row['sample_id']}_mask.png") > 0 for row in rows]),
        np.array([CLASSES.index(row["label"]) for row in rows]),
        np.array([row["patient"] for row in rows]),
    )


def split_patients(slices: Slices) -> dict[str, set[str]]:
    """Return the patients of train, val and test: 15 % of each class's patients for val, 15 % for test."""
    rng = np.random.default_rng(SPLIT_SEED)
    sets: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for label in range(len(CLASSES)):
        patients = rng.permutation(np.unique(slices.patients[slices.labels == label]))
        held = round(HELD_OUT * len(patients))
        sets["test"].update(patients[:held])
        sets["val"].update(patients[held : 2 * held])
        sets["train"].update(patients[2 * held :])
    return sets


def network_input(pixels: np.ndarray) -> torch.Tensor:
    """Return slices (N, 1, S, S) as the engine feeds them: grey / 255, resized by Pillow in mode F, normalised."""
    resized = [
        np.asarray(Image.fromarray(slice_.astype(np.float32) / 255).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for slice_ in pixels
    ]
    return ((torch.from_numpy(np.stack(resized)) - MEAN) / STD).unsqueeze(1)


def uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> torch.Tensor:
    """Return uniform random numbers of a shape."""
    return low + (high - low) * torch.rand(*shape, generator=generator)


def augmented(pixels: torch.Tensor, masks: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return network inputs and masks (B, 1, S, S) of moved, mirrored, brightened, noisy, partly hidden slices.

    Args:
        pixels: (B, 1, H, W) in [0, 1], at the stored resolution: resized with antialiasing after the movement, as
            Pillow does it, so that training does not see blurrier slices than the engine.
        masks: (B, 1, H, W) in {0, 1}.
        rng: where all random numbers come from.
    """
    n = len(pixels)
    angle = uniform(-25, 25, n, generator=rng) * math.pi / 180
    zoom_x, zoom_y = (uniform(0.8, 1.2, n, 1, generator=rng) * uniform(0.92, 1.08, n, 2, generator=rng)).unbind(1)
    mirror = torch.where(torch.rand(n, generator=rng) < 0.5, -1.0, 1.0)
    shift = uniform(-0.18, 0.18, n, 2, generator=rng)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [mirror * cos / zoom_x, -sin / zoom_x, shift[:, 0], mirror * sin / zoom_y, cos / zoom_y, shift[:, 1]]
    grid = functional.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(pixels.shape), align_corners=False)
    both = functional.grid_sample(torch.cat([pixels, masks], 1), grid, align_corners=False)
    both = functional.interpolate(both, (SIDE, SIDE), mode="bilinear", antialias=True)
    image, mask = both[:, :1], both[:, 1:]

    gamma = torch.exp(uniform(-0.4, 0.4, n, 1, 1, 1, generator=rng))
    contrast = torch.exp(uniform(-0.3, 0.3, n, 1, 1, 1, generator=rng))
    brightness = uniform(-0.06, 0.06, n, 1, 1, 1, generator=rng) * (image > 0.02)
    image = image.clamp(1e-4, 1) ** gamma * contrast + brightness
    noise = uniform(0, 0.03, n, 1, 1, 1, generator=rng)
    image = (image + noise * torch.randn(image.shape, generator=rng)).clamp(0, 1)
    for i in torch.nonzero(torch.rand(n, generator=rng) < 0.35).flatten().tolist():
        height, width = (int(v) for v in torch.randint(SIDE // 10, SIDE // 3, (2,), generator=rng))
        y, x = (int(torch.randint(SIDE - v, (1,), generator=rng)) for v in (height, width))
        if mask[i, :, y : y + height, x : x + width].sum() < 0.5 * mask[i].sum():
            image[i, :, y : y + height, x : x + width] = MEAN
            mask[i, :, y : y + height, x : x + width] = 0
    return (image - MEAN) / STD, mask


class OutlineDecoder(nn.Module):
    """For training only: class of every pixel (none, or one of the tumours) at a quarter of the input's resolution."""

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(width, 32, 1) for width in widths)
        self.smooth = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.classes = nn.Conv2d(32, 1 + len(CLASSES), 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return logits (B, 1 + K, S/4, S/4) of the maps of the three stages."""
        fine, middle, coarse = (side(found) for side, found in zip(self.sides, maps, strict=True))
        middle = middle + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = fine + functional.interpolate(middle, scale_factor=2.0, mode="nearest")
        return self.classes(self.smooth(fine))


def losses(
    model: nn.Module, decoder: nn.Module, inputs: torch.Tensor, masks: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the losses of the classes, of the outlines and of the attention for one batch."""
    maps = model.maps(inputs)
    logits, places = model.pooled_logits(maps[-1])
    outline = decoder(maps[-3:]).float()
    classes = functional.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)

    share = functional.adaptive_avg_pool2d(masks, outline.shape[-2:])[:, 0]
    truth = torch.where(share > 0.5, labels.view(-1, 1, 1) + 1, 0)
    pixel_loss = functional.cross_entropy(outline, truth, weight=torch.tensor([1.0] + [4.0] * len(CLASSES)))
    found, wanted = 1 - outline.softmax(1)[:, 0], share
    overlap = (2 * (found * wanted).sum((1, 2)) + 1) / (found.sum((1, 2)) + wanted.sum((1, 2)) + 1)

    side = int(math.sqrt(places.shape[1]))
    where = functional.adaptive_avg_pool2d(masks, side).flatten(1)
    where = where / where.sum(1, keepdim=True).clamp(min=1e-6)
    attention = -(where * places.float().log_softmax(1)).sum(1).mean()
    return classes, pixel_loss + (1 - overlap).mean(), attention


def sampling_weights(slices: Slices) -> torch.Tensor:
    """Return each slice's chance: classes equal; within a class a patient of n slices counts as sqrt(n)."""
    of_patient = Counter(slices.patients)
    weight = np.array([1 / math.sqrt(of_patient[patient]) for patient in slices.patients])
    for label in range(len(CLASSES)):
        weight[slices.labels == label] /= weight[slices.labels == label].sum()
    return torch.from_numpy(weight)


def train(fit: Slices, watch: Slices, args: argparse.Namespace) -> nn.Module:
    """Train with AdamW on a cosine; return the exponential moving average of the weights."""
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    model = build_model().to(memory_format=torch.channels_last)
    decoder = OutlineDecoder().to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
    )
    parameters = [*model.parameters(), *decoder.parameters()]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=args.steps, pct_start=0.1)
    pixels, masks = torch.from_numpy(fit.pixels), torch.from_numpy(fit.masks)
    labels, weights = torch.from_numpy(fit.labels), sampling_weights(fit)
    start, sums = time.perf_counter(), torch.zeros(3)
    for step in range(1, args.steps + 1):
        model.train()
        chosen = torch.multinomial(weights, args.batch, replacement=True, generator=rng)
        inputs, mask = augmented(pixels[chosen, None].float() / 255, masks[chosen, None].float(), rng)
        with torch.autocast("cpu", torch.bfloat16) if args.bf16 else nullcontext():
            parts = losses(model, decoder, inputs.to(memory_format=torch.channels_last), mask, labels[chosen])
        optimiser.zero_grad()
        (parts[0] + OUTLINE_WEIGHT * parts[1] + ATTENTION_WEIGHT * parts[2]).backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if step > EMA_START * args.steps:
            average.update_parameters(model)
        sums += torch.stack([part.detach() for part in parts])
        if step % args.report == 0 or step == args.steps:
            line = (
                f"step {step:5d}  {time.perf_counter() - start:5.0f} s  losses {(sums / args.report).numpy().round(3)}"
            )
            sums.zero_()
            seen = average.module if step > EMA_START * args.steps else model
            print(
                f"{line}  watched {summary(confusion(watch.labels, probabilities(seen, watch).argmax(1)))}", flush=True
            )
    return average.module.to(memory_format=torch.contiguous_format).eval()


def probabilities(model: nn.Module, slices: Slices) -> np.ndarray:
    """Return the probabilities (N, 3) that the network gives to slices, in float32."""
    model.eval()
    inputs = network_input(slices.pixels)
    with torch.inference_mode():
        return torch.cat([model(inputs[i : i + 16]) for i in range(0, len(inputs), 16)]).numpy()


def confusion(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return counts (K, K): rows are the truth, columns the prediction."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def balanced_accuracy(counts: np.ndarray) -> float:
    """Return the mean recall over the classes of a confusion matrix."""
    return float((counts.diagonal() / counts.sum(axis=1)).mean())


def summary(counts: np.ndarray) -> str:
    """Return balanced accuracy and the recall of every class on one line."""
    return f"{balanced_accuracy(counts):.3f} recall {(counts.diagonal() / counts.sum(axis=1)).round(3)}"


def hits(model: nn.Module, slices: Slices) -> tuple[float, float]:
    """Return the share of slices whose Grad-CAM (at `final_relu`, predicted class) peaks at the tumour; and by chance.

    A peak counts when the cell of the 10x10 map that holds it contains at least one pixel of the outlined tumour.
    """
    found, chance = [], []
    for image, mask in zip(network_input(slices.pixels), torch.from_numpy(slices.masks), strict=True):
        kept: list[torch.Tensor] = []
        handle = model.final_relu.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output))
        logits, _ = model.pooled_logits(model.maps(image[None])[-1])
        handle.remove()
        (gradient,) = torch.autograd.grad(logits[0, logits.argmax()], kept[0])
        cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1)
        cells = functional.adaptive_max_pool2d(mask[None].float(), cam.shape[-2:])
        found.append(bool(cells.flatten()[cam.argmax()] > 0))
        chance.append(cells.mean().item())
    return float(np.mean(found)), float(np.mean(chance))


def seconds_per_image(model: nn.Module) -> float:
    """Return the median seconds of 50 forward passes of one image."""
    image, seconds = torch.zeros(1, 1, SIDE, SIDE), []
    with torch.inference_mode():
        for _ in range(60):
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


def patient_interval(labels: np.ndarray, predicted: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the balanced accuracy, by drawing the patients of each class anew 2,000 times."""
    rng = np.random.default_rng(0)
    of_class = [np.unique(patients[labels == k]) for k in range(len(CLASSES))]
    right = {p: (np.sum((labels == predicted)[patients == p]), np.sum(patients == p)) for p in np.unique(patients)}
    scores = []
    for _ in range(2000):
        drawn = [np.array([right[p] for p in rng.choice(of, len(of))]).sum(axis=0) for of in of_class]
        scores.append(np.mean([correct / total for correct, total in drawn]))
    low, high = np.percentile(scores, [2.5, 97.5])
    return float(low), float(high)


def describe(sets: dict[str, Slices], predicted: np.ndarray, model: nn.Module, args: argparse.Namespace) -> str:
    """Return description.txt: the data, the recipe and the test results of this run."""
    test = sets["test"]
    counts = confusion(test.labels, predicted)
    hit, chance = hits(model, test)
    milliseconds = 1000 * seconds_per_image(model)
    low, high = patient_interval(test.labels, predicted, test.patients)
    lines = [
        "Narrow ResNet: is the tumour in this MRI slice a meningioma, a glioma or a pituitary tumour?",
        "",
        f"Results on {len(np.unique(test.patients))} patients never seen in training ({len(test.labels)} slices):",
        f"  balanced accuracy {balanced_accuracy(counts):.3f} (95 % interval over patients {low:.2f} to {high:.2f}),",
        f"  accuracy {counts.trace() / counts.sum():.3f}",
        "  class        precision  recall  F1",
    ]
    for k, name in enumerate(CLASSES):
        precision, recall = counts[k, k] / max(counts[:, k].sum(), 1), counts[k, k] / counts[k].sum()
        f1 = 2 * counts[k, k] / (counts[:, k].sum() + counts[k].sum())
        lines.append(f"  {name:<12} {precision:.3f}      {recall:.3f}   {f1:.3f}")
    lines += [
        f"  Grad-CAM peaks at the outlined tumour in {hit:.0%} of the test slices (chance: {chance:.0%}).",
        "  description.png: confusion matrix, per cent of each true class (M, G, P; rows are true).",
        "",
        "Data: T1-weighted contrast-enhanced MRI, axial, coronal and sagittal slices, each with a tumour. Split by",
        "patient; slices (patients):",
        "  set    " + "".join(f"{name:<16}" for name in (*CLASSES, "all")).rstrip(),
    ]
    for name, part in sets.items():
        cells = [(part.labels == k) for k in range(len(CLASSES))] + [part.labels >= 0]
        numbers = [f"{cell.sum()} ({len(np.unique(part.patients[cell]))})" for cell in cells]
        lines.append(f"  {name:<6} " + "".join(f"{number:<16}" for number in numbers).rstrip())
    fitted = "train and val" if args.fit == "train+val" else "train"
    lines += [
        f"These weights were fitted on {fitted}; the last weights were taken, nothing was chosen on test.",
        f"Resolution: 256x256 grey (512x512 before), fed as {SIDE}x{SIDE}.",
        "",
        f"Training: {args.steps} steps of {args.batch} slices, classes drawn equally. AdamW {LEARNING_RATE:g}, weight",
        f"decay {WEIGHT_DECAY}, one cycle, label smoothing {LABEL_SMOOTHING}, moving average of the weights; rotation,",
        "shift, zoom, mirroring, gamma, contrast, brightness, noise, hidden rectangles. The experts' outlines of the",
        "tumours were used too: a decoder, dropped afterwards, learned to draw them, and the attention learned to",
        "look at them. That the maps point at tumours was therefore taught, not discovered.",
        f"Made by train.py --seed {args.seed} --steps {args.steps} --batch {args.batch} --fit {args.fit}.",
        f"Inference time: {milliseconds:.0f} ms an image ({platform.machine()} CPU, 1 thread, batch 1, float32).",
        "",
        "Not to be used for diagnosis, nor to find out whether there is a tumour: every slice it learned from has",
        "one, and it names one of the three classes for any image at all: healthy brains, other tumours and other",
        "sequences (T1 without contrast, T2, FLAIR) included. Two hospitals in China, 2005 to 2010.",
        "",
        "Source: Cheng J et al. Enhanced performance of brain tumor classification via tumor region augmentation",
        "and partition. PLoS ONE 2015;10(10):e0140381. doi 10.1371/journal.pone.0140381.",
        "Data: figshare 1512427, CC BY 4.0. Of its 233 patients, those of folds 1 to 4 of its official split.",
        "",
    ]
    return "\n".join(lines)


def write_fit(folder: Path, slices: Slices) -> str:
    """Write `fit.npz` for the weights in a model folder from these slices; return what it was made from."""
    from engine.authoring.fit_images import fit_after_training

    model = build_model().eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return fit_after_training(folder, model, (slice_[..., None] for slice_ in slices.pixels), slices.patients).made_from


def main() -> None:
    """Train, measure on the test patients, and write weights and descriptions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder or zip: index.csv, <class>/<id>.jpg, <class>/<id>_mask.png"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--weights", type=Path, help="measure these weights instead of training new ones")
    parser.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    parser.add_argument("--fit", choices=["train", "train+val"], default="train+val")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--report", type=int, default=200)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    slices = read_slices(args.data)
    sets = {name: slices.of(patients) for name, patients in split_patients(slices).items()}
    watch = sets["val"]  # patients never seen with --fit train; else it only shows that training works
    fit = sets["train"] if args.fit == "train" else slices.of(set(sets["train"].patients) | set(sets["val"].patients))
    if args.only_fit:
        print(write_fit(args.out, fit))
        return
    for name, part in sets.items():
        print(name, len(part.labels), np.bincount(part.labels), len(np.unique(part.patients)))
    args.out.mkdir(parents=True, exist_ok=True)
    if args.weights:
        model = build_model()
        model.load_state_dict(torch.load(args.weights, weights_only=True))
        model.eval()
    else:
        model = train(fit, watch, args)
        torch.save(model.state_dict(), args.out / "weights.pt")
    predicted = probabilities(model, sets["test"]).argmax(1)
    counts = confusion(sets["test"].labels, predicted)
    draw_confusion(counts, args.out / "description.png")
    description = describe(sets, predicted, model, args)
    (args.out / "description.txt").write_text(description, encoding="utf-8")
    print(description)
    print(counts)
    if not args.weights and (args.out / "architecture.py").is_file():
        print(write_fit(args.out, fit))


if __name__ == "__main__":
    main()
