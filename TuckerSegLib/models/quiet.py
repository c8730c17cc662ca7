"""Keeps libraries from printing while they are imported or called."""

import contextlib
import io
import threading
import warnings


def quiet() -> contextlib.AbstractContextManager[None]:
    """nnU-Net prints while it is imported and set up, where a program may be talking over its standard output."""
    return _QUIET


class _Quiet:
    """No output and no warnings while any thread is inside: the first to enter sees to it, the last gives them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._redirected = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._redirected.enter_context(contextlib.redirect_stdout(io.StringIO()))
                self._redirected.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._redirected.close()


_QUIET = _Quiet()
