"""Where networks come from."""

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
