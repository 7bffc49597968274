"""What a model folder declares, and the defaults assumed for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.bundle.keys import shown
from engine.bundle.schema import EXPLAIN, INPUT, NETWORK, OUTPUT, SELFTEST, Values
from engine.bundle.specs import ExplainSpec, InputSpec, NetworkSpec, OutputSpec, SelfTest

SOFTMAX_HAS_NONE = "a softmax network answers with its most probable class, whatever its probability"
"""Why a threshold goes with a single logit or multilabel only."""

_MOST_STD = 10
"""A standard deviation may be at most so many times the range of the values."""


UNNAMED = "The classes are not declared: they are numbered by the network's outputs."
"""What is assumed before the network is known; then its classes get names, and another sentence tells them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a model folder declares, with defaults for the rest.

    Attributes:
        input, output, explain: how to feed, read and explain the network.
        selftest: what the network must answer for one of its images, or None.
        network: which network the weights belong to.
        notes: sections of free text, by name.
        given: full names of the declared keys, such as `input.size`.
    """

    input: InputSpec
    output: OutputSpec
    explain: ExplainSpec
    selftest: SelfTest | None = None
    network: NetworkSpec = field(default_factory=NetworkSpec)
    notes: Mapping[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    def undeclared(self) -> frozenset[str]:
        """Return the full names of the keys of `[input]` that are not declared.

        The channels are by a mean or std, which has a number for each: other channels would need other numbers.
        """
        said = self.given | ({"input.channels"} if self.given & {"input.mean", "input.std"} else set())
        return frozenset(name for name, _ in INPUT.with_full_names()) - said

    def assumed(self) -> tuple[str, ...]:
        """Return a sentence for every default that matters."""
        sentences: list[str] = []
        if "input.size" not in self.given:
            sentences.append(size_sentence(self.input.size))
        if "input.channels" not in self.given:
            sentences.append(channels_sentence(self.input.channels))
        if not self.given & {"input.mean", "input.std"}:
            low, high = self.input.value_range
            sentences.append(f"Mean and std are not declared: pixel values in [{low:g}, {high:g}] are fed as they are.")
        elif "input.mean" not in self.given:
            sentences.append("The mean is not declared: 0 is assumed.")
        elif "input.std" not in self.given:
            sentences.append("The std is not declared: 1 is assumed.")
        if "output.classes" not in self.given:
            sentences.append(UNNAMED)
        if "output.activation" not in self.given:
            sentences.append(
                "The activation at the network's end is not declared: it is taken from the last module, if that is a "
                "Sigmoid or a Softmax, and none is assumed otherwise."
            )
        return tuple(sentences)


def size_sentence(size: tuple[int, int]) -> str:
    """Return what is said where the input size, (height, width), is assumed."""
    return f"The input size is not declared: {size[0]} x {size[1]} pixels (height x width) are assumed."


def channels_sentence(count: int) -> str:
    """Return what is said where the number of channels is assumed."""
    return f"The number of channels is not declared: {count} ({'grey' if count == 1 else 'RGB'}) is assumed."


def declare_values(values: Values, notes: Mapping[str, str] | None = None) -> Declared:
    """Build a declaration from checked values.

    Args:
        values: by the full names of their keys.
        notes: sections of free text, by name.
    """
    spec = INPUT.build(values)
    if "input.channels" not in values:  # the numbers per channel tell how many there are
        spec = replace(spec, channels=len(spec.mean if "input.mean" in values else spec.std))
    return Declared(
        input=replace(
            spec,
            mean=spec.mean if "input.mean" in values else (0.0,) * spec.channels,
            std=spec.std if "input.std" in values else (1.0,) * spec.channels,
        ),
        output=OUTPUT.build(values),
        explain=EXPLAIN.build(values),
        selftest=SELFTEST.build(values) if SELFTEST.is_in(values) else None,
        network=NETWORK.build(values),
        notes=notes or {},
        given=frozenset(values),
    )


def contradiction(declared: Declared) -> tuple[str, str] | None:
    """Return the first declared value that another one rules out, as (full name, clause), or None."""
    spec = declared.input
    count = spec.channels
    for name, numbers in (("input.mean", spec.mean), ("input.std", spec.std)):
        if len(numbers) != count:
            return name, f"must have {count} number{'s' if count > 1 else ''}, one per channel, not {len(numbers)}"
    if wrong := _out_of_range(declared):
        return wrong
    if spec.colour_order == "bgr" and count == 1:
        return "input.colour_order", "must not be set for a network with one channel"
    if spec.exact_size and spec.minimum_size is not None:
        (height, width), (least_height, least_width) = spec.size, spec.minimum_size
        if height < least_height or width < least_width:
            return "input.minimum_size", f"must not exceed the exact size {height} x {width}"
    if spec.accept_grey is False and spec.accept_colour is False:
        return "input.accept_grey", "and accept_colour must not both be false: no image would be left"
    if spec.dicom is not None:
        for name, given in (("centre", spec.dicom.centre), ("width", spec.dicom.width)):
            if (given is None) == (spec.dicom.window == "fixed"):
                wanted = "is missing" if given is None else "must not be set"
                return f"input.dicom.{name}", f"{wanted}: window is {shown(spec.dicom.window)}"
    if declared.output.threshold is not None and (why := _no_threshold(declared.output)):
        return "output.threshold", f"must not be set: {why}"
    return None


def _out_of_range(declared: Declared) -> tuple[str, str] | None:
    """Return the mean, std or range that does not go with the others, as `contradiction` does."""
    spec = declared.input
    low, high = min(spec.value_range), max(spec.value_range)
    values = f"[{low:g}, {high:g}]"
    if "input.mean" not in declared.given and not low <= 0 <= high:
        return "input.value_range", f"must include 0 where no mean is declared, and is {values}"
    # Numbers that were made for 0..255 are the usual mistake.
    remedy = "; divide by 255, or declare value_range = [0, 255] if it is fed such values" if spec.is_unit else ""
    if not all(low <= number <= high for number in spec.mean):
        hint = remedy if all(1 < number <= 255 for number in spec.mean) else ""
        return "input.mean", f"must lie in {values}, for values in {values}, and is {shown(spec.mean)}{hint}"
    most = _MOST_STD * (high - low)
    if not all(number <= most for number in spec.std):
        hint = remedy if all(number <= 255 for number in spec.std) else ""
        return "input.std", f"must be at most {most:g}, for values in {values}, and is {shown(spec.std)}{hint}"
    return None


def _no_threshold(output: OutputSpec) -> str:
    """Say why a network with these declarations has no threshold; empty if it may have one."""
    if output.activation in ("softmax", "log_softmax"):
        return SOFTMAX_HAS_NONE
    if output.classes is not None and len(output.classes) > 2 and not output.multilabel:
        return f"{len(output.classes)} classes without multilabel = true are a softmax's. {SOFTMAX_HAS_NONE}"
    return ""
