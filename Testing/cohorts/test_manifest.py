"""The manifest: what was written is known, whatever was cut off, and a scan's last word counts."""

from pathlib import Path

import pytest

from TuckerSegLib.cohorts.manifest import DONE, FAILED, Manifest, read_manifest
from TuckerSegLib.errors import InputError, OutputError


def test_what_is_written_is_known_again(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "manifest.jsonl")
    manifest.add("cohort", {"format": 1, "inputs": "scans"})
    manifest.add("died", {"id": "a", "reason": "its worker died"})
    manifest.add(DONE, {"id": "b", "result": {"bytes": 3}})
    manifest.add(FAILED, {"id": "c", "sentence": "It is damaged."})
    known = read_manifest(tmp_path / "manifest.jsonl")
    assert known.settings["inputs"] == "scans" and known.deaths == {"a": ["its worker died"]}
    assert [record["id"] for record in known.of_state(DONE)] == ["b"]
    manifest.add("retry", {"id": "c"})
    assert "c" not in read_manifest(tmp_path / "manifest.jsonl").records


@pytest.mark.parametrize("lost", range(1, 40))
def test_a_line_that_was_cut_off_loses_itself_alone(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "manifest.jsonl"
    Manifest(path).add(DONE, {"id": "a"})
    whole = path.read_bytes()
    Manifest(path).add(DONE, {"id": "b"})
    path.write_bytes(path.read_bytes()[:-lost])
    assert path.stat().st_size > len(whole)
    Manifest(path).add(DONE, {"id": "c"})
    found = set(read_manifest(path).records)
    assert {"a", "c"} <= found <= {"a", "b", "c"}, found
    assert ("b" in found) == (lost == 1), "only the end of the line was lost"


def test_no_manifest_is_an_empty_one_and_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    assert not read_manifest(path).settings
    Manifest(path).add("cohort", {"format": 99})
    with pytest.raises(InputError, match="another version"):
        read_manifest(path)


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_was_known(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limits of a file's size")
    path = tmp_path / "manifest.jsonl"
    manifest = Manifest(path)
    manifest.add(DONE, {"id": "a"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(OutputError, match="is full: free some space"):
            manifest.add(DONE, {"id": "b"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    Manifest(path).add(DONE, {"id": "c"})
    assert set(read_manifest(path).records) == {"a", "c"}
