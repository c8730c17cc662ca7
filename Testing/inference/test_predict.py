"""A run gives nnU-Net's own labels voxel for voxel, tells how far it is, and stops when asked."""

# mypy: allow-untyped-calls

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.imageio import simpleitk_reader_writer
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from support.paths import ROOT
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.errors import Cancelled, InputError, ModelError
from TuckerSegLib.inference.labelling.labels import labels_of
from TuckerSegLib.inference.orientation import read, spacing_as_written
from TuckerSegLib.inference.predict import predict
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.volumes.volume import Geometry, Volume

pytestmark = pytest.mark.filterwarnings("ignore:Detected old nnU-Net", "ignore:Network class", "ignore::RuntimeWarning")
CPU = torch.device("cpu")
OBLIQUE = (0.9363, -0.2896, 0.1987, 0.3130, 0.9447, -0.0978, -0.1593, 0.1538, 0.9752)
LEFT_HANDED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small patches on a busy computer are fastest so."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Phantom:
    """A seeded image: `shape` (K, J, I), `spacing` (i, j, k) mm, some of it empty."""

    shape: tuple[int, int, int] = (26, 30, 34)
    spacing: tuple[float, float, float] = (1.2, 1.3, 1.5)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    dtype: str = "int16"
    empty: float = 0.0
    ending: str = ".nii.gz"

    def write(self, directory: Path, channels: int) -> list[Path]:
        return [self._write(directory / f"case_{channel:04d}{self.ending}", channel) for channel in range(channels)]

    def _write(self, path: Path, seed: int) -> Path:
        image = sitk.GetImageFromArray(self._voxels(seed))
        image.SetSpacing(self.spacing)
        image.SetOrigin((-31.5, 12.25, 100.0))
        image.SetDirection(_orthonormal(self.direction))
        sitk.WriteImage(image, str(path))
        return path

    def _voxels(self, seed: int) -> npt.NDArray[np.generic]:
        noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(size=self.shape))
        blobs = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, [2.0] * 3))
        voxels = 40 + 900 * blobs / np.abs(blobs).max()
        if self.empty:
            for axis, size in enumerate(self.shape):
                np.moveaxis(voxels, axis, 0)[: int(size * self.empty / 2)] = 0
                np.moveaxis(voxels, axis, 0)[size - int(size * self.empty / 3) :] = 0
        typed: npt.NDArray[np.generic] = voxels.astype(self.dtype)
        return typed


def _orthonormal(direction: tuple[float, ...]) -> list[float]:
    left, _, right = np.linalg.svd(np.reshape(direction, (3, 3)))
    return [float(value) for value in (left @ right).ravel()]


def volume_of(files: list[Path]) -> Volume:
    images = [sitk.ReadImage(str(file)) for file in files]
    voxels = np.stack([sitk.GetArrayFromImage(image) for image in images])
    first = images[0]
    return Volume(
        voxels, Geometry.from_lps(voxels.shape[1:], first.GetSpacing(), first.GetOrigin(), first.GetDirection())
    )


def nnunets_labels(
    folder: Path, files: list[Path], folds: tuple[int | str, ...] | None, **options: Any
) -> npt.NDArray[np.generic]:
    """What nnU-Net itself writes for these files."""
    predictor = nnUNetPredictor(device=CPU, allow_tqdm=False, **options)
    predictor.initialize_from_trained_model_folder(str(folder), folds)
    predictor.dataset_json["file_ending"] = "".join(files[0].suffixes)
    output = files[0].parent / f"nnunet{len(options)}{options}"
    output.mkdir()
    predictor.predict_from_files_sequential([[str(file) for file in files]], [str(output / "case")])
    labels: npt.NDArray[np.generic] = sitk.GetArrayFromImage(sitk.ReadImage(str(next(output.glob("case.*")))))
    return labels


def our_labels(model: TrainedModel, volume: Volume, **options: Any) -> npt.NDArray[np.generic]:
    labels, _ = predict(model, model.networks(), volume, device=CPU, **options)
    return labels


MODELS_AND_IMAGES: dict[str, tuple[dict[str, Any], Phantom]] = {
    "oblique": ({}, Phantom(direction=OBLIQUE)),
    "left-handed, residual, old plans": (
        {"architecture": "residual", "plans_format": "old"},
        Phantom(direction=LEFT_HANDED),
    ),
    "thick slices": (
        {"patch_size": (8, 16, 16), "spacing": (5.0, 1.5, 1.5), "strides": ((1, 1, 1), (1, 2, 2))},
        Phantom((14, 30, 34), (1.1, 1.1, 5.5)),
    ),
    "thick slices of a model that swaps axes": (
        {"patch_size": (8, 16, 16), "spacing": (5.0, 1.5, 1.5), "transpose": (2, 0, 1)},
        Phantom((30, 34, 12), (5.5, 1.1, 1.1)),
    ),
    "empty borders, two channels": ({"channels": 2}, Phantom(empty=0.6)),
    "smaller than a patch": ({"patch_size": (32, 32, 32)}, Phantom((9, 40, 20))),
    "the model's own grid": ({"spacing": (1.5, 1.3, 1.2)}, Phantom(dtype="uint8")),
    "double precision, CT": ({"normalization": "CTNormalization"}, Phantom(dtype="float64", ending=".nrrd")),
    "folds": ({"folds": (0, 1, 2)}, Phantom()),
    "fold_all": ({"folds": (0, "all")}, Phantom()),
    "regions": ({"regions": True, "folds": (0, 1)}, Phantom(empty=0.4)),
    "mirrored": ({"mirroring": (0, 1, 2)}, Phantom((20, 20, 20))),
    "mirrored along two": ({"mirroring": (0, 2), "architecture": "residual"}, Phantom((20, 20, 20))),
    "2D": ({"dimensions": 2, "patch_size": (24, 24)}, Phantom((7, 40, 44), (0.9, 0.9, 4.0), OBLIQUE)),
    "2D, mirrored, old plans": (
        {"dimensions": 2, "plans_format": "old", "mirroring": (0, 1), "channels": 2},
        Phantom((4, 30, 34)),
    ),
    "low resolution": ({"configuration": "3d_lowres", "spacing": (3.0, 3.0, 3.0)}, Phantom((40, 48, 44))),
    "three stages": (
        {"features": (8, 16, 32), "patch_size": (24, 16, 32), "plans_format": "old"},
        Phantom(direction=SAGITTAL),
    ),
    "nibabel": ({"reader": "NibabelIO"}, Phantom(direction=OBLIQUE, dtype="float32")),
    "nibabel reoriented": ({"reader": "NibabelIOWithReorient"}, Phantom()),
    "nibabel reoriented, oblique": ({"reader": "NibabelIOWithReorient"}, Phantom(direction=OBLIQUE)),
    "nibabel reoriented, sagittal": ({"reader": "NibabelIOWithReorient"}, Phantom(direction=SAGITTAL)),
    "nibabel reoriented, left-handed": ({"reader": "NibabelIOWithReorient"}, Phantom(direction=LEFT_HANDED)),
    "simpleitk reoriented": ({"reader": "SimpleITKIOWithReorient"}, Phantom(direction=SAGITTAL)),
    "simpleitk reoriented, oblique": ({"reader": "SimpleITKIOWithReorient"}, Phantom(direction=OBLIQUE)),
}


@pytest.mark.parametrize("name", MODELS_AND_IMAGES)
def test_the_labels_are_nnunets_own(tmp_path: Path, name: str) -> None:
    options, phantom = MODELS_AND_IMAGES[name]
    reader = options.get("reader", "")
    if "SimpleITKIOWithReorient" in reader and not hasattr(simpleitk_reader_writer, reader):
        pytest.skip("this release of nnU-Net has no such reader")
    folder = make_folder(tmp_path, **options)
    files = phantom.write(tmp_path, options.get("channels", 1))
    folds = ("all",) if name == "fold_all" else None
    labels = our_labels(open_folder(folder, folds), volume_of(files))
    assert labels.dtype == np.uint8 and labels.flags.c_contiguous
    assert len(np.unique(labels)) > 2, "a label map that could tell a difference"
    np.testing.assert_array_equal(labels, nnunets_labels(folder, files, folds))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"step": 0.25}, {"tile_step_size": 0.25}),
        ({"step": 1.0}, {"tile_step_size": 1.0}),
        ({"mirroring": False}, {"use_mirroring": False}),
        ({"mirroring": True}, {"use_mirroring": True}),
    ],
)
def test_step_and_mirroring_are_nnunets(tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    folder = make_folder(tmp_path, mirroring=(0, 1))
    files = Phantom((20, 24, 28)).write(tmp_path, 1)
    request = Request(str(folder), device="cpu", engine="torch", **ours)
    labels = Session(Cache(tmp_path / "cache")).segment(volume_of(files), request).label_map.labels
    np.testing.assert_array_equal(labels, nnunets_labels(folder, files, None, **theirs))
    asked_otherwise = nnunets_labels(folder, files, None, use_mirroring=not request.mirroring, tile_step_size=0.5)
    assert (labels != asked_otherwise).any(), "a label map that could tell a difference"


@pytest.mark.parametrize("step", [0.0, -0.5, 1.5])
def test_step_outside_its_range_is_refused(step: float) -> None:
    with pytest.raises(InputError, match="lies outside"):
        Request(step=step)


@pytest.mark.slow
def test_the_labels_are_those_of_the_command_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, folds=(0, 1), mirroring=(0, 1), channels=2, plans_format="old")
    images, output = tmp_path / "images", tmp_path / "output"
    images.mkdir()
    files = Phantom(direction=OBLIQUE, empty=0.3).write(images, 2)
    command = "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as run; run()"
    arguments = f"-i {images} -o {output} -m {folder} -f 0 1 -device cpu -npp 1 -nps 1".split()
    subprocess.run([sys.executable, "-c", command, *arguments], check=True, capture_output=True)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "case.nii.gz")))
    np.testing.assert_array_equal(our_labels(open_folder(folder), volume_of(files)), theirs)


def test_many_labels_need_more_than_a_byte(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, labels=300, patch_size=(8, 8, 8))
    files = Phantom((10, 10, 12)).write(tmp_path, 1)
    labels = our_labels(open_folder(folder), volume_of(files))
    assert labels.dtype == np.uint16
    assert labels.max() > 255
    np.testing.assert_array_equal(labels, nnunets_labels(folder, files, None))


def test_an_empty_image_has_nnunets_labels(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    files = Phantom((16, 16, 16), empty=3.0).write(tmp_path, 1)
    labels = our_labels(open_folder(folder), volume_of(files))
    np.testing.assert_array_equal(labels, nnunets_labels(folder, files, None))


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.5, 1.5), (6.0, 1.2, 1.2)])
def test_labelling_one_output_at_a_time_is_nnunets_export(
    tmp_path: Path, regions: bool, spacing: tuple[float, float, float]
) -> None:
    model = open_folder(make_folder(tmp_path, regions=regions, spacing=spacing, labels=5))
    shape = tuple(round(size / mm) for size, mm in zip((12, 20, 24), spacing, strict=True))
    coarse = np.random.default_rng(0).integers(-2, 3, (model.label_manager.num_segmentation_heads, *shape))
    logits = torch.from_numpy(coarse).half()  # whole numbers, so that outputs often tie
    properties = {
        "spacing": [1.0, 1.0, 1.0],
        "shape_before_cropping": (15, 20, 30),
        "bbox_used_for_cropping": [[2, 14], [0, 20], [5, 29]],
        "shape_after_cropping_and_before_resampling": (12, 20, 24),
    }
    theirs = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, model.plans_manager, model.configuration_manager, model.label_manager, properties
    )
    ours = labels_of(logits, model, properties, Progress())
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


@given(st.decimals(min_value="0.05", max_value="12", places=5), st.floats(0, 3), st.floats(0, 3), st.booleans())
def test_a_spacing_survives_its_way_through_a_matrix(mm: Any, yaw: float, pitch: float, nifti: bool) -> None:
    written = float(np.float32(mm)) if nifti else float(mm)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    geometry = Geometry.from_lps((2, 3, 4), (written, written, written), (0, 0, 0), turn @ nod)
    assert [spacing_as_written(spacing) for spacing in geometry.spacing] == [written] * 3


@given(st.permutations((0, 1, 2)), st.tuples(st.booleans(), st.booleans(), st.booleans()))
@pytest.mark.parametrize("reader", ["NibabelIOWithReorient", "SimpleITKIOWithReorient"])
def test_reoriented_labels_return_to_their_voxels(reader: str, order: list[int], flips: tuple[bool, ...]) -> None:
    axes = np.eye(3)[order] * np.where(flips, -1, 1)
    geometry = Geometry.from_lps((4, 3, 2), (1.0, 2.0, 3.0), (5, 6, 7), axes)
    voxels = np.arange(24, dtype=np.uint8).reshape(1, 4, 3, 2)
    image = read(Volume(voxels, geometry), reader)
    np.testing.assert_array_equal(image.restore(image.voxels[0].astype(np.uint8)), voxels[0])
    along = dict(zip((2, 1, 0), geometry.spacing, strict=True))
    assert sorted(zip(image.voxels.shape[1:], image.spacing, strict=True)) == sorted(
        (voxels.shape[1 + axis], along[axis]) for axis in range(3)
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), folds=(0, 1), mirroring=(0,), spacing=(2, 2, 2)))


CALLS = 2 * 2 * 8  # folds, mirror images, patches of the volume below


@pytest.fixture(scope="module")
def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(100, 20, (1, 32, 32, 32)).astype(np.float32)
    return Volume(voxels, Geometry((32, 32, 32), np.diag([1.5, 1.5, 1.5, 1])))


@dataclass
class Told:
    steps: list[Event] = field(default_factory=list)

    def __call__(self, progress: Event) -> None:
        self.steps.append(progress)


class Counted:
    """A model's networks, which count their calls together and do something in each."""

    def __init__(self, in_call: Callable[[int], None]) -> None:
        self.calls = 0
        self.in_call = in_call

    def _run(self, network: nn.Module, patch: Tensor) -> Tensor:
        self.calls += 1
        self.in_call(self.calls)
        answer: Tensor = network(patch)
        return answer

    def folds(self, model: TrainedModel) -> list[Callable[[Tensor], Tensor]]:
        """One callable a fold of the model, all of them counted together."""
        return [partial(self._run, fold) for fold in model.networks()]


def test_what_fails_for_another_reason_is_not_tried_again(model: TrainedModel, volume: Volume) -> None:
    def fail(calls: int) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    network = Counted(fail)
    with pytest.raises(RuntimeError, match="no kernel image"):
        predict(model, network.folds(model), volume, device=torch.device("cpu", 0))
    assert network.calls == 1


def test_a_device_that_is_full_is_tried_again_with_the_sums_elsewhere(model: TrainedModel, volume: Volume) -> None:
    def fill(calls: int) -> None:
        if calls == 2:
            raise torch.OutOfMemoryError

    network = Counted(fill)
    other_than_the_cpu = torch.device("cpu", 0)

    labels, _ = predict(model, network.folds(model), volume, device=other_than_the_cpu)

    assert np.array_equal(labels, our_labels(model, volume))
    assert network.calls > 2


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_progress_runs_from_nothing_to_all(model: TrainedModel, volume: Volume) -> None:
    told = Told()
    _, seconds = predict(model, model.networks(), volume, device=CPU, progress=Progress(told))
    stages = [step.stage for step in told.steps]
    assert list(dict.fromkeys(stages)) == ["preprocess", "predict", "postprocess"] == list(seconds)
    assert stages.count("predict") >= CALLS
    assert told.steps[0] == Event("preprocess", 0.0, None)
    assert told.steps[-1] == Event("postprocess", 1.0, 0.0)
    assert all(before.fraction <= after.fraction for before, after in pairwise(told.steps))
    assert all(step.seconds_left is None or step.seconds_left >= 0 for step in told.steps)
    assert sum(step.seconds_left is not None for step in told.steps) >= CALLS - 1
    assert all(time >= 0 for time in seconds.values())


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("call", [1, 2, 5, CALLS])
def test_cancelling_ends_with_the_current_call(model: TrainedModel, volume: Volume, call: int) -> None:
    progress = Progress()
    network = Counted(lambda calls: progress.cancel() if calls == call else None)
    with pytest.raises(Cancelled):
        predict(model, network.folds(model), volume, device=CPU, progress=progress)
    assert network.calls == call


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize("stage", ["preprocess", "predict", "postprocess"])
def test_cancelling_works_in_every_stage(model: TrainedModel, volume: Volume, stage: str) -> None:
    stages: list[str] = []

    def cancel_there(event: Event) -> None:
        stages.append(event.stage)
        if event.stage == stage:
            progress.cancel()

    progress = Progress(cancel_there)
    with pytest.raises(Cancelled):
        our_labels(model, volume, progress=progress)
    assert stages.count(stage) == 1
    assert stages[-1] == stage


@pytest.mark.usefixtures("no_thread_left")
def test_cancelling_from_another_thread(model: TrainedModel, volume: Volume) -> None:
    progress, running = Progress(), threading.Event()

    def cancel() -> None:
        running.wait()
        progress.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()

    def in_call(calls: int) -> None:
        running.set()
        canceller.join()

    network = Counted(in_call)
    with pytest.raises(Cancelled):
        predict(model, network.folds(model), volume, device=CPU, progress=progress)
    assert network.calls == 1


def test_a_run_cancelled_beforehand_does_not_start(model: TrainedModel, volume: Volume) -> None:
    told = Told()
    progress = Progress(told)
    progress.cancel()
    with pytest.raises(Cancelled):
        our_labels(model, volume, progress=progress)
    assert told.steps == []


@pytest.mark.usefixtures("no_thread_left")
def test_an_error_of_the_network_is_the_runs_error(model: TrainedModel, volume: Volume) -> None:
    def fail(calls: int) -> None:
        if calls == 3:
            raise ZeroDivisionError("in the network")

    network, threads = Counted(fail), torch.get_num_threads()
    with pytest.raises(ZeroDivisionError, match="in the network"):
        predict(model, network.folds(model), volume, device=CPU)
    assert network.calls == 3
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("no_thread_left")
def test_an_error_of_whoever_is_told_is_the_runs_error(model: TrainedModel, volume: Volume) -> None:
    def fail(progress: Event) -> None:
        if progress.seconds_left is not None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        our_labels(model, volume, progress=Progress(fail))


def test_an_answer_that_is_not_finite_is_refused(model: TrainedModel, volume: Volume) -> None:
    networks = [lambda patch, fold=fold: fold(patch) * float("nan") for fold in model.networks()]
    with pytest.raises(ModelError, match="not finite"):
        predict(model, networks, volume, device=CPU)


def test_weights_of_another_network_are_refused(model: TrainedModel) -> None:
    with pytest.raises(ModelError, match="do not fit"):
        model.with_weights({"other": torch.ones(1)})


def test_channels_must_match(tmp_path: Path, volume: Volume) -> None:
    model = open_folder(make_folder(tmp_path, channels=2))
    complaint = r"needs 2 input channels \(sequence_0, sequence_1\) but got 1 image: choose one image for each channel"
    with pytest.raises(InputError, match=complaint):
        our_labels(model, volume)


def test_a_model_of_photographs_is_refused(tmp_path: Path, volume: Volume) -> None:
    model = open_folder(make_folder(tmp_path, dimensions=2, reader="NaturalImage2DIO"))
    with pytest.raises(ModelError, match="NaturalImage2DIO, which does not read 3D"):
        our_labels(model, volume)


def test_a_run_is_silent(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, patch_size=(8, 8, 8))
    code = (
        "import numpy as np, torch; from pathlib import Path\n"
        "from TuckerSegLib.models.folder import open_folder; from TuckerSegLib.inference.predict import predict\n"
        "from TuckerSegLib.volumes.volume import Geometry, Volume\n"
        f"model = open_folder(Path({str(folder)!r}))\n"
        "volume = Volume(np.random.rand(1, 9, 9, 9), Geometry((9, 9, 9), np.eye(4)))\n"
        "predict(model, model.networks(), volume, device=torch.device('cpu'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_pytorchs_compiler_is_not_imported(architecture: str, tmp_path: Path) -> None:
    """It takes seconds at the first run and memory ever after."""
    folder = make_folder(tmp_path / "model", patch_size=(8, 8, 8), architecture=architecture)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from TuckerSegLib.segmentation.request import Request; from TuckerSegLib.segmentation.session import Session\n"
        "from TuckerSegLib.models.cache import Cache; from TuckerSegLib.volumes.volume import Geometry, Volume\n"
        f"session = Session(Cache(Path({str(tmp_path / 'cache')!r})))\n"
        "volume = Volume(np.random.rand(1, 9, 9, 9), Geometry((9, 9, 9), np.eye(4)))\n"
        f"session.segment(volume, Request({str(folder)!r}, 0.5, 'cpu', 'fused'))\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
