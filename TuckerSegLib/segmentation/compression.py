"""A model compressed into one file that can be handed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..models.cache import Cache
from ..models.compressed import check_output, write
from ..models.opening import open_model
from ..progress import Progress
from .named_policies import fitted_on, policy_of


@dataclass(frozen=True)
class CompressedFile:
    """A compressed model that was written: the file, the report on what was done, and whether the cache had it."""

    path: Path
    report: Mapping[str, Any]
    cache_hit: bool

    def __str__(self) -> str:
        kept, before = self.report["parameters"], self.report["parameters_before"]
        return f"{self.path}: {kept:,} of {before:,} parameters"


def compress_to_file(
    model: str | Path,
    output: str | Path,
    policy: str = "relative",
    *,
    images: Sequence[str] = (),
    folds: Sequence[int | str] = (),
    progress: Progress | None = None,
    **settings: float | int | str | None,
) -> CompressedFile:
    """Compress a model and write it to `output`, whole or not at all.

    Args:
        policy: relative (as published), energy, vbmf or budget.
        images: the layers are fitted on these, without labels: "phantoms", files or folders.
        folds: of a trained folder; all otherwise.
        settings: of the policy: factor, share, minimum, measure.

    Raises:
        InputError: the policy, a setting or an image cannot be used.
        ModelError: the model cannot be used.
        OutputError: `output` has another suffix than .tuckerseg, or cannot be written.
        Cancelled: `progress` was cancelled.
    """
    output = Path(output)
    check_output(output)
    opened = open_model(model, list(folds) or None)
    if opened.is_second_stage:
        raise ModelError(f"{opened.name} is a cascade of two models, and one file holds one: segment with its folder.")
    chosen = policy_of(policy, opened, **settings)
    small, hit = Cache().compressed(opened, fitted_on(images, opened, chosen) if images else chosen, progress)
    write(small, output)
    assert small.compression is not None
    return CompressedFile(output, small.compression.report, hit)
