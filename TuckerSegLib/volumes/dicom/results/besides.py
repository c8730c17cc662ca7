"""What is written beside a segmentation where it is asked for: statistics, a structure set, a report.

Importing it is quick: what is needed to write them is imported when one is wanted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import OutputError
from ...output import DICOM_SUFFIX, check_images_stay, check_writable

if TYPE_CHECKING:
    from ...volume import LabelMap, Volume


@dataclass(frozen=True)
class Besides:
    """The files, None for what is not wanted."""

    statistics: Path | None = None
    structure_set: Path | None = None
    report: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Those that are wanted."""
        return [path for field in fields(self) if (path := getattr(self, field.name)) is not None]

    def named_after(self, stem: Path) -> "Besides":
        """Those of one of many scans: `ct.statistics.csv` beside `ct.seg.nrrd`, whose `stem` is `ct`."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{key: stem.with_name(f"{stem.name}.{path.name}") for key, path in names.items() if path is not None}
        )

    def check(self, output: Path, images: Sequence[Path], straighten: bool = False) -> None:
        """Whether they can be written, to be asked before a long run whose segmentation goes to `output`.

        Raises:
            OutputError: one of them cannot be written, or would take the place of another or of an image.
            InputError: the series that it should be made of forms no volume.
        """
        _check_apart([output, *self.paths])
        for path in self.paths:
            check_images_stay(path, images)
        if self.statistics:
            from ...statistics import check_statistics

            check_statistics(self.statistics)
        for path in filter(None, (self.structure_set, self.report)):
            if path.suffix.lower() != DICOM_SUFFIX:
                raise OutputError(f"{path} is no name of a DICOM file: end it in {DICOM_SUFFIX}.")
            check_writable(path)
        if self.structure_set:
            from .structure_set import check_structure_set

            check_structure_set(images, straighten)
        if self.report:
            from .report import check_report

            check_report(images, output, straighten)

    def write(
        self,
        image: "Volume",
        label_map: "LabelMap",
        output: Path,
        images: Sequence[Path],
        algorithm: Mapping[str, str],
        standard_names: bool = False,
    ) -> None:
        """Writes them, each whole or not at all; the segmentation has been written to `output`.

        Raises:
            InputError: nothing was found, of which a structure set could not be made.
            OutputError: one of them cannot be written.
        """
        if self.structure_set:
            from .structure_set import write_structure_set

            write_structure_set(label_map, images, self.structure_set, algorithm, standard_names)
        if not (self.statistics or self.report):
            return
        from ...statistics import statistics, write_statistics

        found = statistics(image, label_map)
        if self.statistics:
            write_statistics(found, self.statistics)
        if self.report:
            from .report import write_report

            write_report(found, images, output, self.report)


def _check_apart(paths: Sequence[Path]) -> None:
    """Raises `OutputError` where two results would be one file."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise OutputError(f"{path} is the place of two results: choose different names.")
        seen.add(path.resolve())
