"""A process that runs one network over single patches on request: as nnU-Net runs it today, as others or TuckerSeg do.

`python -m TuckerSegLib.evaluation.speed.one_patch_process PROGRAM FOLDER` reads {"do", "factor", ...} a line:
"run" is answered with {"seconds"}, "prepare" with what was prepared, "error" with {"relative_error"}, all for the first
fold and a patch of normal noise; "agree" segments an image, and is answered with {"agreement"}.
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...decomposition.policies import Relative
from ...engines.devices import torch_device
from ...engines.fastest import choice
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...models.opening import open_model
from ...segmentation.one_model import run
from ...segmentation.prepare import PreparedModel, prepare
from ...segmentation.recipes import ORIGINAL, Balanced, Prescribed, Recipe, Tuned
from ...store import Store
from ...volumes.dice import Labels, mean_dice
from ...volumes.files import read_volume
from .double_precision import in_double
from .runtimes.others import OTHERS
from .runtimes.patches import network_of, patch_of, seconds_of


class Stock:
    """The network in PyTorch, one operation after the other, with the system's own allocator.

    On a GPU as nnU-Net's predictor runs it: by autocast in half precision, with cuDNN's algorithms tried.
    """

    def __init__(self, model: TrainedModel) -> None:
        self._model, self._patch = model, patch_of(model)
        self._device = torch.device("cpu")

    def prepare(self, factor: float, ranks: str, engine: str, device: str) -> dict[str, Any]:
        self._device = torch_device(device)
        torch.backends.cudnn.benchmark = True
        self._network = network_of(self._model).to(self._device)
        self._patch = self._patch.to(self._device)
        return {"threads": torch.get_num_threads()}

    def run(self, factor: float) -> dict[str, Any]:
        return {"seconds": seconds_of(self._answer, self._device)}

    def error(self, factor: float) -> dict[str, Any]:
        """As `TuckerSeg.error`."""
        return {"relative_error": _relative_error(network_of(self._model), self._patch, self._answer())}

    def _answer(self) -> Tensor:
        halves = torch.autocast("cuda") if self._device.type == "cuda" else nullcontext()
        with torch.inference_mode(), halves:
            answer: Tensor = self._network(self._patch)
        return answer


class TuckerSeg:
    """Any level of the network, made ready as for a segmentation, but with its head on."""

    def __init__(self, model: TrainedModel) -> None:
        self._model, self._patch = model, patch_of(model)
        self._levels: dict[float, PreparedModel] = {}
        self._original: Labels | None = None

    def prepare(self, factor: float, ranks: str, engine: str, device: str) -> dict[str, Any]:
        recipe = _RECIPES[ranks](Relative(factor))
        start = time.perf_counter()
        engines = choice(engine, device, Store(Cache().folder))
        self._patch = self._patch.to(engines.device)
        prepared = prepare(self._model, recipe, engines, Cache(), with_head=True)
        seconds = time.perf_counter() - start
        self._levels[factor] = prepared
        prepared.networks[0](self._patch)
        report = prepared.model.compression.report if prepared.model.compression else None
        return {"engine": prepared.engine, "prepared_in": seconds, **_costs(self._model, report)}

    def run(self, factor: float) -> dict[str, Any]:
        return {"seconds": seconds_of(lambda: self._answer(factor), self._patch.device)}

    def error(self, factor: float) -> dict[str, Any]:
        """||y - y'|| / ||y||, with y computed in more digits from the very weights that gave y'."""
        network = network_of(self._levels[factor].model)
        return {"relative_error": _relative_error(network, self._patch, self._answer(factor))}

    def _answer(self, factor: float) -> Tensor:
        return self._levels[factor].networks[0](self._patch)

    def agree(self, factor: float, image: str) -> dict[str, Any]:
        """Mean Dice with the label map of the original network."""
        if factor == 1:
            return {"agreement": 1.0}
        volume = read_volume([Path(image)])
        if self._original is None:
            original = self._levels.get(1.0) or self._original_network()
            self._original = run(original, volume).label_map.labels
        return {"agreement": mean_dice(self._original, run(self._levels[factor], volume).label_map.labels)}

    def _original_network(self) -> PreparedModel:
        return prepare(self._model, ORIGINAL, choice("torch", "cpu", Store(Cache().folder)), Cache(), with_head=True)


@torch.inference_mode()
def _relative_error(network: nn.Module, patch: Tensor, found: Tensor) -> float:
    """Of what `network` was found to give, against double precision; on a GPU, against single."""
    if patch.device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        reference = network.to(patch.device)(patch)
    else:
        reference = in_double(network)(patch.double())
    norm = torch.linalg.vector_norm(reference)
    return float(torch.linalg.vector_norm(reference.sub_(found)) / norm)


def _costs(model: TrainedModel, report: Any) -> dict[str, Any]:
    """A level's parameters, multiply-adds for a patch, and how many of its layers stayed as they were."""
    from ...segmentation.slider.levels import levels

    if report is None:
        original = levels(model, [1.0])[0]
        return {"parameters": original.parameters, "multiply_adds": original.gflops * 1e9, "dense_layers": None}
    dense = sum(layer["ranks"] is None for layer in report["layers"])
    costs = {name: report[name] for name in ("parameters", "multiply_adds")}
    return {**costs, "dense_layers": dense, "layers": len(report["layers"])}


_RECIPES: dict[str, Callable[[Relative], Recipe]] = {
    "published": Prescribed,
    "tuned": Tuned,
    "position": lambda published: Balanced(published, Cache()),
}
"""By what is asked for: the published ranks, those tuned to this computer, or what the slider runs."""


PROGRAMS: dict[str, Callable[[TrainedModel], Any]] = {"stock": Stock, "tuckerseg": TuckerSeg, **OTHERS}


def main() -> None:
    """Answer requests until the input ends."""
    from .program import serve

    @cache
    def opened() -> Any:
        return PROGRAMS[sys.argv[1]](_one_fold(open_model(sys.argv[2])))

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        done: dict[str, Any] = getattr(opened(), request.pop("do"))(**request)
        return done

    serve(answer)


def _one_fold(model: TrainedModel) -> TrainedModel:
    """The model itself where it has no more, so that what is known of it holds."""
    if len(model.load_weights()) == 1:
        return model
    fingerprint = f"{model.fingerprint} first fold"
    return replace(model, load_weights=lambda: model.load_weights()[:1], fingerprint=fingerprint)


if __name__ == "__main__":
    main()
