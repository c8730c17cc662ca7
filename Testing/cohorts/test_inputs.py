"""Scans are found in folders and tables, called by names that stay, and known again when they change."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from support.cohorts import write_scan
from support.dicom_series import STORED, STRAIGHT, save, slices_of

from TuckerSegLib.cohorts.scans.inputs import find_scans
from TuckerSegLib.cohorts.scans.scan import Scan, checked_id
from TuckerSegLib.cohorts.scans.tables import read_table, write_measurements
from TuckerSegLib.errors import InputError


def ids(inputs: Path) -> list[str]:
    return [scan.id for scan in find_scans(inputs, inputs / "results").scans]


def empty(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_is_looked_through_and_results_are_not_scans(tmp_path: Path) -> None:
    for name in ("a/ct.nii.gz", "b/ct.nrrd", "b/ct.seg.nrrd", "c.mha", ".hidden/ct.nii", "results/a/ct.nii.gz"):
        empty(tmp_path / name)
    (tmp_path / "a" / "notes.json").write_text("{}")
    assert ids(tmp_path) == ["c", "a/ct", "b/ct"]


def test_folders_behind_links_are_looked_through_once(tmp_path: Path) -> None:
    empty(tmp_path / "elsewhere" / "ct.nii.gz")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "patient").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "scans")
    assert ids(tmp_path / "scans") == ["patient/ct"]


def test_results_do_not_go_among_the_scans(tmp_path: Path) -> None:
    empty(tmp_path / "ct.nii.gz")
    with pytest.raises(InputError, match="name another folder for the results"):
        find_scans(tmp_path, tmp_path)


def test_each_dicom_series_is_a_scan(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    save(slices_of(STRAIGHT, STORED, "1.2.3"), tmp_path / "study" / "one")
    both = tmp_path / "study" / "two"
    save(slices_of(STRAIGHT, STORED, "1.2.4"), both)
    save(slices_of(STRAIGHT, STORED + 1, "1.2.5"), both)
    assert ids(tmp_path) == ["study/one", "study/two/1.2.4-001", "study/two/1.2.5-001"]


def test_two_scans_with_one_id_are_refused_and_the_others_are_not(tmp_path: Path) -> None:
    for name in ("ct.nii.gz", "ct.nrrd", "other.nrrd"):
        empty(tmp_path / name)
    found = find_scans(tmp_path, tmp_path / "results")
    assert [scan.id for scan in found.scans] == ["other"]
    assert "2 scans have the id ct" in found.refused["ct"] and "ct.nrrd" in found.refused["ct"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_names_scans_and_carries_its_columns(tmp_path: Path, separator: str) -> None:
    rows = [["id", "image", "age"], ["0012", "a/ct.nii.gz", "61"], ["0013", str(tmp_path / "b.nrrd"), ""]]
    table = tmp_path / "table.csv"
    table.write_text("\ufeff" + "\n".join(separator.join(row) for row in rows) + "\n", encoding="utf-8")
    one, other = find_scans(table, tmp_path / "results").scans
    assert one == Scan("0012", (tmp_path / "a" / "ct.nii.gz",), {"age": "61"})
    assert other.channels == (tmp_path / "b.nrrd",)


def test_a_parquet_table_may_have_several_channels(tmp_path: Path) -> None:
    table = pyarrow.table({"name": [7], "t1": ["t1.nii.gz"], "t2": ["t2.nii.gz"], "age": [61]})
    parquet.write_table(table, tmp_path / "table.parquet")
    scan = find_scans(tmp_path / "table.parquet", tmp_path / "results", ("t1", "t2"), "name").scans[0]
    assert scan == Scan("7", (tmp_path / "t1.nii.gz", tmp_path / "t2.nii.gz"), {"age": 61})


BAD_TABLES = {
    "no column of images": ("id,picture\n1,a.nii\n", "no column image: there are id, picture"),
    "a column with a slip": ("id,images\n1,a.nii\n", "no column image: did you mean images"),
    "nothing": ("", "no table"),
    "rows of different lengths": ("id,image\n1,a.nii,3\n", "no table"),
    "no rows": ("id,image\n", "no scans"),
}


@pytest.mark.parametrize("bad", BAD_TABLES)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: Path, bad: str) -> None:
    content, sentence = BAD_TABLES[bad]
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(InputError, match=sentence) as caught:
        find_scans(tmp_path / "table.csv", tmp_path / "results")
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_used_are_refused_and_the_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("id,image\n../up,a.nii\n,b.nii\n3,\n4,d.nii\n4,e.nii\n5,f.nii\n")
    found = find_scans(tmp_path / "table.csv", tmp_path / "results")
    assert [scan.id for scan in found.scans] == ["5"]
    assert set(found.refused) == {"../up", "row 2", "3", "4"}


@pytest.mark.parametrize("name", ["", "..", "/root", "a//b", "a\\b", "a:b", "a\nb", ".hidden", "x" * 300])
def test_an_id_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="another id"):
        checked_id(name)


def test_inputs_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_scans(tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="no folder and no table"):
        find_scans(empty(tmp_path / "scan.nii.gz"), tmp_path)


def test_a_scan_is_known_again_and_its_change_is_noticed(tmp_path: Path) -> None:
    scan = Scan("ct", (write_scan(tmp_path / "ct.nii.gz", 1),))
    stamp, digest = scan.stamp(), scan.digest()
    assert (scan.stamp(), scan.digest()) == (stamp, digest)
    (tmp_path / "ct.nii.gz").touch()
    assert scan.stamp() != stamp and scan.digest() == digest
    write_scan(tmp_path / "ct.nii.gz", 2)
    assert scan.digest() != digest


def test_the_voxels_beside_a_header_belong_to_the_scan(tmp_path: Path) -> None:
    scan = Scan("ct", (write_scan(tmp_path / "ct.mhd", 1),))
    digest = scan.digest()
    raw = next(path for path in tmp_path.iterdir() if path.suffix != ".mhd")
    raw.write_bytes(np.frombuffer(raw.read_bytes(), np.uint8)[::-1].tobytes())
    assert scan.digest() != digest


def test_measurements_have_a_row_for_each_scan_and_structure(tmp_path: Path) -> None:
    structures = [{"label": 1, "name": "liver", "volume": 1500.0}, {"label": 2, "name": "spleen", "volume": 200.0}]
    records: list[dict[str, Any]] = [
        {"id": "a", "event": "done", "columns": {"age": "61", "name": "Doe"}, "structures": structures},
        {"id": "b", "event": "failed", "columns": {"age": "62"}},
    ]
    paths = [tmp_path / "m.parquet", tmp_path / "m.csv"]
    write_measurements(records, paths)
    rows = read_table(paths[0])
    assert [(row["id"], row["name"], row["volume"]) for row in rows] == [
        ("a", "liver", 1500.0), ("a", "spleen", 200.0), ("b", None, None),
    ]  # fmt: skip
    assert rows[0]["table_name"] == "Doe" and rows[2]["age"] == "62"
    assert [row["id"] for row in read_table(paths[1])] == ["a", "a", "b"]
