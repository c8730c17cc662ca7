"""The choices a user makes, typed; they live in the module's parameter node and nowhere else.

A saved scene may come from another computer or version: what cannot be read falls back to the default.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from TuckerSegLib.decomposition.published import LEVELS
from TuckerSegLib.engines.names import DEVICES
from TuckerSegLib.engines.names import NAMES as ENGINES
from TuckerSegLib.models.dataset import is_compressed
from TuckerSegLib.segmentation.request import Request


@dataclass(frozen=True)
class Text:
    """A parameter that is a string, one of `allowed` where that is given."""

    name: str
    default: str
    allowed: Sequence[str] = ()

    def __get__(self, parameters: "Parameters", owner: type) -> str:
        text = parameters.node.GetParameter(self.name) or self.default
        return text if not self.allowed or text in self.allowed else self.default

    def __set__(self, parameters: "Parameters", value: str) -> None:
        parameters.node.SetParameter(self.name, value)


@dataclass(frozen=True)
class Number:
    """A parameter that is a number in (0, 1]; None stands for what is usual, where that is the default."""

    name: str
    default: float | None

    def __get__(self, parameters: "Parameters", owner: type) -> Any:
        try:
            value = float(parameters.node.GetParameter(self.name))
        except ValueError:
            return self.default
        return value if 0 < value <= 1 else self.default

    def __set__(self, parameters: "Parameters", value: float | None) -> None:
        parameters.node.SetParameter(self.name, "" if value is None else f"{value:g}")


@dataclass(frozen=True)
class Flag:
    """A parameter that is on or off."""

    name: str
    default: bool = False

    def __get__(self, parameters: "Parameters", owner: type) -> bool:
        return {"true": True, "false": False}.get(parameters.node.GetParameter(self.name), self.default)

    def __set__(self, parameters: "Parameters", value: bool) -> None:
        parameters.node.SetParameter(self.name, "true" if value else "false")


@dataclass(frozen=True)
class Names:
    """A parameter that is a list of names."""

    name: str
    default: tuple[str, ...] = ()

    def __get__(self, parameters: "Parameters", owner: type) -> tuple[str, ...]:
        try:
            names = json.loads(parameters.node.GetParameter(self.name) or "[]")
        except ValueError:
            return self.default
        return tuple(str(name) for name in names) if isinstance(names, list) else self.default

    def __set__(self, parameters: "Parameters", value: Sequence[str]) -> None:
        parameters.node.SetParameter(self.name, json.dumps(list(value)))


@dataclass(frozen=True)
class Reference:
    """A parameter that is another node of the scene, or None."""

    name: str

    def __get__(self, parameters: "Parameters", owner: type) -> Any:
        return parameters.node.GetNodeReference(self.name)

    def __set__(self, parameters: "Parameters", node: Any) -> None:
        parameters.node.SetNodeReferenceID(self.name, node.GetID() if node else None)


class Parameters:
    """One parameter node, a `vtkMRMLScriptedModuleNode`, seen as typed attributes."""

    volume = Reference("InputVolume")
    segmentation = Reference("OutputSegmentation")
    comparison = Reference("ComparisonTable")
    trade_off = Reference("TradeOffChart")
    statistics = Reference("StatisticsTable")
    standard_names = Flag("StandardNames", True)
    all_frames = Flag("AllFrames")
    leave_core_free = Flag("LeaveCoreFree", True)

    # Called as in `Request`, of which these have the defaults.
    model = Text("Model", Request.model)
    factor = Number("Factor", Request.factor)
    device = Text("Device", Request.device, DEVICES)
    engine = Text("Engine", Request.engine, ENGINES)
    structures = Names("Structures", tuple(Request.structures))
    folds = Names("Folds", tuple(Request.folds))
    exact_ranks = Flag("ExactRanks", Request.exact_ranks)
    step = Number("Step", Request.step)
    mirroring = Flag("Mirroring", Request.mirroring)
    remove_small_blobs = Flag("RemoveSmallBlobs", Request.remove_small_blobs)
    fit_to_scan = Flag("FitToScan", Request.fit_to_scan)
    also = Names("Also", tuple(Request.also))
    at_least = Number("AtLeast", Request.at_least)

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def models(self) -> tuple[str, ...]:
        """The model, and those that segment in the same run."""
        return (self.model, *self.also)

    @property
    def threads(self) -> int:
        """All cores but one are taken where one is to be left free, so that Slicer stays quick."""
        return -1 if self.leave_core_free else Request.threads

    @property
    def memory(self) -> int | None:
        """What is free: only scripts ask for less."""
        return Request.memory

    @property
    def position(self) -> int:
        """Where the slider stands: the published level that is nearest to the factor."""
        return min(range(len(LEVELS)), key=lambda position: abs(LEVELS[position] - self.factor))

    def request(self, known_structures: Sequence[str]) -> Request:
        """What these choices ask for; structures that the model is known not to have are left out."""
        asked = {field.name: getattr(self, field.name) for field in fields(Request)}
        asked["structures"] = tuple(n for n in self.structures if not known_structures or n in known_structures)
        asked["folds"] = tuple(int(fold) if fold.isdecimal() else fold for fold in self.folds)
        if is_compressed(self.model):
            asked["factor"], asked["at_least"] = Request.factor, Request.at_least
        return Request(**asked)
