"""Where networks come from."""

import os
from pathlib import Path

from ..errors import ModelError
from .compressed import SUFFIX, load
from .nnunet import TrainedModel, open_folder
from .sample import sample_model_folder

SAMPLE = "sample"


def open_model(which: str | Path, folds: list[int | str] | None = None) -> TrainedModel:
    """The model called `which`: "sample", a trained nnU-Net folder, or a `.tuckerseg` file.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    if which == SAMPLE:
        return open_folder(sample_model_folder(), folds)
    path = Path(which).expanduser()
    if path.suffix == SUFFIX and path.is_file():
        if folds:
            raise ModelError(f"{path.name} holds the folds it was compressed from: leave the choice of folds out.")
        return load(path)
    if path.is_dir():
        return open_folder(path, folds)
    raise ModelError(
        f"There is no model {which}: give {SAMPLE}, the folder of a trained nnU-Net (the one with plans.json) "
        f"or a {SUFFIX} file."
    )


def installed() -> dict[str, Path]:
    """The models found on this computer without being told where: what `open_model` takes, and the folder it is in.

    Besides the sample those are the trained folders where nnU-Net (`nnUNet_results`) and TotalSegmentator
    (`TOTALSEG_WEIGHTS_PATH`, `TOTALSEG_HOME_DIR`, or its folder in the user's home) keep theirs.
    """
    folders = [plans.parent for root in _weight_folders() for plans in sorted(root.glob("*/*/plans.json"))]
    return {SAMPLE: sample_model_folder(), **{str(folder): folder for folder in folders}}


def _weight_folders() -> list[Path]:
    home = Path(os.environ.get("TOTALSEG_HOME_DIR", Path.home() / ".totalsegmentator"))
    totalsegmentator = Path(os.environ.get("TOTALSEG_WEIGHTS_PATH", home / "nnunet" / "results"))
    results = os.environ.get("nnUNet_results")  # noqa: SIM112
    return [totalsegmentator, *([Path(results)] if results else [])]
