"""How a benchmark talks to the processes it measures: a line with a JSON object, answered by another such line."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ...errors import WorkerError
from ...waiting import as_usual
from ...worker.process import own_pipes
from ...worker.protocol import Json, decode, encode, error_as_json, error_of


class Program:
    """A process that answers requests; `name` is what messages call it."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self._name, self._process = name, process

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **request: object) -> Json:
        """
        Raises:
            TuckerSegError: the program failed, or ended.
        """
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer: Json = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            code = self._process.wait()
            raise WorkerError(f"{self._name} ended before it was done, with code {code}.") from None
        if "error" in answer:
            raise error_of(answer["error"])
        return answer


@contextmanager
def program(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Start the command, unless `environment` says otherwise as if we had set nothing; it ends with the block."""
    environment = as_usual(os.environ) if environment is None else environment
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=environment) as process:
        yield Program(name, process)


def serve(answer: Callable[[Json], Json]) -> None:
    """Answer requests, in the process, until the input ends; an error is an answer too."""
    requests, answers = own_pipes()
    for line in requests:
        try:
            said = answer(decode(line))
        except (Exception, SystemExit) as error:
            said = {"error": error_as_json(error)}
        answers.write(encode(said))
        answers.flush()
