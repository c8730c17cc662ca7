"""DICOM files as scanners store them, written by pydicom: one file a slice, or one file of many frames."""

# mypy: allow-untyped-calls

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from support.geometries import SHAPE, world
from support.images import VOXELS

from TuckerSegLib.volumes.volume import Geometry

Array = np.ndarray[Any, Any]

CT, ENHANCED_CT = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.840.10008.5.1.4.1.1.2.1")


STRAIGHT = Geometry.from_lps(SHAPE, (0.8, 1.25, 3.0), (-10.5, 20.25, 30.75), np.eye(3))

STORED = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE) + 900


def right_handed(geometry: Geometry) -> Geometry:
    """As DICOM has it: the third axis is the cross product of the first two."""
    direction = geometry.direction_lps
    direction[:, 2] *= np.linalg.det(direction)
    return Geometry.from_lps(geometry.shape, geometry.spacing, geometry.origin_lps, direction)


def _dataset(stored: Array, geometry: Geometry, uid: str, description: str) -> Dataset:
    """What all images say: the pixels, whose they are and of which series."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", uid
    dataset.PatientName, dataset.PatientID, dataset.StudyID = "Doe^Jane", "4711", "1"
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.SeriesDescription, dataset.SeriesNumber = "CT", description, 1
    dataset.FrameOfReferenceUID = "1.2.77"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes()
    return dataset


def slices_of(
    geometry: Geometry, stored: Array, uid: str = "1.2.3", description: str = "Thorax", numbers: Sequence[int] = ()
) -> list[Dataset]:
    """A dataset a slice of `stored` (K, J, I), with slope 1 and intercept -1024."""
    direction, (i, j, _) = geometry.direction_lps, geometry.spacing
    datasets = []
    for number in numbers or range(geometry.shape[0]):
        dataset = _dataset(stored[number], geometry, uid, description)
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = list(np.round(world(geometry, 0, 0, number) * (-1, -1, 1), 6))
        dataset.ImageOrientationPatient = list(np.round([*direction[:, 0], *direction[:, 1]], 9))
        dataset.PixelSpacing = [j, i]
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        datasets.append(dataset)
    return datasets


def save(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """The files, called by their series and instance number."""
    folder.mkdir(exist_ok=True)
    paths = []
    for dataset in datasets:
        path = folder / f"{dataset.SeriesInstanceUID}-{int(dataset.InstanceNumber):03}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_series(
    folder: Path,
    geometry: Geometry,
    uid: str = "1.2.3",
    description: str = "Thorax",
    slices: Sequence[int] = (),
    voxels: Array = VOXELS,
) -> list[Path]:
    """A CT series whose values are `voxels`, one file a slice."""
    stored = (voxels.astype(np.int32) + 1024).astype(np.uint16)
    return save(slices_of(geometry, stored, uid, description, slices), folder)


def _within(**values: object) -> Dataset:
    dataset = Dataset()
    for key, value in values.items():
        setattr(dataset, key, value)
    return dataset


def enhanced(geometry: Geometry, stored: Array, scales: Sequence[tuple[float, float]], uid: str = "1.2.5") -> Dataset:
    """One file with all slices of `stored` (K, J, I), a slope and an intercept a frame, as Enhanced CT has them."""
    dataset = _dataset(stored, geometry, uid, "Enhanced")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    dataset.InstanceNumber, dataset.NumberOfFrames = 1, len(stored)
    direction, (i, j, k) = geometry.direction_lps, geometry.spacing
    orientation = _within(ImageOrientationPatient=list(np.round([*direction[:, 0], *direction[:, 1]], 9)))
    measures = _within(PixelSpacing=[j, i], SliceThickness=round(k, 6))
    dataset.SharedFunctionalGroupsSequence = [
        _within(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _within(
            PlanePositionSequence=[
                _within(ImagePositionPatient=list(np.round(world(geometry, 0, 0, number) * (-1, -1, 1), 6)))
            ],
            PixelValueTransformationSequence=[_within(RescaleSlope=slope, RescaleIntercept=intercept)],
            FrameContentSequence=[_within(StackID="1", InStackPositionNumber=number + 1)],
        )
        for number, (slope, intercept) in enumerate(scales)
    ]
    return dataset


def long_series(folder: Path, place: Callable[[int], tuple[float, float, float]], count: int = 60) -> Path:
    """A series of many slices, each where `place` puts it, in LPS mm."""
    geometry = Geometry.from_lps((count, 5, 6), (0.8, 0.8, 2.0), (0, 0, 0), np.eye(3))
    datasets = slices_of(geometry, np.zeros((count, 5, 6), np.uint16))
    for number, dataset in enumerate(datasets):
        dataset.ImagePositionPatient = [round(value, 4) for value in place(number)]
    save(datasets, folder)
    return folder
