"""The table of all keys of `model.toml`, by section.

To add a key, add its entry here, and the field that it fills to the section's dataclass in `engine.bundle.specs`. The
check with its error, the constant of `architecture.py`, the draft that `xaimed models init` writes and the README's
block follow from that. To add a table such as `[input.dicom]`, add its `Section` to the enclosing one's `sections`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar, get_args

from engine.bundle import checks as check
from engine.bundle.keys import LIME_KEYS, RISE_KEYS, Key, between, whole
from engine.bundle.specs import (
    Activation,
    ColourOrder,
    DicomSpec,
    DicomWindow,
    ExplainSpec,
    InputSpec,
    Layout,
    NetworkSpec,
    OutputSpec,
    Resize,
    SelfTest,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
T_co = TypeVar("T_co", covariant=True)

Values = Mapping[str, object]
"""Checked values by the full names of their keys, such as `input.size` and `explain.rise.samples`."""


@dataclass(frozen=True, slots=True)
class Section(Generic[T_co]):
    """A table of `model.toml`.

    Attributes:
        name: its full name, such as `explain.rise`.
        make: builds what the engine uses; takes the given values by the names of keys and nested sections.
        keys: its keys, in the order they are shown.
        sections: the tables in it.
        help: its purpose, as a phrase without a full stop; empty if the keys say enough.
    """

    name: str
    make: Callable[..., T_co]
    keys: tuple[Key[object], ...]
    sections: tuple[Section[object], ...] = ()
    help: str = ""

    @property
    def field(self) -> str:
        """Its name in the enclosing table."""
        return self.name.rpartition(".")[2]

    @property
    def known(self) -> tuple[str, ...]:
        """The names allowed in it: its keys, then its tables."""
        return (*(key.name for key in self.keys), *(section.field for section in self.sections))

    def with_full_names(self) -> Iterator[tuple[str, Key[object]]]:
        """Yield its own keys, each after its full name."""
        return ((f"{self.name}.{key.name}", key) for key in self.keys)

    def with_nested(self) -> Iterator[Section[object]]:
        """Yield the section itself, then all tables in it."""
        yield self
        for section in self.sections:
            yield from section.with_nested()

    def is_in(self, values: Values) -> bool:
        """Whether `values` has a key of this section or of a table in it."""
        return any(name.startswith(f"{self.name}.") for name in values)

    def build(self, values: Values) -> T_co:
        """Build what the engine uses from the given values, with defaults for the rest."""
        given = {key.name: values[name] for name, key in self.with_full_names() if name in values}
        nested = {section.field: section.build(values) for section in self.sections if section.is_in(values)}
        return self.make(**given, **nested)


def _section(
    name: str,
    spec: type[T],
    keys: tuple[Key[object], ...],
    *,
    sections: tuple[Section[object], ...] = (),
    help: str = "",
) -> Section[T]:
    """Return a section that fills a dataclass, in which each key has its field.

    The field's default becomes the key's; without one the key is required. A default that is made anew for each spec is
    an empty table, for which the key has no default.
    """
    defaults = {field.name: None if field.default_factory is not MISSING else field.default for field in fields(spec)}
    filled = (
        replace(key, required=True) if defaults[key.name] is MISSING else replace(key, default=defaults[key.name])
        for key in keys
    )
    return Section(name, spec, tuple(filled), sections, help)


NETWORK = _section(
    "network",
    NetworkSpec,
    (
        Key(
            "source",
            check.source,
            help='instead of architecture.py: "torchvision:...", "timm:..." or "monai:..."',
            example="timm:convnext_tiny",
        ),
        Key(
            "arguments",
            check.arguments,
            help="plain values; also for build_model() of architecture.py",
            example=MappingProxyType({"in_chans": 1}),
        ),
    ),
)

DICOM = _section(
    "input.dicom",
    DicomSpec,
    (
        Key.choice(
            "window",
            None,
            get_args(DicomWindow),
            '"fixed", "file" (its own), "minmax" or "percentile" of the values',
            example="fixed",
        ),
        Key(
            "centre",
            between(-1e9, 1e9),
            help='of a "fixed" window, on values after the modality LUT (HU in CT)',
            least=-1e9,
            most=1e9,
            example=40.0,
        ),
        Key("width", between(0, 1e9), help="likewise", least=0, most=1e9, example=400.0),
        Key("percentiles", check.percentiles, help="what becomes black and white"),
        Key("modality", check.modalities, help="codes; images of others are refused; empty: all", example=("CT",)),
        Key("photometric", check.photometrics, help="likewise", example=("MONOCHROME2",)),
    ),
    help="how values of DICOM and NIfTI images become 0 to 1; without this table by the file's own window",
)

_size = check.height_and_width(3, 4096)  # a cell of the 3x3 grid needs a pixel
_minimum_size = check.height_and_width(1, 100_000)

INPUT = _section(
    "input",
    InputSpec,
    (
        Key(
            "size",
            _size,
            help="height, width; other images are resized",
            example=(50, 50),
            constant="INPUT_SIZE",
            constant_check=check.allow_side(_size),
        ),
        Key("channels", check.channels, help="1 (grey) or 3 (RGB)", constant="CHANNELS"),
        Key(
            "exact_size",
            check.flag,
            help="true: images of another size are not compliant",
            constant="EXACT_SIZE",
        ),
        Key(
            "minimum_size",
            _minimum_size,
            help="smaller images are not compliant",
            example=(32, 32),
            constant="MINIMUM_SIZE",
            constant_check=check.allow_side(_minimum_size),
        ),
        Key.choice(
            "resize",
            None,
            get_args(Resize),
            '"stretch", "fit" (padded) or "crop" (centre)',
            constant="RESIZE",
            from_training=True,
        ),
        Key.choice(
            "layout",
            None,
            get_args(Layout),
            'of the network\'s axes: "nchw", or "nhwc" (channels last)',
            constant="LAYOUT",
        ),
        Key.choice(
            "colour_order",
            None,
            get_args(ColourOrder),
            'of the network\'s channels: "rgb" or "bgr"',
            constant="COLOUR_ORDER",
            from_training=True,
        ),
        Key(
            "value_range",
            check.value_range,
            help="what 0 and full scale of a file become before mean and std, such as [0, 255] or [-1, 1]",
            constant="VALUE_RANGE",
            from_training=True,
        ),
        Key("mean", check.mean, help="of each channel, on values in value_range", constant="MEAN", from_training=True),
        Key("std", check.std, help="likewise", constant="STD", from_training=True),
        Key(
            "bits",
            whole(1, 16),
            help="significant bits of the files' samples; default: what each file declares",
            example=12,
            constant="BITS",
        ),
        Key(
            "accept_grey",
            check.flag,
            help="false: grey images are refused (R = G = B is grey); not said: an RGB network warns",
            example=False,
            constant="ACCEPT_GREY",
        ),
        Key(
            "accept_colour",
            check.flag,
            help="false: colour images are refused; not said: a grey network warns",
            example=True,
            constant="ACCEPT_COLOUR",
        ),
    ),
    sections=(DICOM,),
)

OUTPUT = _section(
    "output",
    OutputSpec,
    (
        Key(
            "classes",
            check.classes,
            help="for one logit: negative, positive",
            example=("NO-IDC", "IDC"),
            constant="CLASSES",
            from_training=True,
        ),
        Key.choice(
            "activation",
            None,
            get_args(Activation),
            'what the network already applies at its end: "none", "sigmoid", "softmax", "log_softmax"',
            example="sigmoid",
            constant="ACTIVATION",
        ),
        Key("multilabel", check.flag, help="true: every class is judged on its own", constant="MULTILABEL"),
        Key(
            "threshold",
            between(0, 1),
            help="of one logit or multilabel: from here on the answer is yes; default: 0.5",
            least=0,
            most=1,
            example=0.5,
            constant="THRESHOLD",
        ),
        Key(
            "temperature",
            between(0, 1000),
            help="the logits are divided by it, before the threshold",
            least=0,
            most=1000,
            constant="TEMPERATURE",
        ),
        Key(
            "select",
            check.part_of_output,
            help='of a network with several outputs: its name or place, such as "0.logits"',
            example="logits",
            constant="OUTPUT",
        ),
    ),
)

EXPLAIN = _section(
    "explain",
    ExplainSpec,
    (
        Key(
            "target_layer",
            check.layer,
            help="for the CAMs; default: the last layer that all passes through",
            example="features.5",
            constant="TARGET_LAYER",
        ),
        Key(
            "exact_fills",
            check.exact_fills,
            help="what hidden cells show: mean, blur, inpaint, noise; [] for no exact cells",
        ),
    ),
    sections=(Section("explain.rise", dict, RISE_KEYS), Section("explain.lime", dict, LIME_KEYS)),
)

SELFTEST = _section(
    "selftest",
    SelfTest,
    (
        Key("image", check.image_path, help="in the model folder", example="samples/a.png"),
        Key("probabilities", check.probabilities, help="in the order of the classes", example=(0.2, 0.8)),
        Key("tolerance", between(0, 1), help="the most by which a probability may differ"),
    ),
    help="compared by `models check`, written by `models check --write-selftest`",
)

SECTIONS: tuple[Section[object], ...] = (NETWORK, INPUT, OUTPUT, EXPLAIN, SELFTEST)
"""The top tables of `model.toml`, in the order they are shown."""

NOTES: Mapping[str, str] = {
    "intended_use": "any keys; shown with the model's description",
    "training": "likewise",
    "performance": "likewise",
}
"""Sections whose keys the author is free to choose, and what the README says of each. They are shown as text."""

KEYS: Mapping[str, Key[object]] = {
    name: key for section in SECTIONS for part in section.with_nested() for name, key in part.with_full_names()
}
"""All keys by their full names."""


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that is most like `word`, ignoring case; None if none is like it."""
    by_lower = {known.casefold(): known for known in words}
    near = difflib.get_close_matches(word.casefold(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None
