"""Measurements of the segments of a DICOM Segmentation -> a structured report that refers to them.

Volume, and mean and standard deviation of the intensity, of each segment, by the template for measurement reports.
(DICOM PS3.16, TID 1500 and 1411.) The package highdicom writes it.
"""

# mypy: allow-untyped-calls

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ....errors import OutputError
from ....version import VERSION
from ...output import DICOM_SUFFIX, whole_file
from ...statistics import Statistics
from .codes import OWN_SCHEME
from .source import MANUFACTURER, Source, check_highdicom, lenient, source_of

_WHAT = "A DICOM report"

_VOLUME, _CUBIC_MILLIMETRES = Code("118565006", "SCT", "Volume"), Code("mm3", "UCUM", "cubic millimeter")

_INTENSITIES = {
    "CT": (Code("112031", "DCM", "Attenuation Coefficient"), Code("[hnsf'U]", "UCUM", "Hounsfield unit")),
    "MR": (Code("110852", "DCM", "MR signal intensity"), Code("1", "UCUM", "no units")),
}
"""What a voxel's value is, and its unit, by modality."""

_ANY_INTENSITY = (Code("intensity", OWN_SCHEME, "Intensity"), Code("1", "UCUM", "no units"))

_STATISTICS = {
    "intensity": Code("373098007", "SCT", "Mean"),
    "intensity_std": Code("386136009", "SCT", "Standard Deviation"),
}

_PROCEDURES = {
    "CT": Code("77477000", "SCT", "Computed tomography"),
    "MR": Code("113091000", "SCT", "Magnetic resonance imaging"),
}

_ANY_PROCEDURE = Code("363679005", "SCT", "Imaging")


def check_report(images: Sequence[Path], segmentation: Path, straighten: bool = False) -> None:
    """Whether a report can be made of what will be at `segmentation`, to be asked before a long run.

    Raises:
        OutputError: that is no DICOM Segmentation, the package is missing, or the image is no DICOM series.
        InputError: the series forms no volume.
    """
    if segmentation.suffix.lower() != DICOM_SUFFIX:
        raise OutputError(
            f"A DICOM report refers to a DICOM segmentation, which {segmentation} is not: end that in {DICOM_SUFFIX}."
        )
    source_of(images, _WHAT, straighten)
    check_highdicom(_WHAT)


def write_report(found: Sequence[Statistics], images: Sequence[Path], segmentation: Path, path: Path) -> None:
    """Writes the volume and intensity of each segment to `path`: whole, or not at all.

    Args:
        found: of the structures that occur, in the order of the segments.
        images: the folder or file of the series.
        segmentation: the DICOM Segmentation that was written of it.
        path: the .dcm file to write.

    Raises:
        OutputError: the file cannot be written.
    """
    source = source_of(images, _WHAT)
    with lenient():
        segments = dcmread(segmentation, stop_before_pixels=True)
        present = [one for one in found if one.n_voxels]
        content = _content(present, segments, source)
        with whole_file(path) as temporary:
            content.save_as(temporary, enforce_file_format=True)


def _content(found: Sequence[Statistics], segments: Dataset, source: Source) -> Any:
    from highdicom import UID, sr

    modality = str(source.headers[0].get("Modality") or "")
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=UID(), name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=MANUFACTURER
    )
    context = sr.ObservationContext(sr.ObserverContext(codes.DCM.Device, device))
    groups = [
        _group(one, segments, number, _INTENSITIES.get(modality, _ANY_INTENSITY))
        for number, one in enumerate(found, start=1)
    ]
    report = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_PROCEDURES.get(modality, _ANY_PROCEDURE),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.ComprehensiveSR(
        evidence=[segments, *source.headers],
        content=report[0],
        series_instance_uid=UID(),
        series_number=source.series_number + 1,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        software_versions=VERSION,
        series_description="TuckerSeg measurements",
    )


def _group(one: Statistics, segments: Dataset, number: int, intensity: tuple[Code, Code]) -> Any:
    """The measurements of one segment, which is described as the segmentation itself does."""
    from highdicom import sr

    segment = segments.SegmentSequence[number - 1]
    name, unit = intensity
    measured = [sr.Measurement(_VOLUME, one.volume, _CUBIC_MILLIMETRES)]
    for field, derivation in _STATISTICS.items():
        measured.append(sr.Measurement(name, getattr(one, field), unit, derivation=derivation))
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(segment.TrackingUID, segment.TrackingID),
        referenced_segment=sr.ReferencedSegment.from_segmentation(segments, number),
        finding_category=sr.CodedConcept.from_dataset(segment.SegmentedPropertyCategoryCodeSequence[0]),
        finding_type=sr.CodedConcept.from_dataset(segment.SegmentedPropertyTypeCodeSequence[0]),
        measurements=measured,
    )
