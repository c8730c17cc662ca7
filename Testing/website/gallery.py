"""Draws the pictures of the gallery anew: levels side by side, the trade-off, the panel. Called by `make gallery`.

The picture of the browser's page is not drawn here.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PICTURES = ROOT / "Resources" / "Screenshots"

_COMMAND = "from TuckerSegLib.cli.main import main; main()"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        _run("-c", _COMMAND, "demo", "--output", made / "demo")
        shutil.copyfile(made / "demo" / "levels.png", PICTURES / "levels.png")
        _run("-c", _COMMAND, "bench", "--output", made / "bench")
        shutil.copyfile(made / "bench" / "bench.svg", PICTURES / "tradeoff.svg")
    _run(ROOT / "Testing" / "tools" / "take_screenshots.py")


def _run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
