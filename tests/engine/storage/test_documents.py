"""JSON and TOML from anywhere: what is no document, or too much of one, is one error, and costs little."""

from __future__ import annotations

import time

import pytest

from engine.storage.documents import DocumentError, parse_json, parse_toml


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 40 + b"]" * 40,
        b"9" * 100_000,
        b"1e999",
        b"NaN",
        b"[Infinity]",
        b'{"a": 1} x',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_json_that_is_none_or_too_much(text: bytes) -> None:
    with pytest.raises(DocumentError):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"a",
        b"\xff = 1",
        b"a = " + b"[" * 100_000,
        b"a = " + b"[" * 40 + b"]" * 40,
        b"a = 0" + b"9" * 10_000,
        b"a = nan",
        b"a = -inf",
        b"a = 1e999",
        b".".join([b"a"] * 50_000) + b" = 1",
        b"[" + b" . ".join([b"'a'"] * 50_000) + b"]",
        b"a = 1\na = 2",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_toml_that_is_none_or_too_much(text: bytes) -> None:
    begin = time.process_time()
    with pytest.raises(DocumentError):
        parse_toml(text)
    assert time.process_time() - begin < 2


def test_what_is_sound_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, null, "\\udce4"]}') == {"a": [1, 2.5, None, "\udce4"]}
    assert parse_toml(b"\xef\xbb\xbfa.b = [1, 2.5]") == {"a": {"b": [1, 2.5]}}
    assert parse_toml("a = inf", infinite=True) == {"a": float("inf")}
