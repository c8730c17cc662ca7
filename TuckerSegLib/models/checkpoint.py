"""Reading nnU-Net's checkpoints, which are pickles, without ever running what a stranger put into one."""

import hashlib
import pickle  # for the name of its error; torch reads the file, and creates plain values alone  # nosec B403
import re
import threading
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from .headers.reading import check_ordinary

Checkpoint = dict[str, Any]

_FIRST_SAFE_TORCH = (2, 6)
"""Older releases can be made to run code even with `weights_only=True` (CVE-2025-32434)."""

_ZIP_MAGIC = b"PK\x03\x04"

_WRAPPERS = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before the names of the weights they wrap."""

_ALLOW_LIST = threading.Lock()
"""torch keeps one allow-list for all threads, and leaving it withdraws the types others still read with."""


def read_checkpoint(path: Path) -> Checkpoint:
    """The content of a checkpoint nnU-Net's trainer saved, tensors on the CPU and, where possible, mapped from disk.

    Only tensors, plain Python values and NumPy's numbers and arrays of numbers are created. The names of
    `network_weights` are those of the bare network.

    Raises:
        ModelError: the file cannot be read, is damaged, is no checkpoint, or asks for anything else.
    """
    if _release(torch.__version__) < _FIRST_SAFE_TORCH:
        raise ModelError(f"PyTorch {torch.__version__} cannot open checkpoints safely: update it to 2.6 or later.")
    content = _checked(_unpickle(path), path)
    _check_sizes(content["network_weights"], path)
    content["network_weights"] = {bare_name(name): value for name, value in content["network_weights"].items()}
    return content


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with check_ordinary(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error


def bare_name(weight: str) -> str:
    """A weight's name without what training wrappers put before it."""
    while weight.startswith(_WRAPPERS):
        weight = weight.split(".", 1)[1]
    return weight


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _unpickle(path: Path) -> Any:
    try:
        with check_ordinary(path).open("rb") as file:
            mappable = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
        if mappable:
            _check_unpacked(path)
        with _ALLOW_LIST, torch.serialization.safe_globals(_numpy_types()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mappable)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"The checkpoint {path} cannot be read ({error.strerror}).") from error
    except pickle.UnpicklingError as error:
        raise ModelError(_refusal(path, str(error))) from None
    except Exception as error:  # torch raises nearly anything at a damaged file
        raise ModelError(f"{path} is damaged or no checkpoint of nnU-Net: download or export it again.") from error


def _check_unpacked(path: Path) -> None:
    """PyTorch stores what it saves as it is: what unpacks to more than the file is no checkpoint but a bomb."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > path.stat().st_size:
        raise ModelError(f"{path} is no checkpoint of nnU-Net (it is packed): choose the file its training saved.")


def _check_sizes(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Tensors are views of what the file holds; views that repeat it would take memory that the file does not show."""
    places = {(weight.data_ptr(), weight.shape, weight.stride()): weight.nbytes for weight in weights.values()}
    if sum(places.values()) > path.stat().st_size:
        raise ModelError(
            f"{path} is no checkpoint of nnU-Net (its weights claim more than it holds): download it again."
        )


def _numpy_types() -> list[Any]:
    """NumPy's numbers and arrays of numbers, under the names NumPy 1 and NumPy 2 pickle them by."""
    scalar, array = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    functions: list[Any] = []
    for core in "numpy.core", "numpy._core":
        functions += [(scalar, f"{core}.multiarray.scalar"), (array, f"{core}.multiarray._reconstruct")]
    dtypes = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"}
    return [*functions, np.ndarray, np.dtype, *dtypes]


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor that is nothing but its numbers."""
    plain = isinstance(value, torch.Tensor) and value.layout is torch.strided and value.device.type == "cpu"
    return plain and not value.is_quantized


def _refusal(path: Path, reason: str) -> str:
    unsafe = re.search(r"GLOBAL (\S+)|unrecognized function (\S+)|but got <class '(\S+)'>", reason)
    if unsafe:
        name = next(filter(None, unsafe.groups()))
        return f"{path} was refused: it asks for {name}, which no checkpoint of nnU-Net holds and which could run code."
    return f"{path} is no checkpoint of nnU-Net: choose the file its training saved."


def _checked(content: Any, path: Path) -> Checkpoint:
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no checkpoint of nnU-Net: choose the file its training saved.")
    missing = [key for key in ("network_weights", "init_args", "trainer_name") if key not in content]
    if missing:
        raise ModelError(f"{path} is no checkpoint of nnU-Net v2: it has no {' and no '.join(missing)}.")
    weights, arguments = content["network_weights"], content["init_args"]
    named = isinstance(weights, dict) and all(isinstance(name, str) for name in weights)
    if not named or not all(_is_plain(value) for value in weights.values()):
        raise ModelError(f"{path} is no checkpoint of nnU-Net v2: its network_weights are not named tensors.")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("configuration"), str):
        raise ModelError(f"{path} is no checkpoint of nnU-Net v2: its init_args name no configuration.")
    return content
