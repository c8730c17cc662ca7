"""The small network that was trained on phantoms: a sample that needs no download."""

from pathlib import Path

from ..errors import ModelError
from ..volumes.phantoms.phantom import Phantom, phantom
from ..volumes.phantoms.tissues import LABELS

__all__ = ["LABELS", "Phantom", "phantom", "sample_model_folder"]


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
