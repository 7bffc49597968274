"""Compare what is read of Pillow's test files, and of every kind of TIFF, with what a second decoder reads.

    python -m tests.torture.corpus [--pillow FOLDER] [--list]

Pillow's test files come with its source package, which pip fetches when the command runs (47 MB); nothing of them is
kept. `--pillow` takes an unpacked source package instead. The TIFFs are made here: every compression, predictor, byte
order, planar configuration, orientation, tiled and in strips, with extra samples, of every depth.

A file ends *equal* (both decoders give the same pixels), *close* (lossy files, decoded by two libraries that round
differently), *only here* (the second decoder does not read it), *explained* (the decoders differ, and it is known why,
see `EXPLAINED`) or *refused* under a code. It is a fault if the two decoders differ otherwise, or if a TIFF made here
comes back with other pixels than it was made of.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import re
import subprocess
import sys
import tarfile
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "support")) if path not in sys.path]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.images.image import MedicalImage

SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".mpo", ".tif", ".tiff", ".bmp", ".webp")
CLOSE = 6
"""Grey levels by which two JPEG or WebP decoders may differ at a pixel where they convert colours."""
EXPLAINED = {
    "mmap_error.bmp": "its header points into its palette; Pillow reads the pixels after it, as was meant",
    "pal8os2.bmp": "OpenCV takes no palette from a header of OS/2",
    "pal8os2sp.bmp": "OpenCV takes no palette from a header of OS/2",
    "syntax_num_frames_invalid.png": "the number of frames is wrong; OpenCV then gives no picture",
    "old-style-jpeg-compression.tif": "libtiff repeats colours, tifffile smooths them",
    "old-style-jpeg-compression-no-samplesperpixel.tif": "libtiff repeats colours, tifffile smooths them",
}
"""Files of Pillow about which the decoders differ, and why. They count as *explained*."""
COMPRESSIONS = ("none", "lzw", "zlib", "adobe_deflate", "packbits", "lzma", "zstd")
LOSSY = ("jpeg", "webp")
ORDERS = ("<", ">")
HEIGHT, WIDTH = 37, 51
"""Of the TIFFs made here: odd, so that the last strip and the last tiles are incomplete."""


@dataclass
class Outcomes:
    """What became of the files, by group."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    files: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, group: str, name: str, outcome: str, words: str = "") -> None:
        """Count a file; the outcome `FAULT` is listed in any case."""
        self.counts[group][outcome] += 1
        (self.faults if outcome == "FAULT" else self.files).append(f"{outcome:24} {group}: {name} {words}".rstrip())


@dataclass(frozen=True)
class Made:
    """A TIFF made here.

    Attributes:
        name: says what it is.
        data: its bytes.
        truth: (H, W, C), upright and as it should be read; None where it must be refused.
        code: of the refusal.
    """

    name: str
    data: bytes
    truth: NDArray[np.unsignedinteger] | None
    code: str = ""


def main() -> int:
    """Try all, print the table, and fail if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pillow", type=Path, help="an unpacked source package of Pillow; default: pip fetches it")
    parser.add_argument("--list", action="store_true", help="print every file with its outcome")
    arguments = parser.parse_args()
    from engine.images.decoding.pool import end_all

    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        source = arguments.pillow or fetch_pillow(folder)
        for path in sorted(path for path in (source / "Tests" / "images").rglob("*") if path.suffix in SUFFIXES):
            compare(path, "Pillow's test files", outcomes)
        for made in made_tiffs():
            check_made(made, folder, outcomes)
    end_all()
    print_table(outcomes)
    if arguments.list:
        print("\n".join(outcomes.files))
    print("\n".join(outcomes.faults))
    print(f"{len(outcomes.faults)} faults")
    return 1 if outcomes.faults else 0


def print_table(outcomes: Outcomes) -> None:
    """Print how many files of each group ended how."""
    kinds = sorted({outcome for counts in outcomes.counts.values() for outcome in counts})
    width = max(map(len, (*kinds, "files")))
    groups = list(outcomes.counts)
    print(" " * width, *(f"{group:>20}" for group in groups))
    for kind in kinds:
        print(f"{kind:{width}}", *(f"{outcomes.counts[group][kind]:20}" for group in groups))
    print(f"{'files':{width}}", *(f"{outcomes.counts[group].total():20}" for group in groups))


def fetch_pillow(folder: Path) -> Path:
    """Fetch the source package of the Pillow that is installed, or the newest before it; return where it lies."""
    import PIL

    for wanted in (f"pillow=={PIL.__version__}", f"pillow<{PIL.__version__}"):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", wanted]
        if subprocess.run(command, cwd=folder, check=False).returncode == 0:
            break
    else:
        sys.exit("pip could not fetch Pillow's source package; unpack one, and name it by --pillow")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/Tests")).parent


def compare(path: Path, group: str, outcomes: Outcomes) -> None:
    """Read a file here and by the second decoder, and count the outcome."""
    from engine.errors import ImageError
    from engine.images.image import read_image

    try:
        image = read_image(path)
    except ImageError as error:
        outcomes.add(group, path.name, f"refused: {error.code}", error.cause)
        return
    second = second_decoding(path.read_bytes(), image)
    codes = "".join(f" [{warning.code}]" for warning in image.warnings)
    if second is None:
        outcomes.add(group, path.name, "only here", codes)
        return
    first = image.pixels.astype(np.int64)
    same_shape = first.shape == second.shape
    far = int(np.abs(first - second).max()) if same_shape else 0
    if path.name in EXPLAINED and (far or not same_shape):
        outcomes.add(group, path.name, "explained", EXPLAINED[path.name])
        return
    if not same_shape:
        outcomes.add(group, path.name, "FAULT", f"shapes {first.shape} and {second.shape}{codes}")
        return
    outcome = "equal" if far == 0 else "close" if far <= CLOSE and _is_lossy(path.read_bytes()) else "FAULT"
    outcomes.add(group, path.name, outcome, f"({far} apart){codes}" if far else codes)


def check_made(made: Made, folder: Path, outcomes: Outcomes) -> None:
    """Read a TIFF that was made here, and compare it with what it was made of and with the second decoder."""
    from engine.errors import ImageError
    from engine.images.image import read_image

    group = "TIFFs made here"
    path = folder / "made.tif"
    path.write_bytes(made.data)
    try:
        image = read_image(path)
    except ImageError as error:
        right = made.truth is None and error.code == made.code
        unread = made.truth is not None and error.code == "unsupported"  # said so: no harm done, but it is counted
        outcomes.add(group, made.name, f"refused: {error.code}" if right or unread else "FAULT", error.cause)
        return
    if made.truth is None:
        outcomes.add(group, made.name, "FAULT", f"read, and should have been refused as {made.code}")
        return
    first = image.pixels.astype(np.int64)
    if first.shape != made.truth.shape:
        outcomes.add(group, made.name, "FAULT", f"shapes {first.shape} and {made.truth.shape}")
        return
    lossy = made.name.startswith(LOSSY)
    far = int(np.abs(first - made.truth).max())
    if far > (40 if lossy else 0):
        outcomes.add(group, made.name, "FAULT", f"{far} apart from what it was made of")
        return
    second = second_decoding(made.data, image)
    if second is None or second.shape != first.shape:
        outcomes.add(group, made.name, "only here")
        return
    apart = int(np.abs(first - second).max())
    outcomes.add(group, made.name, "equal" if apart == 0 else "close" if lossy and apart <= CLOSE else "FAULT")


def second_decoding(data: bytes, image: MedicalImage) -> NDArray[np.int64] | None:
    """Return a file's pixels as libraries read them that the engine's 8-bit pixels do not come from.

    TIFFs are read by tifffile, all others by OpenCV. What follows (orientation, palette, an opaque alpha channel,
    grey that is stored as three equal channels) is done here as `read_image` says.

    Returns:
        (H, W, C), C as in `image`; None if the second decoder does not read it.
    """
    form = image.metadata["format"]
    try:
        pixels = _by_tifffile(data) if form == "TIFF" else _by_opencv(data, image)
    except Exception:  # whatever it raises: it does not read this file
        return None
    if pixels is None:
        return None
    channels = image.pixels.shape[2]
    if pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.shape[2] == 3 and channels == 1 and (np.ptp(pixels, axis=2) == 0).all():
        pixels = pixels[..., :1]
    return pixels.astype(np.int64)


def _by_opencv(data: bytes, image: MedicalImage) -> NDArray[np.integer] | None:
    import cv2
    import imagecodecs

    pixels: NDArray[np.integer] | None = None
    if image.metadata["format"] == "BMP":  # OpenCV does not spread 5 and 6 bits over the whole range
        with contextlib.suppress(imagecodecs.BmpError, ValueError):
            pixels = np.asarray(imagecodecs.bmp_decode(data))
    if pixels is None:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            return None
        if pixels.ndim == 3:
            pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    turned = re.search(r"orientation ([1-8])", image.metadata.get("orientation", ""))
    return _upright(pixels if pixels.ndim == 3 else pixels[..., None], int(turned[1]) if turned else 1)


def _by_tifffile(data: bytes) -> NDArray[np.integer] | None:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        samples = page.asarray(squeeze=False, maxworkers=1)[:, 0]  # (separate samples, H, W, interleaved samples)
        pixels = np.asarray(samples[0] if len(samples) == 1 else samples[..., 0].transpose(1, 2, 0))
        tag = page.tags.get(274)
        orientation = int(tag.value) if tag is not None else 1
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            colours = np.asarray(page.colormap, dtype=np.int64)
            colours = colours if colours.max() <= 255 else colours >> 8
            pixels = colours[:, pixels[..., 0]].transpose(1, 2, 0)
        elif page.bitspersample < 8:
            pixels = pixels.astype(np.int64) * (255 // (2**page.bitspersample - 1))
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            pixels = (65535 if page.bitspersample == 16 else 255) - pixels.astype(np.int64)
    return _upright(pixels, orientation)


def _upright(pixels: NDArray[np.integer], orientation: int) -> NDArray[np.integer]:
    """Apply an orientation (TIFF 6.0, tag 274) to (H, W, C) pixels."""
    flips = {2: (1,), 3: (0, 1), 4: (0,), 5: (), 6: (1,), 7: (0, 1), 8: (0,)}
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    return np.flip(pixels, flips[orientation]) if orientation in flips else pixels


def _is_lossy(data: bytes) -> bool:
    """Whether a file may be a JPEG or WebP, or hold one, so that two decoders may round differently."""
    return data[:2] == b"\xff\xd8" or data[8:12] == b"WEBP" or (data[:2] in (b"II", b"MM") and b"\xff\xd8\xff" in data)


def made_tiffs() -> Iterator[Made]:
    """Yield TIFFs of every compression, predictor, byte order, planar configuration, layout, depth and orientation."""
    for depth, colour in itertools.product((8, 16), (False, True)):
        yield from _layouts(depth, colour=colour)
    yield from _orientations()
    yield from _extra_samples()
    yield from _other_depths()


def _layouts(depth: int, *, colour: bool) -> Iterator[Made]:
    truth = _picture(depth, 3 if colour else 1)
    kind = f"{depth} bit {'RGB' if colour else 'grey'}"
    layouts = ((), (("rowsperstrip", 8),), (("tile", (16, 32)),))
    planes = (False, True) if colour else (False,)
    codecs = (*COMPRESSIONS, *(LOSSY if depth == 8 else ()))
    for codec, order, layout, separate in itertools.product(codecs, ORDERS, layouts, planes):
        if codec == "webp" and (separate or not colour):
            continue  # WebP holds RGB only
        for predictor in (False, True) if codec in ("lzw", "zlib", "zstd", "lzma") else (False,):
            name = f"{codec} {kind} {order}"
            name += "".join(f" {key}" for key, _ in layout) + " predictor" * predictor + " separate" * separate
            options: dict[str, object] = dict(layout)
            options["predictor"] = predictor
            if codec == "jpeg" and colour and not separate:
                options["compressionargs"] = {"level": 95}
            data = _tiff(truth, order, codec, separate=separate, **options)
            if data is not None:
                yield Made(name, data, truth)


def _orientations() -> Iterator[Made]:
    for depth, channels, orientation in itertools.product((8, 16), (1, 3), range(1, 9)):
        truth = _picture(depth, channels)
        for separate in (False, True) if channels == 3 else (False,):
            data = _tiff(truth, "<", "none", separate=separate, extratags=[(274, 3, 1, orientation, True)])
            if data is not None:
                name = f"orientation {orientation} {depth} bit, {channels} channels{' separate' * separate}"
                yield Made(name, data, _upright(truth, orientation))


def _extra_samples() -> Iterator[Made]:
    for depth, base in itertools.product((8, 16), (1, 3)):
        opaque = _picture(depth, base + 1)
        opaque[..., -1] = 2**depth - 1
        for kind in ("unspecified", "assocalpha", "unassalpha"):
            for order in ORDERS:
                data = _tiff(opaque, order, "none", extrasamples=[kind])
                refused = kind == "unspecified"
                if data is not None:
                    name = f"{kind} beside {base} of {depth} bit {order}"
                    yield Made(name, data, None if refused else opaque[..., :-1], "channels" if refused else "")
        two = _picture(depth, base + 2)
        data = _tiff(two, "<", "none", extrasamples=["unspecified", "unspecified"])
        if data is not None:
            yield Made(f"two unspecified beside {base} of {depth} bit", data, None, "channels")


def _other_depths() -> Iterator[Made]:
    grey = _picture(8, 1)
    for kind in ("i1", "i2", "i4", "u4", "f2", "f4", "f8", "c8"):
        data = _tiff(grey.astype(kind), "<", "none")
        if data is not None:
            yield Made(f"values of {kind}", data, None, "unsupported")
    for bits in (1, 2, 4):
        few = grey >> (8 - bits)
        data = _tiff(few, "<", "none", bitspersample=bits) if bits > 1 else _tiff(few.astype(bool), "<", "none")
        if data is not None:
            yield Made(f"{bits} bit grey", data, few * (255 // (2**bits - 1)))


def _picture(depth: int, channels: int) -> NDArray[np.unsignedinteger]:
    """Return smooth (H, W, C) values over the whole range, with some noise in them."""
    rows, columns, layers = np.mgrid[0:HEIGHT, 0:WIDTH, 0:channels]
    waves = np.sin(rows / 9 + layers) * np.cos(columns / 11 - layers) * 0.45 + 0.5
    noise = np.random.default_rng(1).uniform(-0.02, 0.02, waves.shape)
    values = np.clip(waves + noise, 0, 1) * (2**depth - 1)
    values[0, 0], values[-1, -1] = 0, 2**depth - 1
    return values.astype(np.uint16 if depth == 16 else np.uint8)


def _tiff(
    pixels: NDArray[np.generic], order: str, codec: str, *, separate: bool = False, **options: object
) -> bytes | None:
    """Return a TIFF of (H, W, C) pixels; None if tifffile does not write this combination."""
    import tifffile

    channels = pixels.shape[2]
    extra = len(options["extrasamples"]) if "extrasamples" in options else 0  # type: ignore[arg-type]
    base = channels - extra
    array = pixels.transpose(2, 0, 1) if separate else pixels if channels > 1 else pixels[..., 0]
    planar = "separate" if separate else "contig" if channels > 1 else None
    buffer = io.BytesIO()
    try:
        tifffile.imwrite(
            buffer,
            array,
            byteorder=order,  # type: ignore[arg-type]
            compression=None if codec == "none" else codec,
            photometric="rgb" if base == 3 else "minisblack",
            planarconfig=planar,  # type: ignore[arg-type]
            metadata=None,
            **options,  # type: ignore[arg-type]
        )
    except (ValueError, NotImplementedError, KeyError, TypeError):
        return None
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
