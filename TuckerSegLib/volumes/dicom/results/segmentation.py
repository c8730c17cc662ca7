"""A label map of a DICOM series -> a DICOM Segmentation object, which viewers show on that series.

Binary, one segment a structure that occurs, with SNOMED CT codes and recommended colours; its frames refer to the
slices they lie on. (DICOM PS3.3, A.51.) The package highdicom writes it.
"""

# mypy: allow-untyped-calls

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....version import VERSION
from ...output import whole_file
from ...terminology import SegmentStyle, style
from ...volume import LabelMap
from ..stack import Stack
from .codes import MAX_NAME, codes_of, item
from .source import DISCLAIMER, MANUFACTURER, Source, check_highdicom, lenient, source_of

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_WHAT = "A DICOM segmentation"


def check_dicom_output(images: Sequence[Path], straighten: bool = False) -> None:
    """Whether a DICOM Segmentation can be made of an image, to be asked before a long run.

    Raises:
        OutputError: the package is missing, or the image is no DICOM series, whose patient and slices it would name.
        InputError: the series forms no volume.
    """
    source_of(images, _WHAT, straighten)
    check_highdicom(_WHAT)


def write_dicom_segmentation(
    label_map: LabelMap, images: Sequence[Path], path: Path, algorithm: Mapping[str, str], standard_names: bool = False
) -> None:
    """Writes `label_map` to `path`: whole, or not at all and what was there before stays.

    Args:
        label_map: labels (K, J, I) on the grid of the series.
        images: the folder or file of the series, as it was read.
        path: the .dcm file to write.
        algorithm: what made the labels, such as the model and its factor, to be written into each segment.
        standard_names: label segments in words (`left kidney`), not as the network does (`kidney_left`).

    Raises:
        InputError: the labels lie on another grid than the series, or there are none.
        OutputError: the file cannot be written.
    """
    source = source_of(images, _WHAT)
    check_highdicom(_WHAT)
    source.check_grid(label_map)
    with lenient():
        content = _content(label_map, source, algorithm, standard_names)
        with whole_file(path) as temporary:
            content.save_as(temporary, enforce_file_format=True)


def _content(label_map: LabelMap, source: Source, algorithm: Mapping[str, str], standard_names: bool) -> Any:
    import highdicom

    labels = list(label_map.voxel_counts())
    if not labels:
        raise InputError("Nothing was found in the image, and a DICOM segmentation cannot be empty: choose .seg.nrrd.")
    styles = [style(label_map.names.get(label, f"label_{label}")) for label in labels]
    described = [_segment(number, one, algorithm, standard_names) for number, one in enumerate(styles, start=1)]
    headers, planes = _on_slices(_numbered(label_map, labels), source)
    return highdicom.seg.Segmentation(
        source_images=headers,
        pixel_array=planes,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        pixel_measures=_pixel_measures(source.stack),
        series_instance_uid=highdicom.UID(),
        series_number=source.series_number,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=VERSION,
        device_serial_number="1",
        series_description="TuckerSeg segmentation",
        content_label="SEGMENTATION",
        content_description=DISCLAIMER,
    )


def _pixel_measures(stack: Stack) -> Any:
    import highdicom

    i, j, k = (round(value, 9) for value in stack.geometry.spacing)
    return highdicom.PixelMeasuresSequence(pixel_spacing=[j, i], slice_thickness=k, spacing_between_slices=k)


def _numbered(label_map: LabelMap, labels: list[int]) -> npt.NDArray[np.uint16]:
    """(K, J, I): the number of each voxel's segment, 0 outside of all."""
    numbers = np.zeros(max(labels) + 1, np.uint16)
    numbers[labels] = np.arange(1, len(labels) + 1)
    numbered: npt.NDArray[np.uint16] = numbers[label_map.labels]
    return numbered


def _on_slices(numbered: npt.NDArray[np.uint16], source: Source) -> tuple[list[Any], npt.NDArray[np.uint16]]:
    """The source images, and the planes of segment numbers in the order of their frames."""
    stack, headers = source.stack, source.headers
    for header in headers:  # highdicom asks each for it, and not every series says how thick its slices are
        if "SliceThickness" not in header:
            header.SliceThickness = round(stack.geometry.spacing[2], 9)
    if len(headers) == len(stack.frames):
        return list(headers), numbered
    planes = np.zeros((int(headers[0].NumberOfFrames), *numbered.shape[1:]), np.uint16)
    planes[[frame.index for frame in stack.frames]] = numbered
    return list(headers), planes


def _segment(
    number: int, one: SegmentStyle, algorithm: Mapping[str, str], standard_names: bool
) -> "SegmentDescription":
    import highdicom
    from pydicom.sr.codedict import codes

    coded = codes_of(one)
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=(one.label if standard_names else one.name)[:MAX_NAME],
        segmented_property_category=coded.category,
        segmented_property_type=coded.kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            MANUFACTURER, codes.cid7162.ArtificialIntelligence, VERSION, parameters=dict(algorithm)
        ),
        tracking_uid=highdicom.UID(),
        tracking_id=one.name[:MAX_NAME],
        anatomic_regions=[coded.region] if coded.region else None,
        display_color=highdicom.color.CIELabColor.from_rgb(*(round(255 * part) for part in one.color)),
    )
    if coded.modifier:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            item(coded.modifier)
        ]
    if coded.region and coded.region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [item(coded.region_modifier)]
    return description
