"""nnU-Net's sliding window, watched and stoppable between patches.

Where patches lie, how they are weighted and in what order they are summed is nnU-Net's (`nnUNetPredictor`), so that
the scores are its own to the last bit. That class itself imports PyTorch's compiler, which takes seconds and memory;
and its thread that prepares the next patch waits for ever once a patch raises, be it for a cancellation.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ... import memory_limit
from ...errors import is_lack_of_memory
from ...models.nnunet import TrainedModel
from ...models.quiet import quiet
from ...progress import Progress
from .merged import Features
from .places import Places
from .sums import Sums

with quiet():
    from nnunetv2.utilities.helpers import empty_cache

Network = Callable[[Tensor], Tensor]
"""(1, C, *patch) to (1, outputs, *patch), both on the device that the window works on."""

_CPU = torch.device("cpu")


class SlidingWindow:
    """Runs networks over a preprocessed image as nnU-Net does: `answers`.

    `networks` holds one a fold. Patches and, where the model allows, mirror images are averaged, and so are folds.
    With `features`, the number of channels of each fold's network, which then lacks its head, the folds' follow one
    another instead: each has a head of its own. Patches lie `step` of their size apart.
    """

    def __init__(
        self,
        model: TrainedModel,
        networks: Sequence[Network],
        device: torch.device,
        progress: Progress,
        step: float = 0.5,
        features: int | None = None,
    ) -> None:
        self._networks, self._device, self._step, self._features = networks, device, step, features
        self._channels = features or model.label_manager.num_segmentation_heads
        self._patch_size = model.patch_size
        axes = [axis + 2 for axis in model.mirror_axes or ()]
        self._mirrored = [flips for count in range(1, len(axes) + 1) for flips in combinations(axes, count)]
        self._progress = progress
        self._calls = 0
        self._calls_in_all = 0

    @torch.inference_mode()
    def answers(self, data: Tensor) -> Features:
        """(channels, *spatial) from a preprocessed image (C, *spatial), where the sums were: on the GPU if they fit.

        Scores are averaged in half precision, as by nnU-Net; features, of which there are fewer, in single.
        """
        places = self.places(data)
        padded = places.padded(data)
        self._calls_in_all = len(self._networks) * len(places) * (1 + len(self._mirrored))
        if len(self._networks) == 1:
            return self._of_fold(self._networks[0], padded, places).inside(places.inside).features
        # Several folds' answers together are more than one network needs: they wait on the CPU.
        folds = len(self._networks) if self._features else 1
        together = Sums.zeros((folds * self._channels, *padded.shape[1:]), self._dtype)
        parts = together.split(self._channels) if self._features else [together] * len(self._networks)
        for network, part in zip(self._networks, parts, strict=True):
            part.add_all(self._of_fold(network, padded, places))
        if not self._features:
            together.divide(torch.full((), len(self._networks)))
        return together.inside(places.inside).features

    def places(self, data: Tensor) -> Places:
        """Where the patches lie on a preprocessed image (C, *spatial)."""
        return Places(data.shape, self._patch_size, self._step)

    @torch.inference_mode()
    def add(self, data: Tensor, chosen: Sequence[int], sums: Sums) -> None:
        """Add what the networks answer at the `chosen` places alone, each times its weight, to `sums` on the CPU.

        `data` is a preprocessed image (C, *spatial), `sums` (features of all folds, *`places(data).shape[1:]`).
        """
        places = self.places(data)
        padded, gaussian = places.padded(data), places.weight(_CPU)
        self._calls_in_all = self._calls + len(self._networks) * len(chosen) * (1 + len(self._mirrored))
        for network, of_fold in zip(self._networks, sums.split(self._channels), strict=True):
            for place in map(places.__getitem__, chosen):
                patch = self._predicted(network, padded[place][None].to(self._device)).cpu()
                of_fold.add(patch * gaussian, place)

    def _of_fold(self, network: Network, data: Tensor, places: Places) -> Sums:
        """The mean over all patches, (channels, *spatial)."""
        empty_cache(self._device)
        if self._device != _CPU:
            try:
                return self._mean(network, data, places, self._device)
            except RuntimeError as error:
                if not is_lack_of_memory(error):
                    raise
            empty_cache(self._device)  # now that the error no longer holds what was there: again with less on the GPU
        return self._mean(network, data, places, _CPU)

    def _mean(self, network: Network, data: Tensor, places: Places, home: torch.device) -> Sums:
        """With the image and the sums at `home`."""
        gaussian, data = places.weight(home), data.to(home)
        sums: Sums | None = None
        for place in map(places.__getitem__, range(len(places))):
            patch = self._predicted(network, data[place][None].to(self._device)).to(home)
            if self._features and len(places) == 1:
                return Sums(patch.to(self._dtype))  # its own weighted mean
            if sums is None:  # not beside the first patch
                sums = Sums.zeros_like(patch, (self._channels, *data.shape[1:]), self._dtype)
                weight = torch.zeros(data.shape[1:], dtype=self._dtype, device=home)
            sums.add(_weighted(patch, gaussian.to(self._dtype)), place)
            weight[place[1:]] += gaussian
            del patch  # its memory is the next one's
        assert sums is not None
        sums.divide(weight)
        return sums

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float if self._features else torch.half

    def _predicted(self, network: Network, patch: Tensor) -> Tensor:
        """The mean over the mirror images of one patch (1, C, *patch): (channels, *patch)."""
        with self._autocast():
            answer = self._called(network, patch.clone(memory_format=torch.contiguous_format))
            for flips in self._mirrored:
                answer += self._called(network, patch.flip(flips)).flip(flips)
        if self._mirrored:
            answer /= 1 + len(self._mirrored)
        return answer[0]

    def _called(self, network: Network, patch: Tensor) -> Tensor:
        self._progress.step(self._calls, max(self._calls_in_all, self._calls + 1))
        self._calls += 1
        answer = network(patch)
        memory_limit.check()
        return answer

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda") if self._device.type == "cuda" else nullcontext()


def _weighted(patch: Tensor, weight: Tensor) -> Tensor:
    """In place, but where the weight has more digits than a patch from a GPU."""
    return patch.mul_(weight) if patch.device == _CPU or weight.dtype == patch.dtype else patch * weight
