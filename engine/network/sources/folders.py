"""Folders in which others keep a model, as they describe themselves: those of timm, transformers and MONAI.

`xaimed models import` makes a model of ours from them. Only JSON is read; nothing in the folder is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError
from engine.network.sources.preprocessing import Preprocessing
from engine.storage.documents import DocumentError, parse_json
from engine.storage.reading import UnusableFileError, read_limited

_MOST_JSON = 10_000_000


@dataclass(frozen=True, slots=True)
class DescribedFolder:
    """A model in a folder of another program.

    Attributes:
        format: what the folder is, with its article: `a folder of timm`.
        network: source and arguments, for `[network]`.
        weights: its file of weights. The names in it are those of the network, as far as the format says.
        classes: names of the classes, for `[output]`; None if the folder does not say them.
        multilabel: whether every class is judged on its own.
        preprocessing: how it is fed, for `[input]`; None if the folder does not say it.
        files: files that the network needs in its model folder, by the names they must have there: `config.json`.
        notes: a sentence for everything in the folder that was left out or has to be checked.
    """

    format: str
    network: NetworkSpec
    weights: Path
    classes: tuple[str, ...] | None
    multilabel: bool
    preprocessing: Preprocessing | None
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def describe_folder(folder: Path) -> DescribedFolder | None:
    """Return what a folder of timm, transformers or MONAI says of its model; None if it is none of these.

    Whether the network's package is installed does not matter here, except for timm's own list of names.

    Raises:
        BundleError: it is such a folder, but its network is not one that XAIMed builds, it has no file of weights, or
            its description is damaged; names the file.
    """
    from engine.network.sources import monai_bundle, timm_folder, transformers_folder

    readers: tuple[Callable[[Path], DescribedFolder | None], ...] = (
        monai_bundle.describe,
        timm_folder.describe,
        transformers_folder.describe,
    )
    return next((found for describe in readers if (found := describe(folder)) is not None), None)


def json_object(path: Path) -> dict[str, object] | None:
    """Return the object in a JSON file; None if there is no such file.

    Raises:
        BundleError: the file cannot be read or holds something else.
    """
    if not path.is_file():
        return None
    try:
        content = parse_json(read_limited(path, _MOST_JSON))
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    except DocumentError as error:
        raise BundleError(str(error), subject=path, remedy="copy the folder again") from error
    if not isinstance(content, dict):
        raise BundleError("it is not a JSON object", subject=path, remedy="copy the folder again")
    return content


def weights_in(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the first of the files that is there.

    Raises:
        BundleError: none is; or the weights are in several files.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    for name in names:
        if (folder / f"{name}.index.json").is_file():
            raise BundleError(
                "the weights are in several files",
                subject=folder / f"{name}.index.json",
                remedy="join them into one model.safetensors",
            )
    raise BundleError(
        f"there is no file of weights ({', '.join(names)})", subject=folder, remedy="copy the whole folder"
    )


def texts(value: object) -> tuple[str, ...] | None:
    """Return names of classes: those of a list, or those of a table by number, in the order of the numbers."""
    if isinstance(value, dict):
        try:
            value = [value[key] for key in sorted(value, key=int)]
        except ValueError:  # keys that are no numbers
            return None
    if isinstance(value, list) and value and all(isinstance(name, str) and name.strip() for name in value):
        names = tuple(str(name) for name in value)
        return names if len(set(names)) == len(names) else None
    return None
