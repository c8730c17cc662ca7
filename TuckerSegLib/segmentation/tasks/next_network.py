"""The networks of a run one after the other: while one predicts, the next is opened, and decomposed or read."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

from ...models.totalsegmentator.tasks import Network
from ...progress import Cancellation
from ...threads import set_threads
from ..prepare import Ready

Load = Callable[[Network, Cancellation], Ready]

_SECONDS_BETWEEN_LOOKS = 0.1


class Levels:
    """Gives the networks in order; never has more than the one that is used and the one that follows."""

    def __init__(self, networks: Sequence[Network], load: Load, cancellation: Cancellation) -> None:
        self._waiting = deque(networks)
        self._load = load
        self._cancellation = cancellation
        self._leaving = Cancellation()
        # PyTorch gives a new thread the number that any thread was given last, and some engines give theirs one.
        threads = torch.get_num_threads()
        self._thread = ThreadPoolExecutor(1, "next network", set_threads, (threads,))
        self._following: Future[Ready] | None = None

    def __enter__(self) -> "Levels":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.cancel()
        self._thread.shutdown(cancel_futures=True)

    def next(self) -> Ready:
        """The next network, ready to run.

        Raises:
            TuckerSegError: as opening and compressing it do.
            Cancelled: the run's cancellation was asked for.
        """
        assert self._following is not None
        while not self._following.done():
            self._cancellation.raise_if_cancelled()
            wait([self._following], _SECONDS_BETWEEN_LOOKS)
        ready = self._following.result()
        self._begin()
        return ready

    def _begin(self) -> None:
        self._following = None
        if self._waiting:
            self._following = self._thread.submit(self._load, self._waiting.popleft(), self._leaving)
