"""Train networks without some of the patients, ask them about these, and keep what each gave on disk.

After each epoch the weights are averaged over the last epochs: such a network is steadier than one of its last weights.
After how many epochs training stops is chosen afterwards, by patients on whom nothing was trained: see `best_epochs`.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import architecture
import numpy as np
import torch
from augmentation import Augmentation, Stains, augmented, normalise
from patches import Patches, read_patches
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """What may be varied in training. Chosen on the development set."""

    epochs: int = 20  # the most; how many of them are used is chosen
    average: float = 0.3  # the share of the epochs, the last ones, over which weights are averaged
    batch: int = 64
    rate: float = 2e-3  # the peak of a one-cycle schedule
    decay: float = 0.2  # decoupled weight decay of Adam, on weights but not on biases and batch norm
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def averaged(self) -> int:
        """Over how many epochs weights are averaged."""
        return max(1, round(self.average * self.epochs))

    @property
    def candidates(self) -> range:
        """The numbers of epochs after which training may stop: from half of them on every second, and all."""
        return range(self.epochs, (self.epochs - 1) // 2, -2)


@dataclass(frozen=True)
class Job:
    """One network to train: on which rows, for which other rows its logits are wanted, and from which seed."""

    title: str
    recipe: Recipe
    rows: np.ndarray
    held_out: np.ndarray
    seed: int

    def file(self, folder: Path) -> Path:
        """Return where its result is kept; another recipe, other rows or another seed give another file."""
        marks = repr((self.recipe, self.rows.tolist(), self.held_out.tolist(), self.seed, torch.__version__))
        return folder / f"{self.title.replace(' ', '-')}-{hashlib.sha256(marks.encode()).hexdigest()[:12]}.pt"


@dataclass(frozen=True)
class Trained:
    """What a job gave.

    Attributes:
        logits: of the rows that it held out, (N,), by number of epochs.
        weights: the averaged weights by number of epochs.
        last: the weights of the last epoch, not averaged.
    """

    logits: dict[int, np.ndarray]
    weights: dict[int, Weights]
    last: Weights


def class_weights(labels: Tensor) -> Tensor:
    """Return weights (N,) of mean 1 with which both classes count the same."""
    share = labels.mean()
    return torch.where(labels > 0, 0.5 / share, 0.5 / (1 - share))


def epoch_means(stains: Stains, labels: np.ndarray, job: Job) -> Iterator[tuple[Weights, Weights]]:
    """Train, and yield after each epoch the weights' mean over the epoch's steps, and the weights at its end."""
    recipe = job.recipe
    torch.manual_seed(job.seed)  # initial weights and dropout
    generator = torch.Generator().manual_seed(job.seed)
    model = architecture.build_model().to(memory_format=torch.channels_last).train()
    groups = [
        {"params": [one for one in model.parameters() if one.ndim > 1], "weight_decay": recipe.decay},
        {"params": [one for one in model.parameters() if one.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=recipe.rate, fused=True)
    steps = len(job.rows) // recipe.batch  # a short last batch is left out
    total = recipe.epochs * steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=total, pct_start=0.2)
    wanted, rows = torch.from_numpy(labels).float(), torch.from_numpy(job.rows)
    counts = torch.zeros(len(labels))
    counts[rows] = class_weights(wanted[rows])
    for _ in range(recipe.epochs):
        mean = AveragedModel(model, use_buffers=True)
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        for chosen in shuffled[: steps * recipe.batch].split(recipe.batch):
            images = normalise(augmented(stains, chosen, recipe.augmentation, generator))
            with torch.autocast("cpu", torch.bfloat16):  # half the time of float32; the weights stay float32
                logits = model.logit(images.contiguous(memory_format=torch.channels_last))[:, 0].float()
            loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted[chosen], counts[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            mean.update_parameters(model)
        yield _copied(mean.module.state_dict()), _copied(model.state_dict())


def _copied(weights: Weights) -> Weights:
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}


def averaged(means: deque[Weights]) -> Weights:
    """Return the mean of several networks' weights and of their batch norms' statistics."""
    return {
        name: torch.stack([weights[name].float() for weights in means]).mean(0).to(value.dtype)
        for name, value in means[-1].items()
    }


def network(weights: Weights) -> architecture.PaperCNN:
    """Return the network with these weights, ready to be asked."""
    model = architecture.build_model().eval()
    model.load_state_dict(weights)
    return model


@torch.inference_mode()
def logits_of(model: architecture.PaperCNN, rgb: np.ndarray) -> np.ndarray:
    """Return the logits (N,) of patches (N, 3, 50, 50) as they are, uint8, fed as the app feeds them."""
    parts = (torch.from_numpy(rgb[start : start + 256]) for start in range(0, len(rgb), 256))
    logits = [model.logit(normalise(part.float() / 255))[:, 0] for part in parts]
    return torch.cat([torch.empty(0), *logits]).numpy()  # of no patches there are none


class Laboratory:
    """The data, read once in each process, and what is done with it."""

    def __init__(self, path: Path, kept: Path | None = None) -> None:
        torch.set_num_threads(1)  # several would give other sums, and so other weights
        self.patches: Patches = read_patches(path)
        self.stains = Stains(self.patches.rgb)
        self.kept = kept  # the folder of results

    def work(self, job: Job) -> Trained:
        """Train one network and ask it about the patients whom it has not seen; or take its result from disk."""
        file = job.file(self.kept) if self.kept else None
        if file and file.exists():
            print(f"{job.title}: taken from {file}", flush=True)
            logits, weights, last = torch.load(file, weights_only=True)
            return Trained({epochs: values.numpy() for epochs, values in logits.items()}, weights, last)
        begun = time.perf_counter()
        labels, held_out = self.patches.labels, self.patches.rgb[job.held_out]
        recent: deque[Weights] = deque(maxlen=job.recipe.averaged)
        logits: dict[int, np.ndarray] = {}
        kept: dict[int, Weights] = {}
        last: Weights = {}
        for epoch, (mean, at_end) in enumerate(epoch_means(self.stains, labels, job), 1):
            recent.append(mean)
            last = at_end
            if epoch in job.recipe.candidates:
                kept[epoch] = averaged(recent)
                logits[epoch] = logits_of(network(kept[epoch]), held_out)
            print(f"{job.title}: {epoch} epochs ({time.perf_counter() - begun:.0f} s)", flush=True)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            told = {epochs: torch.from_numpy(values) for epochs, values in logits.items()}
            torch.save((told, kept, last), file.with_suffix(".part"))
            file.with_suffix(".part").replace(file)
        return Trained(logits, kept, last)


_laboratory: list[Laboratory] = []  # of a worker process


def _open_laboratory(path: Path, kept: Path | None) -> None:
    _laboratory.append(Laboratory(path, kept))


def _work(job: Job) -> Trained:
    return _laboratory[0].work(job)


def work_through(jobs: list[Job], laboratory: Laboratory, path: Path, processes: int) -> list[Trained]:
    """Do all jobs, in order or in several processes; each has its own seed, so that the results are the same."""
    if processes == 1:
        return [laboratory.work(job) for job in jobs]
    context, arguments = get_context("spawn"), (path, laboratory.kept)
    with ProcessPoolExecutor(processes, context, initializer=_open_laboratory, initargs=arguments) as pool:
        return list(pool.map(_work, jobs))
