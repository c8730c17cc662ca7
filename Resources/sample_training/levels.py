"""What a sample is shipped with besides its weights: all that was learnt about its levels on this computer."""

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from TuckerSegLib.decomposition.calibration.recorded import Recorded
from TuckerSegLib.decomposition.frontier import RanksByName
from TuckerSegLib.engines.fastest import choice
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.nnunet import TrainedModel, digest
from TuckerSegLib.models.opening import open_model
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.prepare import prepare
from TuckerSegLib.segmentation.recipes import Prescribed
from TuckerSegLib.segmentation.slider import agreement, calibrations, positions, trained_levels
from TuckerSegLib.segmentation.slider.calibrations import Calibrations
from TuckerSegLib.store import Store


def ship(folder: Path, cache: Cache | None = None) -> None:
    """Write into a sample's folder its calibration, positions, the trained levels that run there, and what to expect.

    What was not learnt yet is learnt now; further training is `tuckerseg prepare --minutes`.
    """
    model, cache = open_model(str(folder)), cache or Cache()
    known, engines = Calibrations(model, cache), choice("auto", "auto", Store(cache.folder))
    known.gather(Progress())
    if not (folder / calibrations.FILE).exists():
        known.give(folder / calibrations.FILE)
    learnt = known.learnt()
    chosen = positions.chosen_here(model, learnt, engines)
    levels = [(one.ranks, known.policy(one.factor, one.ranks, learnt)) for one in chosen if one.ranks]
    _ship_levels(model, cache, levels, folder / trained_levels.FOLDER)
    positions.write_positions(chosen, _learnt_of_shipped(model), folder / positions.FILE)
    expectations = agreement.Expectations(model, cache)
    for _, policy in levels:
        expectations.measured(policy.settings, partial(prepare, model, Prescribed(policy), engines, cache))
    expectations.write([policy.settings for _, policy in levels], folder / agreement.FILE)


def _learnt_of_shipped(model: TrainedModel) -> positions.Learnt:
    """What a computer knows that has nothing but what is shipped."""
    with tempfile.TemporaryDirectory() as nothing:
        return Calibrations(model, Cache(Path(nothing))).learnt()


def _ship_levels(
    model: TrainedModel, cache: Cache, levels: Sequence[tuple[RanksByName, Recorded]], folder: Path
) -> None:
    """The levels that positions use and no others; those that nobody trained too, as making one takes a minute."""
    (weights,) = model.load_weights()
    kept, network = trained_levels.TrainedLevels(cache), digest(weights)
    folder.mkdir(exist_ok=True)
    used = set()
    for ranks, policy in levels:
        if kept.at(network, ranks) is None:
            made, _ = cache.compressed(model, policy)
            kept.keep(network, ranks, made.networks()[0], 1.0)
        level = kept.at(network, ranks)
        assert level is not None
        used.add(level.file.name)
        if level.file.parent != folder:
            shutil.copyfile(level.file, folder / level.file.name)
    for file in folder.glob("*.safetensors"):
        if file.name not in used:
            file.unlink()
