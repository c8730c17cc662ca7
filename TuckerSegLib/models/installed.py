"""The models that are found on this computer without being told where; free of PyTorch."""

import os
from pathlib import Path

from .sample import installed_samples
from .totalsegmentator.tasks import task, task_names
from .totalsegmentator.weights import is_installed, weights_folder


def installed() -> dict[str, Path]:
    """The models found on this computer without being told where: what `open_model` takes, and the folder it is in.

    Besides the samples those are TotalSegmentator's tasks whose networks are all here, and the trained folders where
    nnU-Net (`nnUNet_results`) and TotalSegmentator (`TOTALSEG_WEIGHTS_PATH`, `TOTALSEG_HOME_DIR`, or its folder in the
    user's home) keep theirs.
    """
    folders = [plans.parent for root in _weight_folders() for plans in sorted(root.glob("*/*/plans.json"))]
    return {**installed_samples(), **_installed_tasks(), **{str(folder): folder for folder in folders}}


def _installed_tasks() -> dict[str, Path]:
    tasks = [known for known in map(task, task_names()) if is_installed(known)]
    return {known.name: weights_folder() / known.networks[-1].folder for known in tasks}


def _weight_folders() -> list[Path]:
    results = os.environ.get("nnUNet_results")  # noqa: SIM112
    return [weights_folder(), *([Path(results)] if results else [])]
