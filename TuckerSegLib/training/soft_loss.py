"""nnU-Net's loss, cross-entropy and Dice, against another network's probabilities instead of labels."""

# mypy: allow-untyped-calls

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_SLAB = {"cpu": 4096}
"""Voxels whose scores are in single precision at once, so that they stay in a processor's cache."""

_LARGE_SLAB = 2**19
"""The same where operations are dear to start, as on a GPU."""

_LEAST = -25.0
"""The logarithm of the least probability that counts, 1e-11: products of smaller ones leave the normal range of single
precision, where processors multiply many times slower.
"""

_SMOOTH = 1.0
"""Voxels added to every structure, so that those absent from the patch have no say."""


def soft_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """How far the student's probabilities q are from the teacher's p, from scores (N, C, *spatial); 0 where equal.

    The sum of Kullback and Leibler's divergence, T^2 KL(p_T || q_T) at the temperature T, mean over voxels (Hinton,
    Vinyals and Dean, arXiv 1503.02531), which is cross-entropy up to a constant, and of
    1 - 2 sum(p q) / (sum(p^2) + sum(q^2)), over voxels, mean over all structures but the background. The squares make
    q = p the best there is, with soft p too (Milletari et al., 3DV 2016, for labels).
    """
    loss: Tensor = _SoftLoss.apply(student, teacher, temperature)
    return loss


def soft_loss_of_regions(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """The same for regions, which may overlap: each output is a choice between itself and the rest."""
    losses = [
        soft_loss(_against_rest(ours), _against_rest(theirs), temperature)
        for ours, theirs in zip(student.unbind(1), teacher.unbind(1), strict=True)
    ]
    return torch.stack(losses).mean()


def _against_rest(score: Tensor) -> Tensor:
    """Scores (N, *spatial) as those of two classes, as the softmax of (0, x) is the sigmoid of x."""
    return torch.stack((torch.zeros_like(score), score), 1)


class _SoftLoss(torch.autograd.Function):
    """The loss and, at once, its gradient, a few voxels at a time.

    Whole scores of a hundred classes in single precision would take gigabytes, several times over. A voxel's scores
    lie side by side, as networks in the order of `for_training` give them: sums over classes are then quick.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        ours, theirs = (scores.movedim(1, -1).flatten(0, -2) for scores in (student, teacher))
        overlap, size, divergence = _totals(ours, theirs, temperature)
        found = _gradient(ours, theirs, temperature, overlap, size)
        ctx.save_for_backward(found.reshape(student.movedim(1, -1).shape).movedim(-1, 1))
        return divergence + (1 - overlap[1:]).mean()

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * above, None, None


def _totals(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Each class's overlap and size (C,), and the divergence, of scores (voxels, C)."""
    both, ours, theirs = student.new_zeros((3, student.shape[1]), dtype=torch.float32)
    divergence = both.new_zeros(())
    for s, t in _slabs(student, teacher):
        log_q, log_p = _log_softmax(s), _log_softmax(t)
        q, p = log_q.exp(), log_p.exp()
        both += torch.linalg.vecdot(p, q, dim=0)
        ours += torch.linalg.vecdot(q, q, dim=0)
        theirs += torch.linalg.vecdot(p, p, dim=0)
        if temperature != 1:
            log_q, log_p = _log_softmax(s / temperature), _log_softmax(t / temperature)
            p = log_p.exp()
        divergence += torch.dot(p.flatten(), log_p.sub_(log_q).flatten())
    size = ours + theirs + _SMOOTH
    return (2 * both + _SMOOTH) / size, size, divergence * temperature**2 / len(student)


def _gradient(student: Tensor, teacher: Tensor, temperature: float, overlap: Tensor, size: Tensor) -> Tensor:
    """The derivative of the loss by the student's scores (voxels, C).

    By q it is (2 overlap q - 2 p) / size / (C - 1) from the Dice; the divergence adds T (q_T - p_T) / voxels.
    """
    gradient = torch.empty_like(student, memory_format=torch.contiguous_format)
    towards, away = (factor / size / (len(size) - 1) for factor in (-2, 2 * overlap))
    towards[0] = away[0] = 0
    share = temperature / len(student)
    for s, t, slope in _slabs(student, teacher, gradient):
        q, p = _log_softmax(s).exp_(), _log_softmax(t).exp_()
        by_score = (towards * p).addcmul_(away, q).mul_(q)
        by_score.addcmul_(q, by_score.sum(1, keepdim=True), value=-1)
        if temperature != 1:
            q, p = _log_softmax(s / temperature).exp_(), _log_softmax(t / temperature).exp_()
        slope.copy_(by_score.add_(q, alpha=share).sub_(p, alpha=share))
    return gradient


def _slabs(*scores: Tensor) -> Iterator[tuple[Tensor, ...]]:
    voxels = _SLAB.get(scores[0].device.type, _LARGE_SLAB)
    return zip(*(one.split(voxels) for one in scores), strict=True)


def _log_softmax(scores: Tensor) -> Tensor:
    return functional.log_softmax(scores, 1, dtype=torch.float32).clamp_(min=_LEAST)
