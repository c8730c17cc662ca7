"""The same request gives the same labels through every door: Python, the client, the command (twice) and 3D Slicer."""

# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk  # noqa: N813
import slicerhost
from support.panel import use_this_python
from support.paths import ROOT
from support.trained_folders import make_folder

import TuckerSegLib as tuckerseg  # noqa: N813
from TuckerSegLib.cli.main import app
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import LabelMap

Found = dict[str, npt.NDArray[np.bool_]]
"""Where each structure is, (K, J, I)."""

Door = Callable[[tuckerseg.Request, Path], Found]

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


def structures(label_map: LabelMap) -> Found:
    return {label_map.names[label]: label_map.labels == label for label in label_map.voxel_counts()}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for all doors: what is fast on this computer is measured once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("model"), features=(16, 32)))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "ct.nii.gz"
    made = sitk.GetImageFromArray(np.random.default_rng(0).normal(0, 300, (26, 24, 22)).astype(np.int16))
    made.SetSpacing((1.5, 1.25, 2.0))
    made.SetOrigin((-11.0, 7.0, 3.0))
    sitk.WriteImage(made, str(path))
    return path


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Door]]:
    client, host = tuckerseg.Client(), slicerhost.start()
    use_this_python()
    module = host.load_module(ROOT / "TuckerSeg" / "TuckerSeg.py")
    output = tmp_path_factory.mktemp("output") / "ct.nii.gz"

    def by_python(request: tuckerseg.Request, image: Path) -> Found:
        return structures(tuckerseg.segment(image, **vars(request)).label_map)

    def by_client(request: tuckerseg.Request, image: Path) -> Found:
        return structures(client.segment(read_volume([image]), request).wait().label_map)

    def by_command(request: tuckerseg.Request, image: Path, *more: str) -> Found:
        options = ["--model", request.model, "--factor", str(request.factor), *more]
        app(["segment", str(image), str(output), *options], standalone_mode=False)
        names = by_name(request.model)
        return structures(
            LabelMap(read_volume([output]).voxels[0].astype(np.uint16), read_volume([output]).geometry, names)
        )

    def in_slicer(request: tuckerseg.Request, image: Path) -> Found:
        import slicer

        volume = scene_volume(image)
        node = module.logic.process(volume, model=request.model, factor=request.factor)
        segmentation = node.GetSegmentation()
        names = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
        return {name: slicer.util.arrayFromSegmentBinaryLabelmap(node, name, volume) > 0 for name in names}

    yield {
        "Python": by_python,
        "client": by_client,
        "command": by_command,
        "command in process": lambda request, image: by_command(request, image, "--in-process"),
        "3D Slicer": in_slicer,
    }
    client.close()
    host.quit()


def by_name(model: str) -> dict[int, str]:
    from TuckerSegLib.models.opening import open_model

    return open_model(model).labels


def scene_volume(image: Path) -> Any:
    """The image as Slicer shows it."""
    import slicer
    import vtk

    volume = read_volume([image])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(node, volume.voxels[0])
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(volume.geometry.ijk_to_ras.ravel())
    node.SetIJKToRASMatrix(matrix)
    return node


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_same_request_gives_the_same_labels(doors: dict[str, Door], model: str, image: Path, factor: float) -> None:
    request = tuckerseg.Request(model, factor)
    found = {name: door(request, image) for name, door in doors.items()}
    expected = found.pop("Python")
    assert expected, "a label map that could tell a difference"
    for name, others in found.items():
        assert set(others) == set(expected), name
        for structure, where in others.items():
            wrong = np.count_nonzero(where != expected[structure])
            assert not wrong, f"{structure} by {name}: {wrong} of {where.size} voxels"
