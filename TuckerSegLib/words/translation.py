"""Texts in the user's language, where 3D Slicer translates them; in English elsewhere."""

from collections.abc import Callable
from importlib import import_module


def _translator() -> Callable[[str], str]:
    try:
        found: Callable[[str], str] = import_module("slicer.i18n").tr
    except ImportError:
        return lambda text: text
    return found


tr = _translator()
