"""What can go wrong, each with one sentence that a user can act on."""


class TuckerSegError(Exception):
    """Base of every error this package raises on purpose; its text is one sentence for the user."""


class InputError(TuckerSegError):
    """An image, a label map or a setting that cannot be used."""


class ModelError(TuckerSegError):
    """A model folder, checkpoint or compressed file that cannot be used."""


class OutputError(TuckerSegError):
    """A place that results cannot be written to."""


class Cancelled(TuckerSegError):
    """The user asked for the run to stop."""
