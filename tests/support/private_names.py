"""Which names with an underscore a package takes from elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

PARTS = ("experimental",)
"""Parts of a module's name that promise as little as an underscore."""

DOCUMENTED = frozenset({"_exit", "_typeshed.DataclassInstance", "_typeshed.SupportsWrite"})
"""Names that their documentation tells people to use in spite of the underscore."""


def taken_from_elsewhere(package: Path) -> set[tuple[str, str]]:
    """(file, name) of each private module or name that code of a package uses and no code of it defines."""
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text("utf-8")) for path in package.rglob("*.py")}
    own = {name for tree in trees.values() for node in ast.walk(tree) for name in _defined(node)}
    return {
        (file, name)
        for file, tree in trees.items()
        for node in ast.walk(tree)
        for name in _used(node, package.name)
        if name not in own | DOCUMENTED
    }


def _defined(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
            return {name}
        case ast.Name(id=name, ctx=ast.Store()):
            return {name}
    return set()


def _used(node: ast.AST, package: str) -> set[str]:
    match node:
        case ast.Attribute(attr=name):
            return {name} if _private(name) else set()
        case ast.Import(names=names):
            return {each.name for each in names if any(map(_private, each.name.split(".")))}
        case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] != package:
            full = [f"{module}.{each.name}" for each in names]
            return {name for name in full if any(map(_private, name.split(".")))}
    return set()


def _private(name: str) -> bool:
    return name in PARTS or (name.startswith("_") and not name.startswith("__"))
