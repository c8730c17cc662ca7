"""Crooked DICOM stacks: refused, or resampled where the user agrees."""

# mypy: allow-untyped-calls

from pathlib import Path

import numpy as np
import pytest
from support.dicom_series import long_series, right_handed, save, slices_of, write_series
from support.geometries import oblique
from support.images import refused

from TuckerSegLib.errors import InputError
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry


def ramp(ras: np.ndarray) -> np.ndarray:
    """A value for each place, (..., 3) in RAS mm, that linear interpolation finds again."""
    values: np.ndarray = 350 + 3 * ras[..., 0] - 2 * ras[..., 1] + 1.5 * ras[..., 2]
    return values


def places(geometry: Geometry) -> np.ndarray:
    """(K, J, I, 3) in RAS mm."""
    k, j, i = np.meshgrid(*map(np.arange, geometry.shape), indexing="ij")
    ijk = np.stack([i, j, k, np.ones_like(i)], axis=-1)
    found: np.ndarray = (ijk @ geometry.ijk_to_ras.T)[..., :3]
    return found


@pytest.mark.parametrize("kind", ["tilted", "uneven", "both"])
def test_a_crooked_stack_is_straightened_where_the_user_agrees(tmp_path: Path, kind: str) -> None:
    straight = Geometry.from_lps((9, 12, 14), (0.8, 1.25, 3.0), (-10.5, 20.25, 30.75), np.eye(3))
    datasets = slices_of(straight, np.zeros(straight.shape, np.uint16))
    for number, dataset in enumerate(datasets):
        offset = np.array(
            [0, 0.3 * 3.0 * number if kind != "uneven" else 0, 0.4 * (number % 2) if kind != "tilted" else 0]
        )
        dataset.ImagePositionPatient = list(np.array(dataset.ImagePositionPatient, float) + offset)
        one = Geometry.from_lps((1, 12, 14), (0.8, 1.25, 3.0), dataset.ImagePositionPatient, np.eye(3))
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.01, 0
        dataset.PixelData = np.round(100 * ramp(places(one))).astype(np.uint16).tobytes()
    save(datasets, tmp_path)
    refused(tmp_path, "--straighten")
    volume = read_volume([tmp_path], straighten=True)
    matrix = volume.geometry.ijk_to_ras
    np.testing.assert_allclose(matrix[:3, :3] / volume.geometry.spacing, np.diag([-1, -1, 1]), atol=1e-9)
    expected = ramp(places(volume.geometry))
    inside = np.abs(volume.voxels[0] - expected) < 0.1
    measured = inside.sum() / (9 * 12 * 14)
    assert measured > (0.95 if kind == "uneven" else 0.8)
    assert inside[:, 5:11, 1:-1].all() or kind != "uneven"


def test_a_gap_is_not_filled(tmp_path: Path) -> None:
    path = long_series(tmp_path / "a", lambda n: (0, 0, 2 * n + 4 * (n > 30)))
    with pytest.raises(InputError, match="some may be missing"):
        read_volume([path], straighten=True)


def test_a_straight_stack_stays_as_it_is(tmp_path: Path) -> None:
    write_series(tmp_path, right_handed(oblique()))
    np.testing.assert_array_equal(read_volume([tmp_path], straighten=True).voxels, read_volume([tmp_path]).voxels)
