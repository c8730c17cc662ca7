"""Phantoms as the network sees them, preprocessed once, and patches of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from . import SMALL
from .evaluation import use_one_thread
from .export import read_json

Patch = tuple[Tensor, Tensor]
"""An image (1, 1, *spatial) and its labels (1, *spatial)."""


def write_case(seed: int, folder: Path) -> None:
    """One phantom, preprocessed as the small sample's plans say; one that is there stays."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from TuckerSegLib.volumes.phantoms.phantom import phantom

    target = folder / f"{seed:04d}.npz"
    if target.exists():
        return
    use_one_thread()
    plans, dataset = read_json(SMALL, "plans.json", "dataset.json")
    configuration = PlansManager(plans).get_configuration("3d_fullres")
    made = phantom(seed)
    image, labels, _ = configuration.preprocessor_class(verbose=False).run_case_npy(
        made.image.voxels.astype(np.float32),
        made.truth.labels[None].astype(np.int8),
        {"spacing": made.image.geometry.spacing[::-1]},
        PlansManager(plans),
        configuration,
        dataset,
    )
    partial = target.with_suffix(".part.npz")
    np.savez(partial, image=np.asarray(image[0], np.float16), labels=np.clip(labels[0], 0, None).astype(np.uint8))
    os.replace(partial, target)


@dataclass(frozen=True)
class Case:
    """A phantom's image and labels (K, J, I), and where each structure is, as places in the flattened labels."""

    image: npt.NDArray[np.float16]
    labels: npt.NDArray[np.uint8]
    places: dict[int, npt.NDArray[np.int32]]

    @staticmethod
    def read(file: Path) -> "Case":
        """What `write_case` wrote."""
        with np.load(file) as arrays:
            image, labels = arrays["image"], arrays["labels"]
        flat = labels.ravel()
        order = np.argsort(flat, kind="stable").astype(np.int32)
        values, starts = np.unique(flat[order], return_index=True)
        places = dict(zip(map(int, values), np.split(order, starts[1:]), strict=True))
        places.pop(0, None)
        return Case(image.reshape(labels.shape), labels, places)


class Cases:
    """The phantoms of some seeds, in memory; more may appear in the folder at any time."""

    def __init__(self, folder: Path, seeds: Sequence[int]) -> None:
        self._folder, self._seeds = folder, seeds
        self._found: dict[int, Case] = {}
        self.look()

    def __len__(self) -> int:
        return len(self._found)

    def look(self) -> None:
        """Read those that have appeared."""
        for seed in self._seeds:
            file = self._folder / f"{seed:04d}.npz"
            if seed not in self._found and file.exists():
                self._found[seed] = Case.read(file)

    def patch(self, rng: np.random.Generator, size: Sequence[int]) -> Patch:
        """Near a voxel of a structure, each as likely as any other of a phantom; empty beyond the image."""
        case = self._found[int(rng.choice(list(self._found)))]
        where = case.places[int(rng.choice(list(case.places)))]
        centre = np.unravel_index(int(rng.choice(where)), case.labels.shape)
        window, beyond = [], []
        for middle, count, length in zip(centre, case.labels.shape, size, strict=True):
            low, high = (0, count - length) if count >= length else ((count - length) // 2,) * 2
            moved = int(middle) - length // 2 + int(rng.integers(-length // 4, length // 4 + 1))
            start = min(max(moved, low), high)
            window.append(slice(max(start, 0), min(start + length, count)))
            beyond.append((max(-start, 0), max(start + length - count, 0)))
        return _tensor(case.image, window, beyond, np.float32)[None], _tensor(case.labels, window, beyond, np.int64)


def _tensor(array: npt.NDArray[Any], window: list[slice], beyond: list[tuple[int, int]], kind: type) -> Tensor:
    return torch.from_numpy(np.pad(array[tuple(window)], beyond).astype(kind))[None]
