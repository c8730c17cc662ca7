"""Which viewer is whose: one for each browser, by a cookie that nobody can guess."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .process import ViewerProcess


@dataclass
class User:
    """One browser: its viewer, when it was last heard of, and how many of its windows are open."""

    viewer: ViewerProcess
    heard: float = field(default_factory=time.monotonic)
    windows: int = 0

    @property
    def idle(self) -> float:
        """Seconds since it was last heard of; 0 while a window is open."""
        return 0.0 if self.windows else time.monotonic() - self.heard


class Users:
    """At most `most` at a time; who has no window open for `patience` seconds is forgotten with all that is theirs."""

    def __init__(self, start: Callable[[], ViewerProcess], most: int, patience: float) -> None:
        self._start, self._most, self._patience = start, most, patience
        self._users: dict[str, User] = {}
        self._spare: ViewerProcess | None = None
        self._ending: set[asyncio.Future[None]] = set()

    def warm_up(self) -> ViewerProcess:
        """Start a viewer for whoever comes first."""
        self._spare = self._spare or self._start()
        return self._spare

    def find(self, cookie: str) -> User | None:
        """Who sent this cookie; a viewer that has died is replaced."""
        user = self._users.get(cookie)
        if user is None:
            return None
        user.heard = time.monotonic()
        if not user.viewer.alive:
            self._end_later(user.viewer)
            user.viewer = self._start()
        return user

    def admit(self) -> str | None:
        """A cookie for a new user; None while all places are taken."""
        if len(self._users) >= self._most:
            return None
        viewer, self._spare = self._spare or self._start(), None
        cookie = secrets.token_urlsafe(32)
        self._users[cookie] = User(viewer if viewer.alive else self._start())
        return cookie

    async def forget_idle(self) -> None:
        """End the viewers of those who left."""
        for cookie, user in list(self._users.items()):
            if user.idle > self._patience:
                del self._users[cookie]
                await user.viewer.end()

    async def forget_all(self) -> None:
        viewers = [user.viewer for user in self._users.values()] + ([self._spare] if self._spare else [])
        self._users.clear()
        self._spare = None
        await asyncio.gather(*(viewer.end() for viewer in viewers))

    def _end_later(self, viewer: ViewerProcess) -> None:
        ending = asyncio.ensure_future(viewer.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
