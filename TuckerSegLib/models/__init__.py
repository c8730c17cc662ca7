"""Where networks come from."""

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from .totalsegmentator import task, task_names
from .weights import is_installed, open_network, weights_folder

if TYPE_CHECKING:
    from .nnunet import TrainedModel

SAMPLE = "sample"


def open_model(which: str | Path, folds: list[int | str] | None = None) -> "TrainedModel":
    """The model called `which`: "sample", a trained nnU-Net folder, or a `.tuckerseg` file.

    Also a task of TotalSegmentator's that is a single network; those that are more are run by `tasks.segment_any`.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    from .compressed import SUFFIX, load
    from .nnunet import open_folder
    from .sample import sample_model_folder

    if which == SAMPLE:
        return open_folder(sample_model_folder(), folds)
    path = Path(which).expanduser()
    if path.suffix == SUFFIX and path.is_file():
        if folds:
            raise ModelError(f"{path.name} holds the folds it was compressed from: leave the choice of folds out.")
        return load(path)
    if path.is_dir():
        return open_folder(path, folds)
    if which in task_names():
        return _only_network(str(which))
    close = difflib.get_close_matches(str(which), [SAMPLE, *task_names()], 1)
    if close:
        raise ModelError(f"There is no model {which}: did you mean {close[0]}?")
    raise ModelError(
        f"There is no model {which}: give {SAMPLE}, one of TotalSegmentator's tasks, the folder of a trained nnU-Net "
        f"(the one with plans.json) or a {SUFFIX} file."
    )


def _only_network(name: str) -> "TrainedModel":
    networks = task(name).all_networks()
    if len(networks) > 1:
        raise ModelError(
            f"{name} is {len(networks)} networks one after the other, and this is about one: give the folder of one, "
            f"below {weights_folder()}."
        )
    return open_network(networks[0], name)


def installed() -> dict[str, Path]:
    """The models found on this computer without being told where: what `open_model` takes, and the folder it is in.

    Besides the sample those are TotalSegmentator's tasks whose networks are all here, and the trained folders where
    nnU-Net (`nnUNet_results`) and TotalSegmentator (`TOTALSEG_WEIGHTS_PATH`, `TOTALSEG_HOME_DIR`, or its folder in the
    user's home) keep theirs.
    """
    from .sample import sample_model_folder

    folders = [plans.parent for root in _weight_folders() for plans in sorted(root.glob("*/*/plans.json"))]
    return {SAMPLE: sample_model_folder(), **_installed_tasks(), **{str(folder): folder for folder in folders}}


def _installed_tasks() -> dict[str, Path]:
    tasks = [known for known in map(task, task_names()) if is_installed(known)]
    return {known.name: weights_folder() / known.networks[-1].folder for known in tasks}


def _weight_folders() -> list[Path]:
    results = os.environ.get("nnUNet_results")  # noqa: SIM112
    return [weights_folder(), *([Path(results)] if results else [])]
