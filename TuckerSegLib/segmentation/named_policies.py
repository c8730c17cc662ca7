"""Policies by the names that users give them, with the settings that each of them takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..decomposition.budget import Budget, Seconds
from ..decomposition.calibration.calibrated import Calibrated
from ..decomposition.counting import multiply_adds
from ..decomposition.policies import Energy, Policy, RankPolicy, Relative, Vbmf
from ..engines.layer_seconds import layer_seconds
from ..engines.layer_times import LayerTimes
from ..errors import InputError
from ..inference.patches import patches_of
from ..models.cache import Cache
from ..models.nnunet import TrainedModel
from ..store import Store
from ..volumes.sources import volumes_of

FACTOR = 0.3

SHARE = 0.9
"""Kept where nothing else is asked for: of channels, and of the energy."""

Given = Mapping[str, float | int | str]


def policy_of(name: str, model: TrainedModel, **settings: float | int | str | None) -> RankPolicy:
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


def fitted_on(images: Sequence[str], model: TrainedModel, policy: RankPolicy) -> Policy:
    """The policy with its layers fitted on `images`: "phantoms", files or folders.

    Raises:
        InputError: an image cannot be read or is not of the model's kind, or the model is compressed already.
    """

    if model.compression is not None:
        raise InputError(f"{model.name} is compressed already: start from the original model.")
    return Calibrated(policy, patches_of(model, volumes_of(images)))


def _relative(_: TrainedModel, given: Given) -> RankPolicy:
    return _with(Relative, {"factor": FACTOR, **given})


def _energy(_: TrainedModel, given: Given) -> RankPolicy:
    return _with(Energy, {"share": SHARE, **given})


def _vbmf(_: TrainedModel, given: Given) -> RankPolicy:
    return _with(Vbmf, given)


def _budget(model: TrainedModel, given: Given) -> RankPolicy:
    asked = given if "share" in given else {"factor": FACTOR, **given}
    if given.get("measure") == "seconds":
        return _with(Budget, {**asked, "seconds": _seconds(model)})
    work = multiply_adds(model.network_without_data(), (model.num_input_channels, *model.patch_size))
    return _with(Budget, {**asked, "work": work})


def _seconds(model: TrainedModel) -> dict[str, Seconds]:
    return layer_seconds(model, LayerTimes(Store(Cache().folder)))


def _with(policy: Callable[..., RankPolicy], settings: Mapping[str, Any]) -> RankPolicy:
    return policy(**settings)


_POLICIES: dict[str, tuple[tuple[str, ...], Callable[[TrainedModel, Given], RankPolicy]]] = {
    "relative": (("factor", "minimum"), _relative),
    "energy": (("share", "minimum"), _energy),
    "vbmf": (("minimum",), _vbmf),
    "budget": (("factor", "share", "measure"), _budget),
}
