"""Opening a model by its name, folder or file."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, suggestion
from .dataset import SUFFIX, is_compressed
from .sample import SAMPLE, sample_model_folder, sample_names
from .totalsegmentator.tasks import task, task_names
from .totalsegmentator.weights import open_network, weights_folder

if TYPE_CHECKING:
    from .nnunet import TrainedModel


def open_model(which: str | Path, folds: list[int | str] | None = None) -> "TrainedModel":
    """The model called `which`: "sample", "sample-small", a trained nnU-Net folder, or a `.tuckerseg` file.

    Also a task of TotalSegmentator's that is a single network; a `Session` runs those that are more.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    from .compressed import load
    from .folder import open_folder

    if which in sample_names():
        return open_folder(sample_model_folder(str(which)), folds)
    path = Path(which).expanduser()
    if is_compressed(path) and path.is_file():
        if folds:
            raise ModelError(f"{path.name} holds the folds it was compressed from: leave the choice of folds out.")
        loaded = load(path)
        if loaded.is_second_stage:
            raise ModelError(f"{path.name} is the second stage of a cascade alone: give the folder it was made of.")
        return loaded
    if path.is_dir():
        return open_folder(path, folds)
    if which in task_names():
        return _only_network(str(which))
    kinds = (
        f"give {SAMPLE}, one of TotalSegmentator's tasks, the folder of a trained nnU-Net (the one with plans.json) "
        f"or a {SUFFIX} file."
    )
    raise ModelError(f"There is no model {which}: {suggestion(str(which), [*sample_names(), *task_names()], kinds)}")


def _only_network(name: str) -> "TrainedModel":
    networks = task(name).all_networks()
    if len(networks) > 1:
        raise ModelError(
            f"{name} is {len(networks)} networks one after the other, and this is about one: give the folder of one, "
            f"below {weights_folder()}."
        )
    return open_network(networks[0], name)
