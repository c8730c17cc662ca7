"""What a client and its worker say to each other: one JSON object a line.

To the worker:    {"id", "method", "arguments", "volume"?}, {"cancel": id}, {"release": id} once a label map is copied.
From the worker:  {"hello": pid} once, {"id", "progress"}, {"id", "result", "labels"?}, {"id", "error"}.
`volume` and `labels` are described arrays (`exchange.py`) with their `ijk_to_ras`. The end of the worker's input means
that its client is gone.
"""

import json
import traceback
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from .. import errors
from ..errors import Cancelled, NotEnoughMemory, TuckerSegError, WeightsError, WorkerError, is_lack_of_memory
from ..inference.check.checked import Checked
from ..progress import Event
from ..segmentation.result import Segmentation
from ..volumes.volume import Geometry, LabelMap

Message = dict[str, Any]

Json = dict[str, Any]


def encode(message: Message) -> bytes:
    """One line, whatever the message holds."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> Message:
    """
    Raises:
        ValueError: the line is no message.
    """
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def geometry_as_json(geometry: Geometry) -> Json:
    return {"grid": list(geometry.shape), "ijk_to_ras": geometry.ijk_to_ras.tolist()}


def geometry_of(described: Json) -> Geometry:
    k, j, i = described["grid"]
    return Geometry((k, j, i), np.array(described["ijk_to_ras"]))


def progress_as_json(progress: Event) -> Json:
    return asdict(progress)


def progress_of(described: Json) -> Event:
    return Event(**described)


def segmentation_as_json(segmentation: Segmentation) -> Json:
    """All but the label map."""
    told = {field.name: getattr(segmentation, field.name) for field in fields(segmentation)}
    del told["label_map"]
    return {**told, "checks": {name: asdict(check) for name, check in segmentation.checks.items()}}


def segmentation_of(label_map: LabelMap, described: Json) -> Segmentation:
    checks = {name: Checked(**check) for name, check in described["checks"].items()}
    return Segmentation(label_map, **{**described, "checks": checks})


def error_as_json(error: BaseException) -> Json:
    """The class and sentence of an error; one that nobody foresaw becomes a sentence with its traceback as details."""
    error = _foreseen(error)
    told = {"class": type(error).__name__, "sentence": str(error), "details": error.details}
    return {**told, "task": error.task} if isinstance(error, WeightsError) else told


def error_of(described: Json) -> TuckerSegError:
    """The error that `error_as_json` described, of the same class."""
    kind = getattr(errors, str(described.get("class")), None)
    if not (isinstance(kind, type) and issubclass(kind, TuckerSegError)):
        kind = WorkerError
    error: TuckerSegError = kind(described.get("sentence", "The segmentation failed."))
    error.details = described.get("details", "")
    if isinstance(error, WeightsError):
        error.task = described.get("task", "")
    return error


def _foreseen(error: BaseException) -> TuckerSegError:
    details = "".join(traceback.format_exception(error))
    if isinstance(error, TuckerSegError):
        if error.__cause__ is not None and not isinstance(error, Cancelled):
            error.details = error.details or details
        return error
    made: TuckerSegError
    if is_lack_of_memory(error):
        made = NotEnoughMemory(
            "The memory does not suffice: close other programs, crop the image, or choose a model of lower resolution."
        )
    else:
        reason = " ".join(str(error).split()) or "no reason given"
        made = WorkerError(f"The run failed unexpectedly ({type(error).__name__}: {reason}).")
    made.details = details
    return made
