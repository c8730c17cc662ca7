"""What is known of each network of a model: records that were shipped, imported, or gathered on this computer."""

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...decomposition.calibration.correction import Originals
from ...decomposition.calibration.gathering import PATCHES, gather
from ...decomposition.calibration.record import CalibrationRecord
from ...decomposition.calibration.recorded import Calibration
from ...decomposition.counting import convolutions
from ...errors import InputError, ModelError, OutputError
from ...inference.patches import patches_of
from ...models.cache import Cache
from ...models.nnunet import TrainedModel, digest
from ...models.sample import sample_model_folder
from ...progress import Progress
from ...store import Store
from ...volumes.phantoms import seeds
from ...volumes.sources import PHANTOMS, volumes_of

FILE = "calibration.safetensors"
"""The name that a record has beside the model that it was shipped with."""

FOLDER = "calibrations"
"""Below the cache's folder; records take minutes to gather, so that no limit of the cache removes them."""

_NETWORK = "network"
"""Under this name a record tells the digest of the weights that it belongs to."""

_CORRECTED_ON = 4
"""Patches that a level is corrected on."""


class Calibrations:
    """The records of one model's networks, one a fold, and the patches that levels made from them are corrected on."""

    def __init__(self, model: TrainedModel, cache: Cache) -> None:
        self._model, self._cache = model, cache

    def known(self) -> bool:
        """Whether there is a record of every fold; weights are read only where there is any record at all."""
        shipped, kept = sample_model_folder() / FILE, (self._cache.folder / FOLDER).glob("*.safetensors")
        if not shipped.is_file() and next(kept, None) is None:
            return False
        return all(self._kept(digest(weights)) for weights in self._model.load_weights())

    def gather(self, progress: Progress) -> None:
        """Gather what is not known yet, on phantoms; it is kept on this computer.

        Raises:
            InputError: the model takes several channels, or slices, so that a phantom is no image of its kind.
            Cancelled: `progress` was cancelled.
        """
        self._check()
        for network in self._model.networks():
            key = digest(network.state_dict())
            if self._kept(key) is None:
                patches = self._patches(progress)
                progress.stage("calibrate")
                self._keep(key, gather(network, patches, progress))

    def of(self, network: nn.Module, progress: Progress) -> Calibration:
        """The calibration of `network`, one of the model's.

        Raises:
            ModelError: there is no record of it.
            Cancelled: `progress` was cancelled.
        """
        return Calibration(self.record(network), Originals(network, self._patches(progress)[:_CORRECTED_ON]))

    def record(self, network: nn.Module) -> CalibrationRecord:
        """The record of `network`, one of the model's.

        Raises:
            ModelError: there is none.
        """
        record = self._kept(digest(network.state_dict()))
        if record is None:
            raise ModelError(f"{self._model.name} is not prepared: run 'tuckerseg prepare' first.")
        return record

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
                self._keep(key, record)
                return
        raise ModelError(f"{path} holds no calibration of {self._model.name}: prepare this very model there, or here.")

    def give(self, path: Path) -> None:
        """Write the record of a model of one fold to `path`, to be taken elsewhere: statistics, no images.

        Raises:
            ModelError: the model is not prepared, or has several folds.
            OutputError: the file cannot be written.
        """
        networks = list(self._model.networks())
        if len(networks) != 1:
            raise ModelError(f"{self._model.name} has {len(networks)} folds, and a file holds the record of one.")
        self.record(networks[0]).save(path, {_NETWORK: digest(networks[0].state_dict())})

    def _check(self) -> None:
        if self._model.num_input_channels != 1 or self._model.dimensions != 3:
            raise InputError(f"{self._model.name} cannot be prepared: phantoms are volumes of one channel.")

    def _kept(self, key: str) -> CalibrationRecord | None:
        return _read(self._path(key), key) or _read(sample_model_folder() / FILE, key)

    def _keep(self, key: str, record: CalibrationRecord) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"What was learnt cannot be kept in {path.parent} ({error.strerror}).") from error
        record.save(path, {_NETWORK: key})

    def _path(self, key: str) -> Path:
        return self._cache.folder / FOLDER / f"{key}.safetensors"

    def _patches(self, progress: Progress) -> Tensor:
        """Patches of phantoms, preprocessed; they take seconds to make, so they are kept on disk."""
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
