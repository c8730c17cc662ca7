"""Stray parts of structures are cleared as TotalSegmentator clears them, and nothing else is."""

# mypy: allow-untyped-calls

import numpy as np
import pytest

from TuckerSegLib.volumes.structures import without_small_parts
from TuckerSegLib.volumes.volume import Geometry, LabelMap


def label_map() -> LabelMap:
    """Of two structures, of 4 mm3 voxels: a large part, stray voxels, and two parts that touch by an edge alone."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[8, 8, 8] = labels[10, 1, 1] = 1
    labels[7:10, 2:7, 2:7] = 2
    labels[10, 7, 3:6] = 2
    return LabelMap(labels, Geometry((12, 12, 12), np.diag([2.0, 2.0, 1.0, 1.0])), {1: "liver", 2: "spleen"})


def test_small_parts_go_and_large_ones_stay() -> None:
    before = label_map()
    after = without_small_parts(before, 100.0)
    assert after.voxel_counts() == {1: 125, 2: 75}
    assert before.voxel_counts() == {1: 127, 2: 78}
    assert after.names == before.names


def test_result_is_totalsegmentator_s() -> None:
    postprocessing = pytest.importorskip("totalsegmentator.postprocessing")
    before = label_map()
    for smallest in (10.0, 100.0, 400.0):
        theirs = postprocessing.remove_small_blobs_multilabel(
            before.labels.copy(), before.names, ["liver", "spleen"], interval=[smallest / 4, 1e10], quiet=True
        )
        np.testing.assert_array_equal(without_small_parts(before, smallest).labels, theirs)
