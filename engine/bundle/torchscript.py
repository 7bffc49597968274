"""The code inside a TorchScript archive, for people to read before they approve it. Nothing of it is run."""

from __future__ import annotations

import io
import zipfile
import zlib

_MOST_BYTES = 2_000_000
_MOST_FILES = 2_000

NOT_SHOWN = "# (The archive's code cannot be shown{why}. Only approve it if you trust its maker.)\n"


def code_in(data: bytes) -> str:
    """Return the code of a TorchScript archive: each file below a line with its name; not made safe.

    What cannot be read is said in a comment: torch reads archives that Python does not.

    Args:
        data: the archive's content.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if _is_code(entry.filename)]
            if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
                return NOT_SHOWN.format(why=f": it has {len(entries):,} files, which are too long")
            shown = []
            for entry in entries:
                with archive.open(entry) as file:
                    text = file.read(_MOST_BYTES).decode("utf-8", errors="replace")
                shown.append(f"# {entry.filename}\n{text.rstrip()}\n")
    # Damaged archives, unknown versions, methods of compression and encrypted entries.
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        return NOT_SHOWN.format(why=f" ({type(error).__name__})")
    return "\n".join(shown) or NOT_SHOWN.format(why=": none is found")


def _is_code(name: str) -> bool:
    return "/code/" in f"/{name}" and name.endswith(".py")
