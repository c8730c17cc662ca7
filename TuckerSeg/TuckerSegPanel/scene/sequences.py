"""Volumes that change over time: the frames behind a volume node, and their segmentations as a sequence beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from TuckerSegLib.errors import InputError
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.volumes.scene import show_label_map


@dataclass(frozen=True)
class Frame:
    """One item of a sequence: its index value, such as a time, and the volume, which is in the sequence's own scene."""

    value: str
    volume: "slicer.vtkMRMLScalarVolumeNode"


def browser_of(volume_node: Any) -> Any:
    """The sequence browser that plays through this node, None for a volume that does not change."""
    if volume_node is None:
        return None
    browsers = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", volume_node.GetScene())
    return next((browser for browser in browsers if browser.GetSequenceNode(volume_node)), None)


def frames(volume_node: "slicer.vtkMRMLScalarVolumeNode") -> list[Frame]:
    """
    Raises:
        InputError: the volume is no sequence.
    """
    browser = browser_of(volume_node)
    sequence = browser.GetSequenceNode(volume_node) if browser else None
    if sequence is None or sequence.GetNumberOfDataNodes() == 0:
        raise InputError(_("{name} is no sequence: segment it as a single volume.").format(name=volume_node.GetName()))
    return [
        Frame(sequence.GetNthIndexValue(index), sequence.GetNthDataNode(index))
        for index in range(sequence.GetNumberOfDataNodes())
    ]


def show(
    volume_node: "slicer.vtkMRMLScalarVolumeNode",
    segmentation_node: "slicer.vtkMRMLSegmentationNode | None",
    shot: Sequence[Frame],
    results: Sequence[Segmentation],
    standard_names: bool,
) -> "slicer.vtkMRMLSegmentationNode":
    """Puts the frames' results into the scene as one segmentation that plays with the volume; gives that node."""
    browser = browser_of(volume_node)
    if browser is None:
        raise InputError(_("The sequence was removed while it was segmented: load it again."))
    segmentations = _as_sequence(volume_node, shot, results, standard_names)
    current = min(max(browser.GetSelectedItemNumber(), 0), len(shot) - 1)
    shown = results[current]
    segmentation = show_label_map(shown.label_map, volume_node, segmentation_node, standard_names, shown.described)
    _play_together(browser, segmentation, segmentations)
    return segmentation


def _as_sequence(volume_node: Any, shot: Sequence[Frame], results: Sequence[Segmentation], standard_names: bool) -> Any:
    """A sequence node outside any scene, so that nothing is left behind when a frame fails."""
    sequence = slicer.vtkMRMLSequenceNode()
    source = browser_of(volume_node).GetSequenceNode(volume_node)
    sequence.SetIndexName(source.GetIndexName())
    sequence.SetIndexUnit(source.GetIndexUnit())
    sequence.SetIndexType(source.GetIndexType())
    scratch = volume_node.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode")
    try:
        for frame, result in zip(shot, results, strict=True):
            show_label_map(result.label_map, frame.volume, scratch, standard_names, result.described)
            sequence.SetDataNodeAtValue(scratch, frame.value)
    finally:
        display = scratch.GetDisplayNode()
        volume_node.GetScene().RemoveNode(scratch)
        if display is not None and display.GetScene() is not None:
            display.GetScene().RemoveNode(display)
    return sequence


def _play_together(browser: Any, segmentation: Any, segmentations: Any) -> None:
    known = browser.GetSequenceNode(segmentation)
    if known is not None:
        known.RemoveAllDataNodes()
        for index in range(segmentations.GetNumberOfDataNodes()):
            known.SetDataNodeAtValue(segmentations.GetNthDataNode(index), segmentations.GetNthIndexValue(index))
        return
    scene = segmentation.GetScene()
    segmentations.SetName(scene.GenerateUniqueName(segmentation.GetName()))
    scene.AddNode(segmentations)
    was_modifying = browser.StartModify()  # else a proxy of its own is made before it is told of ours
    browser.AddSynchronizedSequenceNode(segmentations)
    browser.AddProxyNode(segmentation, segmentations, False)
    browser.EndModify(was_modifying)
