"""Every engine gives the network's own answer, one that fails gives way, and the fastest is found once."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.preparing import prepared_by, prepared_model
from support.trained_folders import make_folder
from torch import Tensor, nn

from TuckerSegLib.decomposition.counting import convolutions
from TuckerSegLib.decomposition.policies import RankPolicy, Relative, Settings
from TuckerSegLib.decomposition.tucker import Convolution, Ranks, TuckerConv, is_decomposable
from TuckerSegLib.engines import fastest
from TuckerSegLib.engines.base import Engine, Prepared, Source
from TuckerSegLib.engines.fused.compiled import llvm
from TuckerSegLib.engines.fused.engine import FusedEngine
from TuckerSegLib.engines.openvino import OpenVinoEngine
from TuckerSegLib.engines.torch import TorchEngine
from TuckerSegLib.errors import InputError
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.segmentation.one_model import run
from TuckerSegLib.segmentation.recipes import Tuned
from TuckerSegLib.store import Store
from TuckerSegLib.volumes.volume import Geometry, Volume
from TuckerSegLib.worker.protocol import progress_as_json, progress_of

CPU = torch.device("cpu")
CLOSE = 1e-4
"""Largest difference from the network in double precision, as a share of its largest output."""


class HalfDense(RankPolicy):
    """Decomposes every second layer and leaves the others dense."""

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        return {
            name: Ranks(max(layer.out_channels // 2, 1), max(layer.in_channels // 2, 1))
            for index, (name, layer) in enumerate(layers.items())
            if index % 2
        }

    settings: Settings = {}  # noqa: RUF012


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=["torch", "openvino", "fused", "fused without llvmlite"])
def engine(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> Engine:
    if request.param == "openvino":
        pytest.importorskip("openvino")
        return OpenVinoEngine(store)
    if request.param == "fused without llvmlite":
        monkeypatch.setattr(llvm, "available", lambda: False)
    return TorchEngine() if request.param == "torch" else FusedEngine()


def nnunet(tmp_path: Path, **options: Any) -> tuple[nn.Module, tuple[int, ...]]:
    model = open_folder(make_folder(tmp_path, **options))
    network = model.network()
    network.load_state_dict(model.load_weights()[0])
    return network, (model.num_input_channels, *model.patch_size)


def largest_error(network: nn.Module, prepared: Prepared, patches: Tensor) -> float:
    with torch.no_grad():
        expected = copy.deepcopy(network).double()(patches.double())
    answer = prepared(patches)
    assert answer.shape == expected.shape
    assert answer.dtype == torch.float32
    return float((answer - expected).abs().max() / expected.abs().max())


def prepare(engine: Engine, network: nn.Module, patch: Sequence[int], key: str = "") -> Prepared:
    return engine.prepare(Source(key or str(id(network)), lambda: network, tuple(patch)), CPU)


class TestAnswers:
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"patch_size": (16, 12, 20)}, id="plain"),
            pytest.param({"patch_size": (18, 10, 22)}, id="odd at depth"),
            pytest.param({"patch_size": (1, 16, 14), "strides": [(1, 1, 1), (1, 2, 2)]}, id="one voxel"),
            pytest.param({"architecture": "residual", "features": (8, 12, 16)}, id="residual"),
            pytest.param({"dimensions": 2, "patch_size": (20, 14)}, id="2d"),
            pytest.param({"channels": 3, "labels": 7}, id="channels"),
        ],
    )
    @pytest.mark.parametrize("policy", [None, Relative(0.5, minimum=2), HalfDense()], ids=["dense", "tucker", "mixed"])
    def test_are_the_networks(self, engine: Engine, options: dict[str, Any], policy: Any, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path, **options)
        if policy:
            network, _ = policy.compress(network)

        prepared = prepare(engine, network, patch, f"{tmp_path}")

        assert prepared.engine == engine.name
        assert prepared.memory > 0
        assert largest_error(network, prepared, torch.randn(2, *patch)) < CLOSE

    @pytest.mark.parametrize("batch", [1, 2, 3])
    def test_for_any_number_of_patches(self, engine: Engine, batch: int, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path)
        prepared = prepare(engine, network, patch, "batch")

        assert largest_error(network, prepared, torch.randn(batch, *patch)) < CLOSE

    def test_without_norms_at_odd_sizes(self, engine: Engine) -> None:
        layers = [nn.Conv3d(2, 8, 3, padding=1), nn.LeakyReLU(), nn.Conv3d(8, 3, 1)]
        network = nn.Sequential(*layers).eval()
        assert is_decomposable(layers[0])
        network[0] = TuckerConv.from_conv(layers[0], Ranks(5, 2))

        prepared = prepare(engine, network, (2, 7, 1, 9))

        assert largest_error(network, prepared, torch.randn(1, 2, 7, 1, 9)) < CLOSE

    def test_for_patches_that_are_not_contiguous(self, engine: Engine, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path)
        prepared = prepare(engine, network, patch, "flipped")

        assert largest_error(network, prepared, torch.randn(1, *patch).flip(2).transpose(3, 4)) < CLOSE

    def test_stay_as_they_are_when_the_network_runs_again(self, engine: Engine, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path)
        prepared = prepare(engine, network, patch, "again")
        first = prepared(torch.randn(1, *patch))
        kept = first.clone()

        prepared(torch.randn(1, *patch))

        assert torch.equal(first, kept)


class TestOpenVino:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("openvino")

    def test_compiles_once(self, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path)
        first = prepare(OpenVinoEngine(Store(tmp_path)), network, patch, "key")

        again = OpenVinoEngine(Store(tmp_path)).prepare(Source("key", _never, patch), CPU)

        patches = torch.randn(1, *patch)
        torch.testing.assert_close(first(patches), again(patches), rtol=CLOSE, atol=CLOSE)

    def test_compiles_again_what_was_damaged(self, tmp_path: Path) -> None:
        network, patch = nnunet(tmp_path)
        store = Store(tmp_path)
        prepare(OpenVinoEngine(store), network, patch, "key")
        for path in (tmp_path / "engines").iterdir():
            path.write_bytes(b"damaged")

        prepared = prepare(OpenVinoEngine(store), network, patch, "key")

        assert largest_error(network, prepared, torch.randn(1, *patch)) < CLOSE

    def test_reports_to_nobody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        monkeypatch.setattr(socket, "socket", _never)
        network, patch = nnunet(tmp_path)

        prepare(OpenVinoEngine(Store(tmp_path)), network, patch)


class Counting:
    """An engine that multiplies by 2 and counts; may fail, may be slow."""

    def __init__(self, name: str, fails: str = "", seconds: float = 0.0) -> None:
        self.name, self._fails, self._seconds = name, fails, seconds
        self.prepared = self.runs = 0

    memory = 1
    is_rounded = False

    @property
    def engine(self) -> str:
        return self.name

    def supports(self, device: torch.device) -> bool:
        return True

    def prepare(self, source: Source, device: torch.device) -> "Counting":
        self.prepared += 1
        if self._fails == "prepare":
            raise ImportError("no such library")
        return self

    def __call__(self, patches: Tensor) -> Tensor:
        import time

        self.runs += 1
        time.sleep(self._seconds)
        if self._fails == "memory":
            raise MemoryError
        if self._fails == "run":
            raise RuntimeError("unsupported instruction")
        return patches * 2


class HeldUp(Counting):
    """One whose first two runs take long, as the computer is busy."""

    def __call__(self, patches: Tensor) -> Tensor:
        busy = Counting(self.name, seconds=0.05 * (self.runs < 2))
        busy(patches)
        return super().__call__(patches)


def folds_prepared(
    folds: int, engine: str, available: Sequence[Counting], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Sequence[Prepared]:
    """A model's folds, prepared where these engines are all there are."""
    monkeypatch.setattr(fastest, "engines", lambda _: available)
    sources = [Source(f"key {fold}", _never, (1, 4, 4, 4)) for fold in range(folds)]
    return fastest.choice(engine, "cpu", Store(cache)).prepare(sources)


class TestChoice:
    @pytest.fixture
    def choose(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        def choose(name: str, *available: Counting) -> Any:
            (network,) = folds_prepared(1, name, available, tmp_path, monkeypatch)
            return network

        return choose

    @pytest.mark.parametrize("fails", ["prepare", "run"])
    @pytest.mark.parametrize("asked", ["openvino", "auto"])
    def test_one_that_fails_gives_way_with_a_warning(
        self, choose: Callable[..., Any], fails: str, asked: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        network = choose(asked, Counting("openvino", fails), Counting("torch"))

        answer = network(torch.ones(1, 1, 4, 4, 4))

        assert torch.equal(answer, torch.full((1, 1, 4, 4, 4), 2.0))
        assert network.engine == "torch"
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert any("openvino cannot run this network" in record.getMessage() for record in warnings)

    def test_the_last_ones_error_is_told(self, choose: Callable[..., Any]) -> None:
        with pytest.raises(RuntimeError, match="unsupported instruction"):
            choose("torch", Counting("torch", "run"))(torch.ones(1, 1, 4, 4, 4))

    def test_lack_of_memory_is_no_reason_for_another(self, choose: Callable[..., Any]) -> None:
        other = Counting("torch")

        with pytest.raises(MemoryError):
            choose("openvino", Counting("openvino", "memory"), other)(torch.ones(1, 1, 4, 4, 4))
        assert other.prepared == 0

    @pytest.mark.parametrize("slow", ["openvino", "torch"])
    def test_auto_takes_the_fastest_and_measures_once(self, choose: Callable[..., Any], slow: str) -> None:
        engines = [Counting(name, seconds=0.05 * (name == slow)) for name in ("openvino", "torch")]

        assert choose("auto", *engines).engine != slow
        runs = sum(engine.runs for engine in engines)
        assert runs > 0
        assert choose("auto", *engines).engine != slow
        assert sum(engine.runs for engine in engines) == runs

    @pytest.mark.parametrize("changed", ["engines", "versions", "threads"])
    def test_auto_measures_again_once_that_may_give_another_answer(
        self, choose: Callable[..., Any], changed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow, fast, new = Counting("fused", seconds=0.05), Counting("torch", seconds=0.02), Counting("openvino")
        assert choose("auto", slow, fast).engine == "torch"
        slow._seconds = 0.0

        if changed == "engines":
            assert choose("auto", slow, new, fast).engine != "torch"
        elif changed == "versions":
            monkeypatch.setattr(fastest, "version_of", lambda package: "another")
            assert choose("auto", slow, fast).engine == "fused"
        else:
            monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
            assert choose("auto", slow, fast).engine == "fused"

    def test_of_two_that_are_nearly_as_fast_the_first_one_runs_on_every_day(self, choose: Callable[..., Any]) -> None:
        """Where a busy computer decides between them, the same scan gets other labels once they are timed anew."""
        assert choose("auto", Counting("fused", seconds=0.05), Counting("openvino", seconds=0.048)).engine == "fused"

    def test_one_slow_run_does_not_decide(self, choose: Callable[..., Any]) -> None:
        best, other = HeldUp("fused", seconds=0.01), Counting("torch", seconds=0.05)

        assert choose("auto", best, other).engine == "fused"

    def test_what_is_far_slower_runs_twice_when_it_is_timed(self, choose: Callable[..., Any]) -> None:
        fast, hopeless = Counting("fused"), Counting("torch", seconds=0.05)

        choose("auto", fast, hopeless)

        untimed = 1
        assert hopeless.runs == untimed + 2 < fast.runs

    def test_all_folds_run_on_the_same(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        engines = Counting("openvino", seconds=0.05), Counting("torch")

        folds = folds_prepared(3, "auto", engines, tmp_path, monkeypatch)

        assert [fold.engine for fold in folds] == ["torch"] * 3

    def test_one_asked_for_is_not_measured(self, choose: Callable[..., Any]) -> None:
        slow = Counting("openvino", seconds=0.05)

        assert choose("openvino", slow, Counting("torch")).engine == "openvino"
        assert slow.runs == 0

    def test_an_unknown_one(self, choose: Callable[..., Any]) -> None:
        with pytest.raises(InputError, match="no engine steam"):
            choose("steam", Counting("torch"))

    def test_one_that_is_not_installed(self, choose: Callable[..., Any]) -> None:
        with pytest.raises(InputError, match="not installed"):
            choose("openvino", Counting("torch"))


class TestPipeline:
    @pytest.mark.parametrize("factor", [1.0, 0.5])
    def test_engines_agree_on_a_volume(self, factor: float, tmp_path: Path) -> None:
        pytest.importorskip("openvino")
        model = open_folder(make_folder(tmp_path, folds=(0, 1), mirroring=(0, 2)))
        voxels = np.random.default_rng(0).normal(50, 300, (1, 20, 18, 16)).astype(np.float32)
        volume = Volume(voxels, Geometry((20, 18, 16), np.diag([1.5, 1.5, 1.5, 1.0])))
        plain, fast = (
            run(prepared_model(model, tmp_path / "cache", Relative(factor), engine), volume)
            for engine in ("torch", "openvino")
        )

        assert (plain.engine, fast.engine) == ("torch", "openvino")
        assert (plain.label_map.labels == fast.label_map.labels).mean() > 0.999

    def test_measuring_layers_is_told_and_happens_once(self, tmp_path: Path) -> None:
        model = open_folder(make_folder(tmp_path))
        told: list[Event] = []

        def ready() -> list[Event]:
            told.clear()
            prepared_by(Tuned(Relative(0.5)), model, tmp_path / "cache", "fused", Progress(told.append))
            return [progress_of(progress_as_json(step)) for step in told if step.stage == "measure"]

        numbers = [step.number for step in ready() if step.count]
        assert set(numbers) <= set(range(1, len(convolutions(model.network_without_data())) + 1))
        assert len(set(numbers)) > 1 and numbers == sorted(numbers)
        assert not ready()


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("this should not have been asked for")
