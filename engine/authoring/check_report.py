"""A report on a model in lines of text: what is known without running it, and the result of a check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.bundle.model_bundle import FIT, subject_of
from engine.bundle.model_toml import toml_value
from engine.errors import BundleError
from engine.explainers.registry import method_name
from engine.results.diagnosis import probability_text
from engine.trust.permission import no_code_words

if TYPE_CHECKING:
    from engine.authoring.check import Check
    from engine.bundle.fit_npz import Fit
    from engine.bundle.model_bundle import InputSpec, ModelBundle
    from engine.library.tasks import ModelEntry
    from engine.network.classifier import Classifier


_MOST_CLASSES = 5
"""Of more classes only the most probable are listed."""


def model_lines(entry: ModelEntry) -> Iterator[str]:
    """Yield all that is known about a model without running it. The lines are not made safe for a terminal."""
    yield f"{entry.task}/{entry.name} in {entry.path}"
    yield "It can be used." if entry.usable else entry.reason
    if (bundle := entry.bundle) is not None:
        yield from _network_lines(bundle)
        height, width = bundle.input.size
        kind = "grey" if bundle.input.channels == 1 else "RGB"
        rule = "exactly" if bundle.input.exact_size else f"others are resized ({bundle.input.resize})"
        fed = f"{_how_fed(bundle.input)}mean {bundle.input.mean}, std {bundle.input.std}"
        yield f"Input: {height}x{width} {kind}, {rule}; {fed}"
        for word, grey in (("Grey", True), ("Colour", False)):
            if not bundle.input.accepts(grey):
                yield f"{word} images are refused."
        yield f"Classes: {', '.join(bundle.output.classes) if bundle.output.classes else 'not declared'}"
        yield f"Activation at the end: {bundle.output.activation or 'not declared'}"
        if bundle.output.threshold is not None:
            yield f"Threshold: {bundle.output.threshold:g}"
        if bundle.output.temperature != 1.0:
            yield f"Temperature: {bundle.output.temperature:g}"
        yield f"Layer for the CAMs: {bundle.explain.target_layer or 'the last through which all that decides passes'}"
        yield from bundle.assumed
        for section, text in bundle.notes.items():
            yield f"[{section}]"
            yield from (f"  {line}" for line in text.splitlines())
        yield from _fit_lines(bundle)
        yield f"Digest: {bundle.digest}"
        for name, file in sorted(bundle.files.items()):
            yield f"  {file.size:>13,}  {name}"
    if entry.description.strip():
        yield "Description:"
        yield from (f"  {line}" for line in entry.description.rstrip().splitlines())


def _network_lines(bundle: ModelBundle) -> Iterator[str]:
    """Yield what builds the network if that is not its own code, and with which arguments."""
    if not bundle.runs_code:
        yield no_code_words(bundle)
    if arguments := bundle.network.arguments:
        yield f"It is built with {', '.join(f'{name} = {toml_value(value)}' for name, value in arguments.items())}."


def undeclared(spec: InputSpec) -> tuple[str, ...]:
    """Return a sentence for everything that a bundle should say about its images and does not; nothing is assumed."""
    if spec.channels == 3 and spec.accept_grey is None:
        return (
            "Whether grey images may be fed to it is not declared: they are answered, with a warning. "
            "Set accept_grey under [input] in model.toml.",
        )
    if spec.channels == 1 and spec.accept_colour is None:
        return (
            "Whether colour images may be fed to it is not declared: they are answered, with a warning. "
            "Set accept_colour under [input] in model.toml.",
        )
    return ()


def _how_fed(spec: InputSpec) -> str:
    """Say how values are fed where that is not the usual way, as words before those about mean and std."""
    low, high = spec.value_range
    said = [f"values in [{low:g}, {high:g}]"] if not spec.is_unit else []
    said += ["blue, green, red"] if spec.colour_order == "bgr" else []
    said += ["channels last"] if spec.layout == "nhwc" else []
    return "".join(f"{each}; " for each in said)


def _fit_lines(bundle: ModelBundle) -> Iterator[str]:
    from engine.bundle.fit_npz import fit_beside, signature  # late: numpy, which listing models does without

    try:
        fit = fit_beside(bundle)
    except BundleError as error:
        yield error.message
        return
    if fit is not None:
        stale = "" if fit.made_for == signature(bundle) else " It was made for other weights, code or input: not used."
        yield f"{_what_is_known(fit)}.{stale}"


def _what_is_known(fit: Fit) -> str:
    return f"It knows what its training images look like ({fit.made_from})"


def check_lines(classifier: Classifier, check: Check) -> Iterator[str]:
    """Yield the result of checking a model. The lines are not made safe for a terminal.

    Args:
        classifier: the model that was checked.
        check: the result.
    """
    yield from _network(classifier, check)
    yield from _methods(check)
    yield from _remarks(classifier, check)


def _network(classifier: Classifier, check: Check) -> Iterator[str]:
    bundle, diagnosis = classifier.bundle, check.diagnosis
    height, width = bundle.input.size
    yield f"{subject_of(bundle)} on {classifier.device}"
    yield from _network_lines(bundle)
    shown = "noise, made up for this check" if check.made_up else str(check.image.path)
    yield f"Image: {shown}, {check.image.height}x{check.image.width}"
    yield f"Input: {height}x{width}, {'grey' if bundle.input.channels == 1 else 'RGB'}"
    yield f"Outputs: {classifier.anatomy.outputs}; applied at the end: {classifier.activation}"
    pairs = list(zip(diagnosis.classes, diagnosis.probabilities, strict=True))
    listed = pairs if len(pairs) <= _MOST_CLASSES else sorted(pairs, key=lambda pair: -pair[1])[:_MOST_CLASSES]
    for name, probability in listed:
        mark = f"  <- {diagnosis.standing}" if name == diagnosis.predicted else ""
        yield f"  {probability_text(float(probability), 4)}  {name}{mark}"
    if len(listed) < len(pairs):
        yield f"  (and {len(pairs) - len(listed):,} classes that are less probable)"
    yield f"An answer takes {check.seconds * 1000:.1f} ms."
    if check.layer:
        layer = classifier.anatomy.check_layer(check.layer)
        size = f"{layer.channels} maps of {layer.height}x{layer.width}"
        yield f"The CAMs look at {check.layer}: {size}{', a branch' if layer.branch else ''}."


def _methods(check: Check) -> Iterator[str]:
    yield "A map takes about:"
    width = max(len(method_name(method.method)) for method in check.methods)
    for method in check.methods:
        duration = "no map" if method.full_map_seconds is None else _seconds(method.full_map_seconds)
        note = f"  ({method.note})" if method.note else ""
        yield f"  {method_name(method.method):<{width}}  {duration}{note}"


def _seconds(seconds: float) -> str:
    return f"{seconds:>7.2f} s" if seconds >= 0.01 else " < 0.01 s"


def _remarks(classifier: Classifier, check: Check) -> Iterator[str]:
    for method in check.methods:
        name = method_name(method.method)
        if method.failure:
            yield f"{name}: {method.failure}"
        yield from (f"{name}: {warning}" for warning in method.warnings)
    if check.made_up:
        yield "The image is noise: the network's answer and its maps mean nothing."
    yield from check.diagnosis.warnings  # may repeat what the classifier assumed
    yield from (sentence for sentence in classifier.assumed if sentence not in check.diagnosis.warnings)
    yield from undeclared(classifier.bundle.input)
    if classifier.fit is not None:
        yield f"{_what_is_known(classifier.fit)}: images unlike them get a warning."
        yield "An image without that warning may be unsuitable all the same."
    elif FIT not in classifier.bundle.files:
        yield (
            "Nothing says which images are unlike those it was fitted with; `xaimed models check --fit-images FOLDER` "
            "writes that down."
        )
    if (test := check.selftest) is None:
        yield "There is no self-test; `xaimed models check --write-selftest` makes one."
    elif test.failure:
        yield f"The self-test on {test.image} failed: {test.failure}."
    else:
        worst = max(abs(a - b) for a, b in zip(test.expected, test.found, strict=True))
        yield f"The self-test on {test.image} passed: no probability differs by more than {worst:.1g}."
