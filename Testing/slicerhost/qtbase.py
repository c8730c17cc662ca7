"""PySide6 as the application's Qt: enumerations are ints, and what was there before a patch stays reachable."""

# mypy: ignore-errors

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

if not issubclass(QtCore.Qt.AlignmentFlag, int):
    raise RuntimeError("PySide6 was imported before the host: its enumerations are no ints")

MODULES = (QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets)

_originals: dict[tuple[type, str], object] = {}


def keep(cls: type, name: str) -> object:
    """Remembers what `name` is in `cls` itself, to be called while the patched one is in its place."""
    return _originals.setdefault((cls, name), vars(cls)[name])


def native(cls: type, name: str):
    """PySide6's own `cls.name`, unbound."""
    for base in cls.__mro__:
        if (base, name) in _originals:
            return _originals[base, name]
        if name in vars(base):
            return vars(base)[name]
    raise AttributeError(name)


def qt_classes() -> list[type]:
    """Every class of the modules, bases first. Asking for each also makes PySide6 create it, which it does lazily."""
    kind = type(QtCore.QObject)
    found = {getattr(m, n) for m in MODULES for n in dir(m) if isinstance(getattr(m, n, None), kind)}
    return sorted(found, key=lambda c: len(c.__mro__))
