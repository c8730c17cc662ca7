"""The networks of a run one after the other: while one predicts, the next is opened, and decomposed or read."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

from ...models.totalsegmentator.tasks import Network
from ...threads import set_threads
from ..prepare import PreparedModel
from .costs import Overall

Load = Callable[[Network], PreparedModel]

_SECONDS_BETWEEN_LOOKS = 0.1


class Prefetcher:
    """Gives the networks in order; never has more than the one that is used and the one that follows."""

    def __init__(self, networks: Sequence[Network], load: Load, overall: Overall) -> None:
        self._waiting = deque(networks)
        self._load = load
        self._overall = overall
        # PyTorch gives a new thread the number that any thread was given last, and some engines give theirs one.
        threads = torch.get_num_threads()
        self._thread = ThreadPoolExecutor(1, "next network", set_threads, (threads,))
        self._following: Future[PreparedModel] | None = None

    def __enter__(self) -> "Prefetcher":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._overall.loading.cancel()
        self._thread.shutdown(cancel_futures=True)

    def next(self) -> PreparedModel:
        """The next network, prepared.

        Raises:
            TuckerSegError: as opening and compressing it do.
            Cancelled: the run was cancelled.
        """
        assert self._following is not None
        while not self._following.done():
            self._overall.check()
            wait([self._following], _SECONDS_BETWEEN_LOOKS)
        prepared = self._following.result()
        self._begin()
        return prepared

    def _begin(self) -> None:
        self._following = None
        if self._waiting:
            self._following = self._thread.submit(self._load, self._waiting.popleft())
