"""Opening the folder of a trained nnU-Net, and checking that it is whole."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .checkpoint import Checkpoint, read_checkpoint, sha256
from .nnunet import Json, TrainedModel, Weights


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
    """The checkpoints of all numbered folds, in nnU-Net's own order; that of fold_all only when there is no other."""
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


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(sha256(file) for file in files).encode()).hexdigest()


def _mirror_axes(checkpoint: Checkpoint) -> tuple[int, ...] | None:
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    return tuple(int(axis) for axis in axes) if axes else None


def _load_weights(files: Sequence[Path]) -> list[Weights]:
    return [_copied(read_checkpoint(file)["network_weights"]) for file in files]


def _copied(weights: Mapping[str, Tensor]) -> Weights:
    """The weights in single precision, whatever the file holds, so that half precision is only a way to store them.

    They are copies, so that a file which is replaced or lost later cannot reach into a running network. nnU-Net saves
    most weights under several names; the copies share their memory as the originals do.
    """
    copies: dict[Any, Tensor] = {}
    for weight in weights.values():
        if _place(weight) not in copies:
            kind = torch.float32 if weight.is_floating_point() else weight.dtype
            copies[_place(weight)] = weight.to(kind, copy=True)
    return {name: copies[_place(weight)] for name, weight in weights.items()}


def _place(tensor: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    """Where in memory a tensor's values lie, and how."""
    return tensor.data_ptr(), tensor.shape, tensor.stride()


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


def _check_weights(network: nn.Module, weights: Weights, trainer: str) -> None:
    wanted = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differing:
        raise ModelError(
            f"The weights are not those of the network in the plans ({len(differing)} differ, such as {differing[0]}): "
            f"the architecture of the trainer {trainer} is not supported."
        )
