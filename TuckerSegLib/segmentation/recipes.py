"""A level fitted to one scan: its layers, and how much of each is kept, by what the original network makes of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..decomposition.budget import Budget
from ..decomposition.calibration.calibrated import Calibrated
from ..decomposition.calibration.layer import Fit
from ..decomposition.policies import RankPolicy, Relative
from ..engines.tuned_ranks import Fitted
from ..errors import InputError
from ..inference.patches import patches_of
from ..models.nnunet import TrainedModel
from ..volumes.volume import Volume
from .request import Request

if TYPE_CHECKING:
    from ..decomposition.budget import Seconds
    from ..decomposition.policies import RankPolicy
    from ..models.nnunet import TrainedModel

FACTOR = 0.3

SHARE = 0.9
"""Kept where nothing else is asked for: of channels, and of the energy."""

Given = Mapping[str, float | int | str]


def policy_of(name: str, model: "TrainedModel", **settings: float | int | str | None) -> "RankPolicy":
    """The policy called `name`, with those of `settings` (factor, share, minimum, measure) that are not None.

    Raises:
        InputError: there is no such policy, it has no such setting, or a setting is out of range.
    """
    if name not in _POLICIES:
        raise InputError(f"There is no policy {name}: choose one of {', '.join(_POLICIES)}.")
    takes, make = _POLICIES[name]
    given = {key: value for key, value in settings.items() if value is not None}
    for key in given:
        if key not in takes:
            raise InputError(f"The policy {name} has no {key}: it takes {' and '.join(takes)}.")
    if given.get("factor") == 1:
        raise InputError("A factor of 1 leaves nothing to compress: choose one below, such as 0.3.")
    return make(model, given)


def fitted_on(images: Sequence[str], model: "TrainedModel", policy: "RankPolicy") -> "RankPolicy":
    """The policy with its layers fitted on `images`: "phantoms", files or folders.

    Raises:
        InputError: an image cannot be read or is not of the model's kind, or the model is compressed already.
    """
    from ..decomposition.calibration.calibrated import Calibrated
    from ..inference.patches import patches_of
    from ..volumes.sources import volumes_of

    if model.compression is not None:
        raise InputError(f"{model.name} is compressed already: start from the original model.")
    return Calibrated(policy, patches_of(model, volumes_of(images)))


def _relative(_: "TrainedModel", given: Given) -> "RankPolicy":
    from ..decomposition.policies import Relative

    return _with(Relative, {"factor": FACTOR, **given})


def _energy(_: "TrainedModel", given: Given) -> "RankPolicy":
    from ..decomposition.policies import Energy

    return _with(Energy, {"share": SHARE, **given})


def _vbmf(_: "TrainedModel", given: Given) -> "RankPolicy":
    from ..decomposition.policies import Vbmf

    return _with(Vbmf, given)


def _budget(model: "TrainedModel", given: Given) -> "RankPolicy":
    from ..decomposition.budget import Budget
    from ..decomposition.counting import multiply_adds

    asked = given if "share" in given else {"factor": FACTOR, **given}
    if given.get("measure") == "seconds":
        return _with(Budget, {**asked, "seconds": _seconds(model)})
    work = multiply_adds(model.network_without_data(), (model.num_input_channels, *model.patch_size))
    return _with(Budget, {**asked, "work": work})


def _seconds(model: "TrainedModel") -> "dict[str, Seconds]":
    from ..engines.layer_seconds import layer_seconds
    from ..engines.layer_times import LayerTimes
    from ..models.cache import Cache
    from ..store import Store

    return layer_seconds(model, LayerTimes(Store(Cache().folder)))


def _with(policy: Callable[..., "RankPolicy"], settings: Mapping[str, Any]) -> "RankPolicy":
    return policy(**settings)


_POLICIES: dict[str, tuple[tuple[str, ...], Callable[["TrainedModel", Given], "RankPolicy"]]] = {
    "relative": (("factor", "minimum"), _relative),
    "energy": (("share", "minimum"), _energy),
    "vbmf": (("minimum",), _vbmf),
    "budget": (("factor", "share", "measure"), _budget),
}

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


def _policy(request: Request, model: TrainedModel, volume: Volume) -> RankPolicy:
    published = Relative(request.factor)
    if request.fit_to_scan and request.factor < 1 and model.compression is None:
        return fitted_to_scan(model, volume, published, request.exact_ranks)
    return published if request.exact_ranks else Fitted(published)
