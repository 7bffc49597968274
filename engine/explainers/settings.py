"""What a person may choose about an explanation, and how a method is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import index
from typing import TYPE_CHECKING, Literal, get_args

from engine.bundle.checks import exact_fills
from engine.bundle.keys import Key, Scalar, WrongValueError
from engine.bundle.model_bundle import SETTINGS
from engine.bundle.schema import closest
from engine.bundle.specs import Fill
from engine.errors import ExplanationError
from engine.explainers.base import Explainer
from engine.explainers.plugins import blaming, declared_plug_in, make_plug_in
from engine.explainers.registry import Choices, Method, Voters, find_method, method_keys, plug_in, sampling
from engine.text import word_list

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle

_RISE = "rise"
"""The method that `Settings.estimator` belongs to."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person may choose about an explanation.

    Attributes:
        methods: keys of the methods to run, in order; by default all there are (`engine.explainers.registry`).
        target: name of the class to explain; None for the predicted one.
        samples: number of samples by method key, for `rise`, `lime` and plug-ins that draw samples; if not given, the
            bundle's, else the method's default (4,000 for `rise`, 1,000 for `lime`).
        until: `samples` draws all samples; `certain` stops as soon as the three top cells are settled.
        estimator: RISE's, see `engine.explainers.rise`; None for the bundle's, else `centred`.
        layer: the CAMs' target layer; None for the classifier's `default_layer`.
        seed: seed of all random numbers; None to derive one from image, model and method.
        parameters: values of other parameters by method key and name (`engine.explainers.registry`); if not given, the
            bundle's, else the method's default.
        voters: who votes in the agreement: the `paper`'s four methods, or `all` that give a map.
        exact_fills: what hidden cells show for the exact cells, one answer for each: some of `mean`, `blur`, `inpaint`
            and `noise`; none for no exact cells; None for the bundle's, else `mean` and `blur`.
    """

    methods: tuple[str, ...] = field(default_factory=method_keys)
    target: str | None = None
    samples: Mapping[str, int] = field(default_factory=dict)
    until: Literal["samples", "certain"] = "samples"
    estimator: Literal["centred", "paper"] | None = None
    layer: str | None = None
    seed: int | None = None
    parameters: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    voters: Voters = "paper"
    exact_fills: tuple[Fill, ...] | None = None


def check_settings(settings: Settings) -> None:
    """Check settings as far as that needs neither a network nor torch.

    A plug-in is imported only if something is set for it.

    Raises:
        ExplanationError: no such method or parameter, a value out of range or given twice, or a plug-in that cannot be
            used.
    """
    for key in settings.methods:
        _known(key)
    for key, number in settings.samples.items():
        possible = declared_samples(key) if find_method(key) is not None else None
        if possible is None:
            names = word_list([method.key for method in sampling()])
            raise ExplanationError(f"{key} draws no samples", remedy=f"give --samples for {names} only")
        if not possible[0] <= number <= possible[1]:
            raise ExplanationError(
                f"{number} samples are not possible for {key}",
                remedy=f"give a number from {possible[0]} to {possible[1]}",
            )
    for key, values in settings.parameters.items():
        for name, value in values.items():
            _checked(key, _parameter(key, name), value)
            if (name == "samples" and key in settings.samples) or (
                (key, name) == (_RISE, "estimator") and settings.estimator is not None
            ):
                raise ExplanationError(f"{key}.{name} is given twice", remedy="give it once")
    if settings.voters not in get_args(Voters):
        raise ExplanationError(f"there are no voters {settings.voters!r}", remedy="choose paper or all")
    if settings.exact_fills is not None:
        try:
            exact_fills(settings.exact_fills)
        except WrongValueError as error:
            raise ExplanationError(f"the fills of the exact cells {error}", remedy="give other fills") from None
    if settings.seed is not None and not 0 <= settings.seed < 2**32:
        raise ExplanationError(f"{settings.seed} is no seed", remedy="give a number from 0 to 4294967295")


def read_parameter(method: str, name: str, text: str) -> Scalar:
    """Read the value of a method's parameter from a text such as `9`, `0.25` or `paper`.

    Raises:
        ExplanationError: no such method or parameter, a value out of range, or a plug-in that cannot be used.
    """
    key = _parameter(method, name)
    return _checked(method, key, text if key.choices or isinstance(key.default, str) else _scalar(text))


def declared_method(method: str) -> Method:
    """Return a method with all that it declares. A plug-in is imported for that.

    Raises:
        ExplanationError: no such method, or a plug-in that cannot be used.
    """
    known = _known(method)
    return declared_plug_in(method) if plug_in(method) is not None else known


def declared_samples(method: str) -> tuple[int, int] | None:
    """Return the fewest and the most samples that a method can draw; None if it draws none.

    Raises:
        ExplanationError: no such method, or a plug-in that cannot be used.
    """
    samples = declared_method(method).samples
    if samples is None or samples.least is None or samples.most is None:
        return None
    return int(samples.least), int(samples.most)


def chosen_parameters(method: str, bundle: ModelBundle, settings: Settings) -> dict[str, Scalar]:
    """Return the values of a method's parameters by name: the settings', else the bundle's, else the defaults.

    Raises:
        ExplanationError: a plug-in that cannot be used.
    """
    declared = declared_method(method)
    chosen = {key.name: key.default for key in declared.parameters if key.default is not None}
    for name, value in bundle.explain.parameters_of(method).items():
        try:
            chosen[name] = _checked(method, _parameter(method, name), value)
        except ExplanationError as error:
            # Those of plug-ins could not be checked when the file was read.
            raise ExplanationError(
                f"under [explain.{method}]: {error.cause}", subject=bundle.path / SETTINGS, remedy=error.remedy
            ) from error
    for name, value in settings.parameters.get(method, {}).items():
        chosen[name] = _checked(method, _parameter(method, name), value)
    if (samples := declared.samples) is not None and method in settings.samples:
        chosen["samples"] = _checked(method, samples, index(settings.samples[method]))
    if method == _RISE and settings.estimator is not None:
        chosen["estimator"] = settings.estimator
    return chosen


def chosen_fills(bundle: ModelBundle, settings: Settings) -> tuple[Fill, ...]:
    """Return the fills of the exact cells: the settings', else the bundle's; none for no exact cells."""
    return bundle.explain.exact_fills if settings.exact_fills is None else settings.exact_fills


def foreign_sections(bundle: ModelBundle) -> tuple[str, ...]:
    """Return a sentence for each method that `model.toml` sets parameters of though there is no such method here."""
    said = []
    for method in bundle.explain.plug_ins:
        if find_method(method) is None:
            near = closest(method, method_keys())
            hint = f"; is {near} meant?" if near else ", so they have no effect."
            said.append(f"Parameters are set under [explain.{method}], but no method {method} is installed{hint}")
    return tuple(said)


def make_explainer(method: str, bundle: ModelBundle, settings: Settings) -> Explainer:
    """Make a method with its parameters: the settings', else the bundle's, else the defaults.

    Raises:
        ExplanationError: no such method, a parameter out of range, or a plug-in that cannot be used.
    """
    own = {key: values for key, values in settings.parameters.items() if key == method}
    check_settings(replace(settings, methods=(method,), parameters=own))
    choices = Choices(settings.layer, chosen_parameters(method, bundle, settings), settings.until)
    return make_plug_in(method, choices) if plug_in(method) is not None else declared_method(method).make(choices)


def _known(method: str) -> Method:
    """Return what is known about a method without importing a plug-in."""
    found = find_method(method)
    if found is None:
        raise ExplanationError(f"no such method: {method}", remedy=f"choose among {', '.join(method_keys())}")
    return found


def _parameter(method: str, name: str) -> Key[Scalar]:
    declared = declared_method(method)
    key = declared.parameter(name)
    if key is None:
        names = [known.name for known in declared.parameters]
        near = closest(name, names)
        choose = f"choose among {', '.join(names)}" if names else "nothing can be set for it"
        raise ExplanationError(
            f"{method} has no parameter '{name}'", remedy=f"did you mean '{near}'?" if near else choose
        )
    return key


def _checked(method: str, key: Key[Scalar], value: object) -> Scalar:
    with blaming(method):  # a plug-in's own check may raise anything
        try:
            return key.check(value)
        except WrongValueError as error:
            wrong = str(error)
    raise ExplanationError(f"{method}.{key.name} {wrong}", remedy="give another value")


def _scalar(text: str) -> Scalar:
    """Return what a text stands for: a truth value, a number, or otherwise the text itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:  # not such a number; for `int` also one of more than 4,300 digits
            continue
    return text
