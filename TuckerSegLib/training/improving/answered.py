"""Patches with the original's answers, the last of which stay at hand: an answer costs a good part of a step."""

from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...decomposition.fast_passes import in_order

Answer = Callable[[Tensor], Tensor]
"""Gives a network's answer (1, K, *spatial) to a patch (1, C, *spatial)."""
Patches = Callable[[np.random.Generator], Tensor]
"""Gives a random patch (C, *spatial), preprocessed."""

Answered = tuple[Tensor, Tensor]
"""Patches (N, C, *spatial), and answers (N, K, *spatial) in half precision."""

_KEPT = 1 << 29
"""Bytes of answers at hand."""

_MOST = 6e4
"""Scores beyond this, which half precision hardly has, are as good as certain."""


class AnsweredPatches:
    """New patches, each once, together with some that were answered before.

    Args:
        patches: makes them.
        answer: the original's, in any engine.
        device: where patches and answers are to be.
    """

    def __init__(self, patches: Patches, answer: Answer, device: torch.device) -> None:
        self._patches, self._answer, self._device = patches, answer, device
        self._kept: deque[Answered] = deque()

    def batch(self, random: np.random.Generator, count: int) -> Answered:
        """One new patch, and others of those at hand, or new too as long as there are none."""
        again = [self._kept[int(random.integers(len(self._kept)))] for _ in range(count - 1) if self._kept]
        new = [self._new(random) for _ in range(count - len(again))]
        patches, answers = zip(*new, *again, strict=True)
        return in_order(torch.cat(patches)), in_order(torch.cat(answers))

    def of(self, patch: Tensor) -> Answered:
        """A patch (1, C, *spatial) with its answer; a copy, as nothing can be learnt from inference tensors."""
        patch = patch.to(self._device)
        with torch.no_grad():
            return patch, in_order(self._answer(patch).float().clamp(-_MOST, _MOST).half())

    def _new(self, random: np.random.Generator) -> Answered:
        found = self.of(self._patches(random)[None])
        self._kept.append(found)
        while len(self._kept) > 1 and sum(answer.nbytes for _, answer in self._kept) > _KEPT:
            self._kept.popleft()
        return found
