"""The fused engine for GPUs: the same answers, channels last throughout, nothing on a wrong device or waited for.

Its parts run here in PyTorch on the CPU, and on a GPU that is only pretended; on a real one everything does.
"""

# mypy: allow-untyped-calls

import copy
import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from support.architectures import plain_unet
from torch import Tensor, nn

from TuckerSegLib.decomposition.counting import convolutions
from TuckerSegLib.decomposition.network import decompose
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.decomposition.tucker import TuckerConv
from TuckerSegLib.engines.base import Source
from TuckerSegLib.engines.fused.channels_last import channels_last
from TuckerSegLib.engines.fused.engine import FusedEngine
from TuckerSegLib.engines.gpu.blocks import GpuBlock, GpuNorm
from TuckerSegLib.engines.gpu.engine import GpuEngine, in_half
from TuckerSegLib.engines.gpu.padding import with_ranks_in_eights
from TuckerSegLib.inference.head import Head
from TuckerSegLib.inference.interpolation import Along
from TuckerSegLib.inference.labelling.slice_labels import SliceLabels
from TuckerSegLib.inference.labelling.voxel_labels import VoxelLabels
from TuckerSegLib.progress import Progress

GPU = torch.device("cuda")

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    made = plain_unet((10, 24, 40), 3).requires_grad_(False)
    for parameter in made.parameters():
        if parameter.ndim == 1:
            parameter.normal_(0.5, 0.3)
    return made


def at(network: nn.Module, factor: float) -> nn.Module:
    if factor == 1:
        return copy.deepcopy(network)
    return decompose(network, Relative(factor).choose(convolutions(network)))[0].requires_grad_(False)


def error(found: Tensor, expected: Tensor) -> float:
    found, expected = found.double().cpu(), expected.double()
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.3])
def test_the_rewritten_network_is_the_same_function(network: nn.Module, factor: float) -> None:
    patch, small = torch.randn(2, 1, 16, 16, 16), at(network, factor)
    with torch.inference_mode():
        found = in_half(copy.deepcopy(small), torch.float, 5)(channels_last(patch))
    assert error(found, small(patch)) < 1e-4


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_in_half_precision_it_is_no_worse_than_autocast(network: nn.Module, factor: float) -> None:
    patch, small = torch.randn(1, 1, 16, 16, 16), at(network, factor)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        theirs = small(patch)
    with torch.inference_mode():
        ours = in_half(copy.deepcopy(small), torch.bfloat16, 5)(channels_last(patch.bfloat16()))
    assert error(ours, small(patch)) < 2 * error(theirs, small(patch))


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_no_norm_undoes_the_order_of_channels(network: nn.Module, factor: float) -> None:
    seen: list[bool] = []
    rewritten = in_half(at(network, factor), torch.float, 5)
    for module in rewritten.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            module.register_forward_pre_hook(lambda _, given: seen.append(given[0].movedim(1, -1).is_contiguous()))
    rewritten(channels_last(torch.randn(1, 1, 16, 16, 16)))
    # PyTorch's transposed convolutions on the CPU, which GPUs do not run, are what undoes it here.
    transposed = [module for module in rewritten.modules() if isinstance(module, nn.ConvTranspose3d)]
    assert len(seen) > 10 and seen.count(False) <= len(transposed)


def test_what_a_norm_takes_away_again_is_not_added(network: nn.Module) -> None:
    rewritten = in_half(at(network, 1.0), torch.float, 5)
    added = [
        name for name, layer in rewritten.named_modules() if isinstance(layer, nn.Conv3d) and layer.bias is not None
    ]
    stages: Any = network.encoder
    assert added == ["decoder.seg_layers.1"] and stages.stages[0][0].convs[0].conv.bias is not None


def test_ranks_are_padded_to_multiples_of_eight(network: nn.Module) -> None:
    patch, small = torch.randn(1, 1, 16, 16, 16), at(network, 0.3)
    padded = with_ranks_in_eights(copy.deepcopy(small))
    layers = [layer for layer in padded.modules() if isinstance(layer, TuckerConv)]
    sizes = [(layer.core.in_channels, layer.first.in_channels) for layer in layers]
    sizes += [(layer.core.out_channels, layer.last.out_channels) for layer in layers]
    assert all(rank % 8 == 0 or rank == channels for rank, channels in sizes)
    assert error(padded(patch), small(patch)) < 1e-5


ELSEWHERE = torch.device("meta")
"""For a GPU: what is there cannot be mixed with what is on the CPU, and nothing that is there can be looked at."""


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_a_patch_stays_on_the_gpu(network: nn.Module, factor: float) -> None:
    rewritten = in_half(at(network, factor), torch.half, 5).to(ELSEWHERE)
    answer = rewritten(torch.empty(1, 1, 16, 16, 16, device=ELSEWHERE, dtype=torch.half))
    assert answer.device == ELSEWHERE and answer.dtype == torch.half


def along(old: int, new: int) -> Along:
    places = ((torch.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    lower = places.floor().long()
    return Along(lower, (lower + 1).clip(max=old - 1), places - lower)


GRID = [along(6, 15), along(7, 5), along(8, 20)]


def test_labels_made_in_whole_slices_are_those_made_voxel_by_voxel() -> None:
    torch.manual_seed(0)
    features = nn.functional.interpolate(torch.randn(1, 6, 2, 3, 3), (6, 7, 8), mode="trilinear")[0]
    head = Head(torch.randn(9, 6), torch.randn(9))
    expected = VoxelLabels(features, head, lambda scores: scores.argmax(1), np.uint8).on(GRID, Progress())
    found = SliceLabels(features, head, lambda scores: scores.argmax(1)).on(GRID, Progress())
    assert found.dtype == np.uint8 and len(np.unique(found)) > 3
    np.testing.assert_array_equal(found, expected)


def test_engines_of_our_own_are_called_the_same_on_every_device() -> None:
    assert GpuEngine().supports(GPU) and not GpuEngine().supports(torch.device("cpu"))
    assert GpuEngine.name == FusedEngine.name == "fused"


@needs_gpu
@pytest.mark.parametrize("factor", [1.0, 0.5, 0.3])
def test_on_a_gpu_it_is_nearly_as_exact_as_autocast(network: nn.Module, factor: float) -> None:
    patch, small = torch.randn(1, 1, 32, 32, 32), at(network, factor)
    expected = small(patch)
    with torch.autocast("cuda"), torch.inference_mode():
        theirs = copy.deepcopy(small).to(GPU)(patch.to(GPU))
    prepared = GpuEngine().prepare(Source("", lambda: copy.deepcopy(small), tuple(patch.shape[1:])), GPU)
    assert error(prepared(patch.to(GPU)), expected) < 2 * error(theirs, expected)


@needs_gpu
def test_a_recorded_patch_gives_what_the_launched_one_does(network: nn.Module) -> None:
    prepared = GpuEngine().prepare(Source("", lambda: at(network, 0.3), (1, 32, 32, 32)), GPU)
    first, second = (torch.randn(1, 1, 32, 32, 32, device=GPU) for _ in range(2))
    kept = prepared(first)
    other = prepared(second)
    assert prepared._replayed._graph is not None
    assert torch.equal(kept, prepared(first)) and not torch.equal(kept, other)
    assert error(kept, prepared._run(first).cpu()) < 1e-3


@needs_gpu
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize(
    ("rank", "channels", "widths"), [(8, 32, (16,)), (24, 40, (8, 24)), (56, 128, (40, 64)), (104, 320, (96, 128))]
)
def test_kernels_do_what_pytorch_does(rank: int, channels: int, widths: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    last, norm = nn.Conv3d(rank, channels, 1), nn.InstanceNorm3d(channels, affine=True)
    consumers = [*(nn.Conv3d(channels, width, 1) for width in widths), None]
    block = GpuBlock(last, norm, 0.01, consumers).to(GPU)
    z = channels_last(torch.randn(1, rank, 20, 21, 22, device=GPU) + 1).half()
    wide = nn.functional.leaky_relu(norm(last(z.float().cpu())), 0.01)
    expected = [consumer(wide) if consumer else wide for consumer in consumers]
    for found, wanted in zip(block(z), expected, strict=True):
        assert error(found, wanted.detach()) < 3e-3


@needs_gpu
def test_a_norm_by_kernels_is_the_usual_one() -> None:
    norm = nn.InstanceNorm3d(24, affine=True)
    nn.init.normal_(norm.weight)
    x = torch.randn(1, 24, 17, 18, 19) * 3 + 2
    found = GpuNorm(norm, 0.01, False).to(GPU)(channels_last(x.to(GPU)).half())
    assert error(found, nn.functional.leaky_relu(norm(x), 0.01).detach()) < 3e-3


@needs_gpu
def test_labels_of_a_gpu_are_those_of_the_cpu() -> None:
    features, head = torch.randn(6, 6, 7, 8), Head(torch.randn(9, 6), torch.randn(9))
    expected = SliceLabels(features, head, lambda scores: scores.argmax(1)).on(GRID, Progress())
    found = SliceLabels(features.to(GPU), head, lambda scores: scores.argmax(1)).on(GRID, Progress())
    assert (found == expected).mean() > 0.999
