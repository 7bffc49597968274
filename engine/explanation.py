"""The whole answer for one image: diagnosis, maps, statistics and agreement, computed and held together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import ModelBundle
    from engine.consensus import Consensus
    from engine.diagnosis import Diagnosis
    from engine.grid import GridStatistics
    from engine.images.raster import MedicalImage
    from engine.saliency import SaliencyMap

METHODS: tuple[str, ...] = ("lime", "rise", "gradcam", "gradcam++")
"""The four methods, in the order in which they are shown."""

METHOD_NAMES: Mapping[str, str] = {"lime": "LIME", "rise": "RISE", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}
"""Their names for people."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about an explanation.

    Attributes:
        methods: keys of the methods to run, in order.
        target: name of the class to explain; None for the predicted one.
        samples: number of samples by method key (`rise`, `lime`); what is not given comes from the bundle, else 4,000
            and 1,000.
        until: `samples` uses all of them; `certain` stops as soon as the three top cells are settled.
        estimator: RISE's estimator, see `engine.explainers.rise`.
        layer: the CAMs' target layer; None for the bundle's, else the last convolution.
        seed: of all random numbers; None derives one from image, model and method.
    """

    methods: tuple[str, ...] = METHODS
    target: str | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    until: Literal["samples", "certain"] = "samples"
    estimator: Literal["centred", "paper"] = "centred"
    layer: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one image that screens, files and batches show.

    Attributes:
        image: the image as read.
        view: (h, w, C) uint8, C 1 or 3: the part of the image that the network saw (the image itself for
            `stretch`, its centre for `crop`, the padded image for `fit`), at the image's own resolution. Maps and
            cells lie on it: a map's edges are the view's edges.
        diagnosis: the network's answer.
        target: name of the class that is explained.
        maps: the saliency maps by method key, in the order in which they are shown; a method that failed or was
            stopped before a first map is not in it.
        statistics: grid statistics by method key.
        consensus: the agreement of the maps that are there.
        failures: for every method that gave no map, one line why.
        settings: what was asked for.
        bundle: the model.
        environment: names and versions that reproducing needs (`xaimed`, `torch`, `device`, `python`, ...).
    """

    image: MedicalImage
    view: NDArray[np.uint8]
    diagnosis: Diagnosis
    target: str
    maps: Mapping[str, SaliencyMap]
    statistics: Mapping[str, GridStatistics]
    consensus: Consensus
    failures: Mapping[str, str]
    settings: Settings
    bundle: ModelBundle
    environment: Mapping[str, str]
