"""Images and labels are resampled as by TotalSegmentator, voxel for voxel, without its memory."""

# mypy: allow-untyped-calls

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image

from TuckerSegLib.segmentation.tasks.resampling import to_shape, to_spacing

resampling = pytest.importorskip("totalsegmentator.resampling")
SHAPES = st.tuples(*[st.integers(1, 14)] * 3)
SPACINGS = st.tuples(*[st.sampled_from([0.7, 0.75, 1.0, 1.5, 2.9999, 3.0, 5.0])] * 3)
TYPES = st.sampled_from(["int16", "int32", "uint8", "float32", "float64"])


@settings(deadline=None)
@given(SHAPES, SPACINGS, st.sampled_from([1.5, 3.0, 6.0]), TYPES, st.sampled_from([0, 1]))
def test_images_are_resampled_as_by_totalsegmentator(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], wanted: float, dtype: str, order: int
) -> None:
    voxels = np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)
    image = Nifti1Image(voxels, np.diag([*spacing, 1.0]))
    theirs = resampling.change_spacing(image, [wanted] * 3, order=order, dtype=np.int32)
    ours = to_spacing(image, (wanted, wanted, wanted), order, np.int32)
    np.testing.assert_array_equal(np.asanyarray(ours.dataobj), np.asanyarray(theirs.dataobj))
    np.testing.assert_array_equal(ours.affine, theirs.affine)


@settings(deadline=None)
@given(SHAPES, SHAPES)
def test_labels_are_resampled_as_by_totalsegmentator(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).integers(0, 118, old).astype(np.uint8)
    zoom = np.array(new) / np.array(old)
    theirs = resampling.resample_img(labels, zoom, order=0, nr_cpus=1)
    ours = to_shape(labels, new)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, theirs)


def test_a_large_image_is_not_copied() -> None:
    image = Nifti1Image(np.ones((200, 200, 60), np.int16), np.diag([0.75, 0.75, 1.0, 1.0]))
    tracemalloc.start()
    small = to_spacing(image, (3.0, 3.0, 3.0), 1, np.int32)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert small.shape == (50, 50, 20)
    assert peak < 200 * 200 * 60
