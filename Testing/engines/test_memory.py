"""Memory is measured and given back on every system, each of which answers in its own way."""

import ctypes
import sys

import pytest

from TuckerSegLib.engines import memory


def _windows_library(name: str | None, *_: object, **__: object) -> ctypes.CDLL:
    """What `ctypes.CDLL` does on Windows, whose way of looking for a name begins with `"/" in name`."""
    raise TypeError(f"argument of type '{type(name).__name__}' is not iterable")


def test_memory_is_given_back_on_windows_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", _windows_library)
    memory.give_back()


@pytest.mark.parametrize("error", [OSError("no such library"), AttributeError("malloc_trim")])
def test_an_allocator_without_trimming_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def library(_: str | None) -> ctypes.CDLL:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    memory.give_back()


def test_the_peak_includes_what_was_held_for_a_moment() -> None:
    before = memory.peak_memory()
    bytearray(b"x") * (before + 50_000_000)
    assert memory.peak_memory() >= before + 50_000_000
