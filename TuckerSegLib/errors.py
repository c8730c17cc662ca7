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
