"""Volume and intensity of each structure in a segmentation, as a table or for programs.

The names and numbers are those that TotalSegmentator writes with `--statistics`; percentiles are added. A structure at
the image's border is measured as far as it is seen, and marked.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import OutputError
from .output import check_writable, whole_file
from .volume import LabelMap, Volume

SUFFIXES = (".csv", ".json")

_PERCENTILES = (5, 25, 50, 75, 95)

Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Statistics:
    """One structure; where it has no voxels, it has no intensities either.

    Attributes:
        label, name: its number and its name.
        n_voxels, volume: its size in voxels and in cubic millimetres.
        touches_border: whether it goes on outside the image, as far as one can see.
        intensity: the mean of the image's first channel, in the image's units, as the following.
        intensity_std: the standard deviation over its voxels, divided by their number.
    """

    label: int
    name: str
    n_voxels: int
    volume: float
    touches_border: bool
    intensity: float | None = None
    intensity_std: float | None = None
    intensity_min: float | None = None
    intensity_max: float | None = None
    intensity_p5: float | None = None
    intensity_p25: float | None = None
    intensity_p50: float | None = None
    intensity_p75: float | None = None
    intensity_p95: float | None = None


def statistics(image: Volume, label_map: LabelMap) -> list[Statistics]:
    """One entry for each label that has a name or occurs, in their order.

    Raises:
        ValueError: the label map (K, J, I) and the image (C, K, J, I) have different grids.
    """
    if image.voxels.shape[1:] != label_map.labels.shape:
        raise ValueError(f"an image of {image.voxels.shape[1:]} voxels has no labels of {label_map.labels.shape}")
    where = ndimage.find_objects(label_map.labels.astype(np.int32, copy=False))
    present = {label: place for label, place in enumerate(where, start=1) if place is not None}
    labels = sorted({*present, *label_map.names})
    return [_of_one(label, present.get(label), image.voxels[0], label_map) for label in labels]


def _of_one(label: int, where: Slices | None, image: npt.NDArray[np.generic], label_map: LabelMap) -> Statistics:
    name = label_map.names.get(label, str(label))
    if where is None:
        return Statistics(label, name, 0, 0.0, False)
    values = image[where][label_map.labels[where] == label].astype(np.float64)
    at_border = any(s.start == 0 or s.stop == side for s, side in zip(where, label_map.labels.shape, strict=True))
    numbers = (values.mean(), values.std(), values.min(), values.max(), *np.percentile(values, _PERCENTILES))
    cubic_millimetres = values.size * label_map.geometry.voxel_volume * 1000.0
    return Statistics(label, name, values.size, cubic_millimetres, at_border, *map(float, numbers))


def check_statistics(path: Path) -> None:
    """Whether statistics can be written to `path`, to be asked before a long run.

    Raises:
        OutputError: its suffix is not one of `SUFFIXES`, or it cannot be written to.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path} is no place for statistics: end it in {' or '.join(SUFFIXES)}.")
    check_writable(path)


def write_statistics(found: Sequence[Statistics], path: Path) -> None:
    """A row a structure in a .csv file, or an object a structure, by its name, in a .json file.

    Raises:
        OutputError: the file cannot be written, or its suffix is another one.
    """
    check_statistics(path)
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".json":
            temporary.write_text(json.dumps({one.name: asdict(one) for one in found}, indent=2), encoding="utf-8")
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [field.name for field in fields(Statistics)])
            table.writeheader()
            table.writerows(asdict(one) for one in found)
