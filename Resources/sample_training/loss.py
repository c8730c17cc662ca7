"""nnU-Net's loss, cross-entropy and Dice at every scale of the decoder, in the form that is fastest on a processor."""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_SLAB = 8192
"""Voxels whose scores are in single precision at once: they stay in a processor's cache."""


def loss_of(outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The loss of scores (1, C, *spatial) at the decoder's scales, each half as important as the one above."""
    losses = []
    for number, output in enumerate(outputs):
        step = 2**number
        target = labels[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
        scores = output.movedim(1, -1).reshape(-1, output.shape[1])
        losses.append(_HardLoss.apply(scores, target.reshape(-1)) / step)
    return torch.stack(losses).sum() / (2 - 0.5 ** (len(outputs) - 1))


class _HardLoss(torch.autograd.Function):
    """Mean cross-entropy, and 1 - mean Dice of the structures there are, of scores (voxels, C) and labels.

    The cross-entropy alone teaches that a structure is not there. The gradient is found at once, a few voxels at a
    time, so that nothing as large as the scores is kept.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, labels: Tensor) -> Tensor:
        count = scores.shape[1]
        overlap, size = torch.zeros(count), torch.bincount(labels, minlength=count) + 1.0
        there = size > 1
        there[0] = False
        entropy = torch.zeros(())
        for part, truth in _slabs(scores, labels):
            logs = functional.log_softmax(part, 1, dtype=torch.float32)
            chosen = logs.gather(1, truth[:, None])[:, 0]
            entropy -= chosen.sum()
            overlap.index_add_(0, truth, chosen.exp_())
            size += logs.exp_().sum(0)
        dice = (2 * overlap + 1) / size
        weights = there / there.sum().clamp(1)
        ctx.save_for_backward(_gradient(scores, labels, -2 * weights / size, dice * weights / size))
        return entropy / len(labels) + 1 - weights @ dice

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * above, None


def _gradient(scores: Tensor, labels: Tensor, towards: Tensor, away: Tensor) -> Tensor:
    """By the scores; the Dice's by a class's probabilities is `away`, plus `towards` where it is the truth."""
    gradient = torch.empty_like(scores)
    share = 1 / len(labels)
    for (part, truth), slope in zip(_slabs(scores, labels), gradient.split(_SLAB), strict=True):
        p = torch.softmax(part, 1, dtype=torch.float32)
        column = truth[:, None]
        by_score = (p * away).scatter_add_(1, column, p.gather(1, column) * towards[column])
        by_score.addcmul_(p, share - by_score.sum(1, keepdim=True))
        slope.copy_(by_score.scatter_add_(1, column, torch.full_like(column, -share, dtype=torch.float32)))
    return gradient


def _slabs(scores: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(scores.split(_SLAB), labels.split(_SLAB), strict=True)
