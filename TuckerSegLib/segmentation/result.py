"""What a segmentation gives; free of PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.check.checked import Checked, worst
from ..volumes.dice import Labels, dice
from ..volumes.volume import LabelMap


@dataclass(frozen=True, repr=False)
class Segmentation:
    """What a segmentation gave: its label map, and how it was made.

    `model` is its name and `policy` how it was compressed, by which `parameters_removed`, a share of the original's,
    went and `layers_kept` stayed as they were; `seconds` are by stage, `engine` is the one that ran, `peak_memory` the
    process's in bytes, and `warnings` are sentences for the user. Of a task of several networks the last is described.
    `checks` say how near the answer is to the original network's, by the name of each network; there is none where the
    original itself ran, or is not at hand because a compressed file was opened.
    `choices` were made on this computer by what is fast here: the same request gives the same labels, to the voxel, as
    long as they hold, and elsewhere on such a computer where they are in the file that `TUCKERSEG_CHOICES` names.
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
    checks: Mapping[str, Checked] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def check(self) -> Checked | None:
        """The least agreement with the original of all networks that were checked, and what all checks took."""
        return worst(self.checks.values())

    @property
    def described(self) -> str:
        """How it was made and how good it is, in one line, to be kept with it."""
        level = "" if self.policy.get("factor", 1.0) == 1.0 else f" at {self.policy['factor']:g}"
        if self.check is None:
            return f"{self.model}{level}"
        poor = "POOR: " if self.check.poor else ""
        return f"{poor}{self.model}{level}, {self.check} with the original network, {self.check.basis}"

    def save(self, path: str | Path, standard_names: bool = False, image: str | Path | None = None) -> None:
        """Write it whole to `path`: a `.seg.nrrd` for 3D Slicer, or a `.nii.gz`, `.nii`, `.nrrd` or `.mha` label map.

        With `standard_names` segments are named in words, "left kidney" instead of kidney_left. A `.dcm` is a DICOM
        Segmentation of the series in `image`, a folder or a file of it, that was segmented.

        Raises:
            OutputError: the suffix is another one, or the place cannot be written to.
        """
        from ..volumes.dicom.results.segmentation import write_dicom_segmentation
        from ..volumes.files import write_segmentation
        from ..volumes.output import DICOM_SUFFIX

        path = Path(path)
        if path.suffix.lower() != DICOM_SUFFIX:
            write_segmentation(self.label_map, path, standard_names)
            return
        images = [] if image is None else [Path(image)]
        write_dicom_segmentation(self.label_map, images, path, self.algorithm, standard_names)

    @property
    def algorithm(self) -> dict[str, str]:
        """How it was made and how good it is, in words that a DICOM file can hold."""
        how = {"model": self.model, "engine": self.engine, **{key: str(value) for key, value in self.policy.items()}}
        if self.check is not None:
            how["agreement with the original network"] = f"{self.check.agreement:.3f}, {self.check.basis}"
        return how

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
