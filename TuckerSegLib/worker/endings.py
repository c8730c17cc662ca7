"""How a process ended, in words: exit codes of the system's have names, and a silent end a likely cause."""

import signal
from contextlib import suppress

NO_MEMORY = "for lack of memory"

_CRASHES = {
    "SIGSEGV": "crashed (access to memory that is not its own)",
    "SIGBUS": "crashed (access to memory that is not there; the disk or the shared memory may be full)",
    "SIGILL": "crashed (an instruction that this processor does not have)",
    "SIGABRT": "gave up (abort), as libraries do when something is badly wrong",
    "SIGFPE": "crashed (division by zero)",
}

_WINDOWS = {
    0xC0000005: _CRASHES["SIGSEGV"],
    0xC000001D: _CRASHES["SIGILL"],
    0xC0000006: _CRASHES["SIGBUS"],
    0xC0000017: f"ended {NO_MEMORY}",
    0xC000012D: f"ended {NO_MEMORY} (the page file is too small)",
    0xC00000FD: "crashed (stack overflow)",
    0xC0000135: "could not start (a library is missing)",
    0xC0000142: "could not start (a library failed to load)",
    0xC0000374: "crashed (the heap is damaged)",
    0xC0000409: _CRASHES["SIGABRT"],
    0xC000013A: "was ended by Ctrl+C",
}
"""NTSTATUS values, with which Windows ends processes."""

_SHELL = 128
"""What launchers and shells add to the number of the signal that ended their child."""


def how_it_ended(code: int, log: str) -> str:
    """For a sentence that begins with "The worker".

    Args:
        code: the exit code, negative for a signal. A launcher's own says little about its child.
        log: what the process wrote last; whoever dies for lack of memory has no time to write why.
    """
    if code & 0xFFFFFFFF in _WINDOWS:
        return _WINDOWS[code & 0xFFFFFFFF]
    name = _signal(code)
    if name == "SIGKILL":
        return f"was killed, most likely by the system {NO_MEMORY}"
    if name in _CRASHES:
        return _CRASHES[name]
    if name:
        return f"was ended by {name}"
    ending = f"ended with code {code}"
    return ending if _says_why(log) else f"{ending} and without a word, most likely {NO_MEMORY}"


def _signal(code: int) -> str:
    number = -code if code < 0 else code - _SHELL
    with suppress(ValueError):
        return signal.Signals(number).name
    return ""


def _says_why(log: str) -> bool:
    """Whether the last lines are more than the ordinary messages of a run."""
    lines = [line for line in log.splitlines() if line.strip()]
    return any(not line.startswith(("INFO ", "WARNING ", "DEBUG ")) for line in lines)
