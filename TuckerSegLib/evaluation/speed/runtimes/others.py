"""The original network in ONNX Runtime and in OpenVINO, in single precision, with the threads that PyTorch takes."""

import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....engines.base import Source
from ....engines.openvino import converted
from ....errors import InputError
from ....models.nnunet import TrainedModel
from .patches import network_of, patch_of, seconds_of

_CPU = torch.device("cpu")


class Other(ABC):
    """The network by another program: `_answer` is one patch's answer, and `package` what has to be installed."""

    package = ""

    def __init__(self, model: TrainedModel) -> None:
        self._model, self._patch = model, patch_of(model)

    def prepare(self, factor: float, ranks: str, engine: str, device: str) -> dict[str, Any]:
        """Make it ready; `relative_difference` is that of its answer to PyTorch's."""
        self._load()
        with torch.inference_mode():
            reference = network_of(self._model)(self._patch)
        difference = torch.linalg.vector_norm(reference - self._answer()) / torch.linalg.vector_norm(reference)
        return {"version": version(self.package), "relative_difference": float(difference)}

    def run(self, factor: float) -> dict[str, Any]:
        return {"seconds": seconds_of(self._answer, _CPU)}

    @abstractmethod
    def _load(self) -> None: ...

    @abstractmethod
    def _answer(self) -> Tensor: ...


class OnnxRuntime(Other):
    """Through a file in ONNX's format."""

    package = "onnxruntime"

    def _load(self) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = str(Path(folder) / "network.onnx")
            torch.onnx.export(network_of(self._model), (self._patch,), file, dynamo=False, opset_version=17)
            self._session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])

    def _answer(self) -> Tensor:
        name = self._session.get_inputs()[0].name
        return torch.from_numpy(self._session.run(None, {name: self._patch.numpy()})[0])


class OpenVino(Other):
    """Compiled for latency; on the processor alone."""

    package = "openvino"

    def _load(self) -> None:
        import openvino

        source = Source("", lambda: network_of(self._model), tuple(self._patch.shape[1:]))
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self._request = (
            openvino.Core().compile_model(converted(source), "CPU", settings | threads).create_infer_request()
        )

    def _answer(self) -> Tensor:
        self._request.infer([self._patch.numpy()])
        return torch.from_numpy(self._request.get_output_tensor(0).data)


OTHERS: dict[str, type[Other]] = {"ONNX Runtime": OnnxRuntime, "OpenVINO": OpenVino}
"""By the names that tables give them."""


def installed_others() -> list[str]:
    """Those whose packages are there; ONNX Runtime needs the package onnx too, which writes its files."""
    needed = {name: [other.package, *(["onnx"] if other is OnnxRuntime else [])] for name, other in OTHERS.items()}
    return [name for name, packages in needed.items() if all(map(find_spec, packages))]


def check_installed(names: Sequence[str]) -> None:
    """
    Raises:
        InputError: one is not known, or its packages are not installed.
    """
    for name in names:
        if name not in OTHERS:
            raise InputError(f"There is no program {name} to compare with: choose from {', '.join(OTHERS)}.")
        if name not in installed_others():
            raise InputError(f"{name} is not installed: pip install onnx onnxruntime, or openvino.")
