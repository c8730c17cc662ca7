"""Trained nnU-Net folders as the field ships them, with seeded random weights in place of trained ones."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn

from TuckerSegLib.models.totalsegmentator.tasks import Network

Json = dict[str, Any]

CLASS_OF = {
    "plain": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "residual": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
}
OLD_CLASS_OF = {"plain": "PlainConvUNet", "residual": "ResidualEncoderUNet"}
OUTPUT_SPREAD = 3.0
"""How far apart the outputs of a random network lie: enough for a clear winner in most voxels."""
TOTALSEGMENTATOR_INTENSITIES = {
    "max": 26563.0,
    "mean": -50.386,
    "median": -19.0,
    "min": -3035.0,
    "percentile_00_5": -1004.0,
    "percentile_99_5": 1588.0,
    "std": 503.393,
}


def make_folder(
    directory: Path,
    *,
    architecture: str = "plain",
    plans_format: str = "new",
    dimensions: int = 3,
    configuration: str | None = None,
    channels: int = 1,
    folds: Sequence[int | str] = (0,),
    regions: bool = False,
    mirroring: Sequence[int] | None = None,
    features: Sequence[int] = (8, 16),
    strides: Sequence[Sequence[int]] | None = None,
    labels: int | Sequence[str] = 4,
    patch_size: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    normalization: str = "ZScoreNormalization",
    intensities: Mapping[str, float] | None = None,
    reader: str = "SimpleITKIO",
    transpose: Sequence[int] = (0, 1, 2),
    trainer: str | None = None,
    dataset: str = "Dataset900_Phantom",
    seed: int = 0,
) -> Path:
    """Write a trained folder below `directory` and return it: `<dataset>/<trainer>__nnUNetPlans__<configuration>`.

    `labels` counts the background, or names the structures without it; with `regions` each structure's region holds
    all structures after it, as in brain tumours. Sizes, strides and `spacing` are in nnU-Net's axis order, after
    `transpose`. The old plans format knows only doubled features.
    """
    configuration = configuration or ("2d" if dimensions == 2 else "3d_fullres")
    trainer = trainer or ("nnUNetTrainer" if mirroring else "nnUNetTrainerNoMirroring")
    strides = strides or [[1] * dimensions, *[[2] * dimensions] * (len(features) - 1)]
    shape = _Shape(architecture, dimensions, list(features), [list(stride) for stride in strides])
    structures = [f"structure_{i}" for i in range(1, labels)] if isinstance(labels, int) else list(labels)
    dataset_json = _dataset(channels, structures, regions)
    settings = _settings(
        configuration, patch_size or [16] * dimensions, spacing or [1.5] * dimensions, normalization, channels
    )
    settings |= shape.old_plans() if plans_format == "old" else {"architecture": shape.new_plans()}
    plans = _plans(
        dataset,
        configuration,
        settings,
        reader,
        transpose,
        [dict(intensities or TOTALSEGMENTATOR_INTENSITIES)] * channels,
    )

    folder = Path(directory) / dataset / f"{trainer}__nnUNetPlans__{configuration}"
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(dataset_json, indent=1))
    outputs = len(structures) if regions else len(structures) + 1
    for offset, fold in enumerate(folds):
        inputs = channels + (len(structures) if configuration == "3d_cascade_fullres" else 0)
        network = shape.network(inputs, outputs, seed + offset)
        checkpoint = checkpoint_of(network, plans, dataset_json, configuration, fold, trainer, mirroring)
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def totalsegmentator_297(directory: Path, *, seed: int = 0) -> Path:
    """Task 297's folder (3 mm, 118 outputs) as TotalSegmentator unpacks it, 66 MB."""
    from totalsegmentator.map_to_binary import class_map

    return make_folder(
        directory,
        features=(32, 64, 128, 256, 320),
        patch_size=(112, 112, 128),
        spacing=(3.0, 3.0, 3.0),
        labels=list(class_map["total"].values()),
        dataset="Dataset297_TotalSegmentator_total_3mm_1559subj",
        trainer="nnUNetTrainer_4000epochs_NoMirroring",
        plans_format="old",
        normalization="CTNormalization",
        reader="NibabelIOWithReorient",
        seed=seed,
    )


def totalsegmentator_291(directory: Path, *, seed: int = 0) -> Path:
    """Task 291's folder (1.5 mm, organs, 25 outputs) as TotalSegmentator unpacks it, 125 MB."""
    from totalsegmentator.map_to_binary import class_map_5_parts

    return make_folder(
        directory,
        features=(32, 64, 128, 256, 320, 320),
        patch_size=(128, 128, 128),
        spacing=(1.5, 1.5, 1.5),
        labels=list(class_map_5_parts["class_map_part_organs"].values()),
        dataset="Dataset291_TotalSegmentator_part1_organs_1559subj",
        trainer="nnUNetTrainerNoMirroring",
        plans_format="old",
        normalization="CTNormalization",
        reader="NibabelIOWithReorient",
        seed=seed,
    )


def totalsegmentator_total(directory: Path, *, seed: int = 0) -> Path:
    """The five networks of `total` (1.5 mm, 291 to 295) as TotalSegmentator unpacks them, 0.6 GB, in `directory`."""
    totalsegmentator_task(
        directory, "total", features=(32, 64, 128, 256, 320, 320), patch_size=(128, 128, 128), seed=seed
    )
    return directory


def totalsegmentator_task(
    directory: Path,
    name: str,
    *,
    features: Sequence[int] = (4, 8, 8),
    patch_size: Sequence[int] = (32, 32, 32),
    rare: Mapping[str, float] | None = None,
    seed: int = 0,
) -> None:
    """The folders of every network that TotalSegmentator's task `name` needs, as it unpacks them, below `directory`.

    Narrow networks with seeded random weights; folders that are there stay. `rare` structures have their outputs
    lowered by so much.
    """
    from TuckerSegLib.models.totalsegmentator.tasks import Task, task

    def write(wanted: Task) -> None:
        for other in (wanted.crop and wanted.crop.task, wanted.refined_by):
            if other:
                write(other)
        for network in wanted.networks:
            if not (directory / network.dataset).exists():
                _write_network(wanted, network)

    def _write_network(wanted: Task, network: Network) -> None:
        labels = wanted.parts.get(network.number, wanted.structures)
        names = [labels.get(label, f"hidden_{label}") for label in range(1, max((*labels, *wanted.hidden)) + 1)]
        folder = make_folder(
            directory,
            features=features,
            patch_size=patch_size,
            spacing=(wanted.spacing or (3.0, 3.0, 3.0))[::-1],
            channels=2 if wanted.cascaded else 1,
            labels=names,
            dataset=network.dataset,
            trainer=network.trainer,
            configuration=network.configuration,
            folds=(0, 1) if network.folds is None else network.folds,
            plans_format="old",
            normalization="CTNormalization" if wanted.modality == "CT" else "ZScoreNormalization",
            reader="NibabelIOWithReorient",
            seed=seed + network.number,
        )
        _make_rare(folder, names, rare or {})

    write(task(name))


def _make_rare(folder: Path, names: Sequence[str], rare: Mapping[str, float]) -> None:
    for file in folder.glob("fold_*/checkpoint_final.pth"):
        checkpoint = torch.load(file, weights_only=False)
        weights = checkpoint["network_weights"]
        last = max(name for name in weights if ".seg_layers." in name and name.endswith(".bias"))
        for name, lowered in rare.items():
            if name in names:
                weights[last][names.index(name) + 1] -= lowered
        torch.save(checkpoint, file)


class _Shape:
    """A U-Net's shape, to be written in either plans format or built."""

    def __init__(self, architecture: str, dimensions: int, features: list[int], strides: list[list[int]]) -> None:
        self.architecture = architecture
        self.dimensions = dimensions
        self.features = features
        self.strides = strides
        self.kernels = [[3] * dimensions for _ in features]
        self.depth = [2] * len(features) if architecture == "plain" else [1, *[2] * (len(features) - 1)]
        self.decoder_depth = [2 if architecture == "plain" else 1] * (len(features) - 1)

    def old_plans(self) -> Json:
        base, widest = self.features[0], max(self.features)
        if self.features != [min(base * 2**i, widest) for i in range(len(self.features))]:
            raise ValueError(f"The old plans format cannot say {self.features}: features must double up to a maximum.")
        return {
            "UNet_class_name": OLD_CLASS_OF[self.architecture],
            "UNet_base_num_features": base,
            "n_conv_per_stage_encoder": self.depth,
            "n_conv_per_stage_decoder": self.decoder_depth,
            "num_pool_per_axis": [len(self.features) - 1] * self.dimensions,
            "pool_op_kernel_sizes": self.strides,
            "conv_kernel_sizes": self.kernels,
            "unet_max_num_features": widest,
        }

    def new_plans(self) -> Json:
        per_stage = "n_conv_per_stage" if self.architecture == "plain" else "n_blocks_per_stage"
        return {
            "network_class_name": CLASS_OF[self.architecture],
            "arch_kwargs": {
                "n_stages": len(self.features),
                "features_per_stage": self.features,
                "conv_op": f"torch.nn.modules.conv.Conv{self.dimensions}d",
                "kernel_sizes": self.kernels,
                "strides": self.strides,
                per_stage: self.depth,
                "n_conv_per_stage_decoder": self.decoder_depth,
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{self.dimensions}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }

    def network(self, channels: int, outputs: int, seed: int) -> nn.Module:
        plans = self.new_plans()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: nn.Module = get_network_from_plans(
                plans["network_class_name"],
                plans["arch_kwargs"],
                plans["_kw_requires_import"],
                channels,
                outputs,
                allow_init=True,
                deep_supervision=True,
            )
            _make_lively(network)
        return network


def _make_lively(network: nn.Module) -> None:
    """Move the weights off their starting values, so that no branch is idle and no label rules everywhere."""
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.InstanceNorm3d):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)
    head = network.get_submodule("decoder.seg_layers")[-1]  # type: ignore[index]
    assert isinstance(head, nn.Conv2d | nn.Conv3d)
    nn.init.normal_(head.weight, 0.0, OUTPUT_SPREAD / head.in_channels**0.5)
    with torch.no_grad():
        head.weight -= head.weight.mean(1, keepdim=True)  # all features have much the same mean


def checkpoint_of(
    network: nn.Module,
    plans: Json,
    dataset: Json,
    configuration: str,
    fold: int | str,
    trainer: str,
    mirroring: Sequence[int] | None,
) -> Json:
    """What nnU-Net's trainer saves after a short training, with every type its checkpoints hold."""
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": torch.zeros_like(next(network.parameters()))}}
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
    arguments = {"plans": plans, "configuration": configuration, "fold": fold, "dataset_json": dataset}
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": state,
        "grad_scaler_state": {**scaler, "_growth_tracker": 7},
        "logging": {
            "mean_fg_dice": [np.float64(0.71), np.float64(0.74)],
            "ema_fg_dice": [np.float64(0.71), np.float64(0.713)],
            "dice_per_class_or_region": [[np.float64(0.71)], [np.float64(0.74)]],
            "train_losses": [np.float32(-0.4), np.array(-0.5)],
            "val_losses": [np.float32(-0.3), np.float32(-0.4)],
            "lrs": [1e-2, 5e-3],
            "epoch_start_timestamps": [1.69e9, 1.69e9 + 60],
            "epoch_end_timestamps": [1.69e9 + 60, 1.69e9 + 120],
        },
        "_best_ema": np.float64(0.713),
        "current_epoch": 2,
        "init_args": {**arguments, "unpack_dataset": True, "device": torch.device("cpu")},
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": None if mirroring is None else tuple(mirroring),
    }


def _dataset(channels: int, structures: Sequence[str], regions: bool) -> Json:
    labels: dict[str, int | list[int]] = {"background": 0}
    for label, name in enumerate(structures, start=1):
        labels[name] = list(range(label, len(structures) + 1)) if regions and label < len(structures) else label
    dataset: Json = {
        "channel_names": {str(i): "CT" if channels == 1 else f"sequence_{i}" for i in range(channels)},
        "labels": labels,
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    return dataset | {"regions_class_order": list(range(1, len(structures) + 1))} if regions else dataset


def _settings(
    configuration: str, patch_size: Sequence[int], spacing: Sequence[float], normalization: str, channels: int
) -> Json:
    settings: Json = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch_size),
        "median_image_size_in_voxels": [2.0 * size for size in patch_size],
        "spacing": list(spacing),
        "normalization_schemes": [normalization] * channels,
        "use_mask_for_norm": [normalization == "ZScoreNormalization"] * channels,
        "batch_dice": True,
    }
    for what, order in ("data", 3), ("seg", 1), ("probabilities", 1):
        settings[f"resampling_fn_{what}"] = "resample_data_or_seg_to_shape"
        settings[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    return settings


def _plans(
    dataset: str,
    configuration: str,
    settings: Json,
    reader: str,
    transpose: Sequence[int],
    intensities: Sequence[Mapping[str, float]],
) -> Json:
    configurations: Json = {configuration: settings}
    if configuration == "3d_lowres":
        settings["next_stage"] = "3d_cascade_fullres"
    if configuration == "3d_cascade_fullres":
        settings["previous_stage"] = "3d_lowres"
    return {
        "dataset_name": dataset,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.5, 1.5, 1.5],
        "original_median_shape_after_transp": [40, 40, 40],
        "image_reader_writer": reader,
        "transpose_forward": list(transpose),
        "transpose_backward": [list(transpose).index(axis) for axis in range(3)],
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): dict(p) for i, p in enumerate(intensities)},
    }
