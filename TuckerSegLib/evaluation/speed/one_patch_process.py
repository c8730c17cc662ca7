"""A process that runs one network over single patches on request, as nnU-Net runs it today or as TuckerSeg does.

`python -m TuckerSegLib.evaluation.speed.one_patch_process stock|tuckerseg FOLDER` reads {"do", "factor", ...} a line:
"run" is answered with {"seconds"}, "prepare" with what was prepared, "error" with {"relative_error"}, all for the first
fold and a patch of normal noise; "agree" segments an image, and is answered with {"agreement"}.
"""

import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...decomposition.policies import Relative
from ...engines.fastest import choice
from ...models.cache import Cache
from ...models.nnunet import TrainedModel
from ...models.opening import open_model
from ...segmentation.one_model import run
from ...segmentation.prepare import PreparedModel, prepare
from ...segmentation.recipes import ORIGINAL, Prescribed, Tuned
from ...store import Store
from ...volumes.dice import Labels, mean_dice
from ...volumes.files import read_volume
from .double_precision import in_double


class Stock:
    """The network in PyTorch, one operation after the other, with the system's own allocator."""

    def __init__(self, model: TrainedModel) -> None:
        self._network = _network(model)
        self._patch = _patch(model)

    def prepare(self, factor: float, exact_ranks: bool, engine: str) -> dict[str, Any]:
        return {"threads": torch.get_num_threads()}

    def run(self, factor: float) -> dict[str, Any]:
        start = time.perf_counter()
        with torch.inference_mode():
            self._network(self._patch)
        return {"seconds": time.perf_counter() - start}


class TuckerSeg:
    """Any level of the network, made ready as for a segmentation, but with its head on."""

    def __init__(self, model: TrainedModel) -> None:
        self._model, self._patch = model, _patch(model)
        self._levels: dict[float, PreparedModel] = {}
        self._original: Labels | None = None

    def prepare(self, factor: float, exact_ranks: bool, engine: str) -> dict[str, Any]:
        recipe = Prescribed(Relative(factor)) if exact_ranks else Tuned(Relative(factor))
        start = time.perf_counter()
        engines = choice(engine, "cpu", Store(Cache().folder))
        prepared = prepare(self._model, recipe, engines, Cache(), with_head=True)
        seconds = time.perf_counter() - start
        self._levels[factor] = prepared
        prepared.networks[0](self._patch)
        report = prepared.model.compression.report if prepared.model.compression else None
        return {"engine": prepared.engine, "prepared_in": seconds, **_costs(self._model, report)}

    def run(self, factor: float) -> dict[str, Any]:
        start = time.perf_counter()
        self._levels[factor].networks[0](self._patch)
        return {"seconds": time.perf_counter() - start}

    def error(self, factor: float) -> dict[str, Any]:
        """||y - y'|| / ||y||, with y computed in double precision from the very weights that gave y'."""
        network = in_double(_network(self._levels[factor].model))
        with torch.inference_mode():
            reference = network(self._patch.double())
            found = self._levels[factor].networks[0](self._patch)
            norm = torch.linalg.vector_norm(reference)
            return {"relative_error": float(torch.linalg.vector_norm(reference.sub_(found)) / norm)}

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


def _network(model: TrainedModel) -> nn.Module:
    return model.networks()[0]


def _patch(model: TrainedModel) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, model.num_input_channels, *model.patch_size)


def _costs(model: TrainedModel, report: Any) -> dict[str, Any]:
    """A level's parameters, multiply-adds for a patch, and how many of its layers stayed as they were."""
    from ...segmentation.levels import levels

    if report is None:
        original = levels(model, [1.0])[0]
        return {"parameters": original.parameters, "multiply_adds": original.gflops * 1e9, "dense_layers": None}
    dense = sum(layer["ranks"] is None for layer in report["layers"])
    costs = {name: report[name] for name in ("parameters", "multiply_adds")}
    return {**costs, "dense_layers": dense, "layers": len(report["layers"])}


PROGRAMS = {"stock": Stock, "tuckerseg": TuckerSeg}


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
    fingerprint = f"{model.fingerprint} first fold"
    return replace(model, load_weights=lambda: model.load_weights()[:1], fingerprint=fingerprint)


if __name__ == "__main__":
    main()
