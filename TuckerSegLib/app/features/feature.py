"""A feature's logic: a small state that the page shows, and what changes it."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from trame_server import Server
from trame_server.utils.asynchronous import create_task
from trame_server.utils.typed_state import IStateEncoderDecoder, TypedState

S = TypeVar("S")


class _AsIs(IStateEncoderDecoder):  # type: ignore[misc]
    """States hold what JSON has; what a page sent instead is for the logic to refuse."""

    def encode(self, obj: Any) -> Any:
        return obj

    def decode(self, obj: Any, obj_type: Any) -> Any:
        return obj


def later(server: Server, handler: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """What begins `handler` and does not wait for it: the page's next message is not heard before one is answered."""

    async def go_on(*values: Any) -> None:
        try:
            await handler(*values)
        finally:
            server.state.flush()

    def begin(*values: Any) -> None:
        create_task(go_on(*values))

    return begin


class Feature(Generic[S]):
    """`data` reads and writes the state's fields, and `name` names them for the page."""

    def __init__(self, server: Server, state: type[S]) -> None:
        self.server = server
        self._typed = TypedState(server.state, state, encoder=_AsIs())
        self.data: S = self._typed.data
        self.name: S = self._typed.name
        self._bind = self._typed.bind_changes

    def later(self, handler: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        """For what takes long: `handler` goes on while the page says what else is wanted, such as to cancel it."""
        return later(self.server, handler)

    def flush(self) -> None:
        """What changed reaches the page now, not once the event loop comes by."""
        self.server.state.flush()
