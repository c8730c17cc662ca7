"""What can go wrong, each with one sentence that a user can act on."""


class TuckerSegError(Exception):
    """Base of every error this package raises on purpose; its text is one sentence for the user."""

    details: str = ""
    """What a developer needs, such as a traceback or a log; empty where the sentence says it all."""


class InputError(TuckerSegError):
    """An image, a label map or a setting that cannot be used."""


class ModelError(TuckerSegError):
    """A model folder, checkpoint or compressed file that cannot be used."""


class OutputError(TuckerSegError):
    """A place that results cannot be written to."""


class WorkerError(TuckerSegError):
    """The process that segments could not be started, died, or failed in a way that nobody foresaw."""


class NotEnoughMemory(TuckerSegError):
    """This computer's memory, or that of its GPU, does not suffice for the run."""


class Cancelled(TuckerSegError):
    """The user asked for the run to stop."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch has a class for it on GPUs only."""
    text = str(error).lower()
    signs = ("not enough memory", "can't allocate memory", "out of memory", "cannot allocate memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
