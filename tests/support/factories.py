"""Made-up images, maps, models and explanations for tests that need no network.

Everything is a fixed function of its arguments: no clock, no random state.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.bundle.model_bundle import ExplainSpec, InputSpec, ModelBundle, OutputSpec, read_bundle
from engine.explainers.registry import METHODS, sharing_gradients, voting
from engine.explainers.settings import Settings
from engine.explanation.explain import Explanation
from engine.images.image import MedicalImage
from engine.results.cells import CELLS, Cell, cell_slices
from engine.results.consensus import consensus
from engine.results.diagnosis import Diagnosis
from engine.results.evidence import BetterThanChance, Curves, Evidence, OfThisNetwork, Stable, Verdict
from engine.results.exact_cells import ExactCells, fill_values
from engine.results.saliency import CellEstimate, SaliencyMap
from engine.results.statistics import grid_statistics
from engine.trust import permission

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

CLASSES = ("benign", "malignant")

TOPS: Mapping[str, tuple[Cell, Cell, Cell]] = MappingProxyType(
    {
        "lime": ((2, 0), (2, 1), (1, 1)),
        "rise": ((2, 1), (2, 2), (1, 1)),
        "gradcam": ((2, 1), (2, 0), (2, 2)),
        "gradcam++": ((2, 1), (2, 2), (0, 0)),
        "hirescam": ((2, 1), (1, 2), (2, 0)),
    }
)
"""The three cells of each method in `make_explanation`: the paper's four count [[1, 0, 0], [0, 2, 0], [2, 4, 3]]."""


def make_pixels(height: int = 48, width: int = 48, channels: int = 3, top: int = 255) -> NDArray[np.float32]:
    """(H, W, C) float32 in [0, top]: a smooth gradient with a bright disc, every channel different."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / max(height - 1, 1), x / max(width - 1, 1)
    disc = ((y - 0.65) ** 2 + (x - 0.5) ** 2 < 0.06).astype(np.float32)
    planes = [0.25 + 0.45 * x + 0.2 * disc, 0.2 + 0.5 * y, 0.6 - 0.3 * x + 0.3 * disc]
    return np.rint(np.stack(planes[:channels], axis=2).clip(0, 1) * top).astype(np.float32)


def make_image(
    path: Path | str = "samples/patch.png",
    *,
    height: int = 48,
    width: int = 48,
    channels: int = 3,
    bit_depth: int = 8,
    pixels: NDArray[np.float32] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> MedicalImage:
    """A decoded image that no file stands behind."""
    if pixels is None:
        pixels = make_pixels(height, width, channels, 2**bit_depth - 1)
    pixels = np.asarray(pixels, dtype=np.float32)
    pixels.setflags(write=False)
    return MedicalImage(
        pixels=pixels,
        bit_depth=bit_depth,
        colour="grey" if pixels.shape[2] == 1 else "rgb",
        path=Path(path),
        sha256=hashlib.sha256(pixels.tobytes()).hexdigest(),
        metadata=MappingProxyType(dict(metadata or {"format": "PNG"})),
    )


def make_values(
    top: Sequence[Cell] = ((2, 1), (2, 2), (1, 1)), *, height: int = 48, width: int = 48
) -> NDArray[np.float32]:
    """(H, W) float32 in [0, 1], read-only: a map whose cells have the highest means in the order of `top`.

    Cell means fall by 0.2 with the rank, the other cells lie at 0.1; a ramp inside each cell spreads by +-0.05.
    """
    values = np.zeros((height, width), dtype=np.float64)
    for cell, (rows, columns) in cell_slices(height, width).items():
        level = 0.85 - 0.2 * top.index(cell) if cell in top else 0.1
        shape = values[rows, columns].shape
        values[rows, columns] = level + np.linspace(-0.05, 0.05, shape[0] * shape[1]).reshape(shape)
    values -= values.min()
    values /= values.max()
    out = values.astype(np.float32)
    out.setflags(write=False)
    return out


def make_map(
    method: str = "rise",
    *,
    values: NDArray[np.float32] | None = None,
    top: Sequence[Cell] | None = None,
    target: str = CLASSES[1],
    height: int = 48,
    width: int = 48,
    samples: int | None = None,
    stopped: bool = False,
    settled: bool = True,
    constant: bool = False,
    warnings: tuple[str, ...] = (),
) -> SaliencyMap:
    """A saliency map of a method.

    Args:
        method: key of the method; `lime` and `rise` draw samples and know the errors of their cells.
        values: (H, W) float32 in [0, 1]; made from `top` unless given.
        top: the cells with the highest means, the highest first; the method's of `TOPS` unless given.
        target: name of the class explained.
        height, width: of the map made.
        samples: samples used; 4,000 for `rise`, 1,000 for `lime`, 0 for the others unless given.
        stopped: whether a person stopped it.
        settled: for sampled methods, whether the errors are small enough to settle the three cells.
        constant: a map that says nothing.
        warnings: sentences to show with it.
    """
    sampled = method in ("lime", "rise")
    if samples is None:
        samples = {"rise": 4000, "lime": 1000}.get(method, 0)
    if constant:
        values = np.zeros((height, width), dtype=np.float32)
    elif values is None:
        values = make_values(top if top is not None else TOPS.get(method, TOPS["rise"]), height=height, width=width)
    values = np.asarray(values, dtype=np.float32)
    values.setflags(write=False)
    estimate = None
    if sampled and not constant:
        slices = cell_slices(*values.shape)
        means = np.array([values[slices[cell]].mean(dtype=np.float64) for cell in CELLS])
        estimate = CellEstimate(means=means, covariance=np.eye(9) * (1e-6 if settled else 0.04))
    return SaliencyMap(
        method=method,
        target=target,
        values=values,
        raw_min=0.0,
        raw_max=0.0 if constant else 1.0,
        samples=samples,
        seed=7 if sampled else None,
        seconds=2.5 if sampled else 0.125,
        parameters=MappingProxyType({"device": "cpu", "precision": "fp32", "p": 0.5}),
        stopped=stopped,
        cells=estimate,
        warnings=warnings,
    )


EXACT_VALUES: Mapping[str, Sequence[float]] = MappingProxyType(
    {
        "mean": (0.0, 0.0, 0.0, 0.05, 0.15, -0.05, 0.2, 0.35, 0.1),
        "blur": (0.0, 0.02, 0.0, 0.2, 0.1, -0.02, 0.1, 0.4, 0.05),
    }
)
"""The value of each cell under each fill in `make_exact`: the exact three are bottom, bottom left and centre under one,
bottom, left and centre under the other."""


def make_exact(
    *, target: str = CLASSES[1], fills: Sequence[str] = ("mean", "blur"), matters: bool = True
) -> ExactCells:
    """Exact cells that add up: each combination's value is the sum of its cells', from 0.1 on.

    Without `matters` the cells move the probability by less than a twentieth.
    """
    found = {}
    for fill in fills:
        worth = np.array(EXACT_VALUES[fill]) * (1.0 if matters else 0.04)
        shown = np.arange(512)[:, None] >> np.arange(9) & 1
        found[fill] = fill_values(fill, 0.1 + shown @ worth, hidden=f"{fill}, made up")
    return ExactCells(target, MappingProxyType(found), passes=1 + 511 * len(fills), seconds=0.25)


def make_evidence() -> Evidence:
    """Answers to the three questions that cost passes: yes, cannot be said, no. *Right* is not asked."""
    shares = np.linspace(0.0, 1.0, 33)
    falling, random = 0.9 * (1.0 - shares) ** 3, np.linspace(0.5, 1.5, 16)[:, None] * 0.6 * (1.0 - shares)
    curves = []
    for kind in ("deletion", "insertion"):
        own, others = (falling, random) if kind == "deletion" else (falling[::-1], random[:, ::-1])
        areas, centre = others.mean(axis=1), 0.7 * (1.0 - shares if kind == "deletion" else shares)
        curves.append(Curves(kind, shares, own, others, centre, float(own.mean()), areas, float(centre.mean())))
    return Evidence(
        better_than_chance=BetterThanChance(
            Verdict.UNKNOWN, curves[0], curves[1], why="it beats 12 of 16 random maps, by chance 8"
        ),
        stable=Stable(Verdict.YES, copies=16, correlation=0.99, same_three=0.9375, why="made up"),
        of_this_network=OfThisNetwork(
            Verdict.NO, correlations={"head": 0.83, "half": 0.6, "all": 0.41}, images=4, why="made up"
        ),
    )


def make_bundle(path: Path | str = "tasks/Demo task/Small CNN", *, classes: tuple[str, ...] = CLASSES) -> ModelBundle:
    """A model folder that is not there."""
    path = Path(path)
    return ModelBundle(
        task=path.parent.name,
        name=path.name,
        path=path,
        weights=path / "weights.pt",
        architecture=path / "architecture.py",
        input=InputSpec(size=(48, 48)),
        output=OutputSpec(classes=classes, activation="none"),
        explain=ExplainSpec(),
        assumed=("the output is taken as logits, as nothing says otherwise",),
        description="A network made up for tests.",
        picture=None,
        samples=None,
        notes=MappingProxyType({"intended_use": "Research use only."}),
        digest="0" * 64,
    )


MODEL_CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""
"""`architecture.py` of a network whose two outputs are the means of two convolutions' maps."""


def make_model(folder: Path, *, code: str = MODEL_CODE, trace: Path | None = None, approved: bool = False) -> Path:
    """A model folder on the disk that can be loaded once it is approved (see `approve`).

    Args:
        folder: the model folder, made with all above it.
        code: `architecture.py`.
        trace: a file that the code makes when it runs.
        approved: approve it at once.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    if trace is not None:
        code = f"open({str(trace)!r}, 'a').close()\n{code}"
    (folder / "architecture.py").write_text(code, encoding="utf-8")
    torch.save(
        {"conv.weight": torch.linspace(-1, 1, 54).reshape(2, 3, 3, 3), "conv.bias": torch.tensor([0.5, 0.0])},
        folder / "weights.pt",
    )
    (folder / "description.txt").write_text("A model made up for tests.", encoding="utf-8")
    (folder / "model.toml").write_text(
        "[input]\nsize = [9, 9]\nchannels = 3\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n"
        '[output]\nclasses = ["healthy", "ill"]\nactivation = "none"\n',
        encoding="utf-8",
    )
    if approved:
        approve(folder)
    return folder


NAMED = "torchvision:shufflenet_v2_x0_5"
"""A small network by name."""


def make_named_model(folder: Path, *, source: str = NAMED, arguments: str = "{ num_classes = 2 }") -> Path:
    """A model folder without code: its `model.toml` names a network of torchvision, by default a small one."""
    import torch
    from torchvision.models import get_model

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(get_model(NAMED.partition(":")[2], weights=None, num_classes=2).state_dict(), folder / "weights.pt")
    (folder / "model.toml").write_text(
        f'[network]\nsource = "{source}"\narguments = {arguments}\n'
        '[input]\nsize = [32, 32]\nchannels = 3\n[output]\nclasses = ["healthy", "ill"]\nactivation = "none"\n',
        encoding="utf-8",
    )
    return folder


def approve(*models: Path) -> None:
    """Approve model folders, so that their code may run: a made-up model needs it before it can be loaded or used.

    The approval is kept in the test's own home and holds until a byte of the folder changes.
    """
    for model in models:
        permission.approve(read_bundle(model))


def make_diagnosis(
    probabilities: Sequence[float] = (0.1, 0.9),
    classes: tuple[str, ...] = CLASSES,
    *,
    multilabel: bool = False,
    one_logit: bool = False,
    threshold: float = 0.5,
    warnings: tuple[str, ...] = (),
) -> Diagnosis:
    """An answer with these probabilities; logits are their log odds."""
    p = np.asarray(probabilities, dtype=np.float64)
    clipped = p.clip(1e-9, 1 - 1e-9)
    return Diagnosis(
        classes=classes,
        probabilities=p,
        logits=np.log(clipped / (1 - clipped)),
        multilabel=multilabel,
        seconds=0.004,
        warnings=warnings,
        one_logit=one_logit,
        threshold=threshold,
    )


def make_explanation(
    image: MedicalImage | None = None,
    *,
    methods: Sequence[str] = METHODS,
    maps: Mapping[str, SaliencyMap] | None = None,
    diagnosis: Diagnosis | None = None,
    target: str | None = None,
    failures: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    bundle: ModelBundle | None = None,
    view: NDArray[np.uint8] | None = None,
    exact: ExactCells | None = None,
    exact_failure: str = "",
    evidence: Mapping[str, Evidence] | None = None,
) -> Explanation:
    """A whole answer for one image, computed from made-up maps by the engine's own grid and consensus."""
    image = image if image is not None else make_image()
    diagnosis = diagnosis if diagnosis is not None else make_diagnosis()
    target = target if target is not None else diagnosis.predicted
    if maps is None:
        maps = {method: make_map(method, target=target) for method in methods}
    if view is None:
        view = (image.pixels / (257.0 if image.bit_depth == 16 else 1.0)).round().astype(np.uint8)
    view.setflags(write=False)
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    return Explanation(
        image=image,
        view=view,
        diagnosis=diagnosis,
        target=target,
        maps=MappingProxyType(dict(maps)),
        statistics=MappingProxyType(statistics),
        consensus=consensus(maps, statistics, voting(maps, (settings or Settings()).voters), sharing_gradients(maps)),
        failures=MappingProxyType(dict(failures or {})),
        settings=settings if settings is not None else Settings(),
        bundle=bundle if bundle is not None else make_bundle(classes=diagnosis.classes),
        environment=MappingProxyType({"xaimed": "0.1.0", "python": "3.11", "device": "cpu"}),
        exact=exact,
        exact_failure=exact_failure,
        evidence=MappingProxyType(dict(evidence or {})),
    )
