"""How to feed, read and explain a network, as `model.toml` or the constants of `architecture.py` declare it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Resize = Literal["stretch", "fit", "crop"]
Activation = Literal["none", "sigmoid", "softmax", "log_softmax"]
Fill = Literal["mean", "blur", "inpaint", "noise"]
Layout = Literal["nchw", "nhwc"]
ColourOrder = Literal["rgb", "bgr"]
DicomWindow = Literal["fixed", "file", "minmax", "percentile"]
Plain = bool | int | float | str | tuple[bool | int | float | str, ...]
"""What an argument of a network may be: it is data, and nothing in it is evaluated."""


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Which network the weights belong to: `[network]` of `model.toml`.

    Attributes:
        source: the package and the network's name in it, as `torchvision:resnet50`; None where a file of the model
            folder (`architecture.py`) builds the network.
        arguments: what its constructor, or `build_model` of `architecture.py`, is called with, by name.
    """

    source: str | None = None
    arguments: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def package(self) -> str:
        """The package that has the network: `torchvision`; empty if no source is declared."""
        return (self.source or "").partition(":")[0]

    @property
    def name(self) -> str:
        """The network's name in its package: `resnet50`; empty if no source is declared."""
        return (self.source or "").partition(":")[2]


@dataclass(frozen=True, slots=True)
class DicomSpec:
    """How values of DICOM and NIfTI images become those of an image: `[input.dicom]` of `model.toml`.

    Attributes:
        window: what becomes black and white: a `fixed` range, the `file`'s own window, the image's least and greatest
            value, or two of its percentiles.
        centre, width: of the fixed range, on values after the modality LUT (of CT, HU): from `centre - width / 2` to
            `centre + width / 2`. None for the other kinds of window.
        percentiles: the two, from 0 to 100.
        modality: codes such as `CT`; images of others are refused. Empty if all may come.
        photometric: photometric interpretations such as `MONOCHROME2`; likewise.
    """

    window: DicomWindow = "file"
    centre: float | None = None
    width: float | None = None
    percentiles: tuple[float, float] = (1.0, 99.0)
    modality: tuple[str, ...] = ()
    photometric: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How to feed an image to the network: `[input]` of `model.toml`.

    Attributes:
        size: (height, width) of the network's input in pixels.
        channels: 1 (grey) or 3 (RGB).
        exact_size: True if an image of another size is not compliant.
        minimum_size: (height, width) below which an image is not compliant, or None.
        resize: `stretch`, `fit` (padded with the mean colour) or `crop` (centre).
        mean, std: for each of the network's channels in its own order, on values in `value_range`.
        bits: how many bits of the files' samples are significant; None for what each file declares.
        accept_grey: whether an image without colour may be fed to the network. None if not declared: it then may, and
            an RGB network's answer carries a warning.
        accept_colour: whether an image in colour may be fed to it. None if not declared: it then may, and a grey
            network's answer carries a warning.
        layout: the order in which the network's own code takes its axes: (B, C, H, W) or (B, H, W, C). Everything else
            in the engine is (B, C, H, W), see `engine.network.layout`.
        colour_order: the order of the network's three channels.
        value_range: what 0 and full scale of a file's values become before mean and std.
        dicom: how values of DICOM and NIfTI images become those of an image; None if not declared: the file's own
            window is then taken, or else the range of its values, with a warning.
    """

    size: tuple[int, int] = (224, 224)
    channels: int = 3
    exact_size: bool = False
    minimum_size: tuple[int, int] | None = None
    resize: Resize = "stretch"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    bits: int | None = None
    accept_grey: bool | None = None
    accept_colour: bool | None = None
    layout: Layout = "nchw"
    colour_order: ColourOrder = "rgb"
    value_range: tuple[float, float] = (0.0, 1.0)
    dicom: DicomSpec | None = None

    @property
    def is_unit(self) -> bool:
        """Whether values are fed in [0, 1], before mean and std."""
        return self.value_range == (0.0, 1.0)

    def accepts(self, grey: bool) -> bool:
        """Whether a grey image, or one in colour, may be fed to the network."""
        return (self.accept_grey if grey else self.accept_colour) is not False


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How to read the network's output: `[output]` of `model.toml`.

    Attributes:
        classes: class names; for one logit (negative, positive). None if not declared: they are then made up from the
            number of outputs once the network is loaded.
        activation: what the network already applies at its end. None if not declared: it is then looked up in the
            network.
        multilabel: whether every class is judged on its own.
        threshold: the probability from which on a single logit's positive class, or a class of a multilabel network, is
            the answer; after the temperature. None if not declared: it is then 0.5. A softmax network has none.
        temperature: the logits are divided by it before they become probabilities.
        select: which of several things that the network gives are the scores, such as `logits`, or `0` for the first.
            None if not declared: it then gives only one, or it is told apart (`engine.network.reading`).
    """

    classes: tuple[str, ...] | None = None
    activation: Activation | None = None
    multilabel: bool = False
    threshold: float | None = None
    temperature: float = 1.0
    select: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainSpec:
    """Defaults of the methods: `[explain]` of `model.toml`.

    Attributes:
        target_layer: the CAMs' layer, by a name that `xaimed models check --json` lists; None for the default.
        exact_fills: what hidden cells show for the exact cells, one answer for each; none for no exact cells.
        rise, lime: defaults of the methods' parameters, by name.
        plug_ins: the same for the methods of plug-ins, by their keys. They are checked when the plug-in is used.
    """

    target_layer: str | None = None
    exact_fills: tuple[Fill, ...] = ("mean", "blur")
    rise: Mapping[str, int | float | str] = field(default_factory=dict)
    lime: Mapping[str, int | float | str] = field(default_factory=dict)
    plug_ins: Mapping[str, Mapping[str, int | float | str]] = field(default_factory=dict)

    def parameters_of(self, method: str) -> Mapping[str, int | float | str]:
        """Return the defaults of a method's parameters, by name; empty if `model.toml` has no section for it."""
        return {**self.plug_ins, "rise": self.rise, "lime": self.lime}.get(method, {})


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the network must answer for one image of its folder: `[selftest]` of `model.toml`.

    Attributes:
        image: path of the image in the model folder, with `/`.
        probabilities: of the classes, in their order; for one logit (negative, positive).
        tolerance: the most by which a probability may differ.
    """

    image: str
    probabilities: tuple[float, ...]
    tolerance: float = 0.001


@dataclass(frozen=True, slots=True)
class InMemory:
    """What stands in place of a model folder for a network that a Python program gave as an object.

    Attributes:
        network: the name of its class.
        preprocessing: the name of the program's function that makes its input; None if XAIMed makes it.
        declared: what the program declares about it, by the full names of the keys of `model.toml`.
    """

    network: str
    preprocessing: str | None
    declared: Mapping[str, object]
