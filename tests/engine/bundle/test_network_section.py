"""`[network]` of model.toml: a source of one of three packages, and arguments that are plain data."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bundle.model_toml import parse_model_toml, toml_value
from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError


def network(text: str) -> NetworkSpec:
    return parse_model_toml(f"[network]\n{text}".encode(), Path("model.toml")).network


def test_source_and_arguments_are_read_and_lists_cannot_be_changed_later() -> None:
    spec = network('source = "timm:vit_tiny.x-1"\narguments = { a = 2, b = "x", c = true, d = [1, 2.5], e = 0.5 }')
    assert (spec.package, spec.name) == ("timm", "vit_tiny.x-1")
    assert spec.arguments == {"a": 2, "b": "x", "c": True, "d": (1, 2.5), "e": 0.5}
    with pytest.raises(TypeError):
        spec.arguments["a"] = 3  # type: ignore[index]


def test_arguments_may_stand_in_a_table_of_their_own() -> None:
    assert network('source = "timm:x"\n[network.arguments]\nnum_classes = 2').arguments == {"num_classes": 2}


def test_without_the_section_there_is_no_source() -> None:
    spec = parse_model_toml(b"", Path("model.toml")).network
    assert (spec.source, spec.package, spec.name, dict(spec.arguments)) == (None, "", "", {})


@pytest.mark.parametrize(
    "source",
    [
        '"resnet50"', '"keras:x"', '"timm:"', '"timm:../x"', '"timm:hf-hub:a"', '"torchvision:a b"', '"monai:a/b"',
        '"timm:-x"', '":x"', '"torchvision: resnet50"', '"timm:\\u00e9"', f'"timm:{"x" * 101}"', "1", '["timm:x"]',
    ],
)  # fmt: skip
def test_other_sources_are_refused(source: str) -> None:
    with pytest.raises(BundleError, match=r"\[network\] source must be one of"):
        network(f"source = {source}")


@pytest.mark.parametrize(
    ("arguments", "clause"),
    [
        ("{ a = [[1]] }", r"flat lists of those, and a is \[1\]"),
        ("{ a = { b = 1 } }", "and a is a table"),
        ("{ a = nan }", "and a is nan"),
        ("{ a = 1000001 }", "and a is 1000001"),
        ("{ a = [600000, 400001] }", "numbers up to 1,000,000 together, and a is"),
        ("{ a = 2020-01-01 }", "and a is 2020-01-01"),
        (f'{{ a = "{"x" * 201}" }}', "and a is"),
        ('{ "a b" = 1 }', 'must have names such as num_classes, not "a b"'),
        ('{ "__class__" = 1, "é" = 1 }', "must have names"),
        ('"num_classes = 2"', "must be a table such as"),
        ("[1]", "must be a table such as"),
        (f"{{ a = [{', '.join('1' * 1001)}] }}", "and a is"),
        (f"{{ {', '.join(f'a{i} = 1' for i in range(101))} }}", "must be at most 100 values, not 101"),
    ],
)
def test_arguments_are_plain_values(arguments: str, clause: str) -> None:
    with pytest.raises(BundleError, match=clause):
        network(f"arguments = {arguments}")


def test_arguments_are_written_as_they_are_read() -> None:
    given = {"a": 2, "b": 'x"', "c": True, "d": (1, 2.5)}
    written = toml_value(given)
    assert written == '{ a = 2, b = "x\\"", c = true, d = [1, 2.5] }'
    assert network(f"arguments = {written}").arguments == given
    assert toml_value({}) == "{}"
