"""The Python files beside `architecture.py` that it imports, and those that they import: found by reading, never run.

They belong to what is shown before an approval, and nothing else beside `architecture.py` is ever run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from engine.bundle.architecture_py import decode_source, parse_file
from engine.errors import BundleError
from engine.storage.reading import UnusableFileError, read_limited

ARCHITECTURE = "architecture.py"
LIMIT = 1_000_000
"""Most bytes of `architecture.py`, and of each file beside it that is run."""

_MOST_FILES = 200

_LIBRARIES = sys.stdlib_module_names | {
    *("PIL", "captum", "cv2", "einops", "engine", "kornia", "lightning", "matplotlib", "monai", "numpy", "pandas"),
    *("pytorch_lightning", "safetensors", "scipy", "skimage", "sklearn", "tifffile", "timm", "torch", "torchvision"),
    *("torchmetrics", "transformers", "xaimed_tui", "yaml"),
}
"""What people take for a library when they read its name, whether or not it is installed here."""


def siblings_of(
    code: str, folder: Path, has: Callable[[str], bool], read: Callable[[str], bytes], name: str = ARCHITECTURE
) -> dict[str, str]:
    """Return the text of the files that a module imports from beside it, in the order in which they are imported.

    `import a.b`, `from a import b`, `from .a import b` and their like are followed, from file to file: `a.py`, and the
    files of a folder `a`. What a file imports by other means (`importlib`) is not found, and cannot be imported later.

    Args:
        code: text of the module.
        folder: where it lies, for errors.
        has: whether there is a file or folder of a path, relative to that folder, with `/`.
        read: returns a file's content.
        name: the module's own file name.

    Returns:
        Texts by relative path, without that of `architecture.py`.

    Raises:
        BundleError: a file is not Python in UTF-8 or too large, there are more than 200 of them, or one that is
            imported has the name of a library: a reader would take it for that.
    """
    found: dict[str, str] = {}
    waiting = [(name, code)]
    while waiting:
        path, text = waiting.pop(0)
        for node in ast.walk(parse_file(text, folder / path)):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for file in files_imported(node, path, has):
                if file == ARCHITECTURE or file in found:
                    continue
                top = file.partition("/")[0].removesuffix(".py")
                if top in _LIBRARIES:
                    raise BundleError(
                        f"{path} imports {top}, which is a library, and this has the same name",
                        subject=folder / file,
                        remedy="give it another name",
                    )
                if len(found) == _MOST_FILES:
                    raise BundleError(
                        f"{name} imports more than {_MOST_FILES} files beside it", subject=folder, remedy="use fewer"
                    )
                found[file] = decode_source(read(file), folder / file)
                waiting.append((file, found[file]))
    return found


def places_of(files: Iterable[str]) -> frozenset[str]:
    """Return the paths of files and of all folders in which they lie."""
    return frozenset(place for name in files for place in (name, *(each.as_posix() for each in Path(name).parents)))


def siblings_beside(path: Path, code: str) -> dict[str, str]:
    """Return the texts of the files that a Python file anywhere imports from beside it; see `siblings_of`.

    Raises:
        BundleError: see `siblings_of`; also if a file cannot be read.
    """
    folder = path.parent
    return siblings_of(
        code, folder, lambda name: (folder / name).exists(), lambda name: _read(folder / name), path.name
    )


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, LIMIT)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error


def _package_of(path: str) -> tuple[str, ...]:
    """Return the folders in which a file lies: its package, as relative imports count it."""
    return tuple(path.split("/")[:-1])


def files_imported(node: ast.Import | ast.ImportFrom, path: str, has: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the files beside `architecture.py` that run at an import in the file `path`; empty if it means others."""
    return tuple(file for target in _targets(node, _package_of(path)) for file in _files_of(target, has))


def _targets(node: ast.Import | ast.ImportFrom, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield what is imported as parts of a path from the top folder, and what may be modules in it."""
    match node:
        case ast.Import(names=names):
            yield from (tuple(alias.name.split(".")) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level) if level <= len(package) + 1:  # else above the top
            start = package[: len(package) - level + 1] if level else ()
            base = (*start, *(module.split(".") if module else ()))
            if base:
                yield base
            yield from ((*base, alias.name) for alias in names if alias.name != "*")


def _files_of(target: tuple[str, ...], has: Callable[[str], bool]) -> Iterator[str]:
    """Yield the files that run when a module is imported: those of the packages around it, and its own."""
    for count in range(1, len(target) + 1):
        place = "/".join(target[:count])
        if has(f"{place}/__init__.py"):
            yield f"{place}/__init__.py"
        elif has(f"{place}.py"):
            yield f"{place}.py"
            return
        elif not has(place):
            return
