"""Any trained folder of nnU-Net v2 as one object: its plans, its labels, its network and its weights."""

import contextlib
import copy
import hashlib
import io
import json
import pydoc
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..compression import reshape
from ..errors import ModelError
from ..tucker import Ranks
from .checkpoint import Checkpoint, read_checkpoint, sha256

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
    """How a model was compressed: the policy's settings, the ranks they led to, and the report as JSON."""

    policy: Mapping[str, str | int | float]
    ranks: Mapping[str, Ranks]
    report: Json


@dataclass(frozen=True)
class TrainedModel:
    """A trained nnU-Net: what its folder says, and its weights when asked for.

    `fingerprint` changes whenever the weights of a used fold, the plans or the labels do. `mirror_axes` are the spatial
    axes the network may be averaged over its mirror images of. `load_weights` reads one state dict a fold, on the
    CPU, with exactly the keys of `network()`. `compression` is None for the network as it was trained.
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

    def network(self) -> nn.Module:
        """The network on the CPU, in evaluation mode; its weights hold no values until a state dict is loaded.

        It maps (N, channels, *patch) to (N, outputs, *patch).

        Raises:
            ModelError: the plans do not describe a supported architecture.
        """
        return self.network_without_data().to_empty(device="cpu").eval()

    @cached_property
    def labels(self) -> dict[int, str]:
        """The structures by their value in the label map; for regions, the value each region is drawn with."""
        names = {name: label for name, label in self.dataset["labels"].items() if name not in ("background", "ignore")}
        if self.label_manager.has_regions:
            regions = [name for name, label in names.items() if label not in (0, [0])]
            return dict(zip(map(int, self.dataset["regions_class_order"]), regions, strict=True))
        return {int(label[0] if isinstance(label, list) else label): name for name, label in names.items()}

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
        return len(self.channel_names)

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


def open_folder(
    folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str = "checkpoint_final.pth"
) -> TrainedModel:
    """The model in `<trainer>__<plans>__<configuration>`, from all its folds or those asked for (numbers or "all").

    Weights are not read, only checked against the network the plans describe.

    Raises:
        ModelError: plans, labels, a fold or its checkpoint are missing, damaged or do not go together, or the model is
            of a kind that is not supported; the text says which and what to do.
    """
    folder = Path(folder)
    plans, dataset = _read_json(folder, "plans.json"), _read_json(folder, "dataset.json")
    files = _checkpoints(folder, folds, checkpoint)
    contents = [read_checkpoint(file) for file in files]
    first = contents[0]
    model = TrainedModel(
        name=str(plans.get("dataset_name", folder.parent.name)),
        fingerprint=_fingerprint([*files, folder / "plans.json", folder / "dataset.json"]),
        plans=plans,
        dataset=dataset,
        configuration=first["init_args"]["configuration"],
        trainer=str(first["trainer_name"]),
        mirror_axes=_mirror_axes(first),
        load_weights=partial(_load_weights, tuple(files)),
    )
    _check(model, dict(zip(files, contents, strict=True)))
    return model


def quiet() -> contextlib.AbstractContextManager[None]:
    """nnU-Net prints while it is imported and set up, where a program may be talking over its standard output."""
    return _QUIET


class _Quiet:
    """No output and no warnings while any thread is inside: the first to enter sees to it, the last gives them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._redirected = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._redirected.enter_context(contextlib.redirect_stdout(io.StringIO()))
                self._redirected.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._redirected.close()


_QUIET = _Quiet()


def _read_json(folder: Path, name: str) -> Json:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"There is no {name} in {folder}: {_advice(folder)}") from None
    except NotADirectoryError:
        raise ModelError(f"{folder} is not a folder: choose the folder that holds plans.json and fold_0.") from None
    except OSError as error:
        raise ModelError(f"{folder / name} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(f"{folder / name} is not valid JSON: download or export the model again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{folder / name} does not hold what nnU-Net writes there: export the model again.")
    return content


def _advice(folder: Path) -> str:
    """Where the trained folder may be, when the folder above or below it was chosen."""
    if (folder.parent / "plans.json").is_file():
        return f"choose the folder above it, {folder.parent}."
    inside = sorted(plans.parent.name for plans in folder.glob("*/plans.json"))
    if inside:
        return f"choose the folder {inside[0]} in it."
    return "choose the folder that nnU-Net's training wrote, the one with plans.json, dataset.json and fold_0."


def _checkpoints(folder: Path, folds: Sequence[int | str] | None, name: str) -> list[Path]:
    if folds is None:
        return _all_checkpoints(folder, name)
    files = [folder / f"fold_{fold}" / name for fold in ([folds] if isinstance(folds, str) else folds)]
    if not files:
        raise ModelError("No fold was asked for: name at least one.")
    for file in files:
        if not file.parent.is_dir():
            raise ModelError(f"There is no {file.parent.name} in {folder}: {_available(folder)}.")
        if not file.is_file():
            raise ModelError(f"There is no {name} in {file.parent}: {_others(file.parent)}.")
    return files


def _all_checkpoints(folder: Path, name: str) -> list[Path]:
    """Of every numbered fold, in nnU-Net's own order; of fold_all only when there is no other."""
    files = sorted(folder.glob(f"fold_*/{name}"))
    numbered = [file for file in files if file.parent.name.removeprefix("fold_").isdecimal()]
    if numbered or files:
        return numbered or files[:1]
    found = sorted(folder.glob("fold_*"))
    if found:
        raise ModelError(f"No fold in {folder} has a {name}: {_others(found[0])}.")
    raise ModelError(f"There is no fold in {folder}: copy at least one, such as fold_0/{name}.")


def _available(folder: Path) -> str:
    folds = sorted(fold.name.removeprefix("fold_") for fold in folder.glob("fold_*") if fold.is_dir())
    return f"choose from {', '.join(folds)}" if folds else "copy at least one fold there"


def _others(fold: Path) -> str:
    others = sorted(file.name for file in fold.glob("*.pth"))
    return f"ask for {' or '.join(others)}, which is there" if others else "finish the training or copy the file there"


def digest(weights: Weights) -> str:
    """A SHA-256 over names and values."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(sha256(file) for file in files).encode()).hexdigest()


def _mirror_axes(checkpoint: Checkpoint) -> tuple[int, ...] | None:
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    return tuple(int(axis) for axis in axes) if axes else None


def _load_weights(files: Sequence[Path]) -> list[Weights]:
    """Copies, so that a file which is replaced or lost later cannot reach into a running network.

    nnU-Net saves most weights under several names; the copies share their memory as the originals do.
    """
    return [copy.deepcopy(read_checkpoint(file)["network_weights"]) for file in files]


def _check(model: TrainedModel, checkpoints: Mapping[Path, Checkpoint]) -> None:
    with _explained(model):
        if model.configuration_manager.previous_stage_name is not None:
            raise ModelError(
                f"The configuration {model.configuration} needs another model's segmentation as input (a cascade), "
                "which is not supported: choose the folder of 3d_fullres, 3d_lowres or 2d."
            )
        if model.mirror_axes and max(model.mirror_axes) >= model.dimensions:
            raise ModelError(f"The checkpoint mirrors along axis {max(model.mirror_axes)}, which its network lacks.")
        _ = model.labels, model.spacing
        network = model.network_without_data()
    for file, checkpoint in checkpoints.items():
        if checkpoint["init_args"]["configuration"] != model.configuration:
            raise ModelError(f"{file} was trained as another configuration than the first fold: copy matching folds.")
        _check_weights(network, checkpoint["network_weights"], model.trainer)


@contextlib.contextmanager
def _explained(model: TrainedModel) -> Iterator[None]:
    """Whatever nnU-Net stumbles over in a model's plans or labels, in one sentence."""
    try:
        yield
    except ModelError:
        raise
    except KeyError as error:
        raise ModelError(f"The plans or labels of {model.name} lack {error}: export the model again.") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"nnU-Net cannot use the plans or labels of {model.name}: {reason}.") from error


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


def _check_weights(network: nn.Module, weights: Weights, trainer: str) -> None:
    wanted = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differing:
        raise ModelError(
            f"The weights are not those of the network in the plans ({len(differing)} differ, such as {differing[0]}): "
            f"the architecture of the trainer {trainer} is not supported."
        )
