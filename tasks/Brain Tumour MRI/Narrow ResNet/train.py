"""Train the brain tumour network, and write what its folder ships. `Narrow ResNet, plain` is made by this script, too.

    python train.py --data FOLDER                 (FOLDER or FOLDER.zip as described in --help)
    python train.py --data FOLDER --only-score    prints the figures of the weights in --out; writes nothing

Slices are split by patient. While a recipe is being chosen, fit on `--fit train` and look at the validation patients;
the shipped weights are fitted on `--fit train+val` with that recipe. The test patients take part in neither.

A decoder that outlines the tumour by its class is trained along with the network and then thrown away: the outlines
tell the shared layers what to look at. They also guide the attention, which stays. With `--plain` the outlines take no
part at all: neither decoder nor attention learns from them, and where a rectangle is hidden does not depend on them.
Nothing else differs.

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
import tomllib
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from engine.authoring.fit_images import fit_after_training
from engine.authoring.selftest import selftest_after_training
from engine.bundle.model_bundle import read_bundle
from engine.evaluation.alterations import GREY
from engine.evaluation.description import draw_confusion, lay_out, verbatim, write_performance
from engine.evaluation.pointing import centre_inside, peak_inside
from engine.evaluation.robustness import Row, robustness, table
from engine.evaluation.scores import Interval, ScoresByPatient, mean_by_patient, score, score_by_patient
from engine.evaluation.speed import milliseconds
from engine.explainers.settings import Settings
from engine.explanation.explain import explain_method
from engine.images.image import MedicalImage
from engine.network.classifier import Classifier

HERE = Path(__file__).resolve().parent
_ARCHITECTURE = runpy.run_path(str(HERE / "architecture.py"))
build_model: Callable[[], nn.Module] = _ARCHITECTURE["build_model"]
CLASSES: tuple[str, ...] = _ARCHITECTURE["CLASSES"]
MEAN: float = _ARCHITECTURE["MEAN"][0]
STD: float = _ARCHITECTURE["STD"][0]
SIDE: int = _ARCHITECTURE["INPUT_SIZE"][0]

SPLIT_SEED = 2015  # fixed: another split would let test patients into the training of compared runs
HELD_OUT = 0.15  # of each class's patients, for validation and again for test
LEARNING_RATE, WEIGHT_DECAY, LABEL_SMOOTHING = 3e-3, 0.05, 0.05
STEPS = 2400
OUTLINE_WEIGHT, ATTENTION_WEIGHT = 1.0, 0.2  # of the two helper losses, beside the classes' cross-entropy
TAUGHT, PLAIN = "Narrow ResNet", "Narrow ResNet, plain"
LAYER: str = _ARCHITECTURE["TARGET_LAYER"]
CAMS = {"gradcam": "Grad-CAM", "hirescam": "HiResCAM"}
EMA_DECAY, EMA_START = 0.997, 0.2  # the average begins after a fifth of the steps, or it would remember noise


CANNOT = (
    "It is not for diagnosis: research and teaching only, not a medical device.",
    "It cannot tell whether there is a tumour. Every slice it learned from has one, and it names one of the three "
    "classes for any image at all: healthy brains, other tumours and metastases included.",
    "Other sequences (T1 without contrast, T2, FLAIR), scanners, hospitals, windows and magnifications were not tried. "
    "All slices come from two hospitals in China, 2005 to 2010.",
    "Its probabilities were not calibrated. Slices of one patient resemble each other: twenty equal answers for twenty "
    "slices of a patient are one answer.",
)
BY_CHANCE = "Its maps do not point at the tumour: their peaks hit it about as rarely as random pixels do (see below)."
BELOW_THE_CENTRE = (
    "Its maps do not point at the tumour reliably: their peaks hit it less often than the image's centre does (see "
    "below)."
)
ANOTHER_REASON = "Even where it names the right class, that may be for another reason."
WHICH_TAUGHT = (
    "This task has two models, the same network fitted to the same slices. This one was also shown the experts' "
    "outlines of the tumours during training: that its maps hit tumours was taught, not discovered, and says nothing "
    f"about networks that learn from classes alone. `{PLAIN}` is such a network; compare the two side by side."
)
WHICH_PLAIN = (
    "This task has two models, the same network fitted to the same slices. This one was never shown where the tumours "
    f"are: where its maps point, it found by itself. `{TAUGHT}` was shown the experts' outlines as well; "
    "compare the two side by side."
)


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


def network_input(pixels: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
    """Return slices (N, 1, S, S) as the engine feeds them: grey / 255, resized by Pillow in mode F, normalised."""
    resized = [
        np.asarray(Image.fromarray(slice_.astype(np.float32) / 255).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        for slice_ in pixels
    ]
    return ((torch.from_numpy(np.stack(resized)) - MEAN) / STD).unsqueeze(1)


def uniform(low: float, high: float, *shape: int, generator: torch.Generator) -> torch.Tensor:
    """Return uniform random numbers of a shape."""
    return low + (high - low) * torch.rand(*shape, generator=generator)


def augmented(
    pixels: torch.Tensor, masks: torch.Tensor | None, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return network inputs and masks (B, 1, S, S) of moved, mirrored, brightened, noisy, partly hidden slices.

    Args:
        pixels: (B, 1, H, W) in [0, 1], at the stored resolution: resized with antialiasing after the movement, as
            Pillow does it, so that training does not see blurrier slices than the engine.
        masks: (B, 1, H, W) in {0, 1}. Without them a rectangle may hide the whole tumour; with them not the most of it.
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
    both = functional.grid_sample(pixels if masks is None else torch.cat([pixels, masks], 1), grid, align_corners=False)
    both = functional.interpolate(both, (SIDE, SIDE), mode="bilinear", antialias=True)
    image, mask = both[:, :1], None if masks is None else both[:, 1:]

    gamma = torch.exp(uniform(-0.4, 0.4, n, 1, 1, 1, generator=rng))
    contrast = torch.exp(uniform(-0.3, 0.3, n, 1, 1, 1, generator=rng))
    brightness = uniform(-0.06, 0.06, n, 1, 1, 1, generator=rng) * (image > 0.02)
    image = image.clamp(1e-4, 1) ** gamma * contrast + brightness
    noise = uniform(0, 0.03, n, 1, 1, 1, generator=rng)
    image = (image + noise * torch.randn(image.shape, generator=rng)).clamp(0, 1)
    for i in torch.nonzero(torch.rand(n, generator=rng) < 0.35).flatten().tolist():
        height, width = (int(v) for v in torch.randint(SIDE // 10, SIDE // 3, (2,), generator=rng))
        y, x = (int(torch.randint(SIDE - v, (1,), generator=rng)) for v in (height, width))
        if mask is None:
            image[i, :, y : y + height, x : x + width] = MEAN
        elif mask[i, :, y : y + height, x : x + width].sum() < 0.5 * mask[i].sum():
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
    model: nn.Module, decoder: nn.Module | None, inputs: torch.Tensor, masks: torch.Tensor | None, labels: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the losses of the classes, of the outlines and of the attention for one batch; without masks the first."""
    maps = model.maps(inputs)
    logits, places = model.pooled_logits(maps[-1])
    classes = functional.cross_entropy(logits.float(), labels, label_smoothing=LABEL_SMOOTHING)
    if masks is None or decoder is None:
        return (classes,)

    outline = decoder(maps[-3:]).float()
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
    """Train with AdamW on one cycle of its rate; return the exponential moving average of the weights."""
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    model = build_model().to(memory_format=torch.channels_last)
    decoder = None if args.plain else OutlineDecoder().to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True
    )
    parameters = [*model.parameters(), *(decoder.parameters() if decoder else ())]
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
    weight_of = [1.0] if args.plain else [1.0, OUTLINE_WEIGHT, ATTENTION_WEIGHT]
    start, sums = time.perf_counter(), torch.zeros(len(weight_of))
    for step in range(1, args.steps + 1):
        model.train()
        chosen = torch.multinomial(weights, args.batch, replacement=True, generator=rng)
        outlines = None if args.plain else masks[chosen, None].float()
        inputs, outlines = augmented(pixels[chosen, None].float() / 255, outlines, rng)
        with torch.autocast("cpu", torch.bfloat16) if args.bf16 else nullcontext():
            parts = losses(model, decoder, inputs.to(memory_format=torch.channels_last), outlines, labels[chosen])
        optimiser.zero_grad()
        sum(weight * part for weight, part in zip(weight_of, parts, strict=True)).backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if step > EMA_START * args.steps:
            average.update_parameters(model)
        sums += torch.stack([part.detach() for part in parts])
        if step % args.report == 0 or step == args.steps:
            mean = sums / (step % args.report or args.report)
            line = f"step {step:5d}  {time.perf_counter() - start:5.0f} s  losses {mean.numpy().round(3)}"
            sums.zero_()
            seen = average.module if step > EMA_START * args.steps else model
            watched = score(watch.labels, probabilities(seen, watch.pixels))
            print(f"{line}  watched {watched.balanced_accuracy:.3f} recall {watched.recall.round(3)}", flush=True)
    return average.module.to(memory_format=torch.contiguous_format).eval()


def probabilities(model: nn.Module, pixels: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the probabilities (N, 3) that the network gives to slices as they are stored, in float32."""
    model.eval()
    inputs = network_input(pixels)
    with torch.inference_mode():
        return torch.cat([model(inputs[i : i + 16]) for i in range(0, len(inputs), 16)]).numpy()


@dataclass(frozen=True)
class Findings:
    """What the test patients' slices show of a network.

    `hits` has, by method, how often the peak of its map of the predicted class lies in the outline; `alike` how often
    a random pixel and the image's centre do.
    """

    scores: ScoresByPatient
    rows: tuple[Row, ...]
    hits: dict[str, Interval]
    alike: dict[str, Interval]
    milliseconds: float


def findings(model: nn.Module, test: Slices) -> Findings:
    """Measure a network on the test patients."""
    scores = score_by_patient(test.labels, probabilities(model, test.pixels), test.patients)
    print("\n".join(scores.lines(CLASSES)), flush=True)
    rows = robustness(lambda pixels: probabilities(model, pixels), list(test.pixels), test.labels, GREY)
    hits, alike = pointing(model, test)
    return Findings(scores, rows, hits, alike, milliseconds_per_image(model))


def pointing(model: nn.Module, slices: Slices) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Return `Findings.hits` and `Findings.alike` of slices."""
    classifier = Classifier(read_bundle(HERE), model)
    hit: dict[str, list[bool]] = {name: [] for name in CAMS}
    for pixels, mask in zip(slices.pixels, slices.masks, strict=True):
        image = MedicalImage.from_array(pixels)
        for name in CAMS:
            found = explain_method(classifier, image, name, Settings())
            hit[name].append(peak_inside(found.values, mask))
    others = {
        "a random pixel": slices.masks.mean(axis=(1, 2)),
        "the image's centre": np.array([centre_inside(mask) for mask in slices.masks]),
    }
    return (
        {CAMS[name]: mean_by_patient(np.array(values), slices.patients) for name, values in hit.items()},
        {name: mean_by_patient(values, slices.patients) for name, values in others.items()},
    )


def milliseconds_per_image(model: nn.Module) -> float:
    """Return the processor time of a forward pass of one image, in milliseconds."""
    image = torch.zeros(1, 1, SIDE, SIDE)
    with torch.inference_mode():
        return milliseconds(lambda: model(image))


def describe(sets: dict[str, Slices], found: Findings, args: argparse.Namespace) -> str:
    """Return description.txt: what the network cannot do, which of the two it is, its figures, data and recipe."""
    scores, option = found.scores, " --plain" if args.plain else ""
    which = f"{WHICH_PLAIN} {beside_the_taught(scores)}" if args.plain else WHICH_TAUGHT
    width = max(map(len, (*found.hits, *found.alike)))
    census = ["set    " + "".join(f"{name:<16}" for name in (*CLASSES, "all"))]
    for name, part in sets.items():
        cells = [(part.labels == k) for k in range(len(CLASSES))] + [part.labels >= 0]
        numbers = [f"{cell.sum()} ({len(np.unique(part.patients[cell]))})" for cell in cells]
        census.append(f"{name:<6} " + "".join(f"{number:<16}" for number in numbers))
    sections = [
        [
            f"{PLAIN if args.plain else TAUGHT}: is the tumour in this MRI slice a meningioma, a glioma or a pituitary "
            "tumour?"
        ],
        ["WHAT IT CANNOT DO", *CANNOT, *elsewhere(found)],
        ["WHICH OF THE TWO IT IS", which],
        [
            f"RESULTS on {scores.patients} patients never seen in training ({scores.images} slices)",
            *map(verbatim, scores.lines(CLASSES)),
            "In brackets: 95 % interval by patient (patients drawn anew, 2,000 times). So few patients tell "
            "little, and "
            "a further set of as many may well lie a little outside. description.png: confusion matrix, per cent of "
            "each true class (rows). Command for every figure on this page:",
            verbatim(f"python train.py --data slices.zip{option} --only-score"),
        ],
        [
            "DO THE MAPS HIT THE TUMOUR?",
            "Share of the test slices in which the peak of the predicted class's map lies in the expert's outline:",
            *(
                verbatim(f"{name:<{width}}  {interval}")
                for name, interval in [*found.hits.items(), *found.alike.items()]
            ),
            "A hit says that the network looks there, not that it is right to. Grad-CAM averages a channel's gradient "
            "over the whole map and so loses the place; HiResCAM does not.",
            f"The CAMs' layer, {LAYER}, is a branch: the attention decides past it where the network looks, and that "
            "part does not show in these maps (each of them says so).",
        ],
        [
            "ROBUSTNESS",
            "The test slices, altered at 256x256 pixels. The first row has the figures, those below it the changes.",
            *map(verbatim, table(found.rows, CLASSES)),
            "JPEG by Pillow's quality; Gaussian blur; noise as a share of full scale, drawn for each pixel.",
        ],
        [
            "DATA",
            "T1-weighted contrast-enhanced MRI, axial, coronal and sagittal slices, each with a tumour; split by "
            "patient; slices (patients):",
            *map(verbatim, census),
            f"These weights were fitted on {args.fit.replace('+', ' and ')}. The last weights were taken; nothing was "
            f"chosen on test. Resolution: 256x256 grey (512x512 before), fed as {SIDE}x{SIDE}.",
            "Source: Cheng J et al. Enhanced performance of brain tumor classification via tumor region "
            "augmentation and "
            "partition. PLoS ONE 2015;10(10):e0140381. doi 10.1371/journal.pone.0140381. Images: figshare "
            "1512427, CC BY "
            "4.0. Of its 233 patients, those of folds 1 to 4 of its official split.",
        ],
        [
            "TRAINING",
            f"{args.steps:,} steps of {args.batch} slices, classes drawn equally. AdamW {LEARNING_RATE:g} on "
            f"one cycle, weight decay {WEIGHT_DECAY}, label smoothing {LABEL_SMOOTHING}, moving average of the "
            "weights; rotation, shift, zoom, mirroring, gamma, contrast, brightness, noise, hidden rectangles. "
            + ("Outlines: none." if args.plain else "Outlines: a decoder, dropped afterwards, and the attention."),
            verbatim(
                f"python train.py --data slices.zip{option} --seed {args.seed} --steps {args.steps} "
                f"--batch {args.batch} --fit {args.fit}"
            ),
            f"Inference time: {found.milliseconds:.0f} ms an image ({platform.machine()} CPU, 1 thread, batch "
            "1, float32).",
        ],
    ]
    return lay_out(sections)


def elsewhere(found: Findings) -> list[str]:
    """Return what is to be said of maps whose peaks lie elsewhere than the tumours; nothing if they hit them well."""
    random, centre = (found.alike[name].value for name in ("a random pixel", "the image's centre"))
    if all(hit.low <= random for hit in found.hits.values()):
        return [f"{BY_CHANCE} {ANOTHER_REASON}"]
    if all(hit.value < centre for hit in found.hits.values()):
        return [f"{BELOW_THE_CENTRE} {ANOTHER_REASON}"]
    return []


def beside_the_taught(scores: ScoresByPatient) -> str:
    """Return how a network that was trained without outlines compares with the one beside this script."""
    taught = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["performance"]
    return (
        f"Balanced accuracy on the test patients is {scores.balanced_accuracy.value:.3f} here and "
        f"{taught['test_balanced_accuracy']:.3f} there."
    )


def performance(scores: ScoresByPatient) -> list[str]:
    """Return the lines of `[performance]` in model.toml."""
    return [
        f'test = "{scores.images} slices of {scores.patients} patients never seen; intervals: 95 %, by patient"',
        'command = "python train.py --data slices.zip --only-score"',
        *scores.performance(CLASSES),
    ]


def write_fit(folder: Path, model: nn.Module, slices: Slices) -> str:
    """Write `fit.npz` for the weights in a model folder from these slices; return what it was made from."""
    return fit_after_training(folder, model, (slice_[..., None] for slice_ in slices.pixels), slices.patients).made_from


def shipped(folder: Path) -> nn.Module:
    """Return the network with the weights in a folder."""
    model = build_model().eval()
    model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return model


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder or zip: index.csv, <class>/<id>.jpg, <class>/<id>_mask.png"
    )
    parser.add_argument("--out", type=Path, help=f"folder to write to (default: this one; with --plain `{PLAIN}`)")
    parser.add_argument("--plain", action="store_true", help="leave the outlines out of training")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-score", action="store_true", help="train and write nothing; measure the weights in --out")
    only.add_argument("--only-describe", action="store_true", help="the same, and write what is said of them")
    only.add_argument("--only-fit", action="store_true", help="train nothing; write fit.npz for the weights in --out")
    parser.add_argument("--fit", choices=["train", "train+val"], default="train+val")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--report", type=int, default=200, help="steps between two lines about how training goes")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args(given)
    args.out = args.out or (HERE.with_name(PLAIN) if args.plain else HERE)  # never the weights of the other
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Train, measure on the test patients, and write weights and descriptions."""
    args = arguments(given)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    slices = read_slices(args.data)
    sets = {name: slices.of(patients) for name, patients in split_patients(slices).items()}
    watch = sets["val"]  # patients never seen with --fit train; else it only shows that training works
    fit = sets["train"] if args.fit == "train" else slices.of(set(sets["train"].patients) | set(sets["val"].patients))
    if args.only_fit:
        print(write_fit(args.out, shipped(args.out), fit))
        return
    trained = not (args.only_score or args.only_describe)
    model = train(fit, watch, args) if trained else shipped(args.out)
    if trained:
        args.out.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), args.out / "weights.pt")
    found = findings(model, sets["test"])
    description = describe(sets, found, args)
    print(description)
    if args.only_score:
        return
    draw_confusion(found.rows[0].scores.confusion, CLASSES, args.out / "description.png")
    (args.out / "description.txt").write_text(description, encoding="utf-8")
    if (args.out / "architecture.py").is_file():  # else it is no model folder
        write_performance(args.out, performance(found.scores))
        selftest_after_training(args.out, model)
        if trained:
            print(write_fit(args.out, model, fit))


if __name__ == "__main__":
    main()
