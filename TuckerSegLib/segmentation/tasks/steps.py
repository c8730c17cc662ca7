"""What TotalSegmentator does around its networks, in the same order and, where they can be called, by its functions.

Compare `totalsegmentator` in its python_api.py and `nnUNet_predict_image` in its nnunet.py. Images are nibabel's,
label maps (I, J, K).
"""

# mypy: allow-untyped-calls

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Image

from ...engines.memory import give_back
from ...errors import ModelError
from ...inference.check.checked import Checked, worst
from ...models.totalsegmentator.tasks import Network, Task
from ...progress import Progress, seconds_together
from ..one_model import run
from ..prepare import PreparedModel
from . import postprocessing
from .checks import check_memory
from .costs import Overall
from .how import How
from .nibabel_images import Labels, labels_of, spacing_of, volume_of, with_labels
from .prefetcher import Prefetcher
from .resampling import to_shape, to_spacing
from .thirds import Piece, pieces_of


@dataclass(frozen=True)
class _Place:
    """Where to look (1 inside), and the voxels outside which the result is cleared, both on the image's grid."""

    mask: Labels
    within: npt.NDArray[np.bool_] | None


class Steps:
    """One run of a task and of the tasks it builds on; adds up what their networks say of themselves.

    Attributes:
        seconds: by stage.
        cache_hit: whether every network was in the cache.
        checks: what was found out about each network's answer, by its data set; the worst of it for a large image's
            parts.
        choices: those made on this computer that went into any of them.
    """

    def __init__(self, networks: Prefetcher, overall: Overall, how: How) -> None:
        self._networks, self._how = networks, how
        self._overall = overall
        self._last: PreparedModel | None = None
        self.seconds: dict[str, float] = {}
        self.cache_hit = True
        self.choices: dict[str, Any] = {}
        self.checks: dict[str, Checked] = {}

    @property
    def last(self) -> PreparedModel:
        """The network that ran last."""
        assert self._last is not None
        return self._last

    def labels(self, task: Task, image: Nifti1Image, remove_small_blobs: bool = False) -> Labels:
        """The task's labels on the image's grid.

        Raises:
            TuckerSegError: as `segment_task`.
        """
        place = self._place(task, image)
        if place is not None and not place.mask.any():
            return np.zeros(image.shape, np.uint8)
        body = self.labels(task.refined_by, image) if task.refined_by else None
        labels = self._inside(task, image, place, remove_small_blobs)
        if body is not None:
            labels = postprocessing.refined(labels, body, task, spacing_of(image))
        if task.wanted is not None:
            labels[~np.isin(labels, list(task.found))] = 0
        if place is not None and place.within is not None:
            labels = postprocessing.within(labels, place.within, task, spacing_of(image))
        return labels

    def _place(self, task: Task, image: Nifti1Image) -> _Place | None:
        if task.crop is None:
            return None
        found = self.labels(task.crop.task, image)
        names = {name: label for label, name in task.crop.task.structures.items()}
        mask = np.isin(found, [names[name] for name in task.crop.structures])
        kept = np.isin(found, [names[name] for name in task.within[0]]) if task.within else None
        return _Place(mask.view(np.uint8), kept)

    def _inside(self, task: Task, image: Nifti1Image, place: _Place | None, remove_small_blobs: bool) -> Labels:
        """The labels of the task's own networks, run over the place they look at, on the image's grid."""
        if place is None:
            return self._on_grid(task, image, None, remove_small_blobs)
        from totalsegmentator.cropping import crop_to_bbox_nifti, crop_to_mask

        assert task.crop is not None
        mask = with_labels(place.mask, image.affine)
        cropped, box = crop_to_mask(image, mask, addon=task.crop.margin, dtype=np.int32)
        prompt = crop_to_bbox_nifti(mask, box, np.uint8) if task.cascaded else None
        image.uncache()
        del mask
        labels = np.zeros(image.shape, np.uint8)
        labels[tuple(slice(*ends) for ends in box)] = self._on_grid(task, cropped, prompt, remove_small_blobs)
        return labels

    def _on_grid(self, task: Task, image: Nifti1Image, prompt: Nifti1Image | None, remove_small_blobs: bool) -> Labels:
        """The labels of the task's own networks on `image`'s grid; `prompt` is their second channel."""
        from totalsegmentator.alignment import as_closest_canonical, undo_canonical

        check_memory(task, image.shape, spacing_of(image))
        canonical = as_closest_canonical(image)
        channels = [_resampled(canonical, task, 1, np.int32)]
        if prompt is not None:
            channels.append(_resampled(as_closest_canonical(prompt), task, 0, np.uint8))
        shape, affine = canonical.shape, channels[0].affine
        del canonical
        labels = self._predicted(task, channels)
        labels = postprocessing.cleaned(with_labels(labels, affine), task, remove_small_blobs)
        labels = to_shape(labels, shape)
        return labels_of(undo_canonical(with_labels(labels, affine), image))

    def _predicted(self, task: Task, channels: list[Nifti1Image]) -> Labels:
        """The merged labels of the task's own networks on the grid they work on."""
        labels = np.zeros(channels[0].shape, np.uint8)
        pieces = pieces_of(channels[0].shape, task)
        for network in task.networks:
            if len(task.networks) > 1:
                give_back()  # what the network before had for its patches would lie beside the next one's
            self._add(task, network, channels, pieces, labels)
        return labels

    def _add(
        self, task: Task, network: Network, channels: list[Nifti1Image], pieces: list[Piece], labels: Labels
    ) -> None:
        """Draw what one network finds over `labels`."""
        self._last = None  # its memory may be needed for the next
        start = perf_counter()
        progress = self._overall.next()
        prepared = self._last = self._networks.next()
        self.seconds = seconds_together(self.seconds, {"load": perf_counter() - start})
        table = _table(task, network, prepared)
        for index, piece in enumerate(pieces):
            seen = [channel.slicer[:, :, piece.seen] for channel in channels]
            found = self._run(task, network, prepared, seen, progress.part(index, len(pieces)))
            mapped = table[found[:, :, piece.kept]]
            np.copyto(labels[:, :, piece.target], mapped, where=mapped != 0)
        self.cache_hit &= prepared.cache_hit

    def _run(
        self, task: Task, network: Network, prepared: PreparedModel, channels: list[Nifti1Image], progress: Progress
    ) -> Labels:
        result = run(prepared, volume_of(*channels), progress, self._how.step_of(task))
        self.seconds = seconds_together(self.seconds, result.seconds)
        self.choices |= result.choices
        checked = worst([*result.checks.values(), *filter(None, [self.checks.get(network.dataset)])])
        if checked:
            self.checks[network.dataset] = checked
        labels: Labels = result.label_map.labels.T.astype(np.uint8, copy=False)
        return labels


def _table(task: Task, network: Network, prepared: PreparedModel) -> Labels:
    """The task's label for each of the network's.

    Raises:
        ModelError: the network has no outputs for some of the structures it should find.
    """
    part = task.parts.get(network.number)
    outputs = max(prepared.model.labels)
    if outputs < max(part or task.structures):
        raise ModelError(
            f"{network.dataset} finds {outputs} structures where {task.name} has {max(part or task.structures)}: "
            "these are weights of another version, install them again."
        )
    if part is None:
        return np.arange(256, dtype=np.uint8)
    label_of = {name: label for label, name in task.structures.items()}
    table = np.zeros(256, np.uint8)
    for label, name in part.items():
        table[label] = label_of[name]
    return table


def _resampled(image: Nifti1Image, task: Task, order: int, dtype: type[np.generic]) -> Nifti1Image:
    return image if task.spacing is None else to_spacing(image, task.spacing, order, dtype)
