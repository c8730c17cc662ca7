"""Training a compressed network: it comes closer, can be stopped at any time, and gives an ordinary model."""

# mypy: allow-untyped-calls

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from pytest import MonkeyPatch, TempPathFactory, fixture, mark, raises
from support.paths import ROOT
from support.preparing import prepared_model
from support.trained_folders import make_folder
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

from TuckerSegLib.cli.main import app
from TuckerSegLib.decomposition.fast_passes import for_training, in_order
from TuckerSegLib.decomposition.policies import RankPolicy, Relative, Settings
from TuckerSegLib.decomposition.tucker import Convolution, Ranks
from TuckerSegLib.errors import Cancelled, InputError, ModelError, TuckerSegError
from TuckerSegLib.models.compressed import compressed, load, save
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.progress import Event, Progress
from TuckerSegLib.segmentation.one_model import run
from TuckerSegLib.training import state
from TuckerSegLib.training.finetune import distill, train
from TuckerSegLib.training.settings import DISTILLATION, PARTS, Training, parts
from TuckerSegLib.training.soft_loss import soft_loss, soft_loss_of_regions
from TuckerSegLib.training.state import State
from TuckerSegLib.training.trainer import STATE, Epoch
from TuckerSegLib.volumes.volume import Geometry, Volume

QUICK = replace(DISTILLATION, epochs=4, iterations=6)
LABELS = 4


def write_image(path: Path, seed: int, voxels: int = 24) -> None:
    noise = torch.randn(1, 1, voxels, voxels, voxels, generator=torch.Generator().manual_seed(seed))
    smooth = 300 * functional.avg_pool3d(noise, 5, stride=1, padding=2)[0, 0]
    image = sitk.GetImageFromArray(smooth.numpy())
    image.SetSpacing((1.5, 1.5, 1.5))
    sitk.WriteImage(image, path)


class AllButTheHead(RankPolicy):
    """A policy that leaves a layer whole, as some do."""

    settings: Settings = {"policy": "all but the head"}  # noqa: RUF012

    def choose(self, layers: Mapping[str, Convolution]) -> dict[str, Ranks]:
        ranks = Relative(0.4, minimum=2).choose(layers)
        return {name: pair for name, pair in ranks.items() if "seg_layers" not in name}


@fixture(scope="module")
def original(tmp_path_factory: TempPathFactory) -> TrainedModel:
    return open_folder(make_folder(tmp_path_factory.mktemp("model"), labels=LABELS, features=(6, 8, 10)))


@fixture(scope="module")
def level(original: TrainedModel) -> TrainedModel:
    return compressed(original, AllButTheHead())


@fixture(scope="module")
def images(tmp_path_factory: TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(3):
        write_image(folder / f"{seed}.nii.gz", seed)
    return [str(folder)]


@fixture(scope="module")
def dataset(tmp_path_factory: TempPathFactory) -> Path:
    """Three cases in nnU-Net's raw format: a label for each range of intensities."""
    folder = tmp_path_factory.mktemp("Dataset900_Phantom")
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    for case in range(3):
        image = folder / "imagesTr" / f"case{case}_0000.nii.gz"
        write_image(image, case)
        read = sitk.ReadImage(image)
        labels = np.digitize(sitk.GetArrayFromImage(read), [-20, 20, 60]).astype(np.uint8)
        made = sitk.GetImageFromArray(labels)
        made.CopyInformation(read)
        sitk.WriteImage(made, folder / "labelsTr" / f"case{case}.nii.gz")
    names = {"background": 0, **{f"structure_{label}": label for label in range(1, LABELS)}}
    description = {"channel_names": {"0": "CT"}, "labels": names, "numTraining": 3, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def network(model: TrainedModel) -> nn.Module:
    made = model.network()
    made.load_state_dict(model.load_weights()[0])
    return made


def weights(model: TrainedModel) -> dict[str, Tensor]:
    return dict(network(model).named_parameters())


def same(one: TrainedModel, other: TrainedModel) -> bool:
    ours, theirs = weights(one), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@torch.no_grad()
def agreement(one: TrainedModel, other: TrainedModel) -> float:
    """Share of voxels that get the same label, on patches that no training saw."""
    noise = torch.randn(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(99))
    patches = functional.avg_pool3d(noise, 5, stride=1, padding=2)
    labels = [network(model)(patches).argmax(1) for model in (one, other)]
    return float((labels[0] == labels[1]).float().mean())


def test_it_comes_closer_to_the_original_without_labels(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    epochs: list[Epoch] = []
    training = replace(QUICK, epochs=6, iterations=15)
    trained = distill(level, original, images, tmp_path, training, device="cpu", on_epoch=epochs.append)
    assert epochs[-1].validation_loss < 0.8 * epochs[0].validation_loss
    assert epochs[-1].dice > epochs[0].dice
    assert agreement(trained, original) > agreement(level, original) + 0.05


@mark.parametrize("options", [{"dimensions": 2}, {"regions": True}, {"architecture": "residual"}], ids=str)
def test_every_kind_of_network_learns(options: dict[str, Any], images: list[str], tmp_path: Path) -> None:
    original = open_folder(make_folder(tmp_path, labels=LABELS, features=(6, 8, 10), **options))
    epochs: list[Epoch] = []
    level = compressed(original, Relative(0.4, minimum=2))
    distill(level, original, images, tmp_path / "work", QUICK, device="cpu", on_epoch=epochs.append)
    assert epochs[-1].validation_loss < epochs[0].validation_loss


@mark.parametrize("part", PARTS)
def test_what_is_frozen_stays_and_the_rest_does_not(
    part: str, level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    training = replace(QUICK, epochs=1, iterations=2, freeze=(part,))
    trained = distill(level, original, images, tmp_path, training, device="cpu")
    made = network(level)
    named = {id(parameter): name for name, parameter in made.named_parameters()}
    before, after = weights(level), weights(trained)
    changed = {found for found, p in parts(made) if not torch.equal(before[named[id(p)]], after[named[id(p)]])}
    assert changed == set(PARTS) - {part}


def stopping_after(epoch: int) -> Callable[[Epoch], None]:
    def stop(done: Epoch) -> None:
        if done.number == epoch:
            raise KeyboardInterrupt

    return stop


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    whole = distill(level, original, images, tmp_path / "whole", QUICK, device="cpu")
    with raises(KeyboardInterrupt):
        distill(level, original, images, tmp_path / "parts", QUICK, device="cpu", on_epoch=stopping_after(2))
    resumed = distill(level, original, images, tmp_path / "parts", QUICK, device="cpu")
    assert same(whole, resumed) and not same(whole, level)


def test_a_cancelled_training_goes_on_from_its_last_epoch(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    whole = distill(level, original, images, tmp_path / "whole", QUICK, device="cpu")
    told: list[Event] = []
    progress = Progress(told.append)

    def cancel(_: Epoch) -> None:
        progress.cancel()

    with raises(Cancelled):
        distill(level, original, images, tmp_path / "parts", QUICK, device="cpu", progress=progress, on_epoch=cancel)
    assert state.load(tmp_path / "parts" / STATE).record["epoch"] == 1
    assert {event.stage for event in told} == {"images"} and (told[-1].number, told[-1].count) == (3, 3)
    resumed = distill(level, original, images, tmp_path / "parts", QUICK, device="cpu", progress=Progress(told.append))
    assert same(whole, resumed)
    trained = [event.fraction for event in told if event.stage == "train"]
    assert trained == sorted(trained) and trained[-1] == 1.0


def test_another_seed_gives_another_network(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    short = replace(QUICK, epochs=1)
    one, other = (
        distill(level, original, images, tmp_path / str(seed), replace(short, seed=seed), device="cpu")
        for seed in (0, 1)
    )
    assert not same(one, other)


def test_an_interrupted_training_does_not_go_on_with_other_settings(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    with raises(KeyboardInterrupt):
        distill(level, original, images, tmp_path, QUICK, device="cpu", on_epoch=stopping_after(1))
    with raises(InputError, match="other settings"):
        distill(level, original, images, tmp_path, replace(QUICK, learning_rate=1e-4), device="cpu")


def test_it_stops_when_nothing_improves(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    epochs: list[Epoch] = []
    idle = replace(QUICK, learning_rate=1e-30, epochs=50, iterations=1, patience=2)
    distill(level, original, images, tmp_path, idle, device="cpu", on_epoch=epochs.append)
    assert len(epochs) == 3


def test_it_stops_when_the_time_is_over(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    epochs: list[Epoch] = []
    short = replace(QUICK, epochs=10_000, minutes=0.02)
    distill(level, original, images, tmp_path, short, device="cpu", on_epoch=epochs.append)
    assert 1 <= len(epochs) < 100 and epochs[-1].seconds < 5


def test_the_best_epoch_is_kept(level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    wild = replace(QUICK, learning_rate=0.3, iterations=20, epochs=2)
    trained = distill(level, original, images, tmp_path, wild, device="cpu", on_epoch=epochs.append)
    best = min(epochs, key=lambda epoch: epoch.validation_loss)
    assert trained.compression and trained.compression.policy["epochs"] == best.number


def test_a_trained_model_is_an_ordinary_file(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    trained = distill(level, original, images, tmp_path, replace(QUICK, epochs=1), device="cpu")
    save(trained, tmp_path / "small.tuckerseg")
    opened = load(tmp_path / "small.tuckerseg")
    assert same(opened, trained) and opened.compression and level.compression
    assert opened.compression.ranks == level.compression.ranks
    assert opened.compression.policy != level.compression.policy, "engines would take one for the other"
    voxels = np.random.default_rng(0).normal(0, 100, (1, 20, 20, 20)).astype(np.float32)
    geometry = Geometry.from_lps((20, 20, 20), np.full(3, 1.5), np.zeros(3), np.eye(3))
    assert run(prepared_model(opened, tmp_path / "cache"), Volume(voxels, geometry)).label_map.labels.shape == (
        20,
        20,
        20,
    )


def test_nnunets_own_loop_learns_from_labels(
    level: TrainedModel, dataset: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    epochs: list[Epoch] = []
    training = Training(learning_rate=1e-2, epochs=2, iterations=10)
    trained = train(level, dataset, tmp_path, training, device="cpu", on_epoch=epochs.append)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[1].train_loss < epochs[0].train_loss
    assert not same(trained, level)


def test_learning_from_labels_can_be_interrupted_too(
    level: TrainedModel, dataset: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    training = Training(learning_rate=1e-3, epochs=2, iterations=2)
    whole = train(level, dataset, tmp_path / "whole", training, device="cpu")
    with raises(KeyboardInterrupt):
        train(level, dataset, tmp_path / "parts", training, device="cpu", on_epoch=stopping_after(1))
    assert same(whole, train(level, dataset, tmp_path / "parts", training, device="cpu"))


def test_a_learning_rate_that_ruins_the_network_is_one_sentence(
    level: TrainedModel, original: TrainedModel, images: list[str], tmp_path: Path
) -> None:
    with raises(InputError, match="lower learning rate"):
        distill(level, original, images, tmp_path, replace(QUICK, learning_rate=1e30), device="cpu")


def test_the_defaults_are_the_published_ones() -> None:
    assert (Training().learning_rate, Training().epochs) == (1e-5, 50)


def test_the_form_for_training_is_the_same_network(level: TrainedModel) -> None:
    plain, fast = network(level), for_training(network(level), torch.device("cpu"))
    patches = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fast(in_order(patches)), plain(patches), rtol=1e-3, atol=1e-4)
    assert fast.state_dict().keys() == plain.state_dict().keys()


def test_the_loss_is_the_one_in_its_text_with_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(2, 5, 9, 4, 3, generator=generator) for _ in range(2))
    student.requires_grad_()
    for temperature in (1.0, 2.0):
        q, p = student.softmax(1), teacher.softmax(1)
        log_q, log_p = ((scores / temperature).log_softmax(1) for scores in (student, teacher))
        divergence = functional.kl_div(log_q, log_p, log_target=True, reduction="sum") / q[:, 0].numel()
        both, ours, theirs = ((x * y).sum((0, 2, 3, 4))[1:] for x, y in ((p, q), (q, q), (p, p)))
        wanted = divergence * temperature**2 + (1 - (2 * both + 1) / (ours + theirs + 1)).mean()
        found = soft_loss(student, teacher, temperature)
        torch.testing.assert_close(found, wanted)
        slopes = [torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in (found, wanted)]
        torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-7)


@mark.parametrize("loss", [soft_loss, soft_loss_of_regions])
def test_nothing_is_closer_to_the_original_than_itself(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    scores = torch.randn(1, 4, 6, 6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    at_rest = loss(scores, scores.detach())
    assert abs(float(at_rest.detach())) < 1e-5
    assert float(torch.autograd.grad(at_rest, scores)[0].abs().max()) < 1e-6
    assert float(loss(scores.detach() + torch.randn(scores.shape), scores.detach())) > 0.01


@mark.parametrize("loss", [soft_loss, soft_loss_of_regions])
def test_no_slope_leaves_the_normal_range_of_numbers(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """A network that is sure of itself; processors multiply what lies below that range many times slower."""
    student, teacher = (
        40 * torch.randn(1, 4, 6, 6, 6, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    slope = torch.autograd.grad(loss(student.requires_grad_(), teacher), student)[0]
    assert float(slope[slope != 0].abs().min()) > torch.finfo(torch.float32).tiny


def test_a_state_is_whole_or_not_there(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    path = tmp_path / STATE
    state.save(State("one", {"epoch": 1}, {"weights": {"a": torch.ones(3)}}), path)

    def half(_: object, file: Path, __: object) -> None:
        Path(file).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(state, "save_file", half)
    with raises(KeyboardInterrupt):
        state.save(State("one", {"epoch": 2}, {"weights": {"a": torch.zeros(3)}}), path)
    assert state.load(path).record == {"epoch": 1} and list(tmp_path.iterdir()) == [path]


def test_a_damaged_state_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"half of it")
    with raises(ModelError, match="remove it"):
        state.load(tmp_path / STATE)


@fixture
def command(original: TrainedModel, images: list[str], tmp_path: Path) -> list[str]:
    """A short training, from the command line."""
    folder = make_folder(tmp_path, labels=LABELS, features=(6, 8, 10))
    output = ["finetune", "-m", str(folder), "-f", "0.4", "--device", "cpu", "-o", str(tmp_path / "small.tuckerseg")]
    return [*output, "--images", images[0], "--epochs", "2", "--iterations", "2"]


def test_the_command_writes_a_model_and_leaves_nothing_else(command: list[str], tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {"small.tuckerseg"}
    assert load(tmp_path / "small.tuckerseg").compression is not None


def test_a_killed_command_goes_on(command: list[str], tmp_path: Path) -> None:
    output, work = tmp_path / "small.tuckerseg", tmp_path / "small.training"
    program = [sys.executable, "-m", "TuckerSegLib.cli.main", *command, "--epochs", "10000"]
    script = "import sys; from TuckerSegLib.cli.main import main; sys.argv[0] = 'tuckerseg'; main()"
    program[1:3] = ["-c", script]
    process = subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 120
    while not (work / STATE).exists() and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    reached = state.load(work / STATE).record["epoch"]
    assert reached >= 1 and not output.exists()
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, InputError) and "--resume" in str(refused.exception)
    done = CliRunner().invoke(app, [*command, "--resume", "--epochs", str(reached + 1)])
    assert done.exit_code == 0, done.output
    assert output.exists() and not work.exists()


@mark.parametrize(
    ("options", "sentence"),
    [
        ([], "either --images or --dataset"),
        (["--images", "nowhere.nii.gz"], "nowhere.nii.gz"),
        (["--images", "phantoms", "--epochs", "0"], "Epochs 0 is out of range"),
        (["--images", "phantoms", "--learning-rate", "nan"], "Learning rate nan is out of range"),
        (["--images", "phantoms", "--freeze", "heads"], "no part heads"),
        (["--images", "phantoms", *(x for part in PARTS for x in ("--freeze", part))], "nothing to train"),
        (["--images", "phantoms", "--resume"], "no interrupted training"),
        (["--dataset", "nowhere"], "no dataset.json in nowhere"),
    ],
)
def test_bad_input_is_one_sentence(options: list[str], sentence: str, tmp_path: Path, original: TrainedModel) -> None:
    folder = make_folder(tmp_path, labels=LABELS, features=(6, 8, 10))
    output = ["-m", str(folder), "-f", "0.4", "-o", str(tmp_path / "small.tuckerseg")]
    done = CliRunner().invoke(app, ["finetune", *output, *options])
    assert isinstance(done.exception, TuckerSegError), done.output
    assert sentence in str(done.exception) and not re.search(r"\n|Traceback", str(done.exception))


def test_a_level_of_another_model_is_refused(level: TrainedModel, images: list[str], tmp_path: Path) -> None:
    other = open_folder(make_folder(tmp_path, labels=LABELS, features=(6, 8, 10), seed=5))
    with raises(InputError, match="not compressed from that model"):
        distill(level, other, images, tmp_path, QUICK)


def test_a_dataset_must_have_the_models_structures_and_images(
    level: TrainedModel, dataset: Path, tmp_path: Path
) -> None:
    description = json.loads((dataset / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**description, "labels": {"background": 0, "heart": 1}}))
    with raises(InputError, match="other structures"):
        train(level, tmp_path, tmp_path / "work")
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "labelsTr" / "case7.nii.gz").write_bytes(b"")
    with raises(InputError, match=r"no image .*case7_0000.nii.gz"):
        train(level, tmp_path, tmp_path / "work")
