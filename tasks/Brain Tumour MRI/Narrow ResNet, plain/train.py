"""Train the network without the tumours' outlines: the script of `Narrow ResNet`, beside this folder, with `--plain`.

python train.py --data FOLDER [--only-score] ...         (options as there)
"""

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    main = runpy.run_path(str(HERE.with_name("Narrow ResNet") / "train.py"))["main"]
    main(["--plain", "--out", str(HERE), *sys.argv[1:]])
