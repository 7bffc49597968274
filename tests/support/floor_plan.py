"""Draw the floor plans in `engine/README.md` and `xaimed_tui/README.md` from the code.

The order of the floors is that of the layers in `pyproject.toml`, the arrows are the imports, and every caption is the
first line of a docstring. What stands above the marker in a README is written by hand and stays.

Run: python tests/support/floor_plan.py
"""

from __future__ import annotations

import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grimp
from checkout import ROOT

COMMAND = "python tests/support/floor_plan.py"
MARKER = f"<!-- Below this line everything is made by `{COMMAND}`. -->\n"
PACKAGES = ("engine", "xaimed_tui")
WIDTH = 120

NOT_PYTHON = {
    "app.tcss": "The style sheet of the frame. The styles of a widget or a screen stand in its module.",
    "bundled_digests.json": "The digests themselves; `python -m engine.trust.bundled` writes them.",
    "bundled_figures.json": "What was measured; `python -m engine.explanation.bundled_figures` writes it.",
    "guide.md": "The guide that Home and the help show.",
}
"""Captions of the files that have no docstring."""


def with_floor_plan(package: str) -> str:
    """What the README of a package must hold: the part written by hand as it is, then the floor plan.

    Raises:
        ValueError: the README has no marker, or a file has no caption.
    """
    path = readme_of(package)
    by_hand, marker, _ = path.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise ValueError(f"{path} lacks the line that the floor plan goes below: {MARKER.strip()}")
    return by_hand + MARKER + "".join(f"\n{section}" for section in _sections(package))


def readme_of(package: str) -> Path:
    """Where the floor plan of a package stands."""
    return ROOT / package / "README.md"


def _sections(package: str) -> Iterator[str]:
    uses = _uses()
    for container, floors in _layers().items():
        if container == package or container.startswith(f"{package}."):
            inside = container.removeprefix(package).removeprefix(".").replace(".", "/")
            yield f"## The floors{f' of {inside}/' if inside else ''}\n\n{_plan(container, floors, uses)}"
    yield f"## The files\n\n{_files(ROOT / package, '')}"
    for name in (name for floor in _layers()[package] for name in floor):
        if (ROOT / package / name).is_dir():
            yield from _rooms(ROOT / package, name)


def _layers() -> dict[str, Sequence[Sequence[str]]]:
    """The floors of every container, from the top: the rooms of one floor in alphabetical order."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        container: [sorted(name.strip() for name in floor.split("|")) for floor in contract["layers"]]
        for contract in pyproject["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def _uses() -> Mapping[str, frozenset[str]]:
    """What every module and package imports, itself or in a module within it; imports for types only count too."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    uses: dict[str, set[str]] = {}
    for module in graph.modules:
        parts = module.split(".")
        imported = graph.find_modules_directly_imported_by(module)
        for end in range(1, len(parts) + 1):
            uses.setdefault(".".join(parts[:end]), set()).update(imported)
    return {module: frozenset(imported) for module, imported in uses.items()}


def _plan(container: str, floors: Sequence[Sequence[str]], uses: Mapping[str, frozenset[str]]) -> str:
    folder = ROOT / container.replace(".", "/")
    shown = {name: f"{name}/" if (folder / name).is_dir() else f"{name}.py" for floor in floors for name in floor}
    margin = max(map(len, shown.values())) + 2
    lines = []
    for floor in floors:
        for name in floor:
            lines += _wrapped(_caption(folder / shown[name]), f"{shown[name]:{margin}}", " " * margin)
            imported = uses[f"{container}.{name}"]
            if arrows := _arrows(container, name, imported):
                lines += _wrapped(arrows, " " * margin + "→ ", " " * (margin + 2))
        lines.append("")
    return "```text\n" + "\n".join(lines[:-1]) + "\n```\n"


def _arrows(container: str, name: str, imported: frozenset[str]) -> str:
    """The neighbours that a room uses; for a room of the app also the rooms of the engine."""
    neighbours = _children(container, imported) - {name}
    arrows = [", ".join(sorted(neighbours))] if neighbours else []
    if container == "xaimed_tui" and (engine := _children("engine", imported)):
        arrows.append(f"of the engine: {', '.join(sorted(engine))}")
    return "; ".join(arrows)


def _children(container: str, modules: frozenset[str]) -> set[str]:
    above = f"{container}."
    return {module.removeprefix(above).split(".")[0] for module in modules if module.startswith(above)}


def _rooms(above: Path, name: str) -> Iterator[str]:
    """A section on a room and on each room within it."""
    folder = above / name
    shown = folder.relative_to(ROOT).as_posix().split("/", 1)[1] + "/"
    yield f"### {shown}\n\n{_caption(folder)}\n\n{_files(folder, shown)}"
    for inner in sorted(path.parent.name for path in folder.glob("*/__init__.py")):
        yield from _rooms(folder, inner)


def _files(folder: Path, prefix: str) -> str:
    """A list of the files in a folder, each a link, without the one that only says what the folder is for."""
    listed = sorted(path for path in folder.iterdir() if path.is_file() and _is_listed(path))
    return "".join(f"- [{path.name}]({prefix}{path.name}): {_caption(path)}\n" for path in listed)


def _is_listed(path: Path) -> bool:
    return path.name not in {"README.md", "__init__.py"} and not path.name.startswith(".")


def _caption(path: Path) -> str:
    """The first line of a file's docstring; for a folder that of its `__init__.py`."""
    source = path / "__init__.py" if path.is_dir() else path
    if source.suffix != ".py":
        if source.name not in NOT_PYTHON:
            raise ValueError(f"{source} has no caption: give it one in NOT_PYTHON of tests/support/floor_plan.py")
        return NOT_PYTHON[source.name]
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{source} has no docstring that says what it is for")
    return docstring.splitlines()[0]


def _wrapped(text: str, first: str, further: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # the packages of this checkout, whatever else is installed
    for package in PACKAGES:
        readme_of(package).write_text(with_floor_plan(package), encoding="utf-8")
