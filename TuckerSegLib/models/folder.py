"""Opening the folder of a trained nnU-Net, and checking that it is whole."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .checkpoint import Checkpoint, read_checkpoint, sha256
from .headers import schema
from .headers.checks import Check
from .headers.reading import compare, read_json
from .headers.together import check_weights, checked_network
from .nnunet import Json, TrainedModel, Weights
from .runnable import check_runnable

_FINAL, _BEST = "checkpoint_final.pth", "checkpoint_best.pth"

_LONGEST_NAME = 100
"""Characters of a configuration's name."""

_REMARK = (
    f"{{}} has no {_FINAL}, so {_BEST} is used: the training was stopped before its end, or its last weights were not "
    "copied."
)


def open_folder(folder: Path, folds: Sequence[int | str] | None = None, checkpoint: str | None = None) -> TrainedModel:
    """The model in `<trainer>__<plans>__<configuration>`, from all its folds or those asked for (numbers or "all").

    Weights are not read, only checked against the network the plans describe. Without `checkpoint` it is the final one,
    as nnU-Net takes it, or the best one where a training was stopped before its end; then the model has a remark.

    Raises:
        ModelError: plans, labels, a fold or its checkpoint are missing, damaged or do not go together, or the model is
            of a kind that is not supported; the text says which and what to do.
    """
    folder = Path(folder)
    plans = _read_json(folder, "plans.json", schema.PLANS)
    dataset = _read_json(folder, "dataset.json", schema.DATASET)
    name = checkpoint or _checkpoint_of(folder)
    files = _checkpoints(folder, folds, name)
    contents = [read_checkpoint(file) for file in files]
    first = contents[0]
    model = TrainedModel(
        name=str(plans.get("dataset_name", folder.parent.name)),
        fingerprint=_fingerprint([*files, folder / "plans.json", folder / "dataset.json"]),
        plans=plans,
        dataset=dataset,
        configuration=first["init_args"]["configuration"],
        trainer=str(first["trainer_name"]),
        mirror_axes=_mirror_axes(first, files[0]),
        load_weights=partial(_load_weights, tuple(files)),
        remark="" if checkpoint or name == _FINAL else _REMARK.format(folder),
    )
    _check(model, dict(zip(files, contents, strict=True)))
    return replace(model, previous=_previous(folder, model)) if model.is_second_stage else model


def _read_json(folder: Path, name: str, check: Check) -> Json:
    try:
        content: Json = read_json(folder / name)
    except FileNotFoundError:
        raise ModelError(f"There is no {name} in {folder}: {_advice(folder)}") from None
    except NotADirectoryError:
        raise ModelError(f"{folder} is not a folder: choose the folder that holds plans.json and fold_0.") from None
    except OSError as error:
        raise ModelError(f"{folder / name} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(f"{folder / name} is not valid JSON: download or export the model again.") from error
    told = f"{folder / name} does not hold what nnU-Net writes there ({{}}): export the model again."
    compare(content, check, name.removesuffix(".json"), told)
    return content


def _advice(folder: Path) -> str:
    """Where the trained folder may be, when the folder above or below it was chosen."""
    if (folder.parent / "plans.json").is_file():
        return f"choose the folder above it, {folder.parent}."
    inside = sorted(plans.parent.name for plans in folder.glob("*/plans.json"))
    if inside:
        return f"choose the folder {inside[0]} in it."
    return "choose the folder that nnU-Net's training wrote, the one with plans.json, dataset.json and fold_0."


def _checkpoint_of(folder: Path) -> str:
    """The final checkpoint, but for folders in which no fold has one."""
    only_best = any(folder.glob(f"fold_*/{_BEST}")) and not any(folder.glob(f"fold_*/{_FINAL}"))
    return _BEST if only_best else _FINAL


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


def _previous(folder: Path, model: TrainedModel) -> str:
    """The folder of a cascade's first stage, which lies beside that of `model`, its second.

    Raises:
        ModelError: it is not there.
    """
    stage = str(model.configuration_manager.previous_stage_name)[:_LONGEST_NAME]
    second = folder.resolve()
    first = second.parent / f"{second.name.rpartition('__')[0]}__{Path(stage).name}"
    if first == second or not (first / "plans.json").is_file():
        raise ModelError(
            f"{folder} is the second stage of a cascade and takes the labels of {stage}: copy the folder {first.name} "
            "beside it, or choose 3d_fullres."
        )
    return str(first)


def _fingerprint(files: Sequence[Path]) -> str:
    return hashlib.sha256("\n".join(sha256(file) for file in files).encode()).hexdigest()


def _mirror_axes(checkpoint: Checkpoint, file: Path) -> tuple[int, ...] | None:
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    compare(axes, schema.MIRROR_AXES, "inference_allowed_mirroring_axes", f"{file} is no checkpoint of nnU-Net: {{}}.")
    return tuple(axes) if axes else None


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
    network = checked_network(model).state_dict()
    check_runnable(model)
    otherwise = f"the architecture of the trainer {model.trainer} is not supported."
    for file, checkpoint in checkpoints.items():
        if checkpoint["init_args"]["configuration"] != model.configuration:
            raise ModelError(f"{file} was trained as another configuration than the first fold: copy matching folds.")
        check_weights(network, checkpoint["network_weights"], otherwise)
