"""`xaimed methods`: list the explanation methods, what can be set for each, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.console import print_failure, print_json, print_line, print_table
from engine.errors import ExplanationError
from engine.explainers.registry import find_method, left_out, method_keys, plug_in, voting

if TYPE_CHECKING:
    import argparse

    from engine.bundle.keys import Key, Scalar
    from engine.explainers.registry import Method

HELP = "list the explanation methods, their parameters and where they come from"
DESCRIPTION = (
    "List the explanation methods, built-in and of plug-ins, with the parameters that can be set for each: by "
    "--set METHOD.NAME=VALUE of xaimed explain, under [explain.METHOD] of model.toml, and under [METHOD] of the app's "
    "settings file. Plug-ins are imported for that."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print all methods; a plug-in that cannot be used is reported, and is no failure."""
    for line in left_out():
        print_failure(line)
    known: list[tuple[Method, str]] = []
    for key in method_keys():
        try:
            known.append((_declared(key), ""))
        except ExplanationError as error:
            print_failure(error.message)
            if (method := find_method(key)) is not None:
                known.append((method, error.message))
    if arguments.json:
        print_json([_as_json(method, problem) for method, problem in known])
        return 0
    paper = voting(method_keys(), "paper")
    rows = [
        (
            method.key,
            method.name,
            _origin(method.key),
            "cannot be used" if problem else "yes" if method.key in paper else "with --voters all",
            "yes" if method.layer else "no",
        )
        for method, problem in known
    ]
    print_table(("Method", "Name", "From", "Votes", "Looks at a layer"), rows)
    parameters = [
        (f"{method.key}.{key.name}", key.allowed, "" if key.default is None else str(key.default), key.help)
        for method, _ in known
        for key in method.parameters
    ]
    print_line()
    print_table(("Parameter", "Values", "Default", "Purpose"), parameters)
    return 0


def _declared(key: str) -> Method:
    from engine.explainers.settings import declared_method  # late: numpy, which --help does without

    return declared_method(key)


def _origin(key: str) -> str:
    found = plug_in(key)
    return "built-in" if found is None else found.package


def _as_json(method: Method, problem: str) -> dict[str, object]:
    return {
        "key": method.key,
        "name": method.name,
        "origin": _origin(method.key),
        "built_in": plug_in(method.key) is None,
        "votes": method.votes,
        "looks_at_layer": method.layer,
        "shares_gradients": list(method.shares_gradients),
        "parameters": [_parameter(key) for key in method.parameters],
        "problem": problem or None,
    }


def _parameter(key: Key[Scalar]) -> dict[str, object]:
    return {
        "name": key.name,
        "kind": key.kind,
        "least": key.least,
        "most": key.most,
        "choices": list(key.choices),
        "default": key.default,
        "purpose": key.help,
    }
