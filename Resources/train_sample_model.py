"""Trains the sample model: an ordinary nnU-Net on phantoms that are made here, on a CPU, in under two hours.

    python Resources/train_sample_model.py all --work /tmp/sample --minutes 85

runs the steps `generate`, `plan`, `train`, `export` and `evaluate`, each of which can also be run alone. Times on two
CPU cores: generate 5 min (4 s a phantom), plan (fingerprint, plan, preprocessing) 5 min, train as long as `--minutes`
says, export at once, evaluate 30 s a phantom. An interrupted training goes on from its last epoch when `train` is run
again, and one that ended when it is run with more minutes.

The phantoms of training, validation and test have different seeds: see `TuckerSegLib.volumes.phantoms.seeds`.

On Linux, MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 MALLOC_ARENA_MAX=1 in the environment nearly halve the
time of an iteration: the memory of one layer is then used again for the next.
"""

import argparse
import copy
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import time
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from TuckerSegLib.volumes.phantoms import seeds as uses  # noqa: E402

TRAINING, VALIDATION, SAMPLE_TEST = uses.TRAINING[:90], uses.VALIDATION, uses.SAMPLE_TEST

DATASET, DATASET_ID = "Dataset900_TorsoPhantoms", 900
SPACING = (4.5, 4.5, 4.5)
"""Millimetres (k, j, i) the network sees: coarse enough that a patch shows a third of a torso."""

FEATURES = 16
MEMORY = 0.4
"""Gigabytes the planner may plan for: they decide the patch."""
LEARNING_RATE = 1.5e-3


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
    seeds = [*TRAINING, *VALIDATION]
    with ProcessPoolExecutor(2) as pool:
        for number, _ in enumerate(pool.map(write_phantom, seeds, *([f] * len(seeds) for f in folders)), 1):
            print(f"\r{number}/{len(seeds)} phantoms", end="", flush=True)
    print()
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **LABELS},
        "numTraining": len(seeds),
        "file_ending": ".nii.gz",
    }
    (folders[0].parent / "dataset.json").write_text(json.dumps(description, indent=2))


def plan(work: Path) -> None:
    """nnU-Net's fingerprint, plans and preprocessing, with a target small enough for a CPU."""
    from batchgenerators.utilities.file_and_folder_operations import save_json
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset
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

    extract_fingerprint_dataset(DATASET_ID, num_processes=2)
    plans = CpuPlanner().plan_experiment()
    shutil.copy(work / "raw" / DATASET / "dataset.json", work / "preprocessed" / DATASET / "dataset.json")
    preprocess_dataset(DATASET_ID, configurations=("3d_fullres",), num_processes=(2,))
    split = {
        "train": [f"phantom_{seed:04d}" for seed in TRAINING],
        "val": [f"phantom_{seed:04d}" for seed in VALIDATION],
    }
    save_json([split], str(work / "preprocessed" / DATASET / "splits_final.json"))
    print(json.dumps(plans["configurations"]["3d_fullres"], indent=1, default=str))


def train(work: Path, minutes: float) -> None:
    """nnU-Net's trainer without mirroring, since left and right have names, for a given time."""
    import numpy as np
    import torch
    from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoDA import nnUNetTrainerNoDA
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    class TimeIsUp(Exception):
        pass

    class TimedTrainer(nnUNetTrainerNoDA):  # type: ignore[misc]
        """Learning rate and end follow the minutes spent in epochs, so that any computer ends in time.

        No augmentation: every phantom already differs in pose, shape, contrast and noise.
        """

        def __init__(self, plans: dict[str, Any], configuration: str, fold: int, dataset_json: dict[str, Any],
                     device: torch.device) -> None:  # fmt: skip
            super().__init__(plans, configuration, fold, dataset_json, device)
            self.num_iterations_per_epoch, self.num_val_iterations_per_epoch, self.save_every = 40, 4, 1
            self.oversample_foreground_percent = 1.0
            self.initial_lr = LEARNING_RATE

        def initialize(self) -> None:
            super().initialize()
            self.twin = copy.deepcopy(self.network)
            for own, shared in zip(self.twin.parameters(), self.network.parameters(), strict=True):
                own.data = shared.data
            torch.set_num_threads(1)
            self.pool = ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,))
            self.rarity = self.measured_rarity()
            self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(0.99))  # type: ignore[no-untyped-call]

        def measured_rarity(self) -> torch.Tensor:
            """How much rarer than the median structure each label is, from a few training phantoms."""
            cases, _ = self.get_tr_and_val_datasets()
            counts = np.ones(self.label_manager.num_segmentation_heads)
            for name in cases.identifiers[:12]:
                labels = np.asarray(cases.load_case(name)[1][:]).clip(0).astype(int)
                counts += np.bincount(labels.ravel(), minlength=counts.size)
            return torch.tensor(np.median(counts) / counts, dtype=torch.float32)

        def on_train_epoch_start(self) -> None:
            """Small structures weigh more at first, or they would appear late; at last all voxels weigh the same."""
            super().on_train_epoch_start()
            strength = 0.5 * max(1 - self.spent() / 0.8, 0.0)
            self.loss.loss.ce.weight = self.rarity**strength

        def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
            """Each core takes one of the two patches: with two cores a patch, each layer waits for the slower one."""

            def backward(network: Any, index: int) -> float:
                output = network(batch["data"][index : index + 1])
                loss = self.loss(output, [target[index : index + 1] for target in batch["target"]]) / 2
                loss.backward()
                return float(loss.detach())

            for network in (self.network, self.twin):
                network.zero_grad(set_to_none=True)
            loss = sum(self.pool.map(backward, (self.network, self.twin), (0, 1)))
            for own, other in zip(self.network.parameters(), self.twin.parameters(), strict=True):
                if own.grad is not None:
                    own.grad += other.grad
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.optimizer.step()
            self.average.update_parameters(self.network)
            return {"loss": loss}

        def on_train_end(self) -> None:
            """The last hundred or so iterations' mean: so few iterations leave the weights restless."""
            self.network.load_state_dict(self.average.module.state_dict())
            super().on_train_end()

        def configure_optimizers(self) -> tuple[Any, Any]:
            optimizer = torch.optim.AdamW(self.network.parameters(), self.initial_lr, weight_decay=1e-4)
            share = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: max(1 - self.spent(), 0.0) ** 0.9 + 1e-4)
            return optimizer, share

        def spent(self) -> float:
            """The share of the time that past epochs took."""
            log = self.logger.my_fantastic_logging
            spans = zip(log["epoch_start_timestamps"], log["epoch_end_timestamps"], strict=False)
            return float(sum(end - start for start, end in spans)) / (60 * minutes)

        def on_epoch_end(self) -> None:
            super().on_epoch_end()
            mean = self.logger.my_fantastic_logging["mean_fg_dice"][-1]
            self.print_to_log_file(f"mean pseudo Dice {mean:.4f}, {self.spent():.0%} of the time")
            if self.spent() >= 1:
                raise TimeIsUp

    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
    base = work / "preprocessed" / DATASET
    plans, description = (json.loads((base / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json"))
    trainer = TimedTrainer(plans, "3d_fullres", 0, description, torch.device("cpu"))
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
    """The trained folder with what inference needs, and nothing that tells where it was made."""
    import torch

    trained = work / "results" / DATASET / "TimedTrainer__nnUNetPlans__3d_fullres"
    found = [path for name in ("final", "latest") for path in trained.glob(f"fold_0/checkpoint_{name}.pth")]
    newest = max(found, key=lambda path: path.stat().st_mtime)
    checkpoint = torch.load(newest, map_location="cpu", weights_only=False)
    plans, description = (json.loads((trained / name).read_text()) for name in ("plans.json", "dataset.json"))
    plans["configurations"] = {"3d_fullres": plans["configurations"]["3d_fullres"]}
    kept = {
        "network_weights": checkpoint["network_weights"],
        "optimizer_state": None,
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": None,
        "current_epoch": checkpoint["current_epoch"],
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": description},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    torch.save(kept, folder / "fold_0" / "checkpoint_final.pth")
    for name, content in (("plans.json", plans), ("dataset.json", description)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    print(f"{folder}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.1f} MB")


def dice(folder: Path, seed: int) -> dict[str, float]:
    """Dice of each structure that a phantom shows, at the phantom's own grid, through nnU-Net's own predictor."""
    import numpy as np
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from TuckerSegLib.volumes.phantoms.phantom import phantom
    from TuckerSegLib.volumes.phantoms.tissues import LABELS

    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
    made, start = phantom(seed), time()
    found = predictor.predict_single_npy_array(
        made.image.voxels.astype(np.float32), {"spacing": made.image.geometry.spacing[::-1]}
    )
    print(f"seed {seed}: {made.image.voxels.shape[1:]} voxels, {time() - start:.0f} s", flush=True)
    both = {name: (made.truth.labels == label, found == label) for name, label in LABELS.items()}
    return {
        name: 2 * float((truth & guess).sum()) / float(truth.sum() + guess.sum())
        for name, (truth, guess) in both.items()
        if truth.any()
    }


def evaluate(
    folder: Path, seeds: Sequence[int] = SAMPLE_TEST, run: Callable[..., Iterable[dict[str, float]]] = map
) -> float:
    """Mean Dice: of each structure over the phantoms that show it, then of the structures; prints a table."""
    scores: dict[str, list[float]] = {}
    for found in run(dice, [folder] * len(seeds), seeds):
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
    print(f"{'structure':28s}{'mean':>7s}{'least':>7s}")
    means = {name: sum(values) / len(values) for name, values in scores.items()}
    for name, mean in sorted(means.items(), key=lambda item: item[1]):
        print(f"{name:28s}{mean:7.3f}{min(scores[name]):7.3f}  n={len(scores[name])}")
    result = sum(means.values()) / len(means)
    print(f"mean Dice of {len(means)} structures on {len(seeds)} unseen phantoms: {result:.4f}")
    return result


def use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def evaluate_on_two_cores(folder: Path) -> None:
    """Two phantoms at a time, each on one core."""
    with ProcessPoolExecutor(2, get_context("spawn"), use_one_thread) as pool:
        evaluate(folder, SAMPLE_TEST, pool.map)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["all", "generate", "plan", "train", "export", "evaluate"])
    parser.add_argument("--work", type=Path, default=Path("sample_training"), help="where nnU-Net's data go")
    parser.add_argument("--minutes", type=float, default=85, help="how long to train")
    parser.add_argument("--model", type=Path, default=HERE / "SampleModel", help="the folder that is made")
    chosen = parser.parse_args()
    use_folder(chosen.work.resolve())
    steps: dict[str, Callable[[], object]] = {
        "generate": lambda: generate(chosen.work),
        "plan": lambda: plan(chosen.work),
        "train": lambda: train(chosen.work, chosen.minutes),
        "export": lambda: export(chosen.work, chosen.model),
        "evaluate": lambda: evaluate_on_two_cores(chosen.model),
    }
    for step in steps if chosen.step == "all" else [chosen.step]:
        steps[step]()


if __name__ == "__main__":
    main()
