"""Text, names and model folders that mean harm, and how to see on a terminal's raw bytes whether they did any."""

from __future__ import annotations

import os
import re
from pathlib import Path

from factories import MODEL_CODE, approve, make_model
from PIL import Image

HARM = "\x1b]52;c;aGk=\x07\x1b[5;31;7mX\x9b3J\x90q\x9c\u202eb\u2066\u200b\ufeff[bold]m[@click=app.quit]q\udcff"
"""The clipboard, blinking, clearing the screen by a C1 code, device control, reversed and unseen text, markup, and a
byte that is not UTF-8. It can be a file's name."""

UTF8_HARM = HARM.replace("\udcff", "")
"""The same for files, which hold UTF-8."""

_ACTS = re.compile(
    b"\x1b\\]52|aGk=\x07|\x1b\\[5;31;7m|\x9b3J|\x90q|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    b"|\xef\xbb\xbf|\xed[\xa0-\xbf]|\xffs|\x1b\\]8;"
)
"""Any of it as it would act on a terminal: its escape sequences, C1 codes, format characters, no text at all."""


def assert_harmless(got: bytes, *, seen: bool = True) -> None:
    """Nothing of what means harm is among the bytes that a terminal got, and it is `seen` as text instead."""
    found = _ACTS.search(got)
    assert found is None, got[max(found.start() - 80, 0) : found.end() + 80]
    got.decode("utf-8")
    assert not seen or "␛]52".encode() in got, got


def toml_string(text: str) -> str:
    """A string of TOML that stands for the text."""
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08X}" for c in text) + '"'


def settings(*, harm: str) -> str:
    """A `model.toml` for `make_model`'s network, with a class and notes of harmful text."""
    return (
        "[input]\nsize = [9, 9]\nchannels = 3\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n"
        f'[output]\nclasses = ["healthy", {toml_string("ill" + harm)}]\nactivation = "none"\n'
        f"[intended_use]\n{toml_string('key' + harm)} = {toml_string('note' + harm)}\n"
    )


def five_models(tasks: Path) -> Path:
    """A tasks folder whose task `Lungs` has a good, an unapproved, a changed, a broken and a hostile model.

    All of them say harmful things wherever they can. All but the good one leave a trace beside the folder if their code
    runs: a file `it-ran`.
    """
    task, trace = tasks / "Lungs", tasks.parent / "it-ran"
    for name in ("1 Good", "2 Unapproved", "3 Changed", "4 Broken", "5 Hostile"):
        evil = name.startswith("5")
        folder = task / (name + HARM if evil else name)
        code = f"# {UTF8_HARM}\n{MODEL_CODE}"
        make_model(folder, code=code, trace=None if name.startswith("1") else trace)
        (folder / "description.txt").write_text(f"About {name}. {UTF8_HARM}", encoding="utf-8")
        (folder / "model.toml").write_text(settings(harm=UTF8_HARM), encoding="utf-8")
        (folder / "samples").mkdir()
        picture = folder / "samples" / f"a{HARM}.png"
        Image.new("RGB", (9, 9), "teal").save(picture)
        (folder / "samples" / f"b{HARM}.png").write_bytes(b"not a picture")
        (folder / "samples" / f"c{HARM}.dcm").write_bytes(b"\0" * 128 + b"DICM")
        if evil:
            (folder / "pipe").unlink(missing_ok=True)
            os.mkfifo(folder / "pipe")
            (folder / "link").symlink_to("/etc")
    (task / "task_description.txt").write_text(f"A question. {UTF8_HARM}", encoding="utf-8")
    approve(task / "1 Good", task / "3 Changed")
    (task / "3 Changed" / f"added{HARM}.py").write_text("x = 1")
    (task / "4 Broken" / "weights.pt").unlink()
    return tasks
