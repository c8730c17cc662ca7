"""PySide6's classes, changed in place until they behave as PythonQt's wrappers do.

Properties are attributes (`label.text = "x"`), signals connect by signature, attributes that do not exist cannot be
made, methods take no keywords and give tuples. In place, so that widgets the .ui loader creates behave so too.
What PythonQt would refuse is recorded (see violations) and refused here as well.
"""

# mypy: ignore-errors

import functools
import sys
from types import FunctionType, MethodType

from . import signals, violations
from .qtbase import QtCore, keep, native, qt_classes

_ITEMS = ("QListWidgetItem", "QTableWidgetItem", "QTreeWidgetItem", "QStandardItem")
_METHOD = type(QtCore.QObject.parent)
_SIGNAL = QtCore.Signal
_HOST_PACKAGE = __name__.rpartition(".")[0]
_INTERNAL = {"connect", "disconnect", "metaObject", "property", "setProperty"}


class PythonQtError(AttributeError):
    pass


def _text(value) -> str:
    return value if isinstance(value, str) else bytes(value).decode()


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


class Method:
    """A method as PythonQt has it. Not a function: PySide6 would take that for an override of a virtual one."""

    def __init__(self, function, name: str) -> None:
        self.function = function
        self.name = name

    def __get__(self, obj, owner=None):
        return self.function if obj is None else BoundMethod(self, obj)


class BoundMethod:
    is_qt_method = True

    def __init__(self, method: Method, obj) -> None:
        self.method = method
        self.obj = obj

    def __call__(self, *arguments, **keywords):
        if keywords:
            what = f"{type(self.obj).__name__}.{self.method.name}: PythonQt takes no keyword arguments"
            violations.record(sys._getframe(1), what)
            if violations.is_module_code(sys._getframe(1)):
                raise TypeError(what)
        if any(isinstance(a, FunctionType | MethodType) for a in arguments):
            what = f"{type(self.obj).__name__}.{self.method.name}: PythonQt takes no function here, only in connect"
            violations.record(sys._getframe(1), what)
        return _tuple(self.method.function(self.obj, *arguments, **keywords))

    def __eq__(self, other) -> bool:
        return isinstance(other, BoundMethod) and other.method is self.method and other.obj is self.obj

    def __hash__(self) -> int:
        return hash((id(self.method), id(self.obj)))

    def __repr__(self) -> str:
        return f"<method {self.method.name} of {self.obj!r}>"


class Property:
    """A Q_PROPERTY as an attribute."""

    def __init__(self, cls: type, name: str, kind: str, writable: bool) -> None:
        self.name, self.kind, self.writable = name, kind, writable
        self.getter = _find(cls, (name, "is" + name[0].upper() + name[1:]))
        self.setter = _find(cls, ("set" + name[0].upper() + name[1:],))
        # QGuiApplication.platformName() is a function of the class, and a property of the application.
        self.static = next((vars(c)[name] for c in cls.__mro__ if _is_static(vars(c).get(name))), None)

    def __get__(self, obj, owner=None):
        if obj is None:
            return self if self.static is None else self.static.__get__(None, owner)
        if self.getter is not None:
            return _tuple(self.getter(obj))
        return _tuple(native(QtCore.QObject, "property")(obj, self.name))

    def __set__(self, obj, value) -> None:
        value = self._converted(obj, value)
        try:
            if self.setter is None:
                native(QtCore.QObject, "setProperty")(obj, self.name, value)
            else:
                self.setter(obj, value)
        except TypeError as error:
            given = type(value).__name__
            raise PythonQtError(
                f"Property '{self.name}' of type '{self.kind}' does not accept an object of type {given} ({value!r})"
            ) from error

    def _converted(self, obj, value):
        """As leniently as PythonQt: numbers into texts and each other, ints into enumerations."""
        simple = {"int": int, "double": float, "bool": bool, "QString": str}.get(self.kind)
        if simple is not None and isinstance(value, (str if simple is str else int, int, float)):
            return simple(value)
        if type(value) is int:
            kind = type(self.__get__(obj))
            return kind(value) if issubclass(kind, int) else value
        return value


def _is_static(value) -> bool:
    return isinstance(value, staticmethod)


def _find(cls: type, names: tuple[str, ...]):
    """The instance method of the first of these names that PySide6 has."""
    for name in names:
        try:
            found = native(cls, name)
        except AttributeError:
            continue
        if type(found) is _METHOD:
            return found
    return None


def _properties(cls: type) -> dict[str, tuple[str, bool]]:
    meta = cls.staticMetaObject
    found = (meta.property(i) for i in range(meta.propertyCount()))
    return {_text(p.name()): (_text(p.typeName()), p.isWritable()) for p in found}


def patch() -> None:
    """Once a process."""
    for cls in qt_classes():
        is_object = issubclass(cls, QtCore.QObject)
        if is_object or cls.__name__ in _ITEMS:
            _patch_methods(cls)
        if is_object:
            _patch_properties(cls)
        if is_object or cls.__name__ in _ITEMS:
            _patch_constructor(cls)
    _patch_object()
    _patch_metaclass()
    _patch_single_shot()


def _patch_methods(cls: type) -> None:
    for name, value in list(vars(cls).items()):
        if name.startswith("__"):
            continue
        if isinstance(value, _SIGNAL):
            keep(cls, name)
            setattr(cls, name, signals.SignalAttribute(name, value))
        elif type(value) is _METHOD and name not in _INTERNAL:
            keep(cls, name)
            setattr(cls, name, Method(value, name))


def _patch_properties(cls: type) -> None:
    """Where a class declares the property, and where it has a method of that name, which would hide it."""
    inherited = _properties(cls.__mro__[1]) if hasattr(cls.__mro__[1], "staticMetaObject") else {}
    for name, (kind, writable) in _properties(cls).items():
        if name not in inherited or isinstance(vars(cls).get(name), Method):
            setattr(cls, name, Property(cls, name, kind, writable))


def _patch_constructor(cls: type) -> None:
    if "__init__" in vars(cls):
        cls.__init__ = without_keywords(keep(cls, "__init__"), cls.__name__)


def without_keywords(function, name: str):
    """The function, refusing keyword arguments from a module."""

    @functools.wraps(function)
    def call(self, *arguments, **keywords):
        frame = sys._getframe(1)
        if keywords and violations.is_module_code(frame):
            what = f"{name}: PythonQt takes no keyword arguments"
            violations.record(frame, what)
            raise TypeError(what)
        return function(self, *arguments, **keywords)

    call.is_qt_method = True
    return call


def _patch_object() -> None:
    cls = QtCore.QObject
    # QObject's own refuses to be called for an object whose class overrides it.
    plain_set = cls.__mro__[1].__setattr__

    def set_attribute(self, name: str, value) -> None:
        frame = sys._getframe(1)
        found = _class_attribute(type(self), name)
        assignable = isinstance(found, (Property, QtCore.Property))
        trusted = not violations.is_module_code(frame)
        if assignable and value is None and not trusted:
            what = f"{type(self).__name__}.{name} does not accept None"
            violations.record(frame, what)
            raise PythonQtError(what)
        if assignable and not _writable(found):
            violations.record(frame, f"{type(self).__name__}.{name} is read-only")
            raise PythonQtError(f"{type(self).__name__}.{name} is read-only")
        if isinstance(found, Property):
            found.__set__(self, value)
        elif assignable:
            found.fset(self, value)
        elif _is_python_class(type(self)) or (trusted and name.startswith("_")):
            plain_set(self, name, value)
        elif found is None and self.property(name) is not None:
            self.setProperty(name, value)
        else:
            what = f"{type(self).__name__} has no property {name} to assign to"
            violations.record(frame, what)
            raise PythonQtError(what)

    def missing_attribute(self, name: str):
        own = signals.own_signals(type(self))
        if name in own:
            return signals.BoundSignal(self, name)
        if not name.startswith("_"):
            dynamic = native(cls, "property")(self, name)
            if dynamic is not None:
                return dynamic
            frame = sys._getframe(1)
            gap = name in getattr(type(self), "_not_done", ())
            if gap and violations.reads_attribute(frame):
                raise NotImplementedError(f"{type(self).__name__}.{name} exists in Slicer, but the host has none yet")
            if violations.reads_attribute(frame):
                violations.record(frame, f"{type(self).__name__} has no {name} in PythonQt")
        raise PythonQtError(f"{type(self).__name__} object has no attribute {name!r}")

    # Every class PySide6 generates has slots of its own for these.
    for derived in (c for c in qt_classes() if issubclass(c, cls)):
        if "__setattr__" in vars(derived):
            derived.__setattr__ = set_attribute
        if "__getattribute__" in vars(derived):
            derived.__getattribute__ = _attribute_reader(derived)
    cls.__getattr__ = missing_attribute
    cls.name = Property(cls, "objectName", "QString", True)
    cls.className = lambda self: self.metaObject().className()
    cls.delete = lambda self: self.deleteLater()
    cls.help = lambda self: None


# PySide6 answers for these two before it looks into the class.
_SPECIAL = {"connect": signals.connect, "disconnect": signals.disconnect}


def _attribute_reader(cls: type):
    original = keep(cls, "__getattribute__")

    def get_attribute(self, name: str):
        if name in _SPECIAL:
            return MethodType(_SPECIAL[name], self)
        if name[0] == "_" and name[1] != "_":
            _check_private(self, name, sys._getframe(1))
        return original(self, name)

    return get_attribute


def _check_private(obj, name: str, frame) -> None:
    """What the host keeps in its stand-ins is not there in the application."""
    if violations.is_module_code(frame) and not _is_python_class(type(obj)):
        violations.record(frame, f"{type(obj).__name__} has no {name} in PythonQt")
        raise PythonQtError(f"{type(obj).__name__} object has no attribute {name!r}")


def _class_attribute(cls: type, name: str):
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def is_property(cls: type, name: str) -> bool:
    return isinstance(_class_attribute(cls, name), (Property, QtCore.Property))


def _writable(found) -> bool:
    return found.writable if isinstance(found, Property) else found.fset is not None


def _is_python_class(cls: type) -> bool:
    """A class a module derived: PythonQt lets Python add attributes to those."""
    return not cls.__module__.startswith(("PySide6.", _HOST_PACKAGE))


def _patch_metaclass() -> None:
    """PythonQt's classes do not inherit from each other: an object is one of its own class only."""
    metaclass = type(QtCore.QObject)

    def instance_check(cls, obj) -> bool:
        frame = sys._getframe(1)
        if not violations.is_module_code(frame) or _is_python_class(cls) or not issubclass(cls, QtCore.QObject):
            return type.__instancecheck__(cls, obj)
        violations.record(frame, f"isinstance with {cls.__name__}: use .inherits('{cls.__name__}')")
        wrapped = next((c for c in type(obj).__mro__ if not _is_python_class(c)), None)
        return cls is wrapped

    metaclass.__instancecheck__ = instance_check


def _patch_single_shot() -> None:
    single_shot = QtCore.QTimer.singleShot

    def later(milliseconds: int, slot) -> None:
        single_shot(milliseconds, functools.partial(signals.call, slot))

    QtCore.QTimer.singleShot = staticmethod(later)


patch()
