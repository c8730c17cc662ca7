"""What can go wrong, each with one sentence that a user can act on."""

import difflib
import errno
from collections.abc import Sequence


class TuckerSegError(Exception):
    """Base of every error this package raises on purpose; its text is one sentence for the user."""

    details: str = ""
    """What a developer needs, such as a traceback or a log; empty where the sentence says it all."""


class InputError(TuckerSegError):
    """An image, a label map or a setting that cannot be used."""


class ModelError(TuckerSegError):
    """A model folder, checkpoint or compressed file that cannot be used."""


class WeightsError(ModelError):
    """Weights or a licence number of TotalSegmentator's that are missing, of which `task` says whose they are."""

    task: str = ""

    @classmethod
    def of(cls, task: str, sentence: str) -> "WeightsError":
        """The error with this sentence about the weights of `task`."""
        error = cls(sentence)
        error.task = task
        return error


class OutputError(TuckerSegError):
    """A place that results cannot be written to."""


class WorkerError(TuckerSegError):
    """The process that segments could not be started, died, or failed in a way that nobody foresaw."""


class NotEnoughMemory(TuckerSegError):
    """This computer's memory, or that of its GPU, does not suffice for the run."""


class Cancelled(TuckerSegError):
    """The user asked for the run to stop."""


_PAGING_FILE_IS_TOO_SMALL = 1455
"""Windows' number for an allocation that it could not promise memory for."""

_SIGNS_OF_LACK_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "out_of_memory",
    "bad_alloc",
    "bad allocation",  # the name of std::bad_alloc in Microsoft's library
    "paging file",
    f"os error {_PAGING_FILE_IS_TOO_SMALL}",
    f"error code: <{_PAGING_FILE_IS_TOO_SMALL}>",
    "alloc_failed",  # cuDNN and cuBLAS
    "invalid buffer size",  # Apple's Metal
    "memoryerror",  # Python, in a traceback
    "failed to map segment",  # the system's loader, of a library
    "unable to allocate",  # NumPy
    "memory allocation",  # OpenBLAS, which goes on with "still failed"
)
"""What systems and libraries write, in lower case."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch has a class for it on GPUs only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if getattr(error, "winerror", None) == _PAGING_FILE_IS_TOO_SMALL:
        return True
    return says_lack_of_memory(str(error))


def says_lack_of_memory(text: str) -> bool:
    """Whether what systems and libraries wrote says that memory ran out."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS_OF_LACK_OF_MEMORY)


def suggestion(word: str, known: Sequence[str], otherwise: str) -> str:
    """How an error about an unknown `word` ends: with the most similar of the `known` ones, or with `otherwise`."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else otherwise


def is_full_disk(error: OSError) -> bool:
    """Whether a file could not be written for want of space, or of the user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
