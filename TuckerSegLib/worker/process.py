"""Starting and ending the worker's process, and its pipes; free of PyTorch."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from .. import waiting
from ..engines import workspace
from ..errors import WorkerError
from .endings import how_it_ended, memory_kills
from .groups import SEPARATE, kill_all
from .protocol import Message, decode, encode

SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "THP_MEM_ALLOC_ENABLE": "1",
    **workspace.SETTING,
    **waiting.SETTING,
}
"""Good for a process that runs networks, and read when it starts.

The allocator keeps what is freed, in large pages: otherwise the kernel zeroes every activation's anew. Linux with
glibc. Threads that wait for work go to sleep soon.
"""

_PACKAGE = Path(__file__).resolve().parents[1]

_SECONDS_TO_END = 1.0

_LOG_LINES = 200


class WorkerProcess:
    """One worker: `on_message` and, once it has ended and said all it had to say, `on_end` are told in a thread.

    `variables` are those of its environment, to which those are added that it needs.

    What `python` starts may be a launcher, whose child the worker is: 3D Slicer's is. The worker therefore tells its
    own process in its first message, and it is that one which is killed.

    Raises:
        WorkerError: it cannot be started.
    """

    def __init__(
        self,
        python: str,
        variables: Mapping[str, str],
        on_message: Callable[["WorkerProcess", Message], None],
        on_end: Callable[["WorkerProcess"], None],
    ) -> None:
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self.proven = False
        """Whether it has answered a request."""
        self._own_pid: int | None = None
        self._memory_kills = memory_kills()
        # -P: a file in the current folder must not pass for one of the libraries.
        command = [python, "-P", "-m", f"{_PACKAGE.name}.worker.server"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(variables),
                **SEPARATE,
            )
        except OSError as error:
            raise WorkerError(f"{python} could not be started ({error.strerror}): install TuckerSeg again.") from error
        log = self._thread(self._read_log)
        self._messages = self._thread(lambda: self._read_messages(log, on_message, on_end))

    @property
    def pid(self) -> int:
        """The worker's own process; until it has told that, the one that was started."""
        return self._own_pid or self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """The last lines it wrote to its standard error."""
        return "\n".join(list(self._log))

    def send(self, message: Message) -> None:
        """What is said to a worker that has ended is lost: `on_end` tells of it."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()

    def how_it_ended(self) -> str:
        """For a sentence that begins with "The worker"."""
        code = self._process.wait()
        before, now = self._memory_kills, memory_kills()
        return how_it_ended(code, self.log, None if before is None or now is None else now > before)

    def end(self) -> None:
        """End it, at once where it does not end itself, and leave no zombie."""
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.kill()
        if threading.current_thread() is not self._messages:
            self._messages.join(_SECONDS_TO_END)

    def kill(self) -> None:
        """End the worker and the launcher it may have, whatever they are doing; waits a moment for that at most."""
        with contextlib.suppress(OSError):
            kill_all(self._process.pid, self._own_pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)

    def _read_log(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stream:
            for line in stream:
                self._log.append(line.decode(errors="replace").rstrip())

    def _read_messages(
        self,
        log: threading.Thread,
        on_message: Callable[["WorkerProcess", Message], None],
        on_end: Callable[["WorkerProcess"], None],
    ) -> None:
        assert self._process.stdout
        with self._process.stdout as stream:
            for line in stream:
                try:
                    message = decode(line)
                except ValueError:
                    self._log.append(line.decode(errors="replace").rstrip())
                else:
                    if "hello" in message:
                        self._own_pid = int(message["hello"])
                    else:
                        on_message(self, message)
        self._process.wait()
        log.join(_SECONDS_TO_END)
        on_end(self)

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """A worker's pipes to its client; libraries that print reach standard error, and those that read find nothing."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` with the settings for networks, and with this very package where Python looks first."""
    paths = [path for path in (_package_path(), base.get("PYTHONPATH")) if path]
    found = {**base, **SETTINGS, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return {**found, "PYTHONPATH": os.pathsep.join(paths)} if paths else found


def python_executable() -> str:
    """The interpreter to run the worker with: inside 3D Slicer, `sys.executable` may be the application."""
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    beside = shutil.which("PythonSlicer", path=str(Path(sys.executable).parent))
    return beside or shutil.which("PythonSlicer") or sys.executable


def _package_path() -> str | None:
    """None where the package is installed: naming that folder would put it before Python's own library."""
    parent = _PACKAGE.parent
    return None if parent.name in ("site-packages", "dist-packages") else str(parent)
