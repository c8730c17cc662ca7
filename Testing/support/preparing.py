"""Models prepared without a session: what tests of one network need."""

from pathlib import Path

from TuckerSegLib.decomposition.policies import Policy
from TuckerSegLib.engines.fastest import choice
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Progress
from TuckerSegLib.segmentation.prepare import PreparedModel, prepare
from TuckerSegLib.segmentation.recipes import ORIGINAL, Prescribed, Recipe
from TuckerSegLib.store import Store


def prepared_model(
    model: TrainedModel, cache: Path, policy: Policy = ORIGINAL.prescribed, engine: str = "torch"
) -> PreparedModel:
    """`model` compressed by `policy`, on the CPU, with `cache` as the folder of the cache."""
    return prepared_by(Prescribed(policy), model, cache, engine)


def prepared_by(
    recipe: Recipe, model: TrainedModel, cache: Path, engine: str, progress: Progress | None = None
) -> PreparedModel:
    """`model` as `recipe` makes it, on the CPU."""
    engines = choice(engine, "cpu", Store(cache))
    return prepare(model, recipe, engines, Cache(cache), progress)
