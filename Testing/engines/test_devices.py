"""A GPU is used where it works, and nobody is left without a result where it does not."""

# mypy: allow-untyped-calls

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.engines import devices, fastest
from TuckerSegLib.engines.base import Source
from TuckerSegLib.engines.torch import HalfTorchNetwork, TorchEngine, TorchNetwork
from TuckerSegLib.errors import Cancelled, InputError
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.segmentation.one_model import Result, run
from TuckerSegLib.segmentation.prepare import prepare
from TuckerSegLib.segmentation.recipes import ORIGINAL
from TuckerSegLib.store import Store
from TuckerSegLib.volumes.volume import Geometry, Volume

CPU = torch.device("cpu")
STAND_IN = torch.device("cpu", 0)
"""For a GPU: equal to no other device, and there on every computer."""


@pytest.fixture(autouse=True)
def _nothing_probed() -> Iterator[None]:
    devices._runs_networks.cache_clear()
    yield
    devices._runs_networks.cache_clear()


def has_gpu(monkeypatch: pytest.MonkeyPatch, error: Exception | None, kind: str = "cuda") -> None:
    """As if there were a GPU, which runs networks unless there is an error."""

    class Network(nn.Module):
        def to(self, *_: Any, **__: Any) -> Any:
            return self

        def forward(self, patch: Tensor) -> Tensor:
            if error:
                raise error
            return torch.zeros(1)

    monkeypatch.setattr(devices, "_is_there", lambda name: name in ("cpu", kind))
    monkeypatch.setattr(devices, "_small_network", Network)
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, device="cpu": ones(*shape))


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
        NotImplementedError("The operator 'aten::slow_conv3d' is not currently implemented for the MPS device"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_auto_leaves_a_gpu_alone_that_cannot_run_networks(
    kind: str, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    has_gpu(monkeypatch, error, kind)
    assert devices.devices("auto") == [CPU]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        record.getMessage()
        == f"The {kind} device is there but cannot run networks, the CPU is used: " + (str(error).splitlines()[0])
    )


def test_auto_takes_a_gpu_that_works_and_the_cpu_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, None)
    assert devices.devices("auto") == [torch.device("cuda"), CPU]
    assert devices.torch_device("auto") == torch.device("cuda")


def test_a_gpu_that_is_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    has_gpu(monkeypatch, RuntimeError("too old"))
    assert devices.devices("cuda") == [torch.device("cuda")]
    with pytest.raises(InputError, match="no mps device"):
        devices.devices("mps")


@pytest.fixture
def gpu_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "devices", lambda name: [STAND_IN, CPU] if name == "auto" else [STAND_IN])


def segment(tmp_path: Path, device: str = "auto") -> Result:
    model = open_folder(make_folder(tmp_path, patch_size=(8, 8, 8), features=(4, 8)))
    voxels = np.random.default_rng(0).normal(50, 300, (1, 10, 9, 8)).astype(np.float32)
    volume = Volume(voxels, Geometry((10, 9, 8), np.diag([1.5, 1.5, 1.5, 1.0])))
    engines = fastest.choice("torch", device, Store(tmp_path / "cache"))
    return run(prepare(model, ORIGINAL, engines, Cache(tmp_path / "cache")), volume)


def failing_run(error: Exception) -> Any:
    """An engine's `prepare` whose networks fail on the stand-in for a GPU."""
    usual = TorchEngine.prepare

    def prepare(self: TorchEngine, source: Source, device: torch.device) -> Any:
        network = usual(self, source, device)
        if device == STAND_IN:

            def fail(*_: Any) -> Any:
                raise error

            network._network.register_forward_hook(fail)
        return network

    return prepare


def failing_prepare(error: Exception) -> Any:
    usual = TorchEngine.prepare

    def prepare(self: TorchEngine, source: Source, device: torch.device) -> Any:
        if device == STAND_IN:
            raise error
        return usual(self, source, device)

    return prepare


@pytest.mark.usefixtures("gpu_first")
@pytest.mark.parametrize("fails", [failing_prepare, failing_run])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDNN_STATUS_FAILED")])
def test_the_cpu_takes_over_from_a_gpu_that_fails(
    fails: Any, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = segment(tmp_path / "without").label_map.labels
    caplog.clear()
    monkeypatch.setattr(TorchEngine, "prepare", fails(error))

    labels = segment(tmp_path / "with").label_map.labels

    np.testing.assert_array_equal(labels, expected)
    assert any("the CPU takes over" in message and str(error) in message for message in caplog.messages)


@pytest.mark.usefixtures("gpu_first")
@pytest.mark.parametrize("fails", [failing_prepare, failing_run])
@pytest.mark.parametrize(("device", "error"), [("cuda", RuntimeError("no kernel")), ("auto", Cancelled("stopped"))])
def test_a_device_asked_for_and_a_wish_to_stop_are_respected(
    fails: Any, device: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TorchEngine, "prepare", fails(error))
    with pytest.raises(type(error), match=str(error)):
        segment(tmp_path, device)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv3d(1, 4, 3), nn.InstanceNorm3d(4, affine=True), nn.LeakyReLU(), nn.ConvTranspose3d(4, 3, 2, 2)]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def casts_of_weights(network: TorchNetwork, patch: Tensor) -> int:
    """How many parameters are converted while one patch runs."""
    counted = 0
    parameters = {p.data_ptr() for p in network._network.parameters()}

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal counted
            counted += function is torch.ops.aten.to.dtype and args[0].data_ptr() in parameters
            return function(*args, **(kwargs or {}))

    with Watching():
        network(patch)
    return counted


def test_weights_are_in_half_precision_once_with_autocasts_own_answer() -> None:
    patch = torch.randn(1, 1, 6, 6, 6)
    plain = TorchNetwork(small_network())
    with torch.autocast("cpu", torch.bfloat16):
        expected, casts = plain(patch), casts_of_weights(plain, patch)

    made = HalfTorchNetwork(small_network(), "cpu", torch.bfloat16)

    assert torch.equal(made(patch), expected)
    assert (casts, casts_of_weights(made, patch)) == (4, 0)
    assert made.memory < plain.memory


def test_cudnn_tries_its_algorithms_while_a_network_runs_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    network = small_network()
    network.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.benchmark))
    before = torch.backends.cudnn.benchmark

    HalfTorchNetwork(network, "cpu", torch.bfloat16)(torch.randn(1, 1, 6, 6, 6))

    assert seen == [True] and torch.backends.cudnn.benchmark == before


def test_a_gpu_is_asked_for_no_other_order_of_axes() -> None:
    """Norms undo channels-last, so that every convolution would reorder its input first."""
    network = HalfTorchNetwork(small_network(), "cpu", torch.bfloat16)
    assert all(p.is_contiguous() for p in network._network.parameters())
