"""Whether nnU-Net, as it is installed here, can carry out what a model's plans prescribe; asked when one is opened.

nnU-Net looks these names up in its own folder, into which researchers put classes of their own, and does so in the
middle of a run. What it brings along itself is known here, so that nothing is imported for it.
"""

# mypy: allow-untyped-calls

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .headers.together import explained
from .nnunet import Json, TrainedModel
from .quiet import quiet

_NORMALIZATIONS = (
    "CTNormalization",
    "NoNormalization",
    "RGBTo01Normalization",
    "RescaleTo01Normalization",
    "ZScoreNormalization",
)

_PREPROCESSOR = "DefaultPreprocessor"

_RESAMPLING = "resample_data_or_seg_to_shape"

_RESAMPLING_OPTIONS = {"is_seg", "order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
"""Those of `_RESAMPLING`."""

_RESAMPLED = ("data", "probabilities")
"""What a segmentation resamples; nnU-Net's training resamples labels, too."""


def check_runnable(model: TrainedModel) -> None:
    """
    Raises:
        ModelError: the plans prescribe what nnU-Net does not have, or not everything that it needs.
    """
    with explained(model):
        _check(model)


def _check(model: TrainedModel) -> None:
    settings = model.configuration_manager.configuration
    _check_preprocessor(model.name, settings["preprocessor_name"])
    _check_normalizations(model, settings)
    for what in _RESAMPLED:
        _check_resampling(model.name, settings[f"resampling_fn_{what}"], settings[f"resampling_fn_{what}_kwargs"])


def _check_preprocessor(model: str, name: str) -> None:
    if name == _PREPROCESSOR:
        return
    with quiet():
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    found = _found("", name)
    if not (isinstance(found, type) and issubclass(found, DefaultPreprocessor)):
        raise _missing(model, "prepares its images", name)


def _check_normalizations(model: TrainedModel, settings: Json) -> None:
    for name, scheme in zip(model.channel_names, settings["normalization_schemes"], strict=True):
        if not _is_normalization(scheme):
            raise _missing(model.name, f"normalises the channel {name}", scheme)


def _is_normalization(scheme: str) -> bool:
    if scheme in _NORMALIZATIONS:
        return True
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization

    found = _found("normalization", scheme)
    return isinstance(found, type) and issubclass(found, ImageNormalization)


def _check_resampling(model: str, name: str, options: Mapping[str, Any]) -> None:
    if name == _RESAMPLING and options.keys() <= _RESAMPLING_OPTIONS:
        return
    found = _found("resampling", name)
    if not callable(found) or not str(getattr(found, "__module__", "")).startswith("nnunetv2."):
        raise _missing(model, "resamples", name)
    _check_options(model, name, found, options)


def _check_options(model: str, name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    try:
        signature(function).bind_partial(**options)
    except TypeError as error:
        raise ModelError(
            f"{model} asks nnU-Net's {name} for what it cannot do ({error}): use the nnU-Net that it was trained with."
        ) from error


def _found(folder: str, name: str) -> Any:
    """What nnU-Net finds under a name in a folder of its preprocessing; None where there is nothing."""
    with quiet():
        import nnunetv2.preprocessing
        from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

        package = ".".join(filter(None, (nnunetv2.preprocessing.__name__, folder)))
        (path,) = import_module(package).__path__
        return recursive_find_python_class(str(Path(path)), name, current_module=package)


def _missing(model: str, does: str, name: str) -> ModelError:
    return ModelError(
        f"{model} {does} by {name}, which the nnU-Net on this computer does not have: put the file that defines it "
        "where the model's authors had it, or choose another model."
    )
