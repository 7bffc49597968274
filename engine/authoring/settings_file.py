"""Change keys of `[input]` in a `model.toml`; everything else in the file stays as it is."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.bundle.model_bundle import SETTINGS, ModelBundle, read_bundle, subject_of
from engine.bundle.model_toml import parse_model_toml
from engine.bundle.schema import INPUT
from engine.errors import BundleError, LibraryError
from engine.library import changes
from engine.storage.writing import SHARED, replace_file


def write_input(bundle: ModelBundle, values: Mapping[str, object]) -> ModelBundle:
    """Set keys of `[input]`. This changes the model's digest, so an approval of it no longer holds.

    Args:
        bundle: the model.
        values: by the keys' names.

    Returns:
        The bundle as it is now.

    Raises:
        LibraryError: it comes with XAIMed, has no `model.toml`, or could not be written.
        BundleError: it was changed after `bundle` was read.
    """
    with settings_to_change(bundle, "its model.toml is as it was", "these keys") as path:
        after = with_input(path.read_bytes(), values, path)
        parse_model_toml(after, path)  # never write a file that cannot be read
        replace_file(path, after, mode=SHARED)
        return read_bundle(bundle.path, task=bundle.task)


@contextlib.contextmanager
def settings_to_change(bundle: ModelBundle, outcome: str, only: str) -> Iterator[Path]:
    """Hold the lock of a model's tasks folder and give its `model.toml`, which is as it was when `bundle` was read.

    Args:
        bundle: the model.
        outcome: how things stand if it fails, as a clause.
        only: what would be written, for the refusal where there is no `model.toml`.

    Raises:
        LibraryError: it comes with XAIMed, has no `model.toml`, or could not be written.
        BundleError: it was changed after `bundle` was read.
    """
    subject, folder = subject_of(bundle), bundle.path.parent.parent
    changes.refuse_bundled(folder, subject)
    with changes.changing(folder, subject, outcome):
        if read_bundle(bundle.path, task=bundle.task).digest != bundle.digest:
            raise BundleError("the model was changed after it was read", subject=subject, remedy="check it again")
        if SETTINGS not in bundle.files:
            raise LibraryError(
                f"there is no model.toml, and one with only {only} would replace the constants of architecture.py",
                subject=subject,
                remedy="run xaimed models init first",
            )
        yield bundle.path / SETTINGS


def with_input(toml: bytes, values: Mapping[str, object], path: Path) -> bytes:
    """Return a `model.toml` with other values of some keys of `[input]`.

    Raises:
        LibraryError: they cannot be set without touching something else.
    """
    import tomlkit  # late: most users read models and write none
    from tomlkit.exceptions import TOMLKitError

    text = toml.decode("utf-8-sig")
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    expected = tomllib.loads(text)
    expected[INPUT.name] = {**expected.get(INPUT.name, {}), **plain}
    try:
        document = tomlkit.parse(text)
        if INPUT.name not in document:
            document.add(INPUT.name, tomlkit.table())
        table = document[INPUT.name]
        for name, value in plain.items():
            table[name] = value
        new = tomlkit.dumps(document)
        found = tomllib.loads(new)
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError) as error:
        raise _not_settable(path) from error
    if found != expected:
        raise _not_settable(path)
    return new.encode()


def _not_settable(path: Path) -> LibraryError:
    return LibraryError(
        "its [input] cannot be changed without touching something else",
        subject=path,
        remedy="change it by hand",
    )
