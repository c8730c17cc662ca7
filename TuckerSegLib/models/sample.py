"""Where the sample model lies: a small network trained on phantoms that needs no download; free of PyTorch."""

from pathlib import Path

from ..errors import ModelError

SAMPLE = "sample"
"""The name by which it is opened."""


def sample_model_folder() -> Path:
    """The nnU-Net folder of the sample model, beside the package in a checkout and inside it once installed.

    Raises:
        ModelError: it is in neither place.
    """
    here = Path(__file__).resolve()
    for root in (here.parents[2], here.parents[1]):
        folder = root / "Resources" / "SampleModel"
        if (folder / "plans.json").is_file():
            return folder
    raise ModelError(
        "The sample model is missing: install TuckerSeg again, or train it with Resources/train_sample_model.py."
    )
