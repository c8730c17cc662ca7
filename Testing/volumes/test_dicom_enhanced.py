"""Enhanced multi-frame DICOM: every frame by its own position, slope and intercept."""

# mypy: allow-untyped-calls

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from support.dicom_series import CT, STORED, STRAIGHT, enhanced, right_handed, save
from support.geometries import geometries
from support.images import refused

from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry

SCALES = [(1, -1024), (1, -1000), (2, -1024), (0.5, 0)]


def scaled(stored: np.ndarray = STORED) -> np.ndarray:
    scales = np.array(SCALES)[:, :, None, None]
    values: np.ndarray = stored * scales[:, 0] + scales[:, 1]
    return values


@settings(max_examples=5, deadline=None)
@given(geometry=geometries())
def test_an_enhanced_file_is_read_frame_by_frame(tmp_path_factory: pytest.TempPathFactory, geometry: Geometry) -> None:
    folder = tmp_path_factory.mktemp("enhanced")
    expected = right_handed(geometry)
    (file,) = save([enhanced(expected, STORED, SCALES)], folder)
    for path in (folder, file):
        volume = read_volume([path])
        np.testing.assert_array_equal(volume.voxels[0], scaled())
        np.testing.assert_allclose(volume.geometry.ijk_to_ras, expected.ijk_to_ras, atol=1e-3)


def test_frames_in_any_order_are_sorted_by_where_they_lie(tmp_path: Path) -> None:
    order = [2, 0, 3, 1]
    dataset = enhanced(STRAIGHT, STORED[order], SCALES)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    places = [group.PlanePositionSequence for group in groups]
    values = [group.PixelValueTransformationSequence for group in groups]
    for frame, place in enumerate(order):
        groups[frame].PlanePositionSequence = places[place]
        groups[frame].PixelValueTransformationSequence = values[place]
    save([dataset], tmp_path)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], scaled())


def test_what_all_frames_share_is_said_once(tmp_path: Path) -> None:
    dataset = enhanced(STRAIGHT, STORED, SCALES)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PixelValueTransformationSequence = dataset.PerFrameFunctionalGroupsSequence[
        0
    ].PixelValueTransformationSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PixelValueTransformationSequence
    save([dataset], tmp_path)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], STORED - 1024.0)


def test_an_enhanced_file_with_two_phases_a_gap_or_a_tilt_is_refused(tmp_path: Path) -> None:
    def moved(name: str, frame: int, offset: tuple[float, float, float]) -> Path:
        dataset = enhanced(STRAIGHT, STORED, SCALES)
        position = dataset.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
        position.ImagePositionPatient = list(np.array(position.ImagePositionPatient, float) + offset)
        save([dataset], tmp_path / name)
        return tmp_path / name

    refused(moved("phases", 1, (0, 0, 3)), "lie on each other")
    refused(moved("gap", 3, (0, 0, 3)), "not evenly spaced")
    refused(moved("tilt", 3, (0, 1, 0)), "tilted")


def test_a_multi_frame_file_that_does_not_say_where_frames_lie_is_refused(tmp_path: Path) -> None:
    dataset = enhanced(STRAIGHT, STORED, SCALES)
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT
    save([dataset], tmp_path)
    refused(tmp_path, "does not say where they lie")


def test_overview_frames_of_an_enhanced_file_are_left_out(tmp_path: Path) -> None:
    dataset = enhanced(STRAIGHT, np.concatenate([STORED, STORED[:1]]), [*SCALES, (1, 0)])
    overview = Dataset()
    overview.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    dataset.PerFrameFunctionalGroupsSequence[4].CTImageFrameTypeSequence = [overview]
    save([dataset], tmp_path)
    np.testing.assert_array_equal(read_volume([tmp_path]).voxels[0], scaled())


def test_of_two_enhanced_files_of_one_series_one_can_be_named(tmp_path: Path) -> None:
    first, second = (enhanced(STRAIGHT, STORED + number, SCALES) for number in range(2))
    second.InstanceNumber, second.SOPInstanceUID = 2, generate_uid()
    second.file_meta.MediaStorageSOPInstanceUID = second.SOPInstanceUID
    _, file = save([first, second], tmp_path)
    refused(tmp_path, "lie on each other")
    np.testing.assert_array_equal(read_volume([file]).voxels[0], scaled(STORED + 1))
