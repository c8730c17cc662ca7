"""Statistics of structures: TotalSegmentator's own numbers where it defines them, NumPy's elsewhere."""

# mypy: allow-untyped-calls

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.geometries import oblique

from TuckerSegLib.errors import OutputError
from TuckerSegLib.volumes.statistics import check_statistics, statistics, write_statistics
from TuckerSegLib.volumes.volume import LabelMap, Volume

SHAPE = (9, 11, 13)

NAMES = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver"}


def scan() -> tuple[Volume, LabelMap]:
    chance = np.random.default_rng(3)
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:6, 3:9], labels[5:8, 4:9, 2:11], labels[:2, :2, :2] = 1, 5, 2
    geometry = oblique(SHAPE)
    return Volume(chance.normal(50, 200, (1, *SHAPE)).astype(np.int16), geometry), LabelMap(labels, geometry, NAMES)


def test_volume_and_mean_are_totalsegmentators(tmp_path: Path) -> None:
    theirs = pytest.importorskip("totalsegmentator.statistics")
    image, label_map = scan()
    ct = nibabel.Nifti1Image(image.voxels[0].T, image.geometry.ijk_to_ras)
    expected = theirs.get_basic_statistics(
        label_map.labels.T,
        ct,
        quiet=True,
        exclude_masks_at_border=False,
        roi_subset=list(NAMES.values()),
        extra_metrics=True,
    )
    for ours in statistics(image, label_map):
        one = expected[ours.name]
        assert ours.volume == pytest.approx(one["volume"], rel=1e-5)
        assert (ours.intensity or 0.0) == pytest.approx(one["intensity"], abs=1e-4)
        assert (ours.intensity_std or 0.0) == pytest.approx(one["intensity_std"], abs=1e-3)
        assert (ours.intensity_min or 0.0, ours.intensity_max or 0.0) == (one["intensity_min"], one["intensity_max"])


def test_percentiles_are_those_of_the_structures_voxels() -> None:
    image, label_map = scan()
    liver = next(one for one in statistics(image, label_map) if one.name == "liver")
    voxels = image.voxels[0][label_map.labels == 5]
    assert liver.n_voxels == voxels.size
    found = [liver.intensity_p5, liver.intensity_p25, liver.intensity_p50, liver.intensity_p75, liver.intensity_p95]
    assert found == list(np.percentile(voxels, (5, 25, 50, 75, 95)))


def test_structures_that_leave_the_image_are_marked_and_missing_ones_have_no_intensity() -> None:
    found = {one.name: one for one in statistics(*scan())}
    assert [name for name, one in found.items() if one.touches_border] == ["kidney_right"]
    assert (found["kidney_left"].n_voxels, found["kidney_left"].intensity) == (0, None)


def test_statistics_are_written_as_a_table_or_for_programs(tmp_path: Path) -> None:
    found = statistics(*scan())
    write_statistics(found, tmp_path / "s.json")
    write_statistics(found, tmp_path / "s.csv")
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["liver"]["volume"] == found[-1].volume
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(NAMES.values())
    assert float(rows[-1]["intensity"]) == found[-1].intensity
    assert rows[2]["intensity"] == ""


def test_a_place_for_statistics_is_checked_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.csv or \.json"):
        check_statistics(tmp_path / "s.xlsx")
    with pytest.raises(OutputError, match="does not exist"):
        check_statistics(tmp_path / "none" / "s.csv")
