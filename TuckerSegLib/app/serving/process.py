"""One user's viewer: a process of its own with a private folder, both gone when its user is."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import WorkerError
from ...worker.process import SETTINGS, environment

_PACKAGE = Path(__file__).resolve().parents[2]

_SECONDS_TO_START = 300.0

_SECONDS_TO_END = 5.0

_LOG = "viewer.log"


@dataclass(frozen=True)
class Settings:
    """What a viewer is told when it starts.

    Attributes:
        folder: its own, for what its user sends.
        secret: what each request must bring, so that other users of this computer cannot ask it.
        image: a file or DICOM folder that is shown at first; the phantom where it is None.
        most_bytes: what a user may send at once.
    """

    folder: str
    secret: str
    image: str | None
    most_bytes: int


class ViewerProcess:
    """Starts at once; `port` is known once `ready` is over."""

    def __init__(self, image: Path | None, most_bytes: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tuckerseg-"))
        self.settings = Settings(
            str(self.folder), secrets.token_hex(16), None if image is None else str(image), most_bytes
        )
        self.port: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.ensure_future(self._start())

    @property
    def alive(self) -> bool:
        """Whether it is starting or runs."""
        if not self._starting.done():
            return True
        return self._process is not None and self._process.returncode is None and self._starting.exception() is None

    async def ready(self) -> int:
        """The port on which it answers, once it does.

        Raises:
            WorkerError: it could not be started.
        """
        return await asyncio.shield(self._starting)

    def log(self) -> str:
        """What it wrote to its standard error."""
        try:
            return (self.folder / _LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    async def end(self) -> None:
        """Stop it and remove its folder with all that its user sent."""
        self._starting.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin:
                process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _SECONDS_TO_END)
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def _start(self) -> int:
        # -P: a file in the current folder must not pass for one of the libraries.
        command = [sys.executable, "-P", "-m", f"{_PACKAGE.name}.app.viewer"]
        with (self.folder / _LOG).open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=_environment(),
            )
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asdict(self.settings)).encode() + b"\n")
        try:
            await self._process.stdin.drain()
            line = await asyncio.wait_for(self._process.stdout.readline(), _SECONDS_TO_START)
            self.port = int(json.loads(line)["port"])
        except (ValueError, TimeoutError, KeyError, OSError) as error:
            raise self._error() from error
        return self.port

    def _error(self) -> WorkerError:
        error = WorkerError(self._sentence())
        error.details = self.log()
        return error

    def _sentence(self) -> str:
        lines = self.log().strip().splitlines()
        reason = f" ({lines[-1].strip()})" if lines else ""
        return f"The viewer could not be started{reason}: install TuckerSeg's extra app again."


def _environment() -> dict[str, str]:
    """Where this very package is found, without the settings that are good for networks alone."""
    return {name: value for name, value in environment(os.environ).items() if name not in SETTINGS}
