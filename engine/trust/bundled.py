"""The digests of the models that come with the package, by which their code may run without an approval.

They are kept in `bundled_digests.json` beside this file. After a change to a bundled model, run
`python -m engine.trust.bundled` to write that file again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from engine.bundle.digest import FileDigest, digest_of, take_snapshot
from engine.storage import places

DIGESTS = Path(__file__).with_name("bundled_digests.json")


@cache
def bundled_files() -> Mapping[str, Mapping[str, FileDigest]]:
    """Return the digests of every bundled model's files: by `<task>/<model>`, then by relative path."""
    content = json.loads(DIGESTS.read_text(encoding="ascii"))
    return MappingProxyType(
        {
            model: MappingProxyType({name: FileDigest(int(size), str(sha)) for name, (size, sha) in files.items()})
            for model, files in content.items()
        }
    )


@cache
def bundled_digests() -> frozenset[str]:
    """Return the digests of all bundled models."""
    return frozenset(digest_of(files) for files in bundled_files().values())


def digests_as_json(tasks: Path) -> str:
    """Return what `bundled_digests.json` must contain for the models in a tasks folder."""
    models = {}
    for architecture in sorted(tasks.glob("*/*/architecture.py")):
        files = take_snapshot(architecture.parent, fresh=True).files
        name = architecture.parent.relative_to(tasks).as_posix()
        models[name] = {path: [file.size, file.sha256] for path, file in sorted(files.items())}
    return json.dumps(models, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    DIGESTS.write_text(digests_as_json(places.bundled_tasks()), encoding="ascii")
