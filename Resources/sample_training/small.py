"""The small sample: nnU-Net's own steps, with targets that suit a processor."""

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from TuckerSegLib.volumes.phantoms import seeds

from .export import read_json, write_folder

TRAINING, VALIDATION = seeds.TRAINING[:90], seeds.VALIDATION
DATASET, DATASET_ID = "Dataset900_TorsoPhantoms", 900
SPACING = (4.5, 4.5, 4.5)
"""Millimetres (k, j, i) the network sees: coarse enough that a patch shows a third of a torso."""

FEATURES = 16
MEMORY = 0.4
"""Gigabytes the planner may plan for: they decide the patch."""


def use_folder(work: Path) -> None:
    """Tells nnU-Net where its data lies; it reads this when it is imported."""
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(work / name)
        (work / name).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("nnUNet_n_proc_DA", "1")
    os.environ.setdefault("BLOSC_NTHREADS", "1")


def write_phantom(seed: int, images: Path, labels: Path) -> None:
    """One phantom as nnU-Net wants it: case_0000.nii.gz and case.nii.gz."""
    import SimpleITK as sitk  # noqa: N813

    from TuckerSegLib.volumes.phantoms.phantom import phantom

    made = phantom(seed)
    for array, path in (
        (made.image.voxels[0], images / f"phantom_{seed:04d}_0000.nii.gz"),
        (made.truth.labels, labels / f"phantom_{seed:04d}.nii.gz"),
    ):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(made.image.geometry.spacing)  # type: ignore[no-untyped-call]
        image.SetOrigin(made.image.geometry.origin_lps)  # type: ignore[no-untyped-call]
        image.SetDirection(made.image.geometry.direction_lps.ravel())  # type: ignore[no-untyped-call]
        sitk.WriteImage(image, path, useCompression=True, compressionLevel=1)


def generate(work: Path) -> None:
    """The training and validation phantoms, with nnU-Net's dataset.json."""
    from TuckerSegLib.volumes.phantoms.tissues import LABELS

    folders = [work / "raw" / DATASET / name for name in ("imagesTr", "labelsTr")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    chosen = [*TRAINING, *VALIDATION]
    with ProcessPoolExecutor(2) as pool:
        for number, _ in enumerate(pool.map(write_phantom, chosen, *([f] * len(chosen) for f in folders)), 1):
            print(f"\r{number}/{len(chosen)} phantoms", end="", flush=True)
    print()
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **LABELS},
        "numTraining": len(chosen),
        "file_ending": ".nii.gz",
    }
    (folders[0].parent / "dataset.json").write_text(json.dumps(description, indent=2))


def plan(work: Path) -> None:
    """nnU-Net's fingerprint, plans and preprocessing."""
    from batchgenerators.utilities.file_and_folder_operations import save_json
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset

    extract_fingerprint_dataset(DATASET_ID, num_processes=2)
    plans = _planner().plan_experiment()
    shutil.copy(work / "raw" / DATASET / "dataset.json", work / "preprocessed" / DATASET / "dataset.json")
    preprocess_dataset(DATASET_ID, configurations=("3d_fullres",), num_processes=(2,))
    split = {
        "train": [f"phantom_{seed:04d}" for seed in TRAINING],
        "val": [f"phantom_{seed:04d}" for seed in VALIDATION],
    }
    save_json([split], str(work / "preprocessed" / DATASET / "splits_final.json"))
    print(json.dumps(plans["configurations"]["3d_fullres"], indent=1, default=str))


def _planner() -> Any:
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet

    class CpuPlanner(ExperimentPlanner):  # type: ignore[misc]
        """nnU-Net's own planner, told of fewer features and a memory that leads to a patch of 288 x 216 x 288 mm."""

        def __init__(self) -> None:
            super().__init__(DATASET_ID, gpu_memory_target_in_gb=MEMORY, overwrite_target_spacing=SPACING)
            self.UNet_base_num_features = FEATURES

        def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any], Any, dict[str, Any]]:
            data, data_options, _, _ = super().determine_resampling(*args, **kwargs)
            # Only labels, and only here: nnU-Net's default takes ten times as long with so many of them.
            options = {"is_seg": True, "force_separate_z": False, "memefficient_seg_resampling": False}
            return data, data_options, resample_torch_fornnunet, options

    return CpuPlanner()


def train(work: Path, minutes: float) -> None:
    """Train for a given time, or go on with a training that was interrupted or is given more minutes."""
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
    import torch

    from .timed_trainer import TimedTrainer, TimeIsUp

    plans, description = read_json(work / "preprocessed" / DATASET, "nnUNetPlans.json", "dataset.json")
    trainer = TimedTrainer(plans, "3d_fullres", 0, description, torch.device("cpu"))
    trainer.minutes = minutes
    folder = Path(trainer.output_folder)
    for name in ("checkpoint_latest.pth", "checkpoint_final.pth"):
        if (folder / name).is_file():
            trainer.load_checkpoint(str(folder / name))
            break
    try:
        trainer.run_training()
    except TimeIsUp:
        trainer.on_train_end()


def export(work: Path, folder: Path) -> None:
    """The newest checkpoint."""
    import torch

    trained = work / "results" / DATASET / "TimedTrainer__nnUNetPlans__3d_fullres"
    found = [path for name in ("final", "latest") for path in trained.glob(f"fold_0/checkpoint_{name}.pth")]
    newest = max(found, key=lambda path: path.stat().st_mtime)
    checkpoint = torch.load(newest, map_location="cpu", weights_only=False)
    plans, description = read_json(trained, "plans.json", "dataset.json")
    plans["configurations"] = {"3d_fullres": plans["configurations"]["3d_fullres"]}
    write_folder(folder, checkpoint["network_weights"], plans, description, checkpoint["current_epoch"])
