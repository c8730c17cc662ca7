"""Less than single precision runs where an answer is approximate anyway, never where the network's own is wanted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trained_folders import make_folder
from torch import Tensor

from TuckerSegLib.decomposition.fast_passes import half_precision
from TuckerSegLib.decomposition.policies import Relative
from TuckerSegLib.engines import fastest
from TuckerSegLib.engines.base import Prepared, Source
from TuckerSegLib.engines.fastest import Choice, choice
from TuckerSegLib.engines.fused.engine import FusedEngine
from TuckerSegLib.engines.openvino import RoundedOpenVinoEngine
from TuckerSegLib.engines.torch import TorchEngine
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.segmentation.prepare import prepare
from TuckerSegLib.segmentation.recipes import ORIGINAL, Prescribed
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.session import Session
from TuckerSegLib.segmentation.slider import positions
from TuckerSegLib.store import Store
from TuckerSegLib.volumes.volume import Geometry, Volume

CPU = torch.device("cpu")


@dataclass
class Doubling:
    """An engine that doubles what it is given, in so many seconds, and wrong by `error` of it."""

    name: str
    seconds: float = 0.0
    is_rounded: bool = False
    error: float = 0.0
    fails: bool = False
    prepared: list[Source] = field(default_factory=list)
    memory, is_reference, has_layer_times = 1, False, False

    @property
    def engine(self) -> str:
        return self.name

    def supports(self, device: torch.device) -> bool:
        return True

    def prepare(self, source: Source, device: torch.device) -> Prepared:
        self.prepared.append(source)
        if self.fails:
            raise RuntimeError("no such instruction")
        return self

    def __call__(self, patches: Tensor) -> Tensor:
        import time

        time.sleep(self.seconds)
        return patches * 2 * (1 + self.error)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Doubling]:
    made = [
        Doubling("fused", 0.03),
        Doubling("openvino-bf16", 0.0, is_rounded=True, error=0.01),
        Doubling("openvino", 0.02),
        Doubling("torch", 0.04),
    ]
    monkeypatch.setattr(fastest, "engines", lambda _: made)
    return {engine.name: engine for engine in made}


def engine_of(engines: Choice) -> str:
    source = Source("key", torch.nn.Identity, (1, 4, 4, 4))
    return engines.prepare([source])[0].engine


def test_an_approximation_runs_in_bfloat16_and_openvino_is_not_compiled_twice(
    engines: dict[str, Doubling], tmp_path: Path
) -> None:
    found = choice("auto", "cpu", Store(tmp_path)).suited(exact=False)
    assert engine_of(found) == "openvino-bf16"
    assert not engines["openvino"].prepared


def test_it_does_not_where_it_is_hardly_faster(engines: dict[str, Doubling], tmp_path: Path) -> None:
    engines["fused"].seconds, engines["openvino-bf16"].seconds = 0.03, 0.027
    assert engine_of(choice("auto", "cpu", Store(tmp_path)).suited(exact=False)) == "fused"


@pytest.mark.parametrize("least", [0, 1e9])
def test_a_small_network_is_not_rounded_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, least: float
) -> None:
    """Milliseconds tell little, and a load that comes and goes would decide what a scan's labels are."""
    monkeypatch.setattr(positions, "LITTLE", least)
    prepared: list[tuple[str, ...]] = []

    def note(self: Choice, folds: Any, progress: Any = None) -> Any:
        prepared.append(tuple(engine.name for engine in self.order if engine.is_rounded))
        return [TorchEngine().prepare(fold, CPU) for fold in folds]

    monkeypatch.setattr(RoundedOpenVinoEngine, "supports", lambda self, device: True)
    monkeypatch.setattr(Choice, "prepare", note)
    model, cache = open_folder(make_folder(tmp_path)), Cache(tmp_path / "cache")
    prepare(model, Prescribed(Relative(0.5)), choice("auto", "cpu", Store(cache.folder)), cache)
    assert prepared == [("openvino-bf16",) if least == 0 else ()]


def test_the_networks_own_answer_never_does(engines: dict[str, Doubling], tmp_path: Path) -> None:
    found = choice("auto", "cpu", Store(tmp_path)).suited(exact=True)
    assert engine_of(found) == "openvino"
    assert not engines["openvino-bf16"].prepared


def test_a_network_that_bfloat16_ruins_runs_in_single_precision(engines: dict[str, Doubling], tmp_path: Path) -> None:
    engines["openvino-bf16"].error = 0.2
    assert engine_of(choice("auto", "cpu", Store(tmp_path)).suited(exact=False)) == "fused"


@pytest.mark.parametrize("exact", [True, False])
def test_an_engine_that_was_named_runs(engines: dict[str, Doubling], tmp_path: Path, exact: bool) -> None:
    for name in engines:
        assert engine_of(choice(name, "cpu", Store(tmp_path)).suited(exact)) == name


def test_bfloat16_takes_over_from_no_engine_that_was_named(engines: dict[str, Doubling], tmp_path: Path) -> None:
    engines["fused"].fails = True
    assert engine_of(choice("fused", "cpu", Store(tmp_path)).suited(exact=True)) == "openvino"


def test_the_original_is_what_it_was_and_nothing_to_check_unless_it_is_rounded(tmp_path: Path) -> None:
    model, cache = open_folder(make_folder(tmp_path)), Cache(tmp_path / "cache")
    original = prepare(model, ORIGINAL, choice("auto", "cpu", Store(cache.folder)), cache)
    assert original.is_original and original.engine != "openvino-bf16"
    if half_precision(CPU) and RoundedOpenVinoEngine(Store(cache.folder)).supports(CPU):
        rounded = prepare(model, ORIGINAL, choice("openvino-bf16", "cpu", Store(cache.folder)), cache)
        assert rounded.engine == "openvino-bf16" and not rounded.is_original


needs_bfloat16 = pytest.mark.skipif(
    not RoundedOpenVinoEngine(Store(Path("unused"))).supports(CPU), reason="this processor does not multiply bfloat16"
)


@needs_bfloat16
def test_bfloat16_answers_nearly_as_single_precision_does(tmp_path: Path) -> None:
    model = open_folder(make_folder(tmp_path))
    network, patch = model.networks()[0], (model.num_input_channels, *model.patch_size)
    source = Source("key", lambda: network, patch)
    noise = torch.randn(1, *patch)
    rounded = RoundedOpenVinoEngine(Store(tmp_path)).prepare(source, CPU)(noise)
    exact = FusedEngine().prepare(source, CPU)(noise)
    error = float((rounded - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    assert 1e-5 < error < 0.03


@needs_bfloat16
def test_a_rounded_original_is_checked_by_the_exact_one(tmp_path: Path) -> None:
    folder = str(make_folder(tmp_path))
    voxels = np.random.default_rng(0).normal(0, 300, (1, 20, 22, 24)).astype(np.float32)
    volume = Volume(voxels, Geometry((20, 22, 24), np.diag([-1.5, -1.5, 1.5, 1.0])))
    session = Session(Cache(tmp_path / "cache"))
    rounded = session.segment(volume, Request(folder, engine="openvino-bf16"))
    assert rounded.engine == "openvino-bf16" and rounded.check is not None
    assert rounded.check.agreement > 0.8
    assert session.segment(volume, Request(folder)).check is None
