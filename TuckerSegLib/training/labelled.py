"""Training on a labelled dataset in nnU-Net's raw format, with nnU-Net's own loss, augmentation and loaders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

from ..errors import InputError
from ..models.nnunet import TrainedModel
from ..models.quiet import quiet
from ..progress import Progress
from ..renaming import renamed
from .trainer import Finetuner

_PREPROCESSED = "nnUNet_preprocessed"

_HELD_OUT = 5
"""Every fifth case, one at least, is for validation, as in nnU-Net's folds."""


class Labelled(Finetuner):
    """nnU-Net's trainer as it is, on the cases that `preprocess_cases` left in the training's folder."""

    def do_split(self) -> tuple[list[str], list[str]]:
        cases = sorted(self.dataset_class.get_identifiers(self.preprocessed_dataset_folder))
        held = cases[::_HELD_OUT]
        return [case for case in cases if case not in held] or cases, held

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """Without mirroring where the model was trained without: then left and right may have names."""
        *kept, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = self.compressed.mirror_axes
        return (*kept, self.compressed.mirror_axes)

    def run(self) -> TrainedModel:
        try:
            return super().run()
        finally:
            for loader in (self.dataloader_train, self.dataloader_val):
                if isinstance(loader, NonDetMultiThreadedAugmenter):
                    loader._finish()


def preprocess_cases(model: TrainedModel, dataset: Path, work: Path, progress: Progress | None = None) -> None:
    """Preprocess every case of `dataset` by nnU-Net's own preprocessor into `work`; those that are there stay.

    Raises:
        Cancelled: `progress` was cancelled; the cases that are finished are kept.
        InputError: the folder is no dataset, not one of the model's structures and channels, or a case is incomplete.
    """
    description = _description(dataset)
    _check(model, description, dataset)
    cases = _cases(dataset, str(description["file_ending"]), model.num_input_channels)
    folder = work / _PREPROCESSED / model.plans_manager.dataset_name / model.configuration_manager.data_identifier
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*"):
        leftover.unlink()
    with quiet():
        preprocessor = model.configuration_manager.preprocessor_class(verbose=False)
    progress = progress or Progress()
    progress.stage("images")
    for number, (name, (images, labels)) in enumerate(cases.items()):
        progress.step(number, len(cases))
        if not (folder / f"{name}.pkl").exists():
            _preprocess(preprocessor, model, folder / name, images, labels)


def _description(dataset: Path) -> dict[str, Any]:
    try:
        found = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))
        _ = found["labels"], found["file_ending"]
    except FileNotFoundError:
        raise InputError(f"There is no dataset.json in {dataset}: name a dataset in nnU-Net's raw format.") from None
    except OSError as error:
        raise InputError(f"{dataset} cannot be read ({error.strerror}): name the folder of a dataset.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{dataset / 'dataset.json'} is not what nnU-Net asks for: it lacks labels or file_ending."
        ) from error
    return dict(found)


def _check(model: TrainedModel, description: dict[str, Any], dataset: Path) -> None:
    ours, theirs = model.dataset["labels"], description["labels"]
    differing = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differing:
        raise InputError(
            f"{dataset} has other structures than {model.name}, such as {differing[0]}: bring its labels in line."
        )


def _cases(dataset: Path, ending: str, channels: int) -> dict[str, tuple[Sequence[Path], Path]]:
    """The images of each case, one a channel, and its label map."""
    if not (dataset / "labelsTr").is_dir():
        raise InputError(f"There is no labelsTr in {dataset}: name a dataset in nnU-Net's raw format.")
    names = sorted(file.name.removesuffix(ending) for file in (dataset / "labelsTr").glob(f"*{ending}"))
    if not names:
        raise InputError(f"There is no label map *{ending} in {dataset / 'labelsTr'}: name another dataset.")
    cases: dict[str, tuple[Sequence[Path], Path]] = {
        name: (
            [dataset / "imagesTr" / f"{name}_{channel:04d}{ending}" for channel in range(channels)],
            dataset / "labelsTr" / f"{name}{ending}",
        )
        for name in names
    }
    missing = [image for images, _ in cases.values() for image in images if not image.is_file()]
    if missing:
        raise InputError(f"There is no image {missing[0]}: add it, or take its label map away.")
    return cases


def _preprocess(preprocessor: Any, model: TrainedModel, target: Path, images: Sequence[Path], labels: Path) -> None:
    """The .pkl is renamed last, as a case without it is incomplete and is preprocessed again."""
    partial = target.with_name(f".{target.name}")
    try:
        preprocessor.run_case_save(
            str(partial), [str(image) for image in images], str(labels),
            model.plans_manager, model.configuration_manager, model.dataset,
        )  # fmt: skip
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{labels.name} and its images cannot be used ({reason}): repair the case or remove it."
        ) from error
    for ending in (".b2nd", "_seg.b2nd", ".pkl"):
        renamed(f"{partial}{ending}", f"{target}{ending}")
