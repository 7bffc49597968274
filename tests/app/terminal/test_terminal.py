"""What the app finds of a terminal: asked once, before it starts, and only where that is wanted."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from typing import Any

import pytest
from app_driver import make_app
from terminal import Terminal

from xaimed_tui.preferences.settings import load_settings
from xaimed_tui.startup import doctor
from xaimed_tui.terminal import query
from xaimed_tui.terminal.query import (
    QUERY,
    Answers,
    Pixels,
    ask,
    best_pixels,
    multiplexer,
    over_ssh,
    parse_answers,
    pixels_for,
)

KITTY = b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"
SIXEL = b"\x1b[6;16;8t\x1b[?62;4;22c"
XTERM = b"\x1b[6;15;8t\x1b[?1;0;16S\x1bP>|XTerm(379)\x1b\\\x1b[?63;1;2;4;6c"
PLAIN = b"\x1b[?1;2c"


class FakeTerminal:
    """The other end of a pseudo terminal, which answers the query in its own way."""

    def __init__(self, *answers: bytes, pause: float = 0.0) -> None:
        self.controller, self.descriptor = pty.openpty()
        tty.setraw(self.controller)
        self.asked = b""
        self._answers, self._pause = answers, pause
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        while QUERY not in self.asked:
            self.asked += os.read(self.controller, 1024)
        for answer in self._answers:
            time.sleep(self._pause)
            os.write(self.controller, answer)

    def ask(self, patience: float = 5.0) -> tuple[Answers, float]:
        begin = time.monotonic()
        answers = ask(self.descriptor, self.descriptor, patience=patience)
        return answers, time.monotonic() - begin


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (KITTY, Answers(True, kitty=True, sixel=False, cell=(20, 10))),
        (SIXEL, Answers(True, kitty=False, sixel=True, cell=(16, 8))),
        (XTERM, Answers(True, sixel=True, cell=(15, 8), colours=16, name="XTerm(379)")),
        (PLAIN, Answers(True)),
        (b"\x1b_Gi=31;ENODATA:no\x1b\\" + PLAIN, Answers(True)),
        (b"typed ahead \x1b[A\xff\x00" + KITTY + b"q", Answers(True, kitty=True, cell=(20, 10))),
    ],
    ids=["kitty", "sixel", "xterm", "plain", "refused", "garbage around"],
)
def test_a_terminal_that_answers_is_understood_at_once(answer: bytes, expected: Answers) -> None:
    answers, seconds = FakeTerminal(answer).ask()
    assert answers == expected
    assert seconds < 2.0  # of the five that there were


def test_an_answer_may_come_in_pieces_and_late() -> None:
    assert FakeTerminal(KITTY[:5], KITTY[5:9], KITTY[9:30], KITTY[30:], pause=0.1).ask()[0].kitty


def test_a_terminal_that_says_nothing_is_given_up_in_time() -> None:
    answers, seconds = FakeTerminal().ask(0.3)
    assert answers == Answers()
    assert 0.25 < seconds < 2.0


def test_a_flood_of_garbage_is_no_answer() -> None:
    fake = FakeTerminal(*[b"x" * 1000] * 8)
    assert not fake.ask()[0].answered


def test_the_terminal_is_left_as_it_was_and_keeps_no_answer_for_the_app() -> None:
    import select
    import termios

    fake = FakeTerminal(KITTY + b"qqq")
    before = termios.tcgetattr(fake.descriptor)
    fake.ask()
    assert termios.tcgetattr(fake.descriptor) == before
    assert select.select([fake.descriptor], [], [], 0.1)[0] == []


def test_one_query_is_all_that_is_sent() -> None:
    fake = FakeTerminal(PLAIN)
    fake.ask()
    time.sleep(0.05)
    assert fake.asked == QUERY


def test_numbers_that_make_no_sense_are_no_size() -> None:
    assert parse_answers(b"\x1b[6;0;9t" + PLAIN).cell is None
    assert parse_answers(b"\x1b[6;99999999;9t" + PLAIN).cell is None


def test_only_auto_asks_and_not_where_images_cannot_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def asking() -> Answers:
        asked.append("asked")
        return Answers(True, kitty=True)

    monkeypatch.setattr(query, "ask_this_terminal", asking)
    monkeypatch.setattr(query, "size_of_a_character", lambda: (18, 9))
    for name in ("TMUX", "XTERM_VERSION"):
        monkeypatch.delenv(name, raising=False)
    assert pixels_for("half") == (None, ())
    assert pixels_for("kitty") == (Pixels("kitty", (18, 9)), ())
    assert pixels_for("sixel") == (Pixels("sixel", (18, 9)), ())
    assert asked == []
    assert pixels_for("auto") == (Pixels("kitty", (18, 9)), ())
    assert asked == ["asked"]
    monkeypatch.setenv("TMUX", "/tmp/tmux-1/default,1,0")
    assert pixels_for("auto") == (None, ())
    assert asked == ["asked"]
    assert load_settings({})[0].images == "half"


def test_where_nobody_knows_how_large_a_character_is_sixel_says_what_it_assumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(query, "size_of_a_character", lambda: None)
    monkeypatch.setenv("XTERM_VERSION", "XTerm(379)")
    pixels, doubts = pixels_for("sixel")
    assert pixels == Pixels("sixel", (20, 10), most=16)
    assert "10x20 is assumed" in " ".join(doubts)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (Answers(True, kitty=True, sixel=True, cell=(20, 10)), Pixels("kitty", (20, 10))),
        (Answers(True, sixel=True, cell=(20, 10)), Pixels("sixel", (20, 10))),
        (Answers(True, sixel=True), Pixels("sixel", (16, 8))),
        (Answers(True, sixel=True, cell=(20, 10), colours=1024), Pixels("sixel", (20, 10))),
        (Answers(True, sixel=True, cell=(20, 10), colours=128), Pixels("sixel", (20, 10), 128)),
        (Answers(True, sixel=True, cell=(20, 10), name="XTerm(379)"), Pixels("sixel", (20, 10), most=16)),
        (Answers(True, sixel=True, cell=(20, 10), colours=16), None),
        (Answers(True, cell=(20, 10)), None),
        (Answers(), None),
    ],
)
def test_kittys_protocol_is_chosen_before_sixel_and_sixel_before_half_blocks(
    answers: Answers, expected: Pixels | None
) -> None:
    assert best_pixels(answers, (16, 8)) == expected


def test_sixel_is_never_chosen_where_the_size_of_a_character_is_not_known() -> None:
    assert best_pixels(Answers(True, sixel=True), None) is None


def test_the_system_says_how_large_a_character_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import struct
    import termios

    _, descriptor = pty.openpty()
    with os.fdopen(descriptor, "w") as stream:
        monkeypatch.setattr(sys, "__stderr__", stream)
        assert query.size_of_a_character() is None
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 1085, 802))
        assert query.size_of_a_character() == (20, 9)


def test_over_ssh_more_patience_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float] = []
    fake = FakeTerminal()
    with os.fdopen(os.dup(fake.descriptor), "r") as source, os.fdopen(os.dup(fake.descriptor), "w") as sink:
        monkeypatch.setattr(sys, "__stdin__", source)
        monkeypatch.setattr(sys, "__stderr__", sink)
        monkeypatch.setattr(query, "ask", lambda *_, patience: _note(patience))
        _note = patience.append
        for variables in ({}, {"SSH_CONNECTION": "1 2 3 4"}):
            for name in ("SSH_CONNECTION", "SSH_TTY"):
                monkeypatch.delenv(name, raising=False)
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            query.ask_this_terminal()
    assert patience[1] >= 3 * patience[0]


def test_ssh_and_multiplexers_are_known_by_the_environment() -> None:
    assert over_ssh({"SSH_TTY": "/dev/pts/1"})
    assert not over_ssh({"SSH_CONNECTION": ""})
    assert [multiplexer({"TERM": name}) for name in ("tmux-256color", "screen.xterm", "xterm-kitty")] == [
        "tmux",
        "screen",
        "",
    ]


@pytest.mark.parametrize(("variable", "level"), [("SSH_CONNECTION", "none"), ("SSH_TTY", "none"), ("", "full")])
def test_nothing_moves_by_itself_over_ssh(variable: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1 2 3 4")
    assert make_app().animation_level == level


# xaimed doctor


def found(answers: Answers = Answers(True), images: str = "half", **environment: str) -> dict[str, Any]:  # noqa: B008
    result = doctor.findings({"TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}, answers, images=images)
    return {**result, "on_a_terminal": True, "size": [120, 40], "letters": "utf-8"}


def test_a_good_terminal_needs_no_advice() -> None:
    assert doctor.advise(found(COLORTERM="truecolor")) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (found(), "COLORTERM=truecolor"),
        (found(TERM="xterm"), "COLORTERM=truecolor"),
        (found(NO_COLOR="1"), "unset NO_COLOR"),
        (found(TERM="dumb"), "set TERM"),
        ({**found(COLORTERM="truecolor"), "size": [70, 20]}, "at least 80x24"),
        ({**found(COLORTERM="truecolor"), "letters": "ANSI_X3.4-1968"}, "C.UTF-8"),
        ({**found(COLORTERM="truecolor"), "on_a_terminal": False}, "no terminal"),
        (found(Answers(True, kitty=True), COLORTERM="truecolor"), "--images kitty"),
        (found(Answers(True), images="kitty", COLORTERM="truecolor"), "--images half"),
        (found(Answers(True, sixel=True, cell=(20, 10)), COLORTERM="truecolor"), "--images sixel"),
        (found(Answers(True), images="sixel", COLORTERM="truecolor"), "--images half"),
        (found(Answers(True, kitty=True), images="sixel", COLORTERM="truecolor"), "--images kitty"),
        (found(Answers(True, name="XTerm(379)"), COLORTERM="truecolor"), "-ti vt340"),
        (
            found(Answers(True, sixel=True, cell=(9, 6), name="XTerm(379)"), images="sixel", COLORTERM="truecolor"),
            "keeps 16",
        ),
        (found(Answers(True, sixel=True), COLORTERM="truecolor"), "how large a character is"),
        (found(Answers(True, sixel=True, cell=(20, 10), colours=16), COLORTERM="truecolor"), "numColorRegisters"),
        (found(TMUX="/tmp/x", TERM="tmux-256color"), "terminal-features"),
    ],
)
def test_advice_names_what_to_set(state: dict[str, Any], words: str) -> None:
    assert words in " ".join(doctor.advise(state))


def test_what_is_found_follows_the_environment_and_the_answers() -> None:
    state = found(Answers(True, kitty=True, cell=(20, 10)), images="auto", SSH_TTY="/dev/pts/0", COLORTERM="truecolor")
    assert (state["colours"], state["ssh"], state["inside"]) == ("16 million", True, None)
    assert (state["images_drawn_as"], state["pixels_of_a_character"]) == ("kitty", [10, 20])
    assert found(Answers(True, kitty=True), images="auto", TMUX="x")["images_drawn_as"] == "half"
    assert found(Answers(True, sixel=True, cell=(20, 10)), images="auto")["images_drawn_as"] == "sixel"
    assert found(Answers(True, kitty=True), images="auto", NO_COLOR="1")["images_drawn_as"] == "glyphs"
    assert [found(TERM=name)["colours"] for name in ("xterm", "dumb")] == ["16", "none"]


def test_doctor_asks_the_terminal_it_runs_on_and_prints_what_it_says(tmp_path: Path) -> None:
    code = "import sys; sys.argv[1:] = ['doctor', '--json']; from xaimed_tui.__main__ import main; sys.exit(main())"
    process = Terminal.python(code, tmp_path)
    process.read_until(b"\x1b[c")
    assert QUERY in process.bytes
    process.press(KITTY)
    status, _ = process.wait()
    assert status == 0
    text = process.bytes.split(QUERY)[-1].decode()
    result = json.loads(text[text.index("{") :])
    assert (result["kitty_graphics"], result["sixel"], result["answered"]) == (True, False, True)
    assert result["images_setting"] == "half"
    assert any("--images kitty" in line for line in result["advice"])


def test_doctor_names_a_library_that_keeps_the_cams_from_working(tmp_path: Path) -> None:
    lacking = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({lacking!r})")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['doctor', '--json']; "
        "from xaimed_tui.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in json.loads(done.stdout)["advice"] if "OpenCV" in line]
    assert line == (
        f"OpenCV, which the CAMs need, cannot be loaded ({lacking}): install the package libgl1 (Debian), or replace "
        "opencv-python by opencv-python-headless."
    )


def test_the_app_asks_nothing_unless_it_is_to(tmp_path: Path) -> None:
    from fake_program import program

    process = Terminal.python(program("nothing"), tmp_path)
    process.read_until(b"ready")
    process.press(b"\x11")
    process.wait()
    assert b"\x1b_G" not in process.bytes
    assert b"\x1b[16t" not in process.bytes
