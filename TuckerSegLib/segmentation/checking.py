"""Levels are checked against their original networks: what is prepared for that, what is promised, who is warned."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ..engines.fastest import Choice
from ..errors import InputError
from ..inference.check.checked import worst
from ..inference.check.checking import Wanted
from ..inference.check.reliability import Reliability
from ..inference.check.sureness import label_count
from ..models.cache import Cache
from ..models.dataset import modality_of
from ..models.nnunet import TrainedModel
from ..progress import Progress
from ..volumes import modality
from ..volumes.volume import Volume
from .one_model import Result
from .prepare import Check, PreparedModel, prepare
from .recent import Recent
from .recipes import ORIGINAL
from .request import Request
from .slider.agreement import Expectations

_log = logging.getLogger(__name__)


class Originals:
    """The original networks that levels are checked against; the last one stays prepared."""

    def __init__(self) -> None:
        self._last: Recent[PreparedModel] = Recent(1)

    def checked(
        self, level: PreparedModel, model: TrainedModel, request: Request, engines: Choice, cache: Cache
    ) -> PreparedModel:
        """`level` of `model`, its answers to be checked; of the original network, there is nothing to check.

        Ranks as published give the published answer, also where the original ran, unless something is promised.
        """
        if level.is_original or model.compression is not None:
            return level
        untouched = request.exact_ranks and request.at_least is None
        compression = level.model.compression
        expected = Expectations(model, cache).known(dict(compression.policy)) if compression else None
        reliability = expected.reliability if expected else Reliability.unknown(label_count(model))
        wanted = Wanted(reliability, request.at_least, untouched)
        return replace(level, check=Check(partial(self._prepare, model, engines, cache), wanted))

    def clear(self) -> None:
        """Give up what is prepared."""
        self._last.clear()

    def _prepare(
        self, model: TrainedModel, engines: Choice, cache: Cache, level: PreparedModel, progress: Progress
    ) -> PreparedModel:
        """`model` as it was trained, where the level runs and by the same engine: nothing has to be measured."""
        there = engines if level.device == engines.device else engines.instead or engines
        there = replace(there.led_by(level.engine), instead=None)
        key = (model.fingerprint, str(level.device), level.engine)
        return self._last.get(key, lambda: prepare(model, ORIGINAL, there, cache, progress))[0]


def check_promise(request: Request, model: TrainedModel) -> None:
    """
    Raises:
        InputError: an agreement is asked for with an original network that is not at hand.
    """
    if request.at_least is not None and model.compression is not None:
        raise InputError(
            f"{model.name} is compressed and comes without its original network, so that no agreement with that can be "
            "promised: leave that out, or choose the original model and a factor."
        )


def warn_of(result: Result) -> None:
    """Nothing that is known to be poor is handed over without a word."""
    found = worst(result.checks.values())
    if found and found.poor:
        _log.warning(
            "This result may be wrong: %s with the original network, %s. Choose a more accurate level, or say which "
            "agreement it must have at least.",
            found,
            found.basis,
        )


def warn_of_modality(volume: Volume, which: str, model: TrainedModel) -> None:
    """Say so where the image looks like an MR and the model was made for CT, or the other way round."""
    sentence = modality.warning(modality.guessed(volume.voxels[0]), modality_of(which), model.name)
    if sentence:
        _log.warning("%s", sentence)


class _Collector(logging.Handler):
    """Keeps the sentences that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


@contextmanager
def warnings_of_block() -> Iterator[list[str]]:
    """The sentences that this package warns with in the block."""
    collector = _Collector()
    logger = logging.getLogger(__package__.partition(".")[0])
    logger.addHandler(collector)
    try:
        yield collector.sentences
    finally:
        logger.removeHandler(collector)
