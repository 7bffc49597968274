"""Save from two PID namespaces into one folder, where neither knows the other's process number, and count what is left.

    python -m tests.torture.two_namespaces [--saves 300]

Two containers of one image, or two jobs of a cluster, may have one host name, and a process number of the one is free,
or somebody else's, in the other. Between savings each also starts the program anew in the home that they share, which
tidies up. Every saving must succeed, and every folder must be whole.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = ("unshare", "--map-root-user", "--pid", "--fork", "--mount-proc")

SAVER = """
import sys
from pathlib import Path
from factories import make_explanation
from engine.export import folder
from engine.storage.partial import remove_noted

out, saves = Path(sys.argv[1]), int(sys.argv[2])
explanation = make_explanation(methods=("rise", "gradcam"))
content = dict(folder.explanation_files(explanation))
folder.explanation_files = lambda *_, **__: iter(content.items())
print(*content, flush=True)
for _ in range(saves):
    try:
        print("saved", folder.save_explanation(explanation, out).name)
    except Exception as error:
        print("failed", f"{type(error).__name__}: {error}")
    remove_noted()
"""


def can_unshare() -> bool:
    """Whether this user may make PID namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def save_in_two(saves: int, work: Path) -> Counter[str]:
    """Save so often in each of two namespaces; return how often what was found.

    Args:
        saves: in each.
        work: an empty folder for the results and the shared home.
    """
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(work / "state"),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "support"))),
    }
    out = work / "out"
    savers = []
    for number in (0, 50):  # so many processes come before the saver, whose own number is therefore another
        shell = f'for i in $(seq {number}); do /bin/true; done; "$@"; exit $?'
        command = [*NAMESPACE, "sh", "-c", shell, "sh", sys.executable, "-c", SAVER, str(out), str(saves)]
        savers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
    found: Counter[str] = Counter()
    for saver in savers:
        expected, *lines = saver.communicate()[0].splitlines()
        found["saver ended badly"] += saver.returncode != 0
        for outcome, _, what in (line.partition(" ") for line in lines):
            if outcome == "failed":
                found[f"failed: {what.replace(str(work), '')}"] += 1
            else:
                whole = {path.name for path in (out / what).iterdir()} == set(expected.split())
                found["saved and whole" if whole else "saved, and not whole"] += 1
    found["left hidden"] += sum(path.name.startswith(".") for path in out.iterdir())
    return +found


def main() -> int:
    """Save, print the counts, and fail if anything else was found than whole folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--saves", type=int, default=300)
    arguments = parser.parse_args()
    if not can_unshare():
        sys.exit("this user may not make PID namespaces")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        found = save_in_two(arguments.saves, Path(work))
    for what, count in found.items():
        print(f"{count:6}  {what}")
    print(f"{time.perf_counter() - begin:.0f} s")
    return 0 if found == Counter({"saved and whole": 2 * arguments.saves}) else 1


if __name__ == "__main__":
    sys.exit(main())
