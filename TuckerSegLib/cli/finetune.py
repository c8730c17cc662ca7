"""`tuckerseg finetune`: train a compressed network, with labels or from the original's answers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import Cancelled, InputError
from .options import Json, folds_of

if TYPE_CHECKING:
    from ..models.nnunet import TrainedModel
    from ..training.settings import Training
    from ..training.trainer import Epoch


def finetune(
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tuckerseg file to write.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="The original: sample, a task of one network, or a trained folder.")
    ] = "sample",
    start: Annotated[
        Path | None, typer.Option(help="Its compressed form, a .tuckerseg file; otherwise it is made here.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Learn from the original's answers on these: phantoms, a file or a folder (repeatable)."),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Learn from labels: a folder with dataset.json, imagesTr and labelsTr.")
    ] = None,
    policy: Annotated[str, typer.Option("--policy", "-p", help="Without --start: as in compress.")] = "relative",
    factor: Annotated[float | None, typer.Option("--factor", "-f", help="Without --start: as in compress.")] = None,
    calibrate: Annotated[list[str] | None, typer.Option(help="Without --start: as in compress.")] = None,
    fold: Annotated[
        str | None, typer.Option(help="The fold that is compressed and trained, for models with several.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="1e-5 with --dataset, 3e-3 with --images.")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="At most so many epochs; 50 with --dataset, 100 with --images.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(help="Iterations an epoch; 250 with --dataset, 100 with --images.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train for at most so many minutes, once the images are preprocessed.")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without a lower loss.")] = None,
    freeze: Annotated[
        list[str] | None, typer.Option(help="Keep cores, factors, norms or others as they are (repeatable).")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of the answers that are learnt from, with --images; 1.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    as_json: Json = False,
) -> None:
    """Train a compressed network, with labels or without, and write it as one file."""
    from ..models.compressed import write
    from ..training.finetune import distill, train
    from ..training.settings import DISTILLATION, Training
    from . import console

    with console.json_alone(as_json):
        _check(output, images, dataset)
        given: dict[str, Any] = {
            "learning_rate": learning_rate, "epochs": epochs, "iterations": iterations, "minutes": minutes,
            "patience": patience, "freeze": tuple(freeze or ()), "temperature": temperature, "seed": seed,
        }  # fmt: skip
        training = _settings(DISTILLATION if images else Training(), given)
        work = _work(output, resume)
        original = _opened(model, fold)
        level = _level(original, start, policy, factor, calibrate)
        history: list[Epoch] = []

        def note(epoch: "Epoch") -> None:
            history.append(epoch)
            console.say(_line(epoch))

        with _resumable(work), console.progress_bar() as progress:
            if dataset:
                done = train(level, dataset, work, training, device=device, progress=progress, on_epoch=note)
            else:
                sources = images or []
                done = distill(
                    level, original, sources, work, training, device=device, progress=progress, on_epoch=note
                )
        write(done, output)
        shutil.rmtree(work, ignore_errors=True)
    _show(done, output, history, as_json)


def _check(output: Path, images: list[str] | None, dataset: Path | None) -> None:
    from ..models.compressed import check_output

    check_output(output)
    if bool(images) == bool(dataset):
        raise InputError("Name what to learn from: either --images or --dataset.")


def _show(done: "TrainedModel", output: Path, history: "list[Epoch]", as_json: bool) -> None:
    from . import console

    assert done.compression is not None
    policy = dict(done.compression.policy)
    if as_json:
        console.write_json({"output": str(output), "policy": policy, "epochs": [vars(epoch) for epoch in history]})
    else:
        print(f"{output}: epoch {policy['epochs']} was best, {console.size(output.stat().st_size)}")


def _settings(default: "Training", given: dict[str, Any]) -> "Training":
    return replace(default, **{name: value for name, value in given.items() if value is not None})


def _opened(model: str, fold: str | None) -> "TrainedModel":
    from ..models.opening import open_model

    return open_model(model, list(folds_of([fold])) if fold else None)


def _level(
    original: "TrainedModel", start: Path | None, policy: str, factor: float | None, calibrate: list[str] | None
) -> "TrainedModel":
    """The compressed network to begin with."""
    from ..models.cache import Cache
    from ..models.opening import open_model
    from ..segmentation.named_policies import fitted_on, policy_of

    if start is not None:
        return open_model(start)
    if original.compression is not None:
        return original
    chosen = policy_of(policy, original, factor=factor)
    return Cache().compressed(original, fitted_on(calibrate, original, chosen) if calibrate else chosen)[0]


def _work(output: Path, resume: bool) -> Path:
    """The folder beside the output that holds an interrupted training."""
    from ..training.trainer import STATE

    work = output.with_suffix(".training")
    interrupted = (work / STATE).exists()
    if interrupted and not resume:
        raise InputError(f"{work} holds an interrupted training: add --resume to go on, or remove it to start anew.")
    if resume and not interrupted:
        raise InputError(f"There is no interrupted training in {work}: leave --resume out.")
    return work


@contextmanager
def _resumable(work: Path) -> Iterator[None]:
    """Say, where a training is cancelled, how it goes on."""
    from ..training.trainer import STATE

    try:
        yield
    except (KeyboardInterrupt, Cancelled):
        from . import console

        kept = "the same command with --resume goes on" if (work / STATE).exists() else "nothing was learnt yet"
        console.errors.print(f"Cancelled: {kept}.")
        raise typer.Exit(130) from None


def _line(epoch: "Epoch") -> str:
    return (
        f"epoch {epoch.number}, {epoch.share:.0%}, {epoch.seconds / 60:.1f} min: loss {epoch.train_loss:.4f}, "
        f"validation {epoch.validation_loss:.4f}, Dice {epoch.dice:.4f}"
    )
