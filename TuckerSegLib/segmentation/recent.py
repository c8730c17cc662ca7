"""What was used last, kept as long as there is room."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Recent(Generic[Kept]):
    """The last things used, the one used longest ago given up when they outgrow `limit` together, the newest never."""

    def __init__(self, limit: int, size_of: Callable[[Kept], int] = lambda _: 1) -> None:
        self._limit = limit
        self._size_of = size_of
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> tuple[Kept, bool]:
        """What is kept under `key`, or made now; and whether it was there."""
        found = key in self._kept
        if not found:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        self._give_up()
        return self._kept[key], found

    def clear(self) -> None:
        """Give everything up."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def _give_up(self) -> None:
        while len(self._kept) > 1 and sum(map(self._size_of, self._kept.values())) > self._limit:
            self._kept.popitem(last=False)
