"""What a segmentation gives; free of PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..volumes.dice import Labels, dice
from ..volumes.volume import LabelMap


@dataclass(frozen=True, repr=False)
class Segmentation:
    """What a segmentation gave: its label map, and how it was made.

    `model` is its name and `policy` how it was compressed, by which `parameters_removed`, a share of the original's,
    went and `layers_kept` stayed as they were; `seconds` are by stage, `engine` is the one that ran, `peak_memory` the
    process's in bytes, and `warnings` are sentences for the user. Of a task of several networks the last is described.
    """

    label_map: LabelMap
    model: str
    policy: Mapping[str, Any]
    parameters_removed: float
    layers_kept: int
    seconds: Mapping[str, float]
    cache_hit: bool
    engine: str
    peak_memory: int
    warnings: Sequence[str] = ()

    def save(self, path: str | Path, standard_names: bool = False, image: str | Path | None = None) -> None:
        """Write it whole to `path`: a `.seg.nrrd` for 3D Slicer, or a `.nii.gz`, `.nii`, `.nrrd` or `.mha` label map.

        With `standard_names` segments are named in words, "left kidney" instead of kidney_left. A `.dcm` is a DICOM
        Segmentation of the series in `image`, a folder or a file of it, that was segmented.

        Raises:
            OutputError: the suffix is another one, or the place cannot be written to.
        """
        from ..volumes.dicom.segmentation import write_dicom_segmentation
        from ..volumes.files import write_segmentation
        from ..volumes.output import DICOM_SUFFIX

        path = Path(path)
        if path.suffix.lower() != DICOM_SUFFIX:
            write_segmentation(self.label_map, path, standard_names)
            return
        how = {"model": self.model, "engine": self.engine, **{key: str(value) for key, value in self.policy.items()}}
        images = [] if image is None else [Path(image)]
        write_dicom_segmentation(self.label_map, images, path, how, standard_names)

    @property
    def names(self) -> list[str]:
        """The structures that were found, in the order of their labels."""
        return list(self.volumes)

    @property
    def volumes(self) -> dict[str, float]:
        """Millilitres of each structure that was found."""
        size, names = self.label_map.geometry.voxel_volume, _names(self.label_map)
        return {names[label]: count * size for label, count in self.label_map.voxel_counts().items()}

    def dice(self, other: "Segmentation | LabelMap") -> dict[str, float]:
        """Dice's coefficient with another segmentation of each structure that either has, by its name.

        Raises:
            InputError: the other one lies on another grid.
        """
        theirs = other.label_map if isinstance(other, Segmentation) else other
        if not self.label_map.geometry.is_same_grid(theirs.geometry):
            raise InputError("The two segmentations lie on different grids: resample one of them to the other's.")
        names = list(dict.fromkeys([*_names(self.label_map).values(), *_names(theirs).values()]))
        found = dice(*(_numbered(one, names) for one in (self.label_map, theirs)))
        return {names[number - 1]: value for number, value in found.items()}

    def __repr__(self) -> str:
        factor, found = self.policy.get("factor"), len(self.label_map.voxel_counts())
        level = "" if factor is None else f" at {factor:g}"
        structures = f"{found} structure{'s' * (found != 1)}"
        return f"Segmentation({self.model}{level}: {structures}, {sum(self.seconds.values()):.1f} s by {self.engine})"


def _names(label_map: LabelMap) -> dict[int, str]:
    """The name of each label that occurs; one without a name goes by its number."""
    return {label: label_map.names.get(label, str(label)) for label in label_map.voxel_counts()}


def _numbered(label_map: LabelMap, names: Sequence[str]) -> Labels:
    """The label map with each structure numbered by its place in `names`, from 1."""
    table = np.zeros(int(label_map.labels.max(initial=0)) + 1, np.uint16)
    for label, name in _names(label_map).items():
        table[label] = names.index(name) + 1
    numbered: Labels = table[label_map.labels]
    return numbered
