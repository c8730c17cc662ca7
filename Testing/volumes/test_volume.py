import numpy as np
import pytest
from hypothesis import given, settings
from support.geometries import SHAPE, geometries, handedness, origins, rotations, spacings, world

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.volume import Geometry, LabelMap, Matrix, Volume

few = settings(max_examples=40, deadline=None)


@few
@given(rotations, handedness, spacings, origins)
def test_a_geometry_gives_back_the_dicom_terms_it_was_made_from(
    turn: Matrix, hand: Matrix, spacing: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    geometry = Geometry.from_lps(SHAPE, spacing, origin, turn @ hand)
    np.testing.assert_allclose(geometry.spacing, spacing)
    np.testing.assert_allclose(geometry.origin_lps, origin)
    np.testing.assert_allclose(geometry.direction_lps, turn @ hand, atol=1e-9)
    assert geometry.voxel_volume == pytest.approx(np.prod(spacing) / 1000)


@few
@given(geometries())
def test_left_and_posterior_are_the_negatives_of_right_and_anterior(geometry: Geometry) -> None:
    i, j, k = 1.5, 2.0, 3.0
    lps = geometry.origin_lps + geometry.direction_lps @ (np.array(geometry.spacing) * (i, j, k))
    np.testing.assert_allclose(world(geometry, i, j, k), lps * (-1, -1, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "complaint"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), "spacing of zero"),
        (np.diag([1.0, np.nan, 1.0, 1.0]), "not a finite"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular"),
    ],
)
def test_a_grid_that_spans_no_volume_is_refused(matrix: Matrix, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Geometry(SHAPE, matrix)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_refused(bad: float) -> None:
    voxels = np.zeros((1, *SHAPE), np.float32)
    voxels[0, 1, 2, 3] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        Volume(voxels, Geometry(SHAPE, np.eye(4)))


@pytest.mark.parametrize(
    ("shape", "dtype", "complaint"),
    [
        (SHAPE, np.int16, "3D image is needed"),
        ((1, 2, *SHAPE), np.int16, "3D image is needed"),
        ((0, *SHAPE), np.int16, "3D image is needed"),
        ((1, *SHAPE), np.complex64, "not intensities"),
        ((1, 9, 9, 9), np.int16, "its geometry"),
    ],
)
def test_arrays_that_are_no_grey_volume_are_refused(shape: tuple[int, ...], dtype: type, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Volume(np.zeros(shape, dtype), Geometry(SHAPE, np.eye(4)))


def test_voxel_counts_name_the_labels_that_occur_without_the_background() -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, :3], labels[3, 4, 5] = 300, 7
    label_map = LabelMap(labels, Geometry(SHAPE, np.eye(4)), {5: "absent"})
    assert label_map.voxel_counts() == {7: 1, 300: 3}
    assert LabelMap(np.zeros(SHAPE, np.uint8), label_map.geometry).voxel_counts() == {}


@pytest.mark.parametrize(("moved", "same"), [(0.0, True), (5e-4, True), (2e-3, False)])
def test_grids_are_the_same_where_their_voxels_are_within_a_micrometre(moved: float, same: bool) -> None:
    matrix = np.eye(4)
    matrix[0, 3] = moved
    assert Geometry(SHAPE, np.eye(4)).is_same_grid(Geometry(SHAPE, matrix)) is same


def test_grids_of_different_shapes_differ() -> None:
    assert not Geometry(SHAPE, np.eye(4)).is_same_grid(Geometry((*SHAPE[:2], SHAPE[2] + 1), np.eye(4)))
