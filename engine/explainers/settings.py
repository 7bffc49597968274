"""What a person may choose about an explanation, and a method made with those choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from engine.errors import ExplanationError
from engine.explainers.base import Explainer
from engine.explainers.plugins import make_plug_in
from engine.explainers.registry import METHODS, Choices, method_keys

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle

FEWEST: Mapping[str, int] = {"rise": 16, "lime": 100}
"""The fewest samples that a sampled method takes."""

MOST_SAMPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about an explanation.

    Attributes:
        methods: keys of the methods to run, in order; all that there are unless given (`engine.explainers.registry`).
        target: name of the class to explain; None for the predicted one.
        samples: number of samples by method key (`rise`, `lime`); what is not given comes from the bundle, else 4,000
            and 1,000.
        until: `samples` uses all of them; `certain` stops as soon as the three top cells are settled.
        estimator: RISE's, see `engine.explainers.rise`; None for the bundle's, else `centred`.
        layer: the CAMs' target layer; None for the bundle's, else the last convolution.
        seed: of all random numbers; None derives one from image, model and method.
    """

    methods: tuple[str, ...] = field(default_factory=method_keys)
    target: str | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    until: Literal["samples", "certain"] = "samples"
    estimator: Literal["centred", "paper"] | None = None
    layer: str | None = None
    seed: int | None = None


def check_settings(settings: Settings) -> None:
    """See that settings can be meant, as far as that needs neither a network nor torch.

    Raises:
        ExplanationError: no such method, or a number out of range.
    """
    for method in settings.methods:
        if method not in method_keys():
            raise ExplanationError(f"no such method: {method}", remedy=f"choose among {', '.join(method_keys())}")
    for key, number in settings.samples.items():
        if key not in FEWEST:
            raise ExplanationError(f"{key} draws no samples", remedy="give --samples for rise and lime only")
        if not FEWEST[key] <= number <= MOST_SAMPLES:
            raise ExplanationError(
                f"{number} samples are not possible for {key}",
                remedy=f"give a number from {FEWEST[key]} to {MOST_SAMPLES}",
            )
    if settings.seed is not None and not 0 <= settings.seed < 2**32:
        raise ExplanationError(f"{settings.seed} is no seed", remedy="give a number from 0 to 4294967295")


def make_explainer(method: str, bundle: ModelBundle, settings: Settings) -> Explainer:
    """A method with its parameters: the settings', else the bundle's, else the defaults.

    Raises:
        ExplanationError: no such method, a parameter out of range, or a plug-in that cannot be used.
    """
    check_settings(replace(settings, methods=(method,)))
    if method not in METHODS:
        return make_plug_in(method, Choices(layer=settings.layer))
    if method == "rise":
        from engine.explainers.rise import Rise

        options = _chosen(bundle.explain.rise, settings, "rise")
        if settings.estimator is not None:
            options["estimator"] = settings.estimator
        # Values of a dict have one type for all; `engine.bundle.model_toml` and `check_settings` have looked at each.
        return Rise(until=settings.until, **options)  # type: ignore[arg-type]
    if method == "lime":
        from engine.explainers.lime import Lime

        options = _chosen(bundle.explain.lime, settings, "lime")
        return Lime(until=settings.until, **options)  # type: ignore[arg-type]  # as for RISE
    from engine.explainers.gradcam import GradCam

    return GradCam("gradcam" if method == "gradcam" else "gradcam++", settings.layer)


def _chosen(defaults: Mapping[str, int | float | str], settings: Settings, method: str) -> dict[str, int | float | str]:
    options = dict(defaults)
    if method in settings.samples:
        options["samples"] = settings.samples[method]
    return options
