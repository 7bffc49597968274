"""What native libraries write to the log is made safe for who reads it, byte for byte in its place."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty_text import acts, texts

from engine.storage.logs import MOST_BYTES, keep_small
from xaimed_tui.startup.log import BoundedFile, Repeats, make_plain, size_of


def test_what_acts_is_replaced_in_its_place_and_what_was_there_before_is_left(tmp_path: Path) -> None:
    log = tmp_path / "log"
    make_plain(log, size_of(log))  # there is none
    log.write_bytes(b"old \x1b[2J\n")
    since = size_of(log)
    with log.open("ab") as file:
        file.write("\x1b[2Jä␛ⓧ\u202e\x9b\tend\n".encode() + b"\xff\n")
    make_plain(log, since)
    assert log.read_bytes() == b"old \x1b[2J\n" + "?[2Jä␛ⓧ?????\tend\n?\n".encode()


@given(st.one_of(texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=50)))
def test_nothing_that_acts_is_left_and_the_length_is_kept(tmp_path_factory, content: bytes) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path_factory.mktemp("log") / "log"
    log.write_bytes(content)
    make_plain(log, 0)
    plain = log.read_bytes()
    assert len(plain) == len(content)
    assert acts(plain.decode(), allowed="\n\t") == set()


def test_a_log_that_is_too_long_is_begun_anew_and_its_end_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as native:
        native.write(b"x" * (MOST_BYTES - 5))
        assert not keep_small(log)
        native.write(b"the end")
        assert keep_small(log)
        native.write(b"goes on")
    assert log.read_bytes() == b"goes on"
    kept = (tmp_path / "log.1").read_bytes()
    assert kept.endswith(b"xthe end")
    assert len(kept) == 500_000


def test_what_was_kept_stays_when_two_programs_find_a_log_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, kept = tmp_path / "log", tmp_path / "log.1"
    log.write_bytes(b"x" * MOST_BYTES + b"the end")
    stated = os.fstat

    def just_before_the_other(descriptor: int) -> os.stat_result:
        monkeypatch.setattr(os, "fstat", stated)
        state = stated(descriptor)
        assert keep_small(log)
        return state

    monkeypatch.setattr(os, "fstat", just_before_the_other)
    assert not keep_small(log)
    assert kept.read_bytes().endswith(b"xthe end")


def test_repeated_records_are_counted_instead_of_repeated(tmp_path: Path) -> None:
    handler = BoundedFile(tmp_path / "log")
    handler.addFilter(Repeats())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for number in range(2000):
        logger.warning("tag %d of %s is odd", number, "a.tif")
        logger.warning("another")
    logger.warning("tag of b.tif is odd")
    handler.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "tag 0 of a.tif is odd"
    assert "tag 999 of a.tif is odd (and its like, 1,000 times so far)" in lines
    assert lines[-1] == "tag of b.tif is odd"
    assert len(lines) == 2 * (3 + 3) + 1


def test_a_handler_keeps_its_own_file_small(tmp_path: Path) -> None:
    handler = BoundedFile(tmp_path / "log")
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for letter in "abcdefgh":
        logger.warning(letter * 600_000)
    handler.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3_000_000
