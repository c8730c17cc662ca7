"""Where the checkout is, and the real scans that some tests use where they are at hand."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
