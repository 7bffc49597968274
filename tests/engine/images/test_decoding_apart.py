"""Decoders work in a process apart: whatever happens to it is one file's misfortune, and it outlives nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT
from PIL import Image

from engine.errors import INSTALL_APART, ImageError
from engine.images.decoding import decoding_process, pool
from engine.images.header import Limits
from engine.images.image import read_header, read_image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

BOOT = """
import sys; sys.path[:] = sys.argv[4:]
import ctypes, io, os, signal, time
import numpy as np
from engine.images.decoding.budget import WatchedFile
from engine.images.decoding import worker
from engine.results.caution import Caution
whole = worker.decode
open_picture = worker.open_picture

def opening(watched, path, limits):
    data = watched.read(9)
    watched.seek(0)
    match data:
        case b"h-busy": pow(3, 10**9)
        case b"h-abort": os.abort()
        case b"h-ask": os.write(int(sys.argv[2]), b"0 999999999999999999\\n" * 50 + b"nonsense\\n"); time.sleep(600)
    return open_picture(watched, path, limits)

def decode(data, path, limits, opened):
    if data.startswith(b"h-"): opening(WatchedFile(io.BytesIO(data), len(data), 9.0), path, limits)
    opened()
    match data:
        case b"abort": os.abort()
        case b"segv": ctypes.string_at(0)
        case b"kill": os.kill(os.getpid(), signal.SIGKILL)
        case b"exit": os._exit(0)
        case b"busy": pow(3, 10**9)  # in C, without letting a thread or a handler of Python's go first
        case b"sleep": ctypes.PyDLL(None).sleep(600)  # likewise
        case b"memory": bytearray(1 << 36)
        case b"write": os.write(os.open(WRITTEN, os.O_WRONLY | os.O_CREAT), b"no")
        case b"fault": raise TypeError("no\x1b[2Jno")
        case b"says": os.write(1, b"no" * 9); os.write(2, b"no")
    array, header, warnings = whole(PNG, path, limits, lambda: None)
    if data == b"doubt": warnings = (Caution("bits", "look\x1b[2J " + "twice" * 200),)
    return (np.zeros((9, 9, 2), np.uint8) if data == b"shape" else array), header, warnings

WRITTEN = "THE FILE"
PNG = bytes.fromhex("THE PNG")
worker.decode = decode
worker.open_picture = opening
worker.main()
"""


def picture(path: Path, *, size: tuple[int, int] = (5, 4)) -> Path:
    Image.new("RGB", size, "teal").save(path)
    return path


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder; what decodes does what a file says: `abort`, `busy`, ..."""
    pool.end_all()
    png = picture(tmp_path / "png.png").read_bytes().hex()
    monkeypatch.setattr(
        decoding_process, "_BOOT", BOOT.replace("THE PNG", png).replace("THE FILE", str(tmp_path / "written"))
    )
    yield tmp_path
    pool.end_all()


def file(folder: Path, content: bytes) -> Path:
    path = folder / f"{content.decode()}.png"
    path.write_bytes(content)
    return path


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone_soon(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not running(pid)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"abort", "its decoder crashed (SIGABRT)"),
        (b"segv", "its decoder crashed (SIGSEGV)"),
        (b"kill", "its decoder crashed (SIGKILL)"),
        (b"exit", "its decoder crashed"),
        (b"shape", "its decoder crashed"),
        (b"fault", "its decoder failed (TypeError: no␛[2Jno)"),
        (b"write", "its decoder failed (OSError: [Errno 27] File too large)"),
        (b"busy", "decoding it takes longer than 0.2 s"),
    ],
)
def test_a_decoder_that_crashes_or_hangs_costs_its_file_and_the_next_is_decoded(
    hostile: Path, content: bytes, reason: str
) -> None:
    begin = time.monotonic()
    bad = file(hostile, content)
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            read_image(bad, limits=Limits(seconds=0.2))
        assert str(caught.value) == f"{bad}: {reason}; save it again, as an ordinary PNG"
        assert len(pool._idle) == reason.startswith("its decoder failed"), "kept if it can go on"
        assert read_image(file(hostile, b"good")).pixels.shape == (4, 5, 3)
    assert time.monotonic() - begin < 30.0


def test_a_decoder_that_sleeps_for_ever_is_ended_by_the_clock(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_process, "_CLOCK_MORE", 0.5)
    with pytest.raises(ImageError, match=r"decoding it takes longer than 0.1 s"):
        read_image(file(hostile, b"sleep"), limits=Limits(seconds=0.1))
    assert read_image(file(hostile, b"good")).pixels.shape == (4, 5, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
def test_a_decoder_that_asks_for_all_memory_does_not_get_it(hostile: Path) -> None:
    with pytest.raises(ImageError, match="there is not enough memory to decode it; export a smaller image"):
        read_image(file(hostile, b"memory"))


def test_what_a_decoder_writes_is_neither_answer_nor_seen(hostile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read_image(file(hostile, b"says")).pixels.shape == (4, 5, 3)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_what_is_doubtful_about_the_pixels_comes_with_them_and_is_safe_to_show(hostile: Path) -> None:
    assert read_image(file(hostile, b"good")).warnings == ()
    (warning,) = read_image(file(hostile, b"doubt")).warnings
    assert warning.code == "bits"
    assert warning.startswith("look␛[2J twice")
    assert len(warning) <= 500


def test_a_process_that_was_killed_while_it_waited_costs_nothing(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    read_image(path)
    process = pool._idle[-1].process
    process.kill()
    process.wait()
    assert read_image(path).pixels.shape == (4, 5, 3)
    assert pool._idle[-1].process.pid != process.pid


def test_pictures_are_decoded_at_the_same_time_and_each_gets_its_own(tmp_path: Path) -> None:
    files = [picture(tmp_path / f"{number}.png", size=(number, 7)) for number in range(1, 9)]
    found: dict[int, int] = {}

    def read(number: int) -> None:
        for _ in range(10):
            found[number] = read_image(files[number]).width

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number + 1 for number in range(8)}
    assert len(pool._idle) <= 2


def test_pictures_larger_than_any_pipe_pass_and_so_do_16_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (900, 1100), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", compress_level=0)
    assert (tmp_path / "a.png").stat().st_size > 1_900_000
    assert np.array_equal(read_image(tmp_path / "a.png").pixels[..., 0], values.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"h-busy", "reading its header takes longer than 0.2 s"), (b"h-abort", "its decoder crashed (SIGABRT)")],
)
def test_a_header_that_crashes_or_hangs_its_reader_is_refused_alike_with_and_without_the_pixels(
    hostile: Path, content: bytes, reason: str
) -> None:
    bad = file(hostile, content)
    for read in (read_header, read_image):
        with pytest.raises(ImageError) as caught:
            read(bad, limits=Limits(header_seconds=0.2))
        assert str(caught.value) == f"{bad}: {reason}; save it again, as an ordinary PNG"
        assert read_header(picture(hostile / "sound.png")).width == 5


def test_a_process_that_asks_for_more_than_the_file_gets_nothing_that_is_not_in_it(hostile: Path) -> None:
    with pytest.raises(ImageError, match="its decoder crashed"):
        read_header(file(hostile, b"h-ask"))
    assert read_header(picture(hostile / "sound.png")).width == 5


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
def test_the_header_of_every_format_is_read_apart_as_well(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path / name)
    monkeypatch.setattr("engine.images.decoding.opening.open_picture", lambda *_: pytest.fail("here"))
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("here"))
    header = read_header(path)
    assert (header.width, header.height) == (5, 4)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ImageError, match=r"damaged|what its values stand for") as caught:
        read_header(path)
    assert caught.value.subject == str(path)


def test_nothing_is_imported_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "PIL", "engine", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    pool.end_all()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    assert read_image(picture(tmp_path / "a.png")).width == 5
    assert not (tmp_path / "it-ran").exists()


def test_that_no_process_can_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.end_all()
    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    pool.get_ready()  # says nothing: nobody waits for it yet
    with pytest.raises(ImageError, match=r"that decodes pictures cannot be started .no such file or directory"):
        read_image(path)


@pytest.mark.parametrize(
    ("boot", "reason", "remedy"),
    [
        ("raise SystemExit(3)", "it ended with status 3", INSTALL_APART),
        (
            "raise ImportError('libno.so: \\x1b[2J')",
            "it ended with status 1: ImportError: libno.so: ␛[2J",
            "install XAIMed",
        ),
        (
            "print('a\\nb', file=__import__('sys').stderr, flush=True); exit",
            "it ended with status 1: NameError: name",
            "install",
        ),
        ("import os; os.write(2, b'no\\nlib'); os._exit(9)", "it ended with status 9: no)", "install XAIMed"),
        ("raise MemoryError", "it ended with status 1: MemoryError", "allow this one more memory (ulimit -v)"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with status -9", "allow this one more memory (ulimit -v)"),
        ("import os; os.write(2, b'x' * 9_999_999)", "it ended with status 0: x", "install XAIMed"),
    ],
)
def test_why_the_process_did_not_start_is_said_with_a_remedy_that_helps(
    boot: str, reason: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.end_all()
    monkeypatch.setattr(decoding_process, "_BOOT", boot)
    with pytest.raises(ImageError) as caught:
        read_image(picture(tmp_path / "a.png"))
    assert f"the process that decodes pictures cannot be started ({reason}" in caught.value.message
    assert remedy in caught.value.message
    assert caught.value.code == "no-decoder"


NOISES = {
    "prints": "print('hello'); import os; os.write(1, b'native')",
    "complains": "import os; os.write(2, b'x' * 50_000)",
    "raises": "raise ValueError('no')",
    "takes long": "import time; time.sleep(0.5)",
    "closes standard input": "import os, sys; sys.stdin.close()",
    "reads standard input": "import sys; sys.stdin.read()",
    "leaves": "import os, sys; os.chdir('/'); sys.path.insert(0, 'no')",
    "opens": "import os; os.dup2(os.open(os.devnull, os.O_RDWR), 3)",
}


@pytest.mark.parametrize("noise", NOISES)
def test_what_runs_when_python_starts_is_not_run_again_and_costs_no_picture(noise: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\n{NOISES[noise]}\n")
    code = "from pathlib import Path\nfrom engine import read_image\n"
    code += f"print('width', read_image(Path({str(picture(tmp_path / 'a.png'))!r})).width)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        timeout=60,
    )
    assert done.stdout.endswith("width 5\n"), done.stderr
    assert (tmp_path / "runs").read_text() == "x"


STARTER = """
import os, sys, threading, time
from pathlib import Path
from engine.images.decoding import decoding_process, pool
from engine.images.decoding.protocol import parse_answer
from engine.images.image import read_image
decoding_process._BOOT = {boot!r} or decoding_process._BOOT
pool.get_ready()
print(pool._idle[0].process.pid, flush=True)
threading.Thread(target=lambda: read_image(Path({path!r})), daemon=True).start()
{then}
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="sees processes in /proc")
@pytest.mark.parametrize(
    ("end", "content"),
    [
        *((signal.SIGKILL, content) for content in (b"good", b"sleep", b"busy")),
        *((end, b"busy") for end in (signal.SIGTERM, None)),
        (signal.SIGINT, b"good"),
    ],
)
def test_it_does_not_outlive_the_program_however_that_ends_and_whatever_it_does(
    end: signal.Signals | None, content: bytes, tmp_path: Path
) -> None:
    png = picture(tmp_path / "png.png").read_bytes().hex()
    boot = BOOT.replace("THE PNG", png).replace("THE FILE", str(tmp_path / "written")) if content != b"good" else ""
    path = file(tmp_path, content) if content != b"good" else tmp_path / "png.png"
    then = "time.sleep(60)" if end else "time.sleep(0.7); os._exit(0)"
    code = STARTER.format(boot=boot, path=str(path), then=then)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert running(pid)
        if end:
            time.sleep(0.7)
            os.kill(program.pid, end)
        program.wait(20)
    assert gone_soon(pid)


def test_a_program_without_a_main_guard_may_read_pictures_and_leaves_quietly(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    picture(tmp_path / "a.png")
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom engine import read_image\n"
        "print(read_image(Path(sys.argv[1])).width)\n"
    )
    root = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_a_copy_of_the_program_leaves_the_process_to_the_original(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    read_image(path)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if pool._idle == [] and read_image(path).width == 5 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert read_image(path).width == 5
