"""What native libraries write to the log is made safe for who reads it, byte for byte in its place."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from nasty_text import acts, texts

from xaimed_tui.startup.log import make_plain, size_of


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
