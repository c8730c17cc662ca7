"""How a process ended, in words: exit codes of the system's have names, and a silent end a likely cause."""

import signal
from contextlib import suppress
from pathlib import Path

from ..errors import says_lack_of_memory

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

_KILLED = {
    True: f"was killed by the system {NO_MEMORY}",
    False: "was killed by another program, such as a job scheduler, a watchdog or a task manager",
    None: f"was killed, perhaps by the system {NO_MEMORY}",
}
"""By whether the system killed for lack of memory meanwhile."""

_SHELL = 128
"""What launchers and shells add to the number of the signal that ended their child."""


_LEAST = 3_000_000_000
"""Bytes of addresses without which a worker cannot even start; what fails then need not say that it is for that."""

_COUNTS = Path("/proc/vmstat")


def memory_kills() -> int | None:
    """How many processes Linux has killed for lack of memory since it started; None where nobody counts."""
    with suppress(OSError, ValueError, IndexError):
        return next(int(line.split()[1]) for line in _COUNTS.read_text().splitlines() if line.startswith("oom_kill "))
    return None


def allowed_memory() -> int | None:
    """Bytes that a process started from this one may have, as `ulimit -v` and job schedulers set them; None for any."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((limit for limit in limits if limit != resource.RLIM_INFINITY), default=None)


def how_it_ended(code: int, log: str, killed_for_memory: bool | None = None) -> str:
    """For a sentence that begins with "The worker".

    Args:
        code: the exit code, negative for a signal. A launcher's own says little about its child.
        log: what the process wrote last; whoever dies for lack of memory has no time to write why.
        killed_for_memory: whether the system killed any process for lack of memory meanwhile; None where it is unknown.
    """
    if code & 0xFFFFFFFF in _WINDOWS:
        return _WINDOWS[code & 0xFFFFFFFF]
    name = _signal(code)
    if name == "SIGKILL":
        return _KILLED[killed_for_memory]
    if name in _CRASHES:
        return _CRASHES[name]
    if name:
        return f"was ended by {name}"
    if says_lack_of_memory(log):
        return f"ended {NO_MEMORY}"
    ending, allowed = f"ended with code {code}", allowed_memory()
    if allowed is not None and allowed < _LEAST:
        return f"{ending}, most likely {NO_MEMORY} (it may have {allowed / 1e9:.1f} GB)"
    if _says_why(log):
        return ending
    return f"{ending} and without a word{'' if killed_for_memory is False else f', most likely {NO_MEMORY}'}"


def _signal(code: int) -> str:
    number = -code if code < 0 else code - _SHELL
    with suppress(ValueError):
        return signal.Signals(number).name
    return ""


def _says_why(log: str) -> bool:
    """Whether the last lines are more than the ordinary messages of a run."""
    lines = [line for line in log.splitlines() if line.strip()]
    return any(not line.startswith(("INFO ", "WARNING ", "DEBUG ")) for line in lines)
