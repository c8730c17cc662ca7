"""Surfaces have the size of what they enclose and lie where it lies; differences are where two maps differ."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="the application's packages are not installed: pip install 'tuckerseg[app]'")

import vtk
from support.geometries import oblique
from vtk.util.numpy_support import vtk_to_numpy

from TuckerSegLib.app.features.comparing.logic import differences
from TuckerSegLib.app.viewer.scene import shared
from TuckerSegLib.app.viewer.surfaces import surfaces
from TuckerSegLib.volumes.volume import LabelMap


def ball(
    middle: tuple[int, int, int], radius: float, shape: tuple[int, int, int]
) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    k, j, i = np.indices(shape)
    inside: np.ndarray[Any, np.dtype[np.bool_]] = (k - middle[0]) ** 2 + (j - middle[1]) ** 2 + (
        i - middle[2]
    ) ** 2 <= radius**2
    return inside


def test_a_surface_encloses_its_structure() -> None:
    geometry = oblique((40, 36, 34))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[ball((15, 14, 13), 8, geometry.shape)] = 3
    labels[ball((30, 27, 26), 6, geometry.shape)] = 7
    found = surfaces(LabelMap(labels, geometry, {}))
    assert set(found) == {3, 7}
    for label, surface in found.items():
        properties = vtk.vtkMassProperties()
        properties.SetInputData(surface)
        volume = (labels == label).sum() * geometry.voxel_volume * 1000
        assert properties.GetVolume() == pytest.approx(volume, rel=0.2), "smoothing takes off corners"
        middle = geometry.ijk_to_ras @ np.array([*np.argwhere(labels == label).mean(axis=0)[::-1], 1])
        assert np.allclose(surface.GetCenter(), middle[:3], atol=max(geometry.spacing))


def test_differences_say_which_side_has_more() -> None:
    left, right = np.array([[0, 1, 1, 2, 0]], np.uint8), np.array([[0, 1, 0, 1, 3]], np.uint8)
    assert differences(left, right).tolist() == [[0, 0, 1, 3, 2]]


def test_a_viewer_starts_without_pytorch() -> None:
    """The worker has it; to import it would cost each viewer a second and memory."""
    script = "import sys, TuckerSegLib.app.viewer.application; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == "False"


def test_a_shown_volume_is_not_copied() -> None:
    """Also one whose numbers lie in memory in another order, which then has to be."""
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for one in (voxels, voxels.transpose(2, 1, 0)):
        image = shared(one)
        assert image.GetDimensions() == one.shape[::-1]
        assert np.array_equal(vtk_to_numpy(image.GetPointData().GetScalars()), one.ravel())
    image = shared(voxels)
    voxels += 1
    assert np.array_equal(vtk_to_numpy(image.GetPointData().GetScalars()), voxels.ravel())
