"""A trained network as the folder that inference needs, with nothing that tells where it was made."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Json = dict[str, Any]


def write_folder(folder: Path, weights: dict[str, Tensor], plans: Json, dataset: Json, epoch: int) -> None:
    """nnU-Net's own folder: plans.json, dataset.json and fold_0/checkpoint_final.pth."""
    kept = {
        "network_weights": weights,
        "optimizer_state": None,
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": None,
        "current_epoch": epoch,
        "init_args": {"plans": plans, "configuration": "3d_fullres", "fold": 0, "dataset_json": dataset},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    torch.save(kept, folder / "fold_0" / "checkpoint_final.pth")
    for name, content in (("plans.json", plans), ("dataset.json", dataset)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    print(f"{folder}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.1f} MB")


def read_json(folder: Path, *names: str) -> list[Json]:
    """The files' contents, in the order of their names."""
    return [json.loads((folder / name).read_text()) for name in names]
