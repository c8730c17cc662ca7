"""What the features share: the image that is open, what was found in it, and who segments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...folders import cache_folder
from ...segmentation.request import Request
from ...segmentation.result import Segmentation
from ...segmentation.slider.measurements import Measurements
from ...store import Store
from ...volumes.volume import LabelMap, Volume
from ...worker.client import Client

if TYPE_CHECKING:
    from ..viewer.scene import Scene

_MEASUREMENTS = "app measurements"


@dataclass(frozen=True)
class Image:
    """What is open; `source` is the file or DICOM folder it came from, None for a phantom."""

    volume: Volume
    name: str
    source: Path | None = None


@dataclass(frozen=True)
class Found:
    """A segmentation, what was asked for, and the node that shows it."""

    request: Request
    segmentation: Segmentation
    node: Any

    @property
    def label_map(self) -> LabelMap:
        return self.segmentation.label_map


@dataclass
class Desk:
    """Features set what they are in charge of and `tell` the others, which look at it anew."""

    scene: "Scene"
    client: Client
    measurements: Measurements
    image: Image | None = None
    found: Found | None = None
    compared: Found | None = None
    """The second of two positions that lie side by side; `found` is the first."""
    _listeners: list[Callable[[], None]] = field(default_factory=list)

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called when another image is open, or something else was found in it."""
        self._listeners.append(listener)

    def tell(self) -> None:
        for listener in self._listeners:
            listener()

    def open(self, image: Image) -> None:
        """Another image takes the place of all that was there."""
        self.image, self.found, self.compared = image, None, None

    def put(self, found: Found, compared: Found | None = None) -> None:
        """What was found in the image, and what it is compared with."""
        self.found, self.compared = found, compared
        self.tell()


def shared_measurements() -> Measurements:
    """What was measured on this computer, by whichever user: seconds and agreement, nothing of any image."""
    store = Store(cache_folder())

    def read() -> str:
        kept = store.read_json(_MEASUREMENTS)
        return str(kept["text"]) if kept else ""

    return Measurements(read, lambda text: store.write_json(_MEASUREMENTS, {"text": text}))
