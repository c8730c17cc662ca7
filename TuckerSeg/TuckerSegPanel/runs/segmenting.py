"""What the buttons do, as steps of the worker: segment, all frames of a sequence, compare, measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.inference.check.checked import Checked, worst
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.slider.measurements import (
    Expected,
    Measurements,
    millilitres,
    preparing_of,
    seconds_of,
    setup_of,
)
from TuckerSegLib.volumes.dice import dice, mean_dice
from TuckerSegLib.volumes.scene import show_label_map, volume_from_node
from TuckerSegLib.volumes.volume import LabelMap, Volume
from TuckerSegLib.worker.client import Client

from ..scene import ownership, sequences, side_by_side
from ..scene.tables import Row, fill_comparison
from ..words import notes
from .run import Step, Steps


@dataclass(frozen=True)
class Outcome:
    """What a segmentation of `volume` left in the scene, the worker's account of it, and what is known of its level.

    `check` is the worst of all frames where there are several.
    """

    volume: "slicer.vtkMRMLScalarVolumeNode"
    segmentation: "slicer.vtkMRMLSegmentationNode"
    finished: Segmentation
    expected: Expected
    check: Checked | None = None


@dataclass(frozen=True)
class Compared:
    """What a comparison on `volume` left in the scene, and the mean Dice of the two label maps."""

    volume: "slicer.vtkMRMLScalarVolumeNode"
    segmentation: "slicer.vtkMRMLSegmentationNode"
    table: "slicer.vtkMRMLTableNode | None"
    agreement: float


@dataclass(frozen=True)
class _Both:
    """A level's result, which `segmentation` shows, the original network's, and their mean Dice."""

    segmentation: "slicer.vtkMRMLSegmentationNode"
    ours: LabelMap
    original: LabelMap
    agreement: float


@dataclass(frozen=True)
class _Image:
    """A volume and what tells whether it is still the one that was segmented before."""

    volume: Volume
    identity: tuple[Any, ...]

    @classmethod
    def of(cls, node: "slicer.vtkMRMLScalarVolumeNode") -> "_Image":
        volume = volume_from_node(node)
        return cls(volume, (node.GetID(), node.GetImageData().GetMTime(), volume.geometry.ijk_to_ras.tobytes()))


class Segmenting:
    """Steps of one client; remembers what was measured, and the last result of the original network."""

    def __init__(self, client: Client, measurements: Measurements) -> None:
        self._client = client
        self._measurements = measurements
        self._original: tuple[tuple[Any, ...], LabelMap] | None = None

    def segment(
        self,
        volume_node: "slicer.vtkMRMLScalarVolumeNode",
        segmentation_node: "slicer.vtkMRMLSegmentationNode | None",
        request: Request,
        standard_names: bool,
    ) -> Steps:
        """Into `segmentation_node` where that is the volume's own, else into a new one."""
        image = _Image.of(volume_node)
        finished = yield Step(self._client.segment(image.volume, request))
        agreement = self._keep(image, request, finished)
        own = ownership.own_segmentation(segmentation_node, volume_node)
        node = show_label_map(finished.label_map, volume_node, own, standard_names)
        self._describe(node, volume_node, request, finished, agreement)
        return Outcome(volume_node, node, finished, self._expected(request), finished.check)

    def segment_frames(
        self,
        volume_node: "slicer.vtkMRMLScalarVolumeNode",
        segmentation_node: "slicer.vtkMRMLSegmentationNode | None",
        request: Request,
        standard_names: bool,
    ) -> Steps:
        """Every frame of the sequence that `volume_node` shows, into a sequence of its own that plays with it."""
        frames = sequences.frames(volume_node)
        results: list[Segmentation] = []
        for index, frame in enumerate(frames):
            title = _("Frame {number} of {count}").format(number=index + 1, count=len(frames))
            image = _Image.of(frame.volume)
            job = self._client.segment(image.volume, request)
            results.append((yield Step(job, index, len(frames), title)))
        own = ownership.own_sequence(segmentation_node, volume_node)
        node = sequences.show(volume_node, own, frames, results, standard_names)
        check = worst(filter(None, (finished.check for finished in results)))
        return Outcome(volume_node, node, results[-1], self._expected(request), check)

    def compare(
        self,
        volume_node: "slicer.vtkMRMLScalarVolumeNode",
        segmentation_node: "slicer.vtkMRMLSegmentationNode | None",
        table_node: "slicer.vtkMRMLTableNode | None",
        request: Request,
        standard_names: bool,
    ) -> Steps:
        """The chosen level into the scene, and a table of how it differs from the original network."""
        both = yield from self._both(volume_node, segmentation_node, request, standard_names)
        found = rows(both.ours, both.original)
        table = fill_comparison(ownership.own_table(table_node, volume_node), both.segmentation, found)
        ownership.is_about(table, volume_node)
        table.SetDescription(both.segmentation.GetDescription())
        return Compared(volume_node, both.segmentation, table, both.agreement)

    def side_by_side(
        self,
        volume_node: "slicer.vtkMRMLScalarVolumeNode",
        segmentation_node: "slicer.vtkMRMLSegmentationNode | None",
        request: Request,
        standard_names: bool,
    ) -> Steps:
        """The chosen level and, beside it, the original network's result and where they differ."""
        both = yield from self._both(volume_node, segmentation_node, request, standard_names)
        side_by_side.show(volume_node, both.segmentation, both.ours, both.original, standard_names)
        return Compared(volume_node, both.segmentation, None, both.agreement)

    def measure(
        self, volume_node: "slicer.vtkMRMLScalarVolumeNode", request: Request, factors: Sequence[float]
    ) -> Steps:
        """Seconds and agreement of some levels on this volume, which is given back; leaves nothing in the scene."""
        image = _Image.of(volume_node)
        request = replace(request, structures=())
        compressed = [factor for factor in factors if factor != 1]
        count = len(compressed) + 1
        yield from self._original_of(image, request, 0, count)
        for index, factor in enumerate(compressed, start=1):
            title = _("Level {factor:g}").format(factor=factor)
            level = replace(request, factor=factor)
            finished = yield Step(self._client.segment(image.volume, level), index, count, title)
            self._keep(image, level, finished)
        return volume_node

    def _both(self, volume_node: Any, segmentation_node: Any, request: Request, standard_names: bool) -> Steps:
        """The chosen level into the scene, and the original network's result."""
        image = _Image.of(volume_node)
        original = yield from self._original_of(image, request, 0, 2)
        title = _("Level {factor:g}").format(factor=request.factor)
        finished = yield Step(self._client.segment(image.volume, request), 1, 2, title)
        agreement = self._keep(image, request, finished)
        own = ownership.own_segmentation(segmentation_node, volume_node)
        node = show_label_map(finished.label_map, volume_node, own, standard_names)
        if agreement is None:
            agreement = mean_dice(original.labels, finished.label_map.labels)
        self._describe(node, volume_node, request, finished, agreement)
        return _Both(node, finished.label_map, original, agreement)

    def _describe(
        self, node: Any, volume_node: Any, request: Request, finished: Segmentation, agreement: float | None
    ) -> None:
        """What is known of a result is saved with it."""
        expected = self._expected(request)
        node.SetDescription(notes.of_result(volume_node.GetName(), request, finished, agreement, expected))

    def _expected(self, request: Request) -> Expected:
        return self._measurements.expected(setup_of(request), request.factor, None)

    def _original_of(self, image: _Image, request: Request, index: int, count: int) -> Steps:
        request = replace(request, factor=1.0)
        if self._original is None or self._original[0] != _identity(image, request):
            step = Step(self._client.segment(image.volume, request), index, count, _("Original network"))
            self._keep(image, request, (yield step))
        assert self._original is not None
        return self._original[1]

    def _keep(self, image: _Image, request: Request, finished: Segmentation) -> float | None:
        """Remembers what this run tells about its level; gives the agreement where the original's result is known."""
        setup = setup_of(request)
        if not request.structures:  # fewer structures may need fewer networks, and agree otherwise
            self._measurements.remember_time(setup, request.factor, seconds_of(finished), millilitres(image.volume))
            prepared = None if finished.cache_hit else preparing_of(finished)
            self._measurements.remember_preparation(setup, request.factor, prepared)
        if request.factor == 1:
            self._original = (_identity(image, request), finished.label_map)
        if self._original is None or self._original[0] != _identity(image, replace(request, factor=1.0)):
            return None
        agreement = mean_dice(self._original[1].labels, finished.label_map.labels)
        if not request.structures:
            self._measurements.remember_agreement(setup, request.factor, agreement)
        return agreement


def unmeasured(measurements: Measurements, request: Request) -> list[float]:
    """The published levels whose time or agreement is not known."""
    known = {
        level.factor
        for level in measurements.of(setup_of(request))
        if level.seconds is not None and level.agreement is not None
    }
    return [factor for factor in LEVELS if factor not in known]


def rows(ours: LabelMap, original: LabelMap) -> list[Row]:
    """One row a structure that occurs in either map, in label order."""
    counts, original_counts = ours.voxel_counts(), original.voxel_counts()
    ml = ours.geometry.voxel_volume
    names: Mapping[int, str] = {**original.names, **ours.names}
    return [
        Row(
            names.get(label, f"label_{label}"),
            value,
            counts.get(label, 0) * ml,
            original_counts.get(label, 0) * ml,
        )
        for label, value in dice(original.labels, ours.labels).items()
    ]


def _identity(image: _Image, request: Request) -> tuple[Any, ...]:
    return (*image.identity, request)
