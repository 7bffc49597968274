"""The code inside a TorchScript archive, for people to read before they approve it. Nothing of it is run."""

from __future__ import annotations

import io
import zipfile
import zlib

_MOST_BYTES = 2_000_000
_MOST_FILES = 2_000

NOT_SHOWN = "# (The archive's code cannot be shown{why}. Only approve it if you trust its maker.)\n"


class NotShownError(Exception):
    """Code that cannot be shown; the text says why, as the end of a clause."""


def code_in(data: bytes) -> str:
    """Return the code of a TorchScript archive: each file below a line with its name; not made safe.

    What cannot be read is said in a comment: torch reads archives that Python does not.

    Args:
        data: the archive's content.
    """
    try:
        found = code_files(data)
    except NotShownError as error:
        return NOT_SHOWN.format(why=str(error))
    texts = (f"# {name}\n{content.decode('utf-8', errors='replace').rstrip()}\n" for name, content in found)
    return "\n".join(texts) or NOT_SHOWN.format(why=": none is found")


def code_files(data: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return name and content of each file of code in a TorchScript archive, by its list of contents.

    Raises:
        NotShownError: they cannot be read, or are too long.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # `orig_filename`: torch ignores what else may rename an entry.
            entries = [entry for entry in archive.infolist() if is_code(entry.orig_filename)]
            if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise NotShownError(f": it has {len(entries):,} files, which are too long")
            found = []
            for entry in entries:
                with archive.open(entry) as file:
                    found.append((entry.orig_filename, file.read(_MOST_BYTES)))
    # Damaged archives, unknown versions, methods of compression and encrypted entries.
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise NotShownError(f" ({type(error).__name__})") from error
    return tuple(found)


def is_code(name: str) -> bool:
    """Whether a file of an archive is code; torch finds it in capitals, too."""
    return "/code/" in f"/{name}".lower() and name.lower().endswith(".py")
