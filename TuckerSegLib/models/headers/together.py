"""Whether what a model's plans, labels and weights say goes together, each of them being right by itself."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil

from ...errors import ModelError
from .checks import Wrong

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..nnunet import TrainedModel, Weights

_INTENSITIES, _OLD_INTENSITIES = (
    "foreground_intensity_properties_per_channel",
    "foreground_intensity_properties_by_modality",
)

_NEEDED = (
    "preprocessor_name",
    "resampling_fn_data",
    "resampling_fn_data_kwargs",
    "resampling_fn_probabilities",
    "resampling_fn_probabilities_kwargs",
)

_OF_CT = ("mean", "std", "percentile_00_5", "percentile_99_5")

_BYTES_A_NUMBER = 4

Step = int | Sequence[int]


def checked_network(model: "TrainedModel") -> "nn.Module":
    """The network that a model's plans describe, without data, once all that they say is known to go together.

    Raises:
        ModelError: it does not, or the plans are of a kind that is not supported.
    """
    with explained(model):
        settings = model.configuration_manager.configuration
        check_together(model.plans, settings, model.mirror_axes or (), model.channel_names)
        _ = model.labels
        return model.network_without_data()


def check_weights(network: "Weights", weights: "Weights", otherwise: str) -> None:
    """
    Args:
        network: the weights of the network, without data.
        weights: what it is to be given.
        otherwise: how the sentence ends where they are those of another network.

    Raises:
        ModelError: they are.
    """
    wanted = {name: _kind(weight) for name, weight in network.items()}
    found = {name: _kind(weight) for name, weight in weights.items()}
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differing:
        raise ModelError(
            f"The weights are not those of the network in the plans ({len(differing)} differ, such as "
            f"{differing[0]:.200}): {otherwise}"
        )


def _kind(weight: "Tensor") -> tuple[bool, tuple[int, ...]]:
    return weight.is_floating_point(), tuple(weight.shape)


@contextmanager
def explained(model: "TrainedModel") -> Iterator[None]:
    """Whatever nnU-Net stumbles over in a model's plans or labels, in one sentence."""
    try:
        yield
    except ModelError:
        raise
    except KeyError as error:
        raise ModelError(f"The plans or labels of {model.name} lack {error}: export the model again.") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"nnU-Net cannot use the plans or labels of {model.name}: {reason:.500}.") from error


def check_together(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], mirror_axes: Sequence[int], channels: Sequence[str]
) -> None:
    """
    Args:
        plans: as `schema.PLANS` wants them.
        configuration: one of theirs, with what it inherits, in the form that nnU-Net writes today.
        mirror_axes: the axes that the network may be averaged over its mirror images of.
        channels: what each channel of the images shows.

    Raises:
        Wrong: something does not go with something else.
        KeyError: something is missing.
    """
    for name in _NEEDED:
        _ = configuration[name]
    forward, backward = plans["transpose_forward"], plans["transpose_backward"]
    if [forward[axis] for axis in backward] != [0, 1, 2]:
        raise Wrong("transpose_backward does not undo transpose_forward")
    patch, spacing = configuration["patch_size"], configuration["spacing"]
    if len(spacing) != len(patch):
        raise Wrong(f"a spacing of {len(spacing)} axes does not go with a patch of {len(patch)}")
    if mirror_axes and max(mirror_axes) >= len(patch):
        raise Wrong(f"the checkpoint mirrors along axis {max(mirror_axes)}, which its network lacks")
    settings = configuration["architecture"]["arch_kwargs"]
    if not str(settings["conv_op"]).endswith(f"Conv{len(patch)}d"):
        raise Wrong(f"{settings['conv_op']} does not go with a patch of {len(patch)} axes")
    _check_strides(patch, settings["strides"], settings["n_stages"])
    _check_room(patch, settings["features_per_stage"])
    _check_channels(plans, configuration, channels)


def _check_strides(patch: Sequence[int], strides: int | Sequence[Step], stages: int) -> None:
    """A decoder doubles what the encoder halved, and puts it beside what that was made of."""
    steps = [strides] * stages if isinstance(strides, int) else list(strides)
    if len(steps) != stages or any(not isinstance(step, int) and len(step) != len(patch) for step in steps):
        raise Wrong(f"its strides do not go with {stages} stages of {len(patch)} axes")
    for axis, size in enumerate(patch):
        halved = math.prod(step if isinstance(step, int) else step[axis] for step in steps)
        if size % halved:
            raise Wrong(
                f"its patch has {size} voxels along axis {axis}, which its strides want to be a multiple of {halved}"
            )


def _check_room(patch: Sequence[int], features: int | Sequence[int]) -> None:
    """Whether a patch can run through the first stage, of whose features at least two copies are held."""
    first = features if isinstance(features, int) else features[0]
    needed, memory = 2 * _BYTES_A_NUMBER * first * math.prod(patch), psutil.virtual_memory().total
    if needed > memory:
        raise Wrong(f"one of its patches takes {needed / 1e9:.0f} GB of memory, of which there are {memory / 1e9:.0f}")


def _check_channels(plans: Mapping[str, Any], configuration: Mapping[str, Any], channels: Sequence[str]) -> None:
    """nnU-Net looks all of this up for each channel, whether its normalisation needs it or not."""
    schemes, masks = configuration["normalization_schemes"], configuration["use_mask_for_norm"]
    if not len(schemes) == len(masks) == len(channels):
        raise Wrong(
            f"it normalises {min(len(schemes), len(masks))} of {len(channels)} channels ({', '.join(channels)})"
        )
    intensities = plans.get(_INTENSITIES, plans.get(_OLD_INTENSITIES)) or {}
    for channel, scheme in enumerate(schemes):
        found = intensities.get(str(channel))
        if found is None:
            raise Wrong(f"the intensities of channel {channel} are missing")
        values = [found.get(name) for name in _OF_CT]
        if scheme == "CTNormalization" and not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            raise Wrong(f"the intensities that channel {channel} is normalised by are no finite numbers")
