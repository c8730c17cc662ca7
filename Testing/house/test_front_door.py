"""`import TuckerSegLib as tuckerseg`: quick, without PyTorch, and a few verbs that do what the other doors do."""

# mypy: allow-untyped-calls

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.paths import ROOT
from support.trained_folders import make_folder

import TuckerSegLib as tuckerseg  # noqa: N813

SHAPE, SPACING = (20, 22, 24), (1.0, 1.5, 2.0)


def image(seed: int = 0) -> sitk.Image:
    voxels = np.random.default_rng(seed).normal(0, 300, SHAPE).astype(np.int16)
    made = sitk.GetImageFromArray(voxels)
    made.SetSpacing(SPACING)
    made.SetOrigin((5.0, -3.0, 10.0))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("names", [["segment"], ["Client", "Request", "Segmentation", "Progress"]])
def test_importing_it_loads_nothing_heavy(names: list[str]) -> None:
    heavy = "'torch', 'nnunetv2', 'SimpleITK', 'scipy', 'nibabel', 'totalsegmentator'"
    script = (
        f"import sys, TuckerSegLib as t; [getattr(t, name) for name in {names}]; "
        f"print([name for name in ({heavy}) if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True).strip() == "[]"


def test_importing_it_takes_less_than_a_tenth_of_a_second() -> None:
    script = "import time; s = time.process_time(); import TuckerSegLib; print(time.process_time() - s)"
    took = [float(subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True)) for _ in range(3)]
    assert min(took) < 0.1


def test_all_it_promises_is_there() -> None:
    assert [name for name in tuckerseg.__all__ if not hasattr(tuckerseg, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        tuckerseg.segmnt  # noqa: B018


def test_every_kind_of_image_gives_the_same_labels(model: str, tmp_path: Path) -> None:
    sitk.WriteImage(image(), str(tmp_path / "ct.nrrd"))
    kinds: list[Any] = [str(tmp_path / "ct.nrrd"), tmp_path / "ct.nrrd", [tmp_path / "ct.nrrd"], image()]
    kinds.append(tuckerseg.read(tmp_path / "ct.nrrd"))
    found = [tuckerseg.segment(kind, model=model, factor=0.5, engine="torch").label_map for kind in kinds]
    assert found[0].labels.any()
    for other in found[1:]:
        np.testing.assert_array_equal(other.labels, found[0].labels)
        np.testing.assert_allclose(other.geometry.ijk_to_ras, found[0].geometry.ijk_to_ras, atol=1e-6)


def test_a_segmentation_saves_itself_and_knows_what_it_found(model: str, tmp_path: Path) -> None:
    found = tuckerseg.segment(image(), model=model)
    found.save(tmp_path / "ct.seg.nrrd")
    found.save(str(tmp_path / "ct.nii.gz"))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "ct.nii.gz")))
    np.testing.assert_array_equal(written, found.label_map.labels)
    label, name = next((label, name) for label, name in found.label_map.names.items() if name in found.names)
    assert found.volumes[name] == pytest.approx((found.label_map.labels == label).sum() * np.prod(SPACING) / 1000)
    assert found.dice(found) == dict.fromkeys(found.names, 1.0)
    assert "\n" not in str(found) and f"{len(found.names)} structure" in str(found)


def test_segmentations_are_compared_by_the_names_of_their_structures(model: str) -> None:
    found = tuckerseg.segment(image(), model=model).label_map
    doubled = tuckerseg.LabelMap(found.labels * 2, found.geometry, {2 * n: name for n, name in found.names.items()})
    segmentation = tuckerseg.segment(image(), model=model)
    assert set(segmentation.dice(doubled).values()) == {1.0}
    moved = tuckerseg.LabelMap(found.labels, tuckerseg.read(image()).geometry.__class__(SHAPE, np.eye(4)), found.names)
    with pytest.raises(tuckerseg.InputError, match="different grids"):
        segmentation.dice(moved)


def test_progress_is_told_and_stops(model: str) -> None:
    told: list[tuckerseg.Event] = []
    tuckerseg.segment(image(), model=model, progress=told.append)
    assert told[-1].fraction == 1.0
    stopped = tuckerseg.Progress()
    stopped.cancel()
    with pytest.raises(tuckerseg.Cancelled):
        tuckerseg.segment(image(), model=model, progress=stopped)


def test_what_cannot_be_used_is_one_sentence(model: str) -> None:
    with pytest.raises(tuckerseg.InputError, match="no option factr: did you mean factor"):
        tuckerseg.segment(image(), model=model, factr=0.5)
    with pytest.raises(tuckerseg.InputError, match="int is no image"):
        tuckerseg.segment(3, model=model)  # type: ignore[arg-type]
    with pytest.raises(tuckerseg.ModelError, match="no model nowhere"):
        tuckerseg.segment(image(), model="nowhere")


def test_a_model_is_compressed_into_a_file_that_segments_like_the_level(model: str, tmp_path: Path) -> None:
    made = tuckerseg.compress(model, tmp_path / "small.tuckerseg", factor=0.5)
    assert made.report["parameters"] < made.report["parameters_before"] and "small.tuckerseg" in str(made)
    level = tuckerseg.segment(image(), model=model, factor=0.5, exact_ranks=True, engine="torch")
    small = tuckerseg.segment(image(), model=tmp_path / "small.tuckerseg", engine="torch")
    np.testing.assert_array_equal(level.label_map.labels, small.label_map.labels)


def test_levels_and_models_are_listed(model: str) -> None:
    found = tuckerseg.levels(model)
    assert [level.factor for level in found] == [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    assert str(found[3]).startswith("0.5: ")
    assert "sample" in tuckerseg.installed_models()


def test_a_volume_prints_its_shape_spacing_and_orientation() -> None:
    assert repr(tuckerseg.read(image())) == "Volume(24 x 22 x 20 int16, 1 x 1.5 x 2 mm, LPS)"
