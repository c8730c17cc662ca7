"""A level fitted to one scan: its layers, and how much of each is kept, by what the original network makes of it."""

from .calibration import Calibrated, Fit
from .models.nnunet import TrainedModel
from .patches import patches_of
from .ranks import Budget, Relative
from .volume import Volume

_PATCHES, _QUICK = 8, Fit(samples=8192, rounds=2)
"""Somebody waits for it, and it is not for other images: a third of the data, a quarter of the time."""


def fitted_to_scan(model: TrainedModel, volume: Volume, published: Relative, exact_ranks: bool = False) -> Calibrated:
    """As many parameters as the published level has, spent where this volume needs them; or its very ranks.

    The same volume gives the same policy, so that the cache knows it again.

    Raises:
        InputError: the volume's channels are not the model's, or the model is a 2D one.
    """
    policy = published if exact_ranks else Budget(factor=published.factor)
    return Calibrated(policy, patches_of(model, [volume], _PATCHES), _QUICK)
