"""The main job on real input: a CT in, a segmentation that 3D Slicer's own core reads back on the CT's grid."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pytest import CaptureFixture, MonkeyPatch, fixture, importorskip, mark, raises, skip
from support.paths import DATA
from support.trained_folders import totalsegmentator_297

from TuckerSegLib.cli.demo import LEVELS
from TuckerSegLib.cli.main import main
from TuckerSegLib.volumes.files import read_volume

TORSO = DATA / "torso_ct_3mm.nii.gz"
Tuckerseg = Callable[..., str]


@fixture
def tuckerseg(tmp_path: Path, monkeypatch: MonkeyPatch, capsys: CaptureFixture[str]) -> Tuckerseg:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))

    def call(*arguments: str | Path) -> str:
        monkeypatch.setattr("sys.argv", ["tuckerseg", *map(str, arguments)])
        with raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    return call


def check(said: str, path: Path, image: Path) -> None:
    """The file holds the segments that were announced, on the image's grid, with names, colours and codes."""
    slicer = importorskip("slicer")
    from TuckerSegLib.volumes.scene import headless_scene

    scene = headless_scene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    announced = {entry["name"]: entry["voxels"] for entry in json.loads(said)["labels"]}
    volume = read_volume([image])
    found = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        labelmap = segment.GetRepresentation("Binary labelmap")
        np.testing.assert_allclose(_matrix(labelmap), volume.geometry.ijk_to_ras, atol=1e-3)
        voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, segment_id)
        found[segment.GetName()] = int((voxels == segment.GetLabelValue()).sum())
        assert _tag(segment, "TerminologyEntry")
    assert found == announced and found


def _tag(segment: object, name: str) -> str:
    import vtk

    value = vtk.reference("")
    segment.GetTag(name, value)  # type: ignore[attr-defined]
    return str(value)


def _matrix(labelmap: object) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)  # type: ignore[attr-defined]
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


@fixture
def torso() -> Path:
    if not TORSO.is_file():
        skip(f"the real CT {TORSO.name} is not beside this checkout")
    return TORSO


def test_a_real_ct_with_the_sample_model(tuckerseg: Tuckerseg, torso: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.seg.nrrd"
    check(tuckerseg("segment", torso, out, "--factor", "0.5", "--json"), out, torso)


@mark.slow
@mark.parametrize("factor", ["1", "0.3"])
def test_a_real_ct_with_the_network_of_task_297(tuckerseg: Tuckerseg, torso: Path, tmp_path: Path, factor: str) -> None:
    out = tmp_path / "out.seg.nrrd"
    model = totalsegmentator_297(tmp_path / "model")
    check(tuckerseg("segment", torso, out, "--model", model, "--factor", factor, "--json"), out, torso)


@mark.slow
def test_the_demo_runs_and_keeps_what_it_promises(tuckerseg: Tuckerseg, tmp_path: Path) -> None:
    importorskip("slicer")
    outcome = json.loads(tuckerseg("demo", "--output", tmp_path / "demo", "--json"))
    assert [level["factor"] for level in outcome["levels"]] == list(LEVELS)
    assert outcome["levels"][0]["dice"] >= 0.85 and outcome["levels"][0]["agreement"] == 1
    assert outcome["levels"][1]["dice"] >= 0.85
    files = {path.name for path in (tmp_path / "demo").iterdir()}
    assert files == {"ct.nrrd", "levels.png", *(f"factor_{factor:g}.seg.nrrd" for factor in LEVELS)}
