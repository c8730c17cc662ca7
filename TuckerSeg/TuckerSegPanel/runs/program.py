"""A program of its own as a run's work: polled, told how far it is, and ended with all that it started."""

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from slicer.i18n import tr as _

from TuckerSegLib.errors import Cancelled, TuckerSegError
from TuckerSegLib.progress import Event
from TuckerSegLib.worker.groups import SEPARATE, kill_all

_LAST_CHARACTERS = 6000
"""Of what a program said, the part that is kept as details of its failure."""


class Program:
    """Starts `command`, which says what it does in a file, at once.

    `variables` are its environment, `stage` is what it does, and `fraction` tells how far the whole run is. `failure`
    is raised where it fails, with its last lines as details.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        variables: Mapping[str, str],
        stage: str,
        failure: TuckerSegError,
        fraction: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._stage, self._failure, self._fraction = stage, failure, fraction
        self._told = -1.0
        self._cancelled = False
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                env=dict(variables),
                **SEPARATE,
            )
        except OSError as error:
            self._process = None
            self._said.write(f"{command[0]}: {error}")

    @property
    def done(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def poll(self) -> list[Event]:
        fraction = self._fraction()
        if fraction == self._told:
            return []
        self._told = fraction
        return [Event(self._stage, fraction, None)]

    def cancel(self) -> None:
        self._cancelled = True
        if self._process is not None:
            with suppress(OSError):
                kill_all(self._process.pid)

    def result(self) -> str:
        """What it said.

        Raises:
            TuckerSegError: it failed.
            Cancelled: `cancel` was called.
        """
        code = 1 if self._process is None else self._process.wait()
        with self._said:
            self._said.seek(0)
            said = self._said.read()
        if code and self._cancelled:
            raise Cancelled(_("It was cancelled."))
        if code:
            self._failure.details = said[-_LAST_CHARACTERS:].strip()
            raise self._failure
        return said
