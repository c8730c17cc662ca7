"""Patches for tests of calibration and training."""

import torch
from torch import Tensor, nn


def smooth(count: int, seed: int) -> Tensor:
    """Patches in which neighbours are alike, as in images."""
    noise = torch.randn(count, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))
    return 3 * nn.functional.avg_pool3d(noise, 5, stride=1, padding=2)
