"""Where the sample models lie: networks trained on phantoms that need no download; free of PyTorch."""

from contextlib import suppress
from pathlib import Path

from ..errors import ModelError

SAMPLE = "sample"
"""The name by which the sample at the published width is opened: 32 to 320 features."""

SMALL_SAMPLE = "sample-small"
"""The name of one with a twelfth of its parameters, for tests and for a first try on a slow computer."""

_FOLDERS = {SAMPLE: "WideSampleModel", SMALL_SAMPLE: "SampleModel"}


def sample_names() -> tuple[str, ...]:
    """The names of all samples, the default one first."""
    return tuple(_FOLDERS)


def sample_model_folder(name: str = SAMPLE) -> Path:
    """The nnU-Net folder of a sample model, beside the package in a checkout and inside it once installed.

    Raises:
        ModelError: it is in neither place.
    """
    here = Path(__file__).resolve()
    for root in (here.parents[2], here.parents[1]):
        folder = root / "Resources" / _FOLDERS[name]
        if (folder / "plans.json").is_file():
            return folder
    raise ModelError(
        f"The model {name} is missing: install TuckerSeg again, or train it with Resources/train_sample_model.py."
    )


def installed_samples() -> dict[str, Path]:
    """The folders of the samples by their names; one that was left out of this installation is missing."""
    found = {}
    for name in _FOLDERS:
        with suppress(ModelError):
            found[name] = sample_model_folder(name)
    return found


def shipped(file: str) -> list[Path]:
    """The files or folders of this name that samples were shipped with."""
    return [path for path in (folder / file for folder in installed_samples().values()) if path.exists()]
