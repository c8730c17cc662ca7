"""A label map of a DICOM series -> a radiotherapy structure set (RTSTRUCT), as treatment planning systems read it.

Every structure that occurs is a region of closed outlines on the slices of the series, with SNOMED CT code and colour.
(DICOM PS3.3, A.19.)
"""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from scipy import ndimage

from ....errors import InputError
from ....version import VERSION
from ...output import whole_file
from ...terminology import SegmentStyle, style
from ...volume import LabelMap
from ..frames import Frame
from .codes import MAX_NAME, codes_of, item
from .contours import outlines
from .source import DISCLAIMER, MANUFACTURER, Source, lenient, source_of

_WHAT = "A DICOM structure set"

_COMPONENT_STUDY = "1.2.840.10008.3.1.2.3.1"
"""What the standard has structure sets call the study they refer to."""

_OF_PATIENT_AND_STUDY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""What the result has in common with the image, and may not leave out even where the image does."""

_OPTIONAL = ("StudyDescription", "PatientAge", "PatientSize", "PatientWeight", "SpecificCharacterSet")

_SHORT = 16
"""Characters of DICOM's short strings."""


def check_structure_set(images: Sequence[Path], straighten: bool = False) -> None:
    """Whether a structure set can be made of an image, to be asked before a long run.

    Raises:
        OutputError: the image is no DICOM series, whose patient and slices it would name.
        InputError: the series forms no volume.
    """
    source_of(images, _WHAT, straighten)


def write_structure_set(
    label_map: LabelMap, images: Sequence[Path], path: Path, algorithm: Mapping[str, str], standard_names: bool = False
) -> None:
    """Writes the outlines of `label_map` to `path`: whole, or not at all and what was there before stays.

    Args:
        label_map: labels (K, J, I) on the grid of the series.
        images: the folder or file of the series, as it was read.
        path: the .dcm file to write.
        algorithm: what made the labels, such as the model and its factor.
        standard_names: name regions in words (`left kidney`), not as the network does (`kidney_left`).

    Raises:
        InputError: the labels lie on another grid than the series, or there are none.
        OutputError: the file cannot be written.
    """
    source = source_of(images, _WHAT)
    source.check_grid(label_map)
    labels = list(label_map.voxel_counts())
    if not labels:
        raise InputError("Nothing was found in the image, and a DICOM structure set cannot be empty: leave it out.")
    with lenient():
        content = _head(source)
        content.StructureSetROISequence, content.ROIContourSequence, content.RTROIObservationsSequence = [], [], []
        where = ndimage.find_objects(label_map.labels.astype(np.int32, copy=False))
        for number, label in enumerate(labels, start=1):
            one = style(label_map.names.get(label, f"label_{label}"))
            name = (one.label if standard_names else one.name)[:MAX_NAME]
            _add_region(content, number, one, name, algorithm)
            _add_outlines(content.ROIContourSequence[-1], label_map.labels == label, where[label - 1], source)
        with whole_file(path) as temporary:
            content.save_as(temporary, enforce_file_format=True)


def _head(source: Source) -> FileDataset:
    image, now = source.headers[0], datetime.now()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    for tag in _OF_PATIENT_AND_STUDY:
        setattr(content, tag, image.get(tag, ""))
    for tag in _OPTIONAL:
        if tag in image:
            setattr(content, tag, image.get(tag))
    content.SOPClassUID, content.SOPInstanceUID = RTStructureSetStorage, meta.MediaStorageSOPInstanceUID
    content.Modality, content.SeriesInstanceUID, content.SeriesNumber = "RTSTRUCT", generate_uid(), source.series_number
    content.SeriesDescription, content.OperatorsName, content.InstanceNumber = "TuckerSeg structures", "", 1
    content.Manufacturer = content.ManufacturerModelName = MANUFACTURER
    content.SoftwareVersions = VERSION
    content.StructureSetLabel, content.StructureSetDescription = "TUCKERSEG", DISCLAIMER
    content.StructureSetDate = content.InstanceCreationDate = content.SeriesDate = now.strftime("%Y%m%d")
    content.StructureSetTime = content.InstanceCreationTime = content.SeriesTime = now.strftime("%H%M%S")
    content.ApprovalStatus = "UNAPPROVED"
    content.FrameOfReferenceUID = image.FrameOfReferenceUID
    content.PositionReferenceIndicator = image.get("PositionReferenceIndicator", "")
    content.ReferencedFrameOfReferenceSequence = [_referenced(source)]
    return content


def _referenced(source: Source) -> Dataset:
    """The frame of reference, and in it the study, the series and all images of it."""
    image = source.headers[0]
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = image.SeriesInstanceUID
    series.ContourImageSequence = [_reference(header) for header in source.headers]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _COMPONENT_STUDY, image.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = image.FrameOfReferenceUID, [study]
    return frame


def _reference(header: FileDataset, frame: int | None = None) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    return reference


def _add_region(content: Dataset, number: int, one: SegmentStyle, name: str, algorithm: Mapping[str, str]) -> None:
    """A region called `name` without outlines, in the three lists that a structure set has."""
    region, drawn, observed, coded = Dataset(), Dataset(), Dataset(), codes_of(one)
    region.ROINumber, region.ROIName = number, name
    region.ReferencedFrameOfReferenceUID = content.FrameOfReferenceUID
    region.ROIGenerationAlgorithm = "AUTOMATIC"
    region.ROIGenerationDescription = ", ".join(f"{key} {value}" for key, value in algorithm.items())[:MAX_NAME]
    drawn.ROIDisplayColor, drawn.ReferencedROINumber = [round(255 * part) for part in one.color], number
    drawn.ContourSequence = []
    observed.ObservationNumber, observed.ReferencedROINumber = number, number
    observed.ROIObservationLabel = name[:_SHORT]
    observed.RTROIInterpretedType, observed.ROIInterpreter = "", ""
    observed.RTROIIdentificationCodeSequence = [item(coded.kind)]
    content.StructureSetROISequence.append(region)
    content.ROIContourSequence.append(drawn)
    content.RTROIObservationsSequence.append(observed)


def _add_outlines(drawn: Dataset, mask: npt.NDArray[np.bool_], where: tuple[slice, ...], source: Source) -> None:
    """The outlines of `mask` (K, J, I), which has voxels nowhere but `where`."""
    (slices, rows, columns), to_ras = where, source.stack.geometry.ijk_to_ras
    for k in range(slices.start, slices.stop):
        for outline in outlines(mask[k, rows, columns]):
            contour, frame = Dataset(), source.stack.frames[k]
            header = source.series.headers[frame.file]
            several = int(header.get("NumberOfFrames") or 1) > 1
            contour.ContourImageSequence = [_reference(header, frame.index + 1 if several else None)]
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(outline)
            contour.ContourData = list(_written(outline + np.array([rows.start, columns.start]), frame, to_ras))
            drawn.ContourSequence.append(contour)


def _written(points: npt.NDArray[np.float64], frame: Frame, ijk_to_ras: npt.NDArray[np.float64]) -> Iterator[str]:
    """x, y, z in LPS mm of points (N, 2), (j, i) in pixels of a frame, as decimal strings of 16 bytes at most."""
    ij_to_lps = ijk_to_ras[:3, :2] * [[-1], [-1], [1]]
    return (f"{value:.4f}" for value in (frame.position + points[:, ::-1] @ ij_to_lps.T).ravel())
