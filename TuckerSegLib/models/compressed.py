"""A compressed network as one file: plans, labels and factors, in safetensors' format.

The header, JSON under safetensors' own metadata, holds everything but the tensors and a SHA-256 over all of it, so a
file that was cut short or altered is refused. The same file serves as cache entry and as `.tuckerseg` to hand on.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..decomposition.network import Report, chosen_ranks
from ..decomposition.policies import Policy
from ..decomposition.tucker import Ranks
from ..errors import ModelError, NotEnoughMemory, OutputError
from ..progress import Progress
from ..volumes.output import check_writable, system_errors, whole_file
from .dataset import SUFFIX
from .headers import schema
from .headers.reading import compare, read_header
from .headers.together import check_weights, checked_network
from .nnunet import Compression, TrainedModel, Weights
from .runnable import check_runnable

FORMAT = 1
"""Changes whenever files written before can no longer be read, or should be made anew."""

Header = dict[str, Any]

_AGAIN = "make or download it again"


def compressed(model: TrainedModel, policy: Policy, progress: Progress | None = None) -> TrainedModel:
    """`model` compressed by the policy, every fold, in memory.

    The ranks are chosen on the first fold and hold for all, since nnU-Net runs all folds through one network.

    Raises:
        ModelError: the model has no weights.
        Cancelled: `progress` was cancelled.
    """
    settings, patch = dict(policy.settings), (model.num_input_channels, *model.patch_size)
    network = model.network()
    tensors: list[Weights] = []
    report: Report | None = None
    for weights in model.load_weights():
        network.load_state_dict(weights)
        small, done = policy.compress(network, patch, progress)
        tensors.append(_unique(small))
        report = report or done
        policy = policy.at(chosen_ranks(report))
    if report is None:
        raise ModelError(f"{model.name} has no weights: choose another folder.")
    level = replace(model, compression=Compression(settings, chosen_ranks(report), report.as_json()))
    return _with(level, tensors)


def check_output(path: Path) -> None:
    """Whether a compressed model can be written to `path`, to be asked before the work.

    Raises:
        OutputError: the suffix is another one, or the place cannot be written to.
    """
    if path.suffix != SUFFIX:
        raise OutputError(f"{path} has another suffix than a compressed model: end it in {SUFFIX}.")
    check_writable(path)


def write(model: TrainedModel, path: Path) -> None:
    """Write a compressed model to hand on, whole or not at all.

    Raises:
        OutputError: the disk is full, or the file or its folder cannot be written to.
    """
    with whole_file(path) as partial:
        save(model, partial)


def save(model: TrainedModel, path: Path) -> None:
    """Write a compressed model to `path`; whoever calls sees to it that the file appears whole.

    Raises:
        OSError: the file cannot be written.
    """
    tensors = {f"{fold}/{name}": t for fold, w in enumerate(model.load_weights()) for name, t in _only_unique(model, w)}
    header = _header(model)
    metadata = {"header": json.dumps(header), "sha256": _digest(header, tensors)}
    with system_errors():
        save_file(tensors, path, metadata)


def load(path: Path) -> TrainedModel:
    """The model in a file that `save` wrote; its tensors are read and checked at once.

    Anyone can write a file with the right checksum: what it says is compared with what it holds.

    Raises:
        ModelError: the file cannot be read, is cut short, altered, of another version, says what cannot be, or
            nnU-Net lacks what its plans prescribe.
        NotEnoughMemory: its tensors need more than is free.
    """
    header, checksum, tensors = _read(path)
    if header.get("format") != FORMAT:
        raise ModelError(f"{path} was written by another version of TuckerSeg: compress the model again.")
    if checksum != _digest(header, tensors):
        raise ModelError(f"{path} was altered or damaged after it was written: make or download it again.")
    compare(header, schema.HEADER, "header", f"{path} holds no model that can be used ({{}}): {_AGAIN}.")
    model = _opened(path, header, checksum, _by_fold(path, tensors))
    check_runnable(model)
    return model


def describe(path: Path) -> tuple[str, Mapping[str, str | int | float]]:
    """The model's name and the policy's settings, from the header alone; nothing else is checked.

    Raises:
        ModelError: the header cannot be read.
    """
    header = read_header(path)
    compare(header, schema.DESCRIPTION, "header", f"{path} holds no model that can be used ({{}}): {_AGAIN}.")
    return header["name"], header["policy"]


def _read(path: Path) -> tuple[Header, str, dict[str, Tensor]]:
    """Header, checksum and tensors."""
    header = read_header(path)
    needed, free = path.stat().st_size, psutil.virtual_memory().available
    if needed > free:
        raise NotEnoughMemory(
            f"{path} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: close other programs."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copied, as a file that is mapped can neither be removed nor written anew on Windows.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return header, metadata.get("sha256", ""), tensors
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path} is no compressed model, or is damaged: {_AGAIN}.") from error


def _header(model: TrainedModel) -> Header:
    if model.compression is None:
        raise ValueError("only compressed models have a file of their own")
    return {
        "format": FORMAT,
        "name": model.name,
        "fingerprint": model.fingerprint,
        "plans": model.plans,
        "dataset": model.dataset,
        "configuration": model.configuration,
        "trainer": model.trainer,
        "mirror_axes": model.mirror_axes,
        "policy": model.compression.policy,
        "ranks": model.compression.ranks,
        "report": model.compression.report,
    }


def _by_fold(path: Path, tensors: Mapping[str, Tensor]) -> list[Weights]:
    """The tensors of each fold under their names in the network."""
    folds: dict[str, Weights] = {}
    for name, tensor in tensors.items():
        fold, _, weight = name.partition("/")
        folds.setdefault(fold, {})[weight] = tensor
    numbers = [str(number) for number in range(len(folds))]
    if not folds or set(folds) != set(numbers):
        raise ModelError(f"{path} holds no model that can be used (its folds are not numbered from 0 on): {_AGAIN}.")
    return [folds[number] for number in numbers]


def _opened(path: Path, header: Header, checksum: str, folds: list[Weights]) -> TrainedModel:
    ranks = {name: Ranks(*pair) for name, pair in header["ranks"].items()}
    axes = header["mirror_axes"]
    bare = TrainedModel(
        name=header["name"],
        fingerprint=header["fingerprint"],
        plans=header["plans"],
        dataset=header["dataset"],
        configuration=header["configuration"],
        trainer=header["trainer"],
        mirror_axes=None if axes is None else tuple(axes),
        load_weights=list,
    )
    model = replace(bare, compression=Compression(header["policy"], ranks, header["report"], checksum))
    wanted = dict(_unique(checked_network(model)))
    for weights in folds:
        check_weights(wanted, weights, f"{path} cannot be used, {_AGAIN}.")
        if any(weight.dtype != wanted[name].dtype for name, weight in weights.items()):
            raise ModelError(f"{path} holds weights of another precision than networks have: {_AGAIN}.")
    return _with(model, folds)


def _with(model: TrainedModel, tensors: Sequence[Weights]) -> TrainedModel:
    return replace(model, load_weights=partial(_under_all_names, model, tensors))


def _under_all_names(model: TrainedModel, folds: Sequence[Weights]) -> list[Weights]:
    """State dicts as the network wants them: nnU-Net registers most modules, hence weights, under several names."""
    return [_state_dict(model.network_without_data(), tensors) for tensors in folds]


def _state_dict(network: nn.Module, tensors: Weights) -> Weights:
    network.load_state_dict(tensors, strict=False, assign=True)
    state: Weights = network.state_dict()
    missing = [name for name, tensor in state.items() if tensor.is_meta]
    if missing:
        raise ModelError(f"The compressed model lacks weights, such as {missing[0]}: compress the model again.")
    return state


def _unique(network: nn.Module) -> Weights:
    """Each tensor once, under the first name it is registered by; contiguous, as safetensors wants them."""
    named = (*network.named_parameters(), *network.named_buffers())
    return {name: tensor.detach().contiguous() for name, tensor in named}


def _only_unique(model: TrainedModel, weights: Weights) -> list[tuple[str, Tensor]]:
    return [(name, weights[name].contiguous()) for name in _unique(model.network_without_data())]


def _digest(header: Header, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
