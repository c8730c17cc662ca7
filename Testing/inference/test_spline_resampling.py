"""Images are resampled as skimage and nnU-Net do it, to the last place of single precision."""

# mypy: allow-untyped-calls

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg
from skimage.transform import resize

from TuckerSegLib.inference.resampling import resized, resized_in_planes

Image = npt.NDArray[np.float32]

SHAPES = {
    "finer": ((20, 24, 30), (41, 33, 52)),
    "coarser": ((60, 90, 70), (21, 13, 40)),
    "longer than what is taken together": ((150, 6, 7), (300, 9, 7)),
    "one plane": ((1, 12, 14), (3, 20, 14)),
    "along one axis": ((20, 16, 18), (20, 16, 31)),
}


def noise(shape: tuple[int, ...]) -> Image:
    return np.random.default_rng(0).normal(0, 400, shape).astype(np.float32)


def assert_alike(ours: Any, theirs: Any) -> None:
    """Both are rounded from double precision, so that now and then they fall to two sides."""
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=1e-7)
    assert (ours != theirs).mean() < 1e-2


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("case", SHAPES)
def test_an_image_is_what_skimage_makes_of_it(case: str, order: int) -> None:
    old, new = SHAPES[case]
    image = noise(old)
    assert_alike(resized(image, new, order), resize(image, new, order, mode="edge", anti_aliasing=False))


def test_no_voxel_leaves_the_range_of_the_image() -> None:
    edge = np.where(np.arange(30) < 15, -1000, 2000).astype(np.float32)
    image = np.broadcast_to(edge, (8, 9, 30)).copy()
    found = resized(image, (8, 9, 71), 3)
    assert (found.min(), found.max()) == (-1000, 2000)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_what_nnunet_makes_of_them(axis: int) -> None:
    old, new = [30, 26, 28], [41, 20, 28]
    old[axis], new[axis] = 7, 19
    image = noise(tuple(old))
    theirs = resample_data_or_seg(image[None], new, False, axis, 3, True)[0]
    assert_alike(resized_in_planes(image, new, 3, axis), theirs)
