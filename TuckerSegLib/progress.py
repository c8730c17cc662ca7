"""How far a run is, and the wish to stop it; free of PyTorch, so that any process can import it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .errors import Cancelled


@dataclass(frozen=True)
class Event:
    """Where a run stands.

    `stage` is "start" (of the worker), "measure" (what is fast on this computer, once), "compress", "preprocess",
    "predict" or "postprocess", `fraction` is of the whole run, 0 to 1. `seconds_left` of the whole run is None until
    the network has run once. While layers are measured, the `number`th of `count` is.
    """

    stage: str
    fraction: float
    seconds_left: float | None
    number: int = 0
    count: int = 0


ProgressCallback = Callable[[Event], None]


class Cancellation:
    """A wish to stop, told from any thread and seen by the run before its next step."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def cancel(self) -> None:
        self._asked.set()

    @property
    def cancelled(self) -> bool:
        return self._asked.is_set()

    def raise_if_cancelled(self) -> None:
        """
        Raises:
            Cancelled: `cancel` was called.
        """
        if self.cancelled:
            raise Cancelled("The segmentation was cancelled.")
