"""Unlabelled images, preprocessed once and kept as files, so that their number is not limited by memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed  # type: ignore[import-untyped]

from ..errors import InputError
from ..inference.predict import preprocessed
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes.output import make_folder, whole_file
from ..volumes.phantoms import seeds
from ..volumes.sources import Source, read, sources_of


def preprocess_all(
    model: TrainedModel,
    sources: Sequence[str],
    folder: Path,
    progress: Progress | None = None,
    phantoms: Sequence[int] = seeds.DISTILLATION,
) -> list[Path]:
    """Every image of `sources` as a file in `folder`, (C, *spatial) in half precision; those that are there stay.

    A source is "phantoms", of the seeds that are given, an image file, a folder of them, or a folder with one DICOM
    series.

    Raises:
        Cancelled: `progress` was cancelled; the files that are finished are kept.
        InputError: there is no image, one cannot be read, or its channels are not the model's.
    """
    items = sources_of(sources, phantoms)
    if not items:
        raise InputError("There is no image to learn from: name at least one.")
    make_folder(folder)
    files = [folder / f"{_name(item)}.npy" for item in items]
    waiting = [(item, file) for item, file in zip(items, files, strict=True) if not file.exists()]
    without_weights = replace(model, load_weights=list)
    workers = min(torch.get_num_threads(), len(waiting))
    if workers < 2:
        done = (_preprocess(without_weights, item, file) for item, file in waiting)
    else:
        # What takes time is NumPy's and PyTorch's; processes would each import both, again and again.
        jobs = Parallel(workers, prefer="threads", return_as="generator_unordered")
        done = jobs(delayed(_preprocess)(without_weights, item, file) for item, file in waiting)
    progress = progress or Progress()
    progress.stage("images")
    progress.step(len(items) - len(waiting), len(items))
    for number, _ in enumerate(done, len(items) - len(waiting) + 1):
        progress.step(number, len(items))
    return files


def _name(item: Source) -> str:
    """Another one for every image, and for one that has changed."""
    if isinstance(item, int):
        return f"phantom_{item}"
    state = [item.stat().st_size, item.stat().st_mtime_ns] if item.exists() else []
    return hashlib.sha256(f"{item.resolve()} {state}".encode()).hexdigest()[:16]


def _preprocess(model: TrainedModel, item: Source, file: Path) -> Path:
    data = preprocessed(model, read(item)).numpy().astype(np.float16)
    with whole_file(file) as partial, partial.open("wb") as opened:
        np.save(opened, data)
    return file
