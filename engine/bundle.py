"""One model folder: its files, and how to feed the network and read it (design, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Resize = Literal["stretch", "fit", "crop"]
Activation = Literal["none", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How an image is fed to the network: `[input]` of `model.toml`.

    Attributes:
        size: (height, width) of the network's input in pixels.
        channels: 1 (grey) or 3 (RGB).
        exact_size: True if an image of another size is not compliant.
        minimum_size: (height, width) below which an image is not compliant, or None.
        resize: `stretch`, `fit` (padded with the mean colour) or `crop` (centre).
        mean, std: per channel, on values in [0, 1].
    """

    size: tuple[int, int] = (224, 224)
    channels: int = 3
    exact_size: bool = False
    minimum_size: tuple[int, int] | None = None
    resize: Resize = "stretch"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How the network's output is read: `[output]` of `model.toml`.

    Attributes:
        classes: class names; for one logit (negative, positive). None if nothing names them: they are then made up
            from the number of outputs once the network is loaded.
        activation: what the network already applies at its end; None if nothing says so (it is then looked up in
            the network).
        multilabel: whether every class is judged on its own.
    """

    classes: tuple[str, ...] | None = None
    activation: Activation | None = None
    multilabel: bool = False


@dataclass(frozen=True, slots=True)
class ExplainSpec:
    """Defaults of the methods: `[explain]` of `model.toml`.

    Attributes:
        target_layer: the CAMs' layer as in `named_modules()`; None for the last convolution.
        rise, lime: defaults of the methods' parameters, by name.
    """

    target_layer: str | None = None
    rise: Mapping[str, int | float | str] = field(default_factory=dict)
    lime: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A model folder that was read and found complete; nothing of it was run.

    Attributes:
        task, name: as the folders are named.
        path: the model folder.
        weights: `weights.pt` or `weights.safetensors` in it.
        architecture: `architecture.py` in it.
        input, output, explain: how to feed, read and explain the network.
        assumed: for every value that no file gave, a sentence that says what was assumed.
        description: text of `description.txt`.
        picture: `description.png`, or None if there is none.
        samples: folder of sample images, or None.
        notes: `[intended_use]`, `[training]`, `[performance]` as text for people, by section.
        digest: hex SHA-256 over the sorted relative paths, sizes and SHA-256s of all regular files in the folder.
    """

    task: str
    name: str
    path: Path
    weights: Path
    architecture: Path
    input: InputSpec
    output: OutputSpec
    explain: ExplainSpec
    assumed: tuple[str, ...]
    description: str
    picture: Path | None
    samples: Path | None
    notes: Mapping[str, str]
    digest: str
