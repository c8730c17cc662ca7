"""What tests of the panel do again and again: volumes in, segmentations out, as on a computer that lacks packages."""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from TuckerSegLib.segmentation.slider.measurements import Setup

from .paths import ROOT

MODULE = ROOT / "TuckerSeg" / "TuckerSeg.py"
STRUCTURES = ["liver", "spleen", "kidney_left", "kidney_right"]
STANDARD_NAMES = ["liver", "spleen", "left kidney", "right kidney"]
FEW, MANY = (24, 24, 24), (72, 72, 72)
"""Voxels (K, J, I) of a volume that is segmented at once, and of one that takes some seconds."""
PATIENCE = 120.0
SMALL_PHANTOM = """
import sys
import numpy
numpy.savez(sys.argv[2], voxels=numpy.full((8, 9, 10), -1024, "int16"), ijk_to_ras=numpy.diag([-2.0, -2.0, 3.0, 1.0]))
"""
"""Makes a phantom at once."""


def use_this_python() -> None:
    """The worker is run by the application's own Python, which is the one that runs the tests."""
    sys.modules["qt"].QSettings().setValue("TuckerSeg/Python", "slicer")


def part(name: str) -> Any:
    """One of the files the module is made of, which are found once the host has loaded it."""
    return importlib.import_module(f"TuckerSegPanel.{name}")


def parameters(panel: Any) -> Any:
    return part("choices.parameters").Parameters(panel.logic.getParameterNode())


def add_volume(shape: tuple[int, int, int] = FEW, name: str = "CT") -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    voxels = np.random.default_rng(0).normal(0, 300, shape).astype(np.int16)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetSpacing(1.5, 1.5, 1.5)
    return node


def count(kind: str) -> int:
    import slicer

    return int(slicer.mrmlScene.GetNumberOfNodesByClass(kind))


def segmentations() -> list[Any]:
    import slicer

    return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


def names_of(segmentation: Any) -> list[str]:
    found = segmentation.GetSegmentation()
    return [found.GetNthSegment(index).GetName() for index in range(found.GetNumberOfSegments())]


def is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.is_file() and "State:\tZ" not in status.read_text()


def without(host: Any, panel: Any, *packages: str) -> None:
    """As on a computer that lacks these packages; the panel is opened anew."""
    host.missing_packages.clear()
    host.missing_packages.update(packages)
    panel.switch_away()
    panel.enter()


def remember(panel: Any, model: str, factors: list[float]) -> None:
    """As if these levels had been measured before."""
    setup = Setup(model)
    for factor in factors:
        panel.logic.measurements.remember_time(setup, factor, 10 * factor, 1.0)
        panel.logic.measurements.remember_agreement(setup, factor, factor)


def add_sequence(frames: int) -> tuple[Any, Any]:
    """A volume that plays `frames` frames, and its browser."""
    import slicer

    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Cine")
    for index in range(frames):
        frame = add_volume()
        sequence.SetDataNodeAtValue(frame, str(index))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return browser.GetProxyNode(sequence), browser


def qt_names() -> Any:
    """The names of Qt, once a host has started."""
    return sys.modules["qt"].Qt
