"""The process that keeps networks warm: reads requests from its standard input, answers on its standard output.

Started by `client.Client`; see `protocol` for what is said. It ends when its input does. The main thread does the work,
because glibc gives other threads' memory back however it is told not to; another reads, and does so before anything
large is imported, so that a cancellation and the end of the client are seen at once. Signals that end a process end it
as they do any other: there is nothing to put in order.
"""

import logging
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError
from ..progress import Event, Progress
from ..volumes.volume import LabelMap, Volume
from .exchange import Shared, attach, share
from .process import own_pipes
from .protocol import Message, decode, encode, error_as_json, geometry_as_json, geometry_of, progress_as_json

if TYPE_CHECKING:
    from .service import Answer, Service

_log = logging.getLogger(__name__)

_SECONDS_TO_FINISH = 2.0
"""A worker without a client stops what it does within one patch, but waits no longer than this for that."""

_SECONDS_IDLE = 60.0
"""After this long without a request, memory that is only kept for speed goes back to the system."""


class Worker:
    """Takes requests in one thread, fulfils them one by one in another."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._runs: dict[int, Progress] = {}
        self._given: dict[int, Shared] = {}
        self._busy = threading.Lock()

    def run(self) -> None:
        """Work until the process ends, which it does with its input."""
        self._say({"hello": os.getpid()})
        threading.Thread(target=self._read, daemon=True).start()
        from ..engines import memory
        from .service import Service

        service = Service()
        while True:
            try:
                request = self._waiting.get(timeout=_SECONDS_IDLE)
            except queue.Empty:
                memory.give_back()
                continue
            with self._busy:
                self._fulfil(service, request)

    def _read(self) -> None:
        for line in self._requests:
            try:
                self._take(decode(line))
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("Not understood: %.200r", line)
                self._say({"id": None, "error": error_as_json(InputError(f"The worker understands no {error!r}."))})
        self._end()

    def _take(self, message: Message) -> None:
        if "cancel" in message:
            self._progress(message["cancel"]).cancel()
        elif "release" in message:
            self._given.pop(message["release"]).remove()
        else:
            self._progress(int(message["id"]))
            self._waiting.put(message)

    def _end(self) -> None:
        """Without a client: stop soon, and in order if possible."""
        for progress in list(self._runs.values()):
            progress.cancel()
        self._busy.acquire(timeout=_SECONDS_TO_FINISH)
        for shared in self._given.values():
            shared.remove()
        os._exit(0)

    def _progress(self, request: int) -> Progress:
        def tell(event: Event) -> None:
            self._say({"id": request, "progress": progress_as_json(event)})

        return self._runs.setdefault(request, Progress(tell))

    def _fulfil(self, service: "Service", request: Message) -> None:
        number = request["id"]
        try:
            self._give(number, self._answer(service, number, request))
        except Exception as error:
            self._say({"id": number, "error": error_as_json(error)})
        finally:
            self._runs.pop(number, None)

    def _answer(self, service: "Service", number: int, request: Message) -> "Answer":
        progress = self._progress(number)
        progress.check()
        volume = _volume(request["volume"]) if "volume" in request else None
        return service.answer(request["method"], request.get("arguments", {}), volume, progress)

    def _give(self, number: int, answer: "Answer") -> None:
        message: Message = {"id": number, "result": answer.result}
        if answer.label_map is not None:
            shared = share(answer.label_map.labels)
            self._given[number] = shared
            message["labels"] = _described(shared, answer.label_map)
        self._say(message)

    def _say(self, message: Message) -> None:
        with suppress(OSError):  # the end of the input, which follows, tells the same
            self._answers.write(encode(message))
            self._answers.flush()


def _volume(described: Message) -> Volume:
    return Volume(attach(described).array, geometry_of(described))


def _described(shared: Shared, label_map: LabelMap) -> Message:
    return {**shared.described, **geometry_as_json(label_map.geometry), "names": dict(label_map.names)}


def main() -> None:
    """Serve the client at the other end of standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the client's to handle
    requests, answers = own_pipes()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    Worker(requests, answers).run()


if __name__ == "__main__":
    main()
