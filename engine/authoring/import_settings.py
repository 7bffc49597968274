"""The `model.toml` of an imported model: what the weights, the checkpoint and the named network tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from engine.bundle.model_bundle import SETTINGS
from engine.bundle.model_toml import parse_model_toml, toml_line, toml_value
from engine.bundle.schema import EXPLAIN, INPUT, NETWORK, OUTPUT, Section
from engine.bundle.specs import NetworkSpec
from engine.checkpoints.hints import Hints
from engine.errors import BundleError, LibraryError
from engine.network.sources.preprocessing import Preprocessing
from engine.storage.documents import DocumentError, parse_toml
from engine.storage.reading import UnusableFileError, read_limited

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and std of ImageNet's colours on [0, 1], with which torchvision's networks are trained."""

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Setting:
    """A key's value, and where it comes from.

    Attributes:
        value: as `model.toml` takes it.
        why: a comment.
        known: False where it is only assumed; the line is then commented out, so that the app goes on saying so.
    """

    value: object
    why: str
    known: bool = True


Settings = Mapping[str, Setting]
"""By the full names of the keys."""


def network_settings(spec: NetworkSpec, why: str = "read off the weights") -> dict[str, Setting]:
    """Return the section that names a network."""
    settings = {"network.source": Setting(spec.source, "")}
    if spec.arguments:
        settings["network.arguments"] = Setting(spec.arguments, why)
    return settings


def size_setting(
    asked: tuple[int, int] | None, table: tuple[int, int] | None, hints: Hints, own: tuple[int, int] | None
) -> Setting:
    """Return the size of the input: what was asked for, what the weights or the file say, or the network's own.

    Args:
        asked: with --input-size.
        table: the size that a table of positions in the weights is made for.
        hints: what the checkpoint says.
        own: the size that the named network is usually trained with.
    """
    if asked is not None:
        return Setting(asked, "as asked for")
    if table is not None:
        return Setting(table, "the weights have positions for this size")
    sizes = dict(hints.sizes)
    if len(sizes) == 1:
        ((size, place),) = sizes.items()
        return Setting(size, f"{place} in the checkpoint")
    return Setting(own or (224, 224), "CHECK: the usual size of this network; the weights fit others too")


def class_setting(asked: tuple[str, ...] | None, hints: Hints, outputs: int | None) -> Setting | None:
    """Return the names of the classes: those asked for, or those in the checkpoint; None where there are none."""
    if asked is not None:
        return Setting(asked, "as asked for")
    found = hints.classes_for(outputs) if outputs is not None else None
    return None if found is None else Setting(found[0], f"{found[1]} in the checkpoint")


def preprocessing_settings(asked: str, channels: int, own: Preprocessing | None) -> dict[str, Setting]:
    """Return mean, std and whatever else of `[input]` the preprocessing says.

    Args:
        asked: `source` (the named network's own), `imagenet`, `unit` (pixel values in [0, 1] as they are), or the path
            of a TOML file with keys of `[input]`.
        channels: of the network's input.
        own: the named network's own; None where nothing says it.

    Raises:
        LibraryError: the file cannot be read, or is no table of such keys.
    """
    if asked == "unit":
        return {
            "input.mean": Setting((0.0,) * channels, "pixel values in [0, 1] as they are, as asked for"),
            "input.std": Setting((1.0,) * channels, ""),
        }
    if asked == "imagenet":
        return dict(_imagenet(channels, "ImageNet's, as asked for"))
    if asked != "source":
        return dict(_from_file(Path(asked)))
    if own is None:
        return {}
    settings = {f"input.{name}": Setting(value, "likewise") for name, value in own.values.items() if name != "size"}
    settings["input.mean"] = Setting(own.mean, f"CHECK: {own.origin}; what the training used counts")
    return settings


def _imagenet(channels: int, why: str) -> Iterator[tuple[str, Setting]]:
    for name, values in zip(("mean", "std"), IMAGENET, strict=True):
        used = values if channels == 3 else (round(sum(values) / 3, 4),)
        yield f"input.{name}", Setting(used, why)


def _from_file(path: Path) -> Iterator[tuple[str, Setting]]:
    try:
        table = parse_toml(read_limited(path, _MOST_BYTES), infinite=True)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=path, remedy=error.remedy) from error
    except DocumentError as error:
        raise LibraryError(str(error), subject=path, remedy="correct it") from error
    inside = table.get("input", table)
    if not isinstance(inside, dict) or not inside:
        raise LibraryError(
            "it holds no keys of [input]", subject=path, remedy="write keys such as mean = [0.5, 0.5, 0.5] into it"
        )
    known = {key.name for key in INPUT.keys}
    for name, value in inside.items():
        if name not in known:
            raise LibraryError(f"[input] has no key {name!r}", subject=path, remedy=f"use {', '.join(sorted(known))}")
        yield f"input.{name}", Setting(value, f"from {path.name}")


def settings_text(settings: Settings, header: str) -> str:
    """Return a `model.toml` with these settings.

    Raises:
        BundleError: a value is not allowed there, or two contradict each other.
    """
    lines = [f"# {header} CHECK marks what only the training knows."]
    sections: tuple[Section[object], ...] = (NETWORK, INPUT, OUTPUT, EXPLAIN)
    for section in sections:
        found = {name: settings[name] for name, _ in section.with_full_names() if name in settings}
        unknown = [
            name
            for name in settings
            if name.startswith(f"{section.name}.") and name not in dict(section.with_full_names())
        ]
        if unknown:
            raise BundleError(f"[{section.name}] has no key {unknown[0].partition('.')[2]!r}", subject=SETTINGS)
        if found:
            lines += ["", f"[{section.name}]"]
        for name, setting in found.items():
            line = toml_line(f"{name.rpartition('.')[2]} = {toml_value(setting.value)}", setting.why)
            lines.append(line if setting.known else f"# {line}")
    text = "\n".join(lines) + "\n"
    parse_model_toml(text.encode(), Path(SETTINGS))  # never write a file that cannot be read
    return text


def with_settings(text: str, settings: Settings) -> str:
    """Return the text of a drafted `model.toml` with some settings set.

    Raises:
        BundleError: a value is not allowed there, or two contradict each other.
    """
    document = tomlkit.parse(text)
    for name, setting in settings.items():
        section, _, key = name.rpartition(".")
        if section not in document:
            document[section] = tomlkit.table()
        table = document[section]
        value = tomlkit.item(list(setting.value) if isinstance(setting.value, tuple) else setting.value)
        if setting.why:
            value.comment(setting.why)
        table[key] = value
    changed = tomlkit.dumps(document)
    parse_model_toml(changed.encode(), Path(SETTINGS))
    return changed
