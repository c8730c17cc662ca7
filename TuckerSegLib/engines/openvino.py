"""OpenVINO on x86 and Arm CPUs, in single precision or in bfloat16; what it compiled is kept on disk."""

import contextlib
import gc
import importlib.util
import io
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ..decomposition.counting import without_data
from ..decomposition.fast_passes import half_precision
from ..store import Store
from .base import Source

_log = logging.getLogger(__name__)

_FORMAT = 1
"""Changes when networks that were compiled before should be compiled anew."""


class OpenVinoEngine:
    """Compiles a network for the CPU, which takes seconds the first time; `store` keeps what came of it."""

    name, precision = "openvino", "f32"
    is_reference, is_rounded, has_layer_times = False, False, False

    def __init__(self, store: Store) -> None:
        self._store = store

    def supports(self, device: torch.device) -> bool:
        return device.type == "cpu" and importlib.util.find_spec("openvino") is not None

    def prepare(self, source: Source, device: torch.device) -> "OpenVinoNetwork":
        import openvino

        core = openvino.Core()
        threads = torch.get_num_threads()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": threads,
        }
        cpu = core.get_property("CPU", "FULL_DEVICE_NAME")
        key = f"{_FORMAT} {openvino.__version__} {cpu} {settings} {source.patch} {source.key}"
        return self._kept(core, key, settings) or self._compiled(core, key, source, settings)

    def _kept(self, core: Any, key: str, settings: dict[str, Any]) -> "OpenVinoNetwork | None":
        content = self._store.read_own(key)
        if content is None:
            return None
        try:
            return OpenVinoNetwork(core.import_model(io.BytesIO(content), "CPU", settings), len(content), self.name)
        except Exception as error:  # OpenVINO raises no class of its own
            _log.warning("A compiled network is made anew: %s", error)
            self._store.forget(key)
            return None

    def _compiled(self, core: Any, key: str, source: Source, settings: dict[str, Any]) -> "OpenVinoNetwork":
        compiled = core.compile_model(converted(source), "CPU", settings)
        gc.collect()  # the traced network, whose parts refer to each other
        exported = compiled.export_model()
        content = exported if isinstance(exported, bytes) else exported.getvalue()
        self._store.write(key, content)
        return OpenVinoNetwork(compiled, len(content), self.name)


class RoundedOpenVinoEngine(OpenVinoEngine):
    """The same with factors of eight bits and sums of 24 (bfloat16), where the processor multiplies those faster.

    A feature comes out wrong by a hundredth of its usual size, and no label changes but where two are as likely.
    """

    name, precision, is_rounded = "openvino-bf16", "bf16", True

    def supports(self, device: torch.device) -> bool:
        return super().supports(device) and half_precision(device)


class OpenVinoNetwork:
    """A compiled network; patches run one by one, as its shapes are fixed. `memory` is that of its file."""

    def __init__(self, compiled: Any, memory: int, engine: str) -> None:
        self.memory, self.engine = memory, engine
        self._request = compiled.create_infer_request()
        self._shape = tuple(compiled.output(0).shape)[1:]

    def __call__(self, patches: Tensor) -> Tensor:
        from openvino import Tensor as Shared

        patches = patches.to(torch.float32).contiguous()
        answers = torch.empty((len(patches), *self._shape))
        for index in range(len(patches)):
            one = slice(index, index + 1)
            # Straight into a tensor of the caller's: the output of a large model takes as long to copy as a layer.
            self._request.set_output_tensor(0, Shared(answers[one].numpy(), shared_memory=True))
            self._request.set_input_tensor(0, Shared(patches[one].numpy(), shared_memory=True))
            self._request.infer()
        return answers


def converted(source: Source) -> Any:
    """The network as OpenVINO's own, for one patch at a time.

    Not `openvino.convert_model`: that reports its use to a server, and runs the network thrice.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    network = source.load()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, *_smallest(network, source.patch))
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        decoder = TorchScriptPythonDecoder(traced)  # OpenVINO calls it later and does not keep it alive
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape({model.inputs[0]: openvino.PartialShape([1, *source.patch])})
    return model


def _smallest(network: nn.Module, patch: tuple[int, ...]) -> tuple[int, ...]:
    """A small shape that the network can take, as tracing runs it: the patch divided by 8, 4 or 2 where possible."""
    channels, *spatial = patch
    shell = without_data(network)
    for divisor in (8, 4, 2):
        shape = [size // divisor if size % divisor == 0 else size for size in spatial]
        with contextlib.suppress(RuntimeError, ValueError), torch.no_grad():
            if shell(torch.empty((1, channels, *shape), device="meta")).shape[2:] == tuple(shape):
                return (channels, *shape)
    return patch
