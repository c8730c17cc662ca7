"""What is known of each network of a model: records that were shipped, imported, or gathered on this computer."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ...decomposition.calibration.correction import Originals
from ...decomposition.calibration.gathering import PATCHES, gather
from ...decomposition.calibration.record import CalibrationRecord
from ...decomposition.calibration.recorded import Calibration, Recorded
from ...decomposition.counting import convolutions
from ...decomposition.frontier import RanksByName
from ...errors import InputError, ModelError
from ...inference.patches import patches_of
from ...models.cache import Cache
from ...models.nnunet import TrainedModel, digest
from ...models.sample import shipped
from ...progress import Progress
from ...store import Store
from ...volumes.output import make_folder
from ...volumes.phantoms import seeds
from ...volumes.sources import PHANTOMS, volumes_of
from ...volumes.volume import Volume
from .positions import Learnt, settings_of
from .trained_levels import TrainedLevels

FILE = "calibration.safetensors"
"""The name that a record has beside the model that it was shipped with."""

FOLDER = "calibrations"
"""Below the cache's folder; records take minutes to gather, so that no limit of the cache removes them."""

_NETWORK = "network"
"""Under this name a record tells the digest of the weights that it belongs to."""

_IMAGES, _OWN = "images", "own"
"""Under the first name a record tells the second where it was gathered on other images than phantoms."""

_CORRECTED_ON = 4
"""Patches that a level is corrected on."""

_digests: dict[str, tuple[str, ...]] = {}
"""The digests of a model's networks by its fingerprint: weights are read and hashed once in a process."""


class Calibrations:
    """The records of one model's networks, one a fold, and the levels that are made from them.

    `volumes` are images of the kind that the model is for, (C, K, J, I) each: what is gathered now is gathered on them,
    on phantoms where there is none. Nothing of an image is kept, nor is it in a record. Without `trained` levels that
    were trained further are left alone.
    """

    def __init__(self, model: TrainedModel, cache: Cache, volumes: Sequence[Volume] = (), trained: bool = True) -> None:
        self._model, self._cache, self._volumes = model, cache, volumes
        self._trained = TrainedLevels(cache) if trained else None

    def known(self) -> bool:
        """Whether there is a record of every fold."""
        return all(self._kept(key) for key in self._keys())

    def check(self) -> None:
        """Whether a record could be gathered on the volumes, or on phantoms.

        Raises:
            InputError: the model takes slices, or, without volumes, several channels.
        """
        if self._model.dimensions != 3:
            raise InputError(f"{self._model.name} cannot be prepared: its network sees slices, not volumes.")
        if not self._volumes and self._model.num_input_channels != 1:
            raise InputError(
                f"{self._model.name} cannot be prepared on phantoms, which are volumes of one channel: name images of "
                "its own kind with --images."
            )

    def gather(self, progress: Progress) -> None:
        """Gather what is not known yet; it is kept on this computer.

        Raises:
            InputError: as `check`.
            Cancelled: `progress` was cancelled; the folds that were finished are kept.
        """
        if self.known():
            return
        self.check()
        for network in self._model.networks():
            key = digest(network.state_dict())
            if self._kept(key) is None:
                patches = self._patches(progress)
                progress.stage("calibrate")
                self._keep(key, gather(network, patches, progress), _OWN if self._volumes else PHANTOMS)

    def of(self, network: nn.Module, ranks: RanksByName, progress: Progress) -> Calibration:
        """The calibration of `network`, one of the model's, for a level at these ranks.

        Raises:
            ModelError: there is no record of it.
            Cancelled: `progress` was cancelled.
        """
        key = digest(network.state_dict())
        record, trained = self._of(key), self._trained.weights(key, ranks) if self._trained else None
        originals = None if trained else Originals(network, self._correcting(key, progress)[:_CORRECTED_ON])
        return Calibration(record, originals, trained)

    def policy(self, factor: float, ranks: RanksByName, learnt: Learnt) -> Recorded:
        """What makes the level of a position at these ranks, which were chosen by what was `learnt`."""
        return Recorded(ranks, settings_of(factor, ranks, learnt), self.of)

    def record(self, network: nn.Module) -> CalibrationRecord:
        """The record of `network`, one of the model's.

        Raises:
            ModelError: there is none.
        """
        return self._of(digest(network.state_dict()))

    def learnt(self) -> Learnt:
        """What is known of the first fold, which the ranks of all are chosen by.

        Raises:
            ModelError: it was not prepared.
        """
        key = self._keys()[0]
        return Learnt(self._of(key), self._trained.choices(key) if self._trained else [])

    def take(self, path: Path) -> None:
        """Keep a record that was gathered elsewhere.

        Raises:
            ModelError: the file is no record, or none of this model's.
        """
        for network in self._model.networks():
            key = digest(network.state_dict())
            record = _read(path, key)
            if record is not None:
                record.check(convolutions(network))
                self._keep(key, record, _images(path))
                return
        raise ModelError(f"{path} holds no calibration of {self._model.name}: prepare this very model there, or here.")

    def give(self, path: Path) -> None:
        """Write the record of a model of one fold to `path`, to be taken elsewhere: statistics, no images.

        Raises:
            ModelError: the model is not prepared, or has several folds.
            OutputError: the file cannot be written.
        """
        keys = self._keys()
        if len(keys) != 1:
            raise ModelError(f"{self._model.name} has {len(keys)} folds, and a file holds the record of one.")
        self._of(keys[0]).save(path, {_NETWORK: keys[0], _IMAGES: _images(self._path(keys[0]))})

    def _keys(self) -> tuple[str, ...]:
        """The digests of the folds' weights, by which all that is known of them is kept."""
        if self._model.fingerprint not in _digests:
            _digests[self._model.fingerprint] = tuple(digest(weights) for weights in self._model.load_weights())
        return _digests[self._model.fingerprint]

    def _of(self, key: str) -> CalibrationRecord:
        record = self._kept(key)
        if record is None:
            raise ModelError(f"{self._model.name} is not prepared: run 'tuckerseg prepare' first.")
        return record

    def _kept(self, key: str) -> CalibrationRecord | None:
        records = (_read(path, key) for path in (self._path(key), *shipped(FILE)))
        return next((record for record in records if record is not None), None)

    def _keep(self, key: str, record: CalibrationRecord, images: str) -> None:
        path = self._path(key)
        make_folder(path.parent)
        record.save(path, {_NETWORK: key, _IMAGES: images})

    def _path(self, key: str) -> Path:
        return self._cache.folder / FOLDER / f"{key}.safetensors"

    def _correcting(self, key: str, progress: Progress) -> Tensor:
        """Patches to correct a level on: of phantoms, so that it is the same wherever the record is, if they serve."""
        is_own = _images(self._path(key)) == _OWN or self._model.num_input_channels != 1
        return self._patches(progress) if is_own else self._patches_of_phantoms(progress)

    def _patches(self, progress: Progress) -> Tensor:
        """Patches of the volumes, or of phantoms, preprocessed."""
        if not self._volumes:
            return self._patches_of_phantoms(progress)
        progress.stage("calibrate")
        return patches_of(self._model, self._volumes, PATCHES)

    def _patches_of_phantoms(self, progress: Progress) -> Tensor:
        """They take seconds to make, so they are kept on disk."""
        model, store = self._model, Store(self._cache.folder)
        key = f"calibration patches {model.fingerprint} {seeds.CALIBRATION} {PATCHES}"
        content = store.read(key)
        if content is not None:
            return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))
        progress.stage("calibrate")
        patches = patches_of(model, volumes_of([PHANTOMS]), PATCHES)
        written = io.BytesIO()
        np.save(written, patches.numpy(), allow_pickle=False)
        store.write(key, written.getvalue())
        return patches


def _read(path: Path, key: str) -> CalibrationRecord | None:
    """The record in a file, if it belongs to the network whose weights have the digest `key`."""
    try:
        return CalibrationRecord.load(path, {_NETWORK: key})
    except ModelError:
        return None


def _images(path: Path) -> str:
    """What the record in a file was gathered on."""
    try:
        with safe_open(path, "pt") as file:
            return str((file.metadata() or {}).get(_IMAGES, PHANTOMS))
    except (OSError, SafetensorError):
        return PHANTOMS
