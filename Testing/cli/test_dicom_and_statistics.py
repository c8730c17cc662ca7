"""`tuckerseg segment` from a DICOM folder to a DICOM segmentation, with statistics."""

# mypy: allow-untyped-calls

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from support.dicom_series import write_series
from support.trained_folders import make_folder

from TuckerSegLib.cli.main import main
from TuckerSegLib.volumes.volume import Geometry

pytest.importorskip("highdicom")


def tuckerseg(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["tuckerseg", "segment", *arguments, "--in-process", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("model"))


def test_from_a_dicom_folder_to_a_dicom_segmentation_with_statistics(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    voxels = np.random.default_rng(0).normal(0, 300, (20, 22, 24)).astype(np.int16)
    files = write_series(tmp_path / "ct", Geometry(voxels.shape, np.diag([1.0, 1.0, 2.0, 1.0])), voxels=voxels)
    monkeypatch.chdir(tmp_path)
    assert tuckerseg(monkeypatch, "ct", "out.dcm", "-m", str(model), "--statistics", "out.json") == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)["labels"]}
    content = pydicom.dcmread(tmp_path / "out.dcm")
    assert content.StudyInstanceUID == pydicom.dcmread(files[0]).StudyInstanceUID
    assert {segment.SegmentLabel for segment in content.SegmentSequence} == set(told)
    counts = {name: one["n_voxels"] for name, one in json.loads((tmp_path / "out.json").read_text()).items()}
    assert {name: count for name, count in counts.items() if count} == {n: one["voxels"] for n, one in told.items()}
    assert int(content.pixel_array.sum()) == sum(one["voxels"] for one in told.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["out.dcm", "--straighten"], "leave out --straighten"),
        (["out.nii.gz", "--statistics", "out.txt"], ".csv or .json"),
        (["ct/1.2.3-001.dcm"], "would overwrite the image"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_run(
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    write_series(tmp_path / "ct", Geometry((4, 5, 6), np.eye(4)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("TuckerSegLib.volumes.files.read_volume", lambda *_: pytest.fail("the run had begun"))
    assert tuckerseg(monkeypatch, "ct", *arguments, "-m", str(model)) == 2
    assert words in capsys.readouterr().err
