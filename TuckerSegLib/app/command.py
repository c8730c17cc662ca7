"""What `tuckerseg app` does: checks what this computer has, starts the server and opens the browser."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, OutputError

_RENDERERS = (("libEGL.so.1", "libGL.so.1"), ("libOSMesa.so.8",))
"""What VTK draws with on Linux: all of one of these."""


@dataclass(frozen=True)
class Options:
    """How the application is started; `image` is what it shows at first, the phantom where that is None."""

    image: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    browser: bool = True
    users: int = 4
    most_bytes: int = 8 << 30


def run(options: Options, say: Callable[[str], None]) -> None:
    """Serve until it is interrupted.

    Raises:
        InputError: the image, the host or the port cannot be used.
        OutputError: packages or libraries are missing.
    """
    check_packages()
    check_libraries()
    if options.image is not None and not options.image.exists():
        raise InputError(f"{options.image} does not exist: check the name.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, say))


def check_packages() -> None:
    """
    Raises:
        OutputError: a package is missing.
    """
    if any(find_spec(name) is None for name in ("slicer", "trame_slicer", "aiohttp")):
        raise OutputError("The application needs more packages: install them with pip install 'tuckerseg[app]'.")


def check_libraries() -> None:
    """Whether there is something to draw with, without which VTK would crash.

    Raises:
        OutputError: there is not.
    """
    if sys.platform.startswith("linux") and not any(all(map(_is_there, names)) for names in _RENDERERS):
        raise OutputError(
            "The libraries that draw the views are missing: run 'sudo apt install libegl1 libgl1 libgl1-mesa-dri'."
        )


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


async def _serve(options: Options, say: Callable[[str], None]) -> None:
    from aiohttp import web

    from .serving.access import Access
    from .serving.gate import Gate, Limits

    access = Access(options.host, options.token)
    gate = Gate(access, Limits(options.users, most_bytes=options.most_bytes), options.image and options.image.resolve())
    runner = web.AppRunner(gate.app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, options.host, options.port)
        try:
            await site.start()
        except OSError as error:
            raise InputError(
                f"Port {options.port} of {options.host} cannot be used ({error.strerror}): choose another with --port."
            ) from error
        await gate.first.ready()
        address = _address(options, runner.addresses[0][1])
        say(f"TuckerSeg runs at {address} (Ctrl+C ends it).")
        if options.browser:
            webbrowser.open(address)
        await _until_stopped()
    finally:
        await runner.cleanup()


def _address(options: Options, port: int) -> str:
    name = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{name}:{port}/" + (f"?token={options.token}" if options.token else "")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
