"""The calibration of each network of a model: shipped with it, kept on this computer, or gathered now."""

import io
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..decomposition.calibration.correction import Originals
from ..decomposition.calibration.gathering import PATCHES, gather
from ..decomposition.calibration.record import CalibrationRecord
from ..decomposition.calibration.recorded import Calibration
from ..errors import ModelError, OutputError
from ..inference.patches import patches_of
from ..models.cache import Cache
from ..models.nnunet import TrainedModel, digest
from ..models.sample import sample_model_folder
from ..progress import Progress
from ..store import Store
from ..volumes.phantoms import seeds
from ..volumes.sources import PHANTOMS, volumes_of

_log = logging.getLogger(__name__)

FILE = "calibration.safetensors"
"""The name that a record has beside the model that it was shipped with."""

FOLDER = "calibrations"
"""Below the cache's folder; records take minutes to gather, so that no limit of the cache removes them."""

_CORRECTED_ON = 4
"""Patches that a level is corrected on."""


def is_calibrated_on_phantoms(model: TrainedModel) -> bool:
    """Whether phantoms are of the kind of images that `model` takes: of one channel, in three dimensions."""
    return model.num_input_channels == 1 and model.dimensions == 3


class Calibrations:
    """Those of one model's networks, one a fold, gathered from phantoms."""

    def __init__(self, model: TrainedModel, cache: Cache) -> None:
        self._model, self._cache = model, cache
        self._records: dict[str, CalibrationRecord] = {}

    def of(self, network: nn.Module, progress: Progress) -> Calibration:
        """The calibration of `network`, one of the model's; raises as `record`."""
        record = self.record(network, progress)
        return Calibration(record, Originals(network, self._patches(progress)[:_CORRECTED_ON]))

    def record(self, network: nn.Module, progress: Progress) -> CalibrationRecord:
        """The record of `network`, one of the model's; the stage "calibrate" is told if it is gathered now.

        Raises:
            Cancelled: `progress` was cancelled.
        """
        key = digest(network.state_dict())
        if key not in self._records:
            self._records[key] = self._kept(key) or self._gathered(key, network, progress)
        return self._records[key]

    def _kept(self, key: str) -> CalibrationRecord | None:
        """The record of the network whose weights have the digest `key`, if there is one that can be read."""
        for path in (self._path(key), sample_model_folder() / FILE):
            if path.is_file():
                try:
                    return CalibrationRecord.load(path, {"network": key})
                except ModelError:
                    continue
        return None

    def _path(self, key: str) -> Path:
        return self._cache.folder / FOLDER / f"{key}.safetensors"

    def _gathered(self, key: str, network: nn.Module, progress: Progress) -> CalibrationRecord:
        patches = self._patches(progress)
        progress.stage("calibrate")
        record = gather(network, patches, progress)
        try:
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            record.save(path, {"network": key})
        except (OSError, OutputError) as error:
            _log.warning("What was learnt about %s could not be kept: %s", self._model.name, error)
        return record

    def _patches(self, progress: Progress) -> Tensor:
        """Of phantoms, preprocessed; they take seconds to make, so they are kept on disk."""
        model, store = self._model, Store(self._cache.folder)
        key = f"calibration patches {model.fingerprint} {seeds.CALIBRATION} {PATCHES}"
        content = store.read(key)
        if content is None:
            progress.stage("calibrate")
            patches = patches_of(model, volumes_of([PHANTOMS]), PATCHES)
            written = io.BytesIO()
            np.save(written, patches.numpy(), allow_pickle=False)
            store.write(key, written.getvalue())
            return patches
        return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))
