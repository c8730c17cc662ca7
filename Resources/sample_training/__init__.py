"""How the sample models are made: phantoms, training, export and evaluation."""

from pathlib import Path

RESOURCES = Path(__file__).resolve().parents[1]
SMALL, WIDE = RESOURCES / "SampleModel", RESOURCES / "WideSampleModel"
"""The folders of the two sample models."""
