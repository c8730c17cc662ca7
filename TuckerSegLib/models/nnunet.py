"""Any trained folder of nnU-Net v2 as one object: its plans, its labels, its network and its weights."""

import hashlib
import pydoc
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..decomposition.network import reshape
from ..decomposition.tucker import Ranks
from ..errors import ModelError
from .quiet import quiet

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

Json = dict[str, Any]

Weights = dict[str, Tensor]

_ARCHITECTURES = {
    name: f"dynamic_network_architectures.architectures.unet.{name}"
    for name in ("PlainConvUNet", "ResidualEncoderUNet")
}

_LAYER = re.compile(r"torch\.nn\.(modules\.\w+\.)?\w+")


@dataclass(frozen=True)
class Compression:
    """How a model was compressed: the policy's settings, the ranks they led to, and the report as JSON.

    `checksum` is that of the file it was read from, empty where it was compressed just now.
    """

    policy: Mapping[str, str | int | float]
    ranks: Mapping[str, Ranks]
    report: Json
    checksum: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """A trained nnU-Net: what its folder says, and its weights when asked for.

    `fingerprint` changes whenever the weights of a used fold, the plans or the labels of the trained folder do; a
    compressed model has that of the one it was made from, and `identity` tells the two apart. `mirror_axes` are the
    spatial axes the network may be averaged over its mirror images of. `load_weights` reads one state dict a fold, on
    the CPU, with exactly the keys of `network()`. `compression` is None for the network as it was trained. `remark` is
    a sentence that everyone who uses the model should read, where there is one. `previous` is the folder of
    the model whose labels the second stage of a cascade takes, besides the image; empty for all others.
    """

    name: str
    fingerprint: str
    plans: Json
    dataset: Json
    configuration: str
    trainer: str
    mirror_axes: tuple[int, ...] | None
    load_weights: Callable[[], list[Weights]]
    compression: Compression | None = None
    remark: str = ""
    previous: str = ""

    @property
    def identity(self) -> str:
        """Another one for every network that may answer otherwise."""
        made = self.compression
        return f"{self.fingerprint} {dict(made.policy)} {made.checksum}" if made else self.fingerprint

    def network(self) -> nn.Module:
        """The network on the CPU, in evaluation mode; its weights hold no values until a state dict is loaded.

        It maps (N, channels, *patch) to (N, outputs, *patch).

        Raises:
            ModelError: the plans do not describe a supported architecture.
        """
        return self.network_without_data().to_empty(device="cpu").eval()

    def with_weights(self, weights: Weights) -> nn.Module:
        """The network around these very tensors, nothing is copied: as `network`, ready to run and not to be trained.

        Raises:
            ModelError: the weights are those of another network, or the plans cannot be used.
        """
        network = self.network_without_data()
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise ModelError("The weights do not fit the network: make the compressed model again.") from error
        return network.eval().requires_grad_(False)

    def networks(self) -> list[nn.Module]:
        """One network a fold, with its weights, read now."""
        return [self.with_weights(weights) for weights in self.load_weights()]

    @cached_property
    def labels(self) -> dict[int, str]:
        """The structures by their value in the label map; for regions, the value each region is drawn with.

        nnU-Net writes the number of a network's output, which is another one than that in its list of labels where the
        list has gaps.
        """
        names = {name: label for name, label in self.dataset["labels"].items() if name not in ("background", "ignore")}
        if self.label_manager.has_regions:
            regions = [name for name, label in names.items() if label not in (0, [0])]
            return dict(zip(map(int, self.dataset["regions_class_order"]), regions, strict=True))
        numbers = {name: int(label[0] if isinstance(label, list) else label) for name, label in names.items()}
        outputs = {number: output for output, number in enumerate(sorted({0, *numbers.values()}))}
        return {outputs[number]: name for name, number in numbers.items()}

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Voxels of a patch in nnU-Net's axis order, slowest first."""
        return tuple(self.configuration_manager.patch_size)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres the image is resampled to, in nnU-Net's axis order; a 2D model leaves the first axis alone."""
        return tuple(self.configuration_manager.spacing)

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.patch_size)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """What each input channel shows, in order."""
        names = self.dataset.get("channel_names") or self.dataset["modality"]
        return tuple(names[number] for number in sorted(names, key=int))

    @property
    def num_input_channels(self) -> int:
        """Those of the network: the image's and, in a cascade, one for each structure of the first stage."""
        return len(self.channel_names) + (len(self.label_manager.foreground_labels) if self.is_second_stage else 0)

    @property
    def is_second_stage(self) -> bool:
        """Whether the network takes another model's labels besides the image, as the second of a cascade does."""
        return self.configuration_manager.previous_stage_name is not None

    @cached_property
    def plans_manager(self) -> "PlansManager":
        with quiet():
            from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

            return PlansManager(self.plans)

    @cached_property
    def configuration_manager(self) -> "ConfigurationManager":
        with quiet():
            return self.plans_manager.get_configuration(self.configuration)

    @cached_property
    def label_manager(self) -> "LabelManager":
        with quiet():
            return self.plans_manager.get_label_manager(self.dataset)

    def network_without_data(self) -> nn.Module:
        """The network on torch's meta device: shapes without memory, and without the time to fill them."""
        with quiet():
            from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
        plan = self.configuration_manager
        layers = plan.network_arch_init_kwargs_req_import
        architecture = _known_architecture(plan.network_arch_class_name)
        _check_layers({name: plan.network_arch_init_kwargs[name] for name in layers})
        with torch.device("meta"):
            network: nn.Module = get_network_from_plans(
                architecture,
                plan.network_arch_init_kwargs,
                layers,
                self.num_input_channels,
                self.label_manager.num_segmentation_heads,
                allow_init=False,
                deep_supervision=False,
            )
            return network if self.compression is None else reshape(network, self.compression.ranks)


def digest(weights: Weights) -> str:
    """A SHA-256 over names and values."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _known_architecture(class_name: str) -> str:
    """Where the class is today: old plans name a module that no longer exists."""
    package, _, name = class_name.rpartition(".")
    if not package.startswith("dynamic_network_architectures.") or name not in _ARCHITECTURES:
        raise ModelError(
            f"The architecture {class_name} is not supported: only {' and '.join(_ARCHITECTURES)} networks are."
        )
    return _ARCHITECTURES[name]


def _check_layers(layers: Mapping[str, str | None]) -> None:
    """nnU-Net imports and calls whatever the plans name here, so plans could run code as well as a checkpoint."""
    for role, name in layers.items():
        if name is None:
            continue
        layer = pydoc.locate(name) if _LAYER.fullmatch(name) else None
        if not (isinstance(layer, type) and issubclass(layer, nn.Module) and layer.__module__.startswith("torch.nn.")):
            raise ModelError(f"The plans were refused: they ask for {name} as {role}, which is no layer of PyTorch.")
