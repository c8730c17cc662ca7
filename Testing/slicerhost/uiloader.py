"""Loads Qt Designer files: stand-ins for the classes PySide6 does not have, and their connections.

A signal of a stand-in is none to Qt, so the connections of the file are made here, not by Qt's loader.
"""

# mypy: ignore-errors

import xml.etree.ElementTree as ET

from . import ctk_standins, qmrml_standins, signals, violations
from .pythonqt import is_property
from .qtbase import QtCore, QtUiTools, native
from .standin import API

STAND_INS = {**ctk_standins.STAND_INS, **qmrml_standins.STAND_INS}
# Their wrappers hold what a stand-in knows; C++ alone would let go of them.
alive: list = []


def remember(widget):
    alive.append(widget)
    return widget


class QUiLoader(QtUiTools.QUiLoader):
    def createWidget(self, class_name, parent=None, name=""):
        if class_name in STAND_INS:
            widget = remember(STAND_INS[class_name](parent) if parent is not None else STAND_INS[class_name]())
            widget.objectName = name
            return widget
        if class_name in API or class_name.startswith(("ctk", "qMRML", "qSlicer")):
            raise NotImplementedError(f"The host has no stand-in for {class_name} yet")
        return native(QtUiTools.QUiLoader, "createWidget")(self, class_name, parent, name)

    def load(self, device, parent=None):
        tree = ET.fromstring(bytes(device.readAll()))
        _check_properties(tree)
        connections = list(tree.iter("connection"))
        for element in tree.findall("connections"):
            tree.remove(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        root = native(QtUiTools.QUiLoader, "load")(self, buffer, parent)
        for connection in connections:
            _connect(root, connection)
        return root


def _check_properties(tree) -> None:
    """A property the class does not have becomes a dynamic one without a word: in the application too."""
    for widget in tree.iter("widget"):
        cls = STAND_INS.get(widget.get("class"))
        if cls is None:
            continue
        for element in widget.findall("property"):
            name = element.get("name")
            if element.get("stdset") != "0" and not is_property(cls, name) and name not in cls._not_done:
                where = f"{widget.get('name')} ({cls.__name__})"
                violations.violations.append(f".ui file: {where} has no property {name}")


def _connect(root, connection) -> None:
    sender, signal, receiver, slot = (connection.findtext(t) for t in ("sender", "signal", "receiver", "slot"))
    source, target = _named(root, sender), _named(root, receiver)
    if source is None or target is None:
        violations.violations.append(f".ui file: no widget {sender if source is None else receiver} to connect")
    elif not callable(getattr(target, slot.split("(")[0], None)):
        violations.violations.append(f".ui file: {receiver} has no slot {slot}")
    elif not signals.connect(source, signal, target, slot):
        violations.violations.append(f".ui file: {sender} has no signal {signal}")


def _named(root, name: str):
    return root if root.objectName == name else root.findChild(QtCore.QObject, name)
