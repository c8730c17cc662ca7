"""The cases of a study: phantoms, or images with their label maps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...volumes.files import read_volume
from ...volumes.phantoms.phantom import phantom
from ...volumes.volume import LabelMap, Volume


@dataclass(frozen=True)
class Case:
    """An image and its truth on one grid; without a truth, the original network's own label map stands for it."""

    name: str
    load: Callable[[], tuple[Volume, LabelMap | None]]


def phantoms(first: int, last: int) -> list[Case]:
    """The phantoms of the seeds from `first` to `last`, both included."""

    def load(seed: int) -> Callable[[], tuple[Volume, LabelMap | None]]:
        def made() -> tuple[Volume, LabelMap | None]:
            one = phantom(seed)
            return one.image, one.truth

        return made

    return [Case(f"phantom {seed}", load(seed)) for seed in range(first, last + 1)]


def cases_in(images: Path, labels: Path | None = None) -> list[Case]:
    """Every file in `images` with the label map of the same name in `labels`, apart from nnU-Net's ending _0000.

    Without `labels` the cases have no truth.

    Raises:
        InputError: there is no such folder, no image, or an image without a label map.
    """
    for folder in filter(None, (images, labels)):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: name the folders of the images and of their label maps.")
    files = sorted(file for file in images.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise InputError(f"There is no image in {images}: choose another folder.")
    return [_case(file, labels and labels / file.name.replace("_0000.", ".")) for file in files]


def image_alone(image: Path) -> Case:
    """An image without a truth."""
    return Case(f"{image.name} beside the original", lambda: (read_volume([image]), None))


def _case(image: Path, label_map: Path | None) -> Case:
    if label_map is None:
        return image_alone(image)
    if not label_map.is_file():
        raise InputError(f"There is no label map {label_map} for {image.name}: add it, or take the image away.")
    return Case(label_map.name, lambda: (read_volume([image]), _label_map(label_map)))


def _label_map(path: Path) -> LabelMap:
    read = read_volume([path])
    if read.voxels.min() < 0 or not np.array_equal(read.voxels, np.rint(read.voxels)):
        raise InputError(f"{path} holds numbers that are no labels: choose a label map.")
    return LabelMap(read.voxels[0].astype(np.uint16), read.geometry)


def check_grid(name: str, image: Volume, truth: LabelMap) -> None:
    """
    Raises:
        InputError: the label map of the case called `name` does not lie on its image's grid.
    """
    if not image.geometry.is_same_grid(truth.geometry):
        raise InputError(f"The label map of {name} does not lie on its image's grid: resample it.")
