"""What every program of the benchmark of one patch runs: the first fold, on the same noise, by the same clock."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ....engines.timing.bench import clock_of
from ....models.nnunet import TrainedModel


def network_of(model: TrainedModel) -> nn.Module:
    """The first fold."""
    return model.networks()[0]


def patch_of(model: TrainedModel) -> Tensor:
    """Normal noise, (1, channels, *patch size), the same each time."""
    torch.manual_seed(0)
    return torch.randn(1, model.num_input_channels, *model.patch_size)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """That one run takes."""
    clock = clock_of(device)
    start = clock()
    run()
    return clock() - start
