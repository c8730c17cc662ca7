"""PythonQt's connections: by signature or by name, to anything callable, holding on to what they call."""

# mypy: ignore-errors

import inspect
import sys
from collections import defaultdict
from functools import partial

import shiboken6

from . import violations
from .qtbase import QtCore, native

_connect = QtCore.QObject.connect
_disconnect = QtCore.QObject.disconnect

# Stand-ins' own signals, whose arguments Qt's meta-object system has no types for: {address: {signature: [slot]}}
_python_slots = defaultdict(lambda: defaultdict(list))
_native_slots = defaultdict(list)


def normalized(signature: str) -> str:
    text = QtCore.QMetaObject.normalizedSignature(signature)
    return text if isinstance(text, str) else bytes(text).decode()


def address(obj) -> int:
    return shiboken6.getCppPointer(obj)[0]


def own_signals(cls) -> dict[str, tuple[str, ...]]:
    """{name: signatures} a stand-in class and its bases declare in `_signals`."""
    found: dict[str, tuple[str, ...]] = {}
    for base in reversed(cls.__mro__):
        for signature in vars(base).get("_signals", ()):
            name = signature.split("(")[0]
            found[name] = (*found.get(name, ()), signature)
    return found


def meta_signals(obj) -> list[str]:
    meta = obj.metaObject()
    methods = (meta.method(i) for i in range(meta.methodCount()))
    return [
        bytes(m.methodSignature()).decode() for m in methods if m.methodType() == QtCore.QMetaMethod.MethodType.Signal
    ]


def accepted(slot, arguments: tuple) -> tuple:
    """The arguments that PythonQt passes: as many as a Python function has parameters, all to anything else."""
    function = slot.__func__ if inspect.ismethod(slot) else slot
    if not inspect.isfunction(function):
        return arguments
    code = function.__code__
    if code.co_flags & inspect.CO_VARARGS:
        return arguments
    return arguments[: code.co_argcount - inspect.ismethod(slot)]


def call(slot, *arguments):
    try:
        arguments = tuple(tuple(a) if isinstance(a, list) else a for a in arguments)
        if is_qt_method(slot):
            return call_qt_method(slot, arguments)
        return slot(*accepted(slot, arguments))
    except Exception:
        violations.report_error(*sys.exc_info())


def is_qt_method(slot) -> bool:
    return getattr(slot, "is_qt_method", False) or inspect.isbuiltin(slot)


def call_qt_method(slot, arguments):
    """A slot of a Qt class may take fewer arguments than the signal has."""
    for count in range(len(arguments), -1, -1):
        try:
            return slot(*arguments[:count])
        except TypeError:
            if count == 0:
                raise


def connect(obj, signature, *receiver) -> bool:
    frame = sys._getframe(1)
    if not isinstance(signature, str) or len(receiver) not in (1, 2):
        violations.record(frame, "connect takes a signal's signature and a callable")
        raise ValueError("connect takes a signal's signature and a callable")
    slot = receiver[0] if len(receiver) == 1 else slot_of(*receiver)
    if not callable(slot):
        violations.record(frame, f"connect({signature!r}): {slot!r} cannot be called")
        raise ValueError(f"{slot!r} cannot be called")
    wanted = normalized(signature)
    if wanted in {s for group in own_signals(type(obj)).values() for s in group}:
        _forget_with(obj)
        _python_slots[address(obj)][wanted].append(slot)
        return True
    if wanted not in meta_signals(obj):
        violations.record(frame, f"{type(obj).__name__} has no signal {signature}")
        print(f"QObject::connect: no such signal {type(obj).__name__}::{signature}", file=sys.stderr)
        return False
    wrapper = partial(call, slot)
    _forget_with(obj)
    _native_slots[address(obj)].append((wanted, slot, wrapper))
    return bool(_connect(obj, QtCore.SIGNAL(wanted), wrapper))


def slot_of(receiver, slot: str):
    return getattr(receiver, slot.split("(")[0])


def disconnect(obj, signature, *receiver) -> bool:
    frame = sys._getframe(1)
    wanted = normalized(signature)
    slot = None if not receiver else receiver[0] if len(receiver) == 1 else slot_of(*receiver)
    if wanted in {s for group in own_signals(type(obj)).values() for s in group}:
        slots = _python_slots[address(obj)][wanted]
        gone = [s for s in slots if slot is None or s == slot]
        for one in gone:
            slots.remove(one)
        return bool(gone)
    if wanted not in meta_signals(obj):
        violations.record(frame, f"{type(obj).__name__} has no signal {signature}")
        return False
    entries = _native_slots[address(obj)]
    gone = [e for e in entries if e[0] == wanted and (slot is None or e[1] == slot)]
    for entry in gone:
        _disconnect(obj, QtCore.SIGNAL(wanted), entry[2])
        entries.remove(entry)
    return bool(gone)


_watched: set[int] = set()


def _forget_with(obj) -> None:
    """Connections end with the sender: its address may be another object's next."""
    key = address(obj)
    if key in _watched:
        return
    _watched.add(key)
    _connect(obj, QtCore.SIGNAL("destroyed()"), partial(_forget, key))


def _forget(key: int) -> None:
    _watched.discard(key)
    _python_slots.pop(key, None)
    _native_slots.pop(key, None)


def disconnect_all(obj) -> None:
    for signature, _, wrapper in _native_slots.pop(address(obj), ()):
        _disconnect(obj, QtCore.SIGNAL(signature), wrapper)
    _python_slots.pop(address(obj), None)


def emit(obj, signature: str, *arguments) -> None:
    """Emits a stand-in's own signal."""
    if not shiboken6.isValid(obj) or native(QtCore.QObject, "signalsBlocked")(obj):
        return
    for slot in list(_python_slots[address(obj)][signature]):
        call(slot, *arguments)


class BoundSignal:
    """`button.clicked`: the first signature of that name, to connect to, disconnect from and emit."""

    def __init__(self, obj, name: str, original=None) -> None:
        self._obj = obj
        self._name = name
        self._original = original

    def _signature(self, count: int | None = None) -> str:
        own = own_signals(type(self._obj)).get(self._name)
        signatures = own or [s for s in meta_signals(self._obj) if s.split("(")[0] == self._name]
        fitting = (s for s in signatures if count is None or count == _parameters(s))
        return next(fitting, signatures[0])

    def connect(self, slot) -> bool:
        return connect(self._obj, self._signature(), slot)

    def disconnect(self, *slot) -> bool:
        return disconnect(self._obj, self._signature(), *slot)

    def emit(self, *arguments) -> None:
        if self._original is None:
            emit(self._obj, self._signature(), *arguments)
        else:
            native(QtCore.QObject, "emit")(self._obj, QtCore.SIGNAL(self._signature(len(arguments))), *arguments)

    __call__ = emit


def _parameters(signature: str) -> int:
    inside = signature.partition("(")[2].rstrip(")")
    return inside.count(",") + 1 if inside else 0


class SignalAttribute:
    def __init__(self, name: str, original=None) -> None:
        self.name = name
        self.original = original

    def __get__(self, obj, owner=None):
        return self if obj is None else BoundSignal(obj, self.name, self.original)
