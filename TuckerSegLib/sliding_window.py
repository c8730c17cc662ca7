"""nnU-Net's sliding window, told apart from the original only by being watched and stoppable between patches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ModelError
from .models.nnunet import TrainedModel, quiet

with quiet():
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

BeforeCall = Callable[[int, int], None]
"""Told how often the network has run, and how often it will in all; may raise to stop."""


class SlidingWindow(nnUNetPredictor):  # type: ignore[misc]
    """Runs a network over a preprocessed image as nnU-Net does: `answers`.

    `weights` holds one state dict a fold. Patches and, where the model allows, mirror images are averaged, and so are
    folds. With `features`, the number of channels of each fold's network, which then lacks its head, the folds' follow
    one another instead: each has a head of its own.
    """

    def __init__(
        self,
        model: TrainedModel,
        network: nn.Module,
        weights: Sequence[Mapping[str, Tensor]],
        device: torch.device,
        before_call: BeforeCall,
        step: float = 0.5,
        features: int | None = None,
    ) -> None:
        self._features = features
        self._before_call = before_call
        self._calls = 0
        self._calls_in_all = 0
        with quiet():
            super().__init__(tile_step_size=step, device=device, allow_tqdm=False)
            self.manual_initialization(
                _Watched(network, self._count),
                model.plans_manager,
                model.configuration_manager,
                list(weights),
                model.dataset,
                model.trainer,
                model.mirror_axes,
            )

    def answers(self, data: Tensor) -> Tensor:
        """(channels, *spatial) on the CPU from a preprocessed image (C, *spatial).

        Scores are averaged in half precision, as by nnU-Net; features, of which there are fewer, in single.
        """
        if self._features is None:
            logits: Tensor = self.predict_logits_from_preprocessed_data(data).cpu()
            return logits
        folds, features = self.list_of_parameters, []
        for fold in folds:
            self.network.load_state_dict(fold)
            features.append(self.predict_sliding_window_return_logits(data).cpu())
        return features[0] if len(folds) == 1 else torch.cat(features)

    def _count(self) -> None:
        self._before_call(self._calls, max(self._calls_in_all, self._calls + 1))
        self._calls += 1

    @torch.inference_mode()
    def _internal_predict_sliding_window_return_logits(
        self, data: Tensor, slicers: Sequence[tuple[Any, ...]], do_on_device: bool = True
    ) -> Tensor:
        """nnU-Net's loop over the patches, step by step the same, without its thread that prepares the next patch.

        That thread waits for ever once a patch raises, be it an error of the network or a cancellation.
        """
        mirrored = 2 ** len(self.allowed_mirroring_axes or ())
        self._calls_in_all = len(self.list_of_parameters) * len(slicers) * mirrored
        home = self.device if do_on_device else torch.device("cpu")
        logits: Any = None
        weight: Any = None
        patch: Any = None
        prediction: Any = None
        channels = self._features or self.label_manager.num_segmentation_heads
        options: dict[str, Any] = {"dtype": torch.float if self._features else torch.half, "device": home}
        try:
            data = data.to(home)
            gaussian = compute_gaussian(
                tuple(self.configuration_manager.patch_size), sigma_scale=1 / 8, value_scaling_factor=10, device=home
            )
            for where in slicers:
                patch = torch.clone(data[where][None], memory_format=torch.contiguous_format).to(self.device)
                prediction = self._internal_maybe_mirror_and_predict(patch)[0].to(home)
                if self._features and len(slicers) == 1:
                    return prediction  # its own weighted mean
                if logits is None:  # not beside the first patch
                    logits = torch.zeros((channels, *data.shape[1:]), **options)
                    weight = torch.zeros(data.shape[1:], **options)
                prediction *= gaussian
                _add(prediction, logits[where])
                weight[where[1:]] += gaussian
                patch = prediction = None  # their memory is the next ones'
            return torch.div(logits, weight, out=logits)
        except Exception:
            del data, logits, weight, patch, prediction  # a full graphics card is tried again with less on it
            raise


def _add(part: Tensor, total: Tensor) -> None:
    """Channel by channel: where their types differ, PyTorch makes copies as large as what it adds at once."""
    for channel, sums in zip(part, total, strict=True):
        sums += channel


class _Watched(nn.Module):
    """A network that announces each call; its weights are loaded straight into the network."""

    def __init__(self, network: nn.Module, before: Callable[[], None]) -> None:
        super().__init__()
        self.network = network
        self._before = before

    def forward(self, patch: Tensor) -> Tensor:
        self._before()
        answer: Tensor = self.network(patch)
        return answer

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return self.network.load_state_dict(state_dict, *args, **kwargs)
        except RuntimeError as error:
            raise ModelError("The weights do not fit the network: make the compressed model again.") from error
