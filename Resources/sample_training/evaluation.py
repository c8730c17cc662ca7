"""Dice on phantoms that no training saw, through nnU-Net's own predictor."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import time

from TuckerSegLib.volumes.phantoms.seeds import SAMPLE_TEST

"""Seeds of the phantoms that test a finished model."""


def dice(folder: Path, seed: int) -> dict[str, float]:
    """Dice of each structure that a phantom shows, at the phantom's own grid."""
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


def evaluate_on_two_cores(folder: Path) -> None:
    """Two phantoms at a time, each on one core."""
    with ProcessPoolExecutor(2, get_context("spawn"), use_one_thread) as pool:
        evaluate(folder, SAMPLE_TEST, pool.map)


def use_one_thread() -> None:
    """PyTorch's share of a process that works beside another."""
    import torch

    torch.set_num_threads(1)
