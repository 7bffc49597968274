"""The names that a model's own code gives to things, over all of its files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from engine.bundle.siblings import files_imported, places_of
from engine.trust import expected_names as expected


class OwnNames:
    """What a module's text itself gives names to.

    Attributes:
        modules: the full names of modules and of what is imported from them, by the names they have here. One name may
            have several meanings, in different functions; all of them count.
        names: names that are assigned or defined somewhere.
        attributes: attributes that something in it may have: assigned, defined in a class, or named by text.
    """

    def __init__(self, tree: ast.AST) -> None:
        self.modules: dict[str, set[str]] = {}
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        for node in ast.walk(tree):
            self._take(node)

    def meanings(self, name: str) -> frozenset[str]:
        """Return the full names of what a name was imported as; empty if it was not."""
        return frozenset(self.modules.get(name, ()))

    def is_module(self, name: str) -> bool:
        """Whether a name may be that of a module of which only some names are expected."""
        return not expected.NAMES.keys().isdisjoint(self.meanings(name))

    def _take(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    # `import torch.nn` makes the name `torch`.
                    first = alias.name.split(".")[0]
                    self.modules.setdefault(alias.asname or first, set()).add(alias.name if alias.asname else first)
            case ast.ImportFrom(module=module, names=names):
                for alias in names:
                    self.modules.setdefault(alias.asname or alias.name, set()).add(f"{module}.{alias.name}")
            case ast.ExceptHandler() | ast.MatchStar() | ast.MatchMapping():
                self.names.update(bound(node))
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.keyword(arg=str(name)):
                self.attributes.add(name)
            case ast.Constant(value=str(text)) if text.isidentifier():  # add_module("conv", ...) and its like
                self.attributes.add(text)
            case ast.arg(arg=name):
                self.names.add(name)
                self.attributes.add(name)
            case _:
                self.names.update(bound(node))
                self.attributes.update(bound(node))  # perhaps in a class


def bound(node: ast.AST) -> Sequence[str]:
    """Return the names to which a statement or pattern gives a meaning where it stands, other than imports."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return (name,)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case ast.ExceptHandler(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return (name,)
    return ()


def names_in(trees: Mapping[str, ast.Module]) -> dict[str, OwnNames]:
    """Return what each of a model's files gives names to, by path.

    An attribute defined in one file is known in all. What a file imports from another of them means what it means
    there: a module that is passed on from file to file is still that module.
    """
    own = {path: OwnNames(tree) for path, tree in trees.items()}
    attributes = set[str]().union(*(each.attributes for each in own.values()))
    attributes.update(part.removesuffix(".py") for path in trees for part in path.split("/"))  # of `import a.b`
    for each in own.values():
        each.attributes = attributes
    has = places_of(trees).__contains__
    while any(_passed_on(path, tree, own, has) for path, tree in trees.items()):
        pass
    return own


def _passed_on(path: str, tree: ast.Module, own: Mapping[str, OwnNames], has: Callable[[str], bool]) -> bool:
    """Take over the meanings of what a file imports from others of the model; return whether that added any."""
    here, before = own[path], _size(own[path])
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        for file in files_imported(node, path, has)[-1:]:
            there = own[file]
            everything = any(alias.name == "*" for alias in node.names)
            if everything:
                here.names |= there.names
            taken = {name: name for name in there.modules} if everything else {}
            taken |= {alias.asname or alias.name: alias.name for alias in node.names}
            for name, original in taken.items():
                if original in there.modules:
                    here.modules.setdefault(name, set()).update(there.modules[original])
    return _size(here) > before


def _size(own: OwnNames) -> int:
    return len(own.names) + sum(len(meanings) + 1 for meanings in own.modules.values())
