"""A scan at a glance: an axial and a coronal slice through a structure, with what was found drawn over them."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import TuckerSegError
from ...segmentation.tasks.nibabel_images import canonical
from ...volumes.files import read_volume
from ...volumes.terminology import style
from ...volumes.volume import Volume
from ..cohort import Cohort
from ..manifest import Json
from ..scans.inputs import find_scans
from ..scans.scan import Scan

_HEIGHT = 190
"""Pixels."""

_AIR, _SOFT_TISSUE = -900, (-160.0, 240.0)
"""Images with values as low as air's in Hounsfield units are shown in a window for soft tissue."""

_STRONG, _FAINT = 0.65, 0.25
"""How much of the structure's colour, and of the others', covers the image."""

Grey = npt.NDArray[np.floating[Any]]
Slice = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Thumbnail:
    """A PNG picture as a `data:` address."""

    address: str


class Thumbnails:
    """Pictures of a cohort's scans, which are looked up once."""

    def __init__(self, cohort: Cohort) -> None:
        self._cohort = cohort
        self._scans: dict[str, Scan] | None = None

    def of(self, record: Json, structure: str) -> Thumbnail | None:
        """The scan cut where the structure is; none where the image or its result cannot be read any more."""
        try:
            scan = self._found().get(record["id"])
            if scan is None:
                return None
            with scan.at_hand() as here:
                image = canonical(read_volume(here.channels, self._cohort.writing.straighten))
            result = self._cohort.places.result(record["id"], self._cohort.writing.suffix)
            labels = canonical(read_volume([result]))
        except TuckerSegError:
            return None
        numbers = {one["name"]: one["label"] for one in record["structures"]}
        return _picture(image, labels, numbers, structure)

    def _found(self) -> dict[str, Scan]:
        if self._scans is None:
            cohort = self._cohort
            found = find_scans(cohort.inputs, cohort.results, cohort.images, cohort.name)
            self._scans = {scan.id: scan for scan in found.scans}
        return self._scans


def _picture(image: Volume, labels: Volume, numbers: dict[str, int], structure: str) -> Thumbnail:
    """Both volumes lie in RAS; patients are seen from their feet and from the front, as radiologists do."""
    grey, found = _window(image.voxels[0]), labels.voxels[0]
    colours = _colours(numbers, structure, int(found.max()))
    k, j = _middle(found, numbers.get(structure, 0))
    i_mm, j_mm, k_mm = image.geometry.spacing
    cuts = [
        (grey[k], found[k], j_mm, i_mm),
        (grey[:, j], found[:, j], k_mm, i_mm),
    ]
    pictures = [_drawn(one[::-1, ::-1], labelled[::-1, ::-1], colours, *mm) for one, labelled, *mm in cuts]
    whole = Image.new("RGB", (sum(one.width for one in pictures) + 4, _HEIGHT), "white")
    left = 0
    for one in pictures:
        whole.paste(one, (left, 0))
        left += one.width + 4
    packed = io.BytesIO()
    whole.save(packed, "PNG", optimize=True)
    return Thumbnail("data:image/png;base64," + base64.b64encode(packed.getvalue()).decode())


def _window(voxels: Slice) -> Grey:
    """0 to 1."""
    values = voxels.astype(np.float32)
    low, high = _SOFT_TISSUE if values.min() <= _AIR else map(float, np.percentile(values[::2, ::2, ::2], (1, 99)))
    windowed: Grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return windowed


def _colours(numbers: dict[str, int], structure: str, highest: int) -> npt.NDArray[np.float32]:
    """Red, green, blue and cover of each label."""
    table = np.zeros((highest + 1, 4), np.float32)
    for name, label in numbers.items():
        if label <= highest:
            table[label] = (*style(name).color, _STRONG if name == structure else _FAINT)
    return table


def _middle(labels: Slice, label: int) -> tuple[int, int]:
    """The slices k and j through the middle of a structure; those through the middle of all where it is missing."""
    where = np.argwhere(labels == label) if label else np.empty((0, 3))
    if not len(where):
        where = np.argwhere(labels)
    k, j, _ = where.mean(axis=0) if len(where) else np.array(labels.shape) / 2
    return int(k), int(j)


def _drawn(grey: Grey, labels: Slice, colours: npt.NDArray[np.float32], row_mm: float, column_mm: float) -> Image.Image:
    over = colours[labels.astype(np.intp)]
    cover = over[..., 3:]
    mixed = grey[..., np.newaxis] * (1 - cover) + over[..., :3] * cover
    height, width = labels.shape[0] * row_mm, labels.shape[1] * column_mm
    size = (max(1, round(_HEIGHT * width / height)), _HEIGHT)
    return Image.fromarray((mixed * 255).astype(np.uint8), "RGB").resize(size, Image.Resampling.BILINEAR)
