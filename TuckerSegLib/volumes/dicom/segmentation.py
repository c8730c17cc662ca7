"""A label map of a DICOM series -> a DICOM Segmentation object, which viewers show on that series.

Binary, one segment a structure that occurs, with SNOMED CT codes and recommended colours; its frames refer to the
slices they lie on. (DICOM PS3.3, A.51.) The package highdicom writes it.
"""

# mypy: allow-untyped-calls

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, OutputError
from ..output import whole_file
from ..terminology import SegmentStyle, style
from ..volume import LabelMap
from .headers import is_dicom
from .series import Series, series_of
from .stack import Stack

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_SAME_GRID = 1e-3

_MAX_LABEL = 64
"""Characters of a segment's label in DICOM."""

_TISSUE = ("85756007", "SCT", "Tissue")
"""The category of structures that no table codes."""

_OWN_SCHEME = "99TUCKERSEG"


def check_dicom_output(images: Sequence[Path], straighten: bool = False) -> None:
    """Whether a DICOM Segmentation can be made of an image, to be asked before a long run.

    Raises:
        OutputError: the package is missing, or the image is no DICOM series, whose patient and slices it would name.
        InputError: the series forms no volume.
    """
    if len(images) != 1 or not images[0].exists() or not (images[0].is_dir() or is_dicom(images[0])):
        raise OutputError("A DICOM segmentation needs a DICOM series as its image: choose another suffix or image.")
    if straighten:
        raise OutputError("A DICOM segmentation lies on its series' own slices: leave out --straighten.")
    if find_spec("highdicom") is None:
        raise OutputError("A DICOM segmentation needs the package highdicom: pip install 'tuckerseg[dicom]'.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, stack = series_of(images[0])
    _check_files(stack)


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
    check_dicom_output(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series, stack = series_of(images[0])
        if label_map.labels.shape != stack.geometry.shape or not np.allclose(
            label_map.geometry.ijk_to_ras, stack.geometry.ijk_to_ras, rtol=0, atol=_SAME_GRID
        ):
            raise InputError(f"{images[0]} is not on the grid of the labels: write them in another format.")
        content = _content(label_map, series, stack, algorithm, standard_names)
        with whole_file(path) as temporary:
            content.save_as(temporary, enforce_file_format=True)


def _content(
    label_map: LabelMap, series: Series, stack: Stack, algorithm: Mapping[str, str], standard_names: bool
) -> Any:
    import highdicom

    labels = list(label_map.voxel_counts())
    if not labels:
        raise InputError("Nothing was found in the image, and a DICOM segmentation cannot be empty: choose .seg.nrrd.")
    styles = [style(label_map.names.get(label, f"label_{label}")) for label in labels]
    described = [_segment(number, one, algorithm, standard_names) for number, one in enumerate(styles, start=1)]
    sources, planes = _on_slices(_numbered(label_map, labels), series, stack)
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=planes,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        pixel_measures=_pixel_measures(stack),
        series_instance_uid=highdicom.UID(),
        series_number=1000 + int(sources[0].get("SeriesNumber") or 0),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="TuckerSeg",
        manufacturer_model_name="TuckerSeg",
        software_versions=_version(),
        device_serial_number="1",
        series_description="TuckerSeg segmentation",
        content_label="SEGMENTATION",
        content_description="Research software, not a medical device",
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


def _on_slices(
    numbered: npt.NDArray[np.uint16], series: Series, stack: Stack
) -> tuple[list[Any], npt.NDArray[np.uint16]]:
    """The source images, and the planes of segment numbers in the order of their frames."""
    files = _check_files(stack)
    for file in files:  # highdicom asks each for it, and not every series says how thick its slices are
        if "SliceThickness" not in series.headers[file]:
            series.headers[file].SliceThickness = round(stack.geometry.spacing[2], 9)
    if len(files) == len(stack.frames):
        return [series.headers[file] for file in files], numbered
    header = series.headers[files[0]]
    planes = np.zeros((int(header.NumberOfFrames), *numbered.shape[1:]), np.uint16)
    planes[[frame.index for frame in stack.frames]] = numbered
    return [header], planes


def _check_files(stack: Stack) -> list[Path]:
    """The files of a stack in its order: one a slice, or one with all of them.

    Raises:
        OutputError: there are several with several slices each.
    """
    files = list(dict.fromkeys(frame.file for frame in stack.frames))
    if len(files) not in (1, len(stack.frames)):
        raise OutputError("The series is spread over several multi-frame files: choose another suffix for the result.")
    return files


def _segment(
    number: int, one: SegmentStyle, algorithm: Mapping[str, str], standard_names: bool
) -> "SegmentDescription":
    import highdicom
    from pydicom.sr.codedict import codes

    category, kind, modifier, region, region_modifier = _codes(one)
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=(one.label if standard_names else one.name)[:_MAX_LABEL],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            "TuckerSeg", codes.cid7162.ArtificialIntelligence, _version(), parameters=dict(algorithm)
        ),
        tracking_uid=highdicom.UID(),
        tracking_id=one.name[:_MAX_LABEL],
        anatomic_regions=[region] if region else None,
        display_color=highdicom.color.CIELabColor.from_rgb(*(round(255 * part) for part in one.color)),
    )
    if modifier:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    if region and region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [region_modifier]
    return description


def _codes(one: SegmentStyle) -> list[Any]:
    """Category, type, type modifier, anatomic region, region modifier; none where 3D Slicer's entry has none."""
    from highdicom.sr import CodedConcept

    if not one.terminology:
        own = CodedConcept(one.name[:16], _OWN_SCHEME, one.label[:_MAX_LABEL])
        return [CodedConcept(*_TISSUE), own, None, None, None]
    _, category, kind, modifier, _, region, region_modifier = one.terminology.split("~")
    found = []
    for entry in (category, kind, modifier, region, region_modifier):
        scheme, value, meaning = entry.split("^")
        found.append(CodedConcept(value, scheme, meaning) if value else None)
    return found


def _version() -> str:
    try:
        return version("tuckerseg")
    except PackageNotFoundError:  # in 3D Slicer, which loads the library from the extension's folder
        return "0"
