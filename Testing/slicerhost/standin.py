"""What every stand-in shares: the application's API for its class, and properties that hold a value.

api.json says what Slicer 5.13's class offers Python: properties, slots and invokable methods, signals.
"""

# mypy: ignore-errors

import json
from collections.abc import Callable
from pathlib import Path

from . import pythonqt  # noqa: F401  (stand-ins derive from patched classes)
from .pythonqt import PythonQtError, without_keywords
from .qtbase import QtCore

API = json.loads(Path(__file__).with_name("api.json").read_text())
_CONVERTED: dict[object, Callable] = {
    bool: bool,
    int: int,
    float: float,
    "QString": str,
    "QStringList": lambda value: (value,) if isinstance(value, str) else tuple(value),
}
# PySide6's dynamic meta-objects know other kinds only as any Python object.
_KINDS = {bool, int, float, "QString", "QStringList"}


def stand_in(cls: type) -> type:
    """Gives a class its signals and the names it lacks, and refuses names the application's class has not."""
    entries = _entries(cls)
    offered = {name for entry in entries for name in (*entry["properties"], *entry["methods"])}
    own = {name for name in vars(cls) if not name.startswith("_")}
    virtual = {name for name in own if any(hasattr(base, name) for base in cls.__mro__[1:])}
    if own - offered - virtual:
        raise TypeError(f"{cls.__name__} offers {own - offered - virtual}, which it does not in the application")
    methods = {name for entry in entries for name in entry["methods"] if name in own}
    for name in {*methods, "__init__"} & set(vars(cls)):
        if callable(vars(cls)[name]):
            setattr(cls, name, without_keywords(vars(cls)[name], cls.__name__))
    cls._signals = tuple(signal for entry in entries for signal in entry["signals"])
    cls._not_done = (offered - own) | getattr(cls.__mro__[1], "_not_done", set())
    return cls


def _entries(cls: type) -> list[dict]:
    """The API of the class, and of those bases in the application that the host has no class for."""
    inherited = {base.__name__ for base in cls.__mro__[1:]}
    name, entries = cls.__name__, []
    while name in API and name not in inherited:
        entries.append(API[name])
        name = API[name]["base"]
    return entries


def stored(kind, initial, changed: str = "", writable: bool = True):
    """A property that holds a value and calls the method `changed` after it got another one."""
    key = object()

    def get(self):
        return _values(self).get(key, initial)

    def set_value(self, value) -> None:
        try:
            value = _CONVERTED.get(kind, lambda v: v)(value)
        except (TypeError, ValueError) as error:
            raise PythonQtError(f"Property of type '{kind}' does not accept {value!r}") from error
        if value != get(self):
            _values(self)[key] = value
            if changed:
                getattr(self, changed)()

    return QtCore.Property(kind if kind in _KINDS else object, get, set_value if writable else None)


def computed(kind, get: Callable, set_value: Callable | None = None):
    """A property whose value is elsewhere."""
    converted = _CONVERTED.get(kind, lambda v: v)
    setter = None if set_value is None else lambda self, value: set_value(self, converted(value))
    return QtCore.Property(kind if kind in _KINDS else object, get, setter)


def _values(self) -> dict:
    if "_stored_values" not in self.__dict__:
        self.__dict__["_stored_values"] = {}
    return self.__dict__["_stored_values"]
