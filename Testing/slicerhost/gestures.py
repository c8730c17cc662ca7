"""What a person does to a panel. Who presses a button that is hidden or greyed out is told so."""

# mypy: ignore-errors

import time
from collections.abc import Callable

from PySide6 import QtTest

from .ctk_standins import ctkCheckableComboBox, ctkCollapsibleButton, ctkPathLineEdit
from .qmrml_standins import qMRMLNodeComboBox, qMRMLSegmentSelectorWidget
from .qtbase import QtCore, QtWidgets

_Qt = QtCore.Qt
_mouse = QtTest.QTest


def process_events(milliseconds: int = 0) -> None:
    """Everything that is due, and what that makes due; for a time, if one is given."""
    end = time.monotonic() + milliseconds / 1000
    while True:
        QtCore.QCoreApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
        QtCore.QCoreApplication.sendPostedEvents(None, int(QtCore.QEvent.DeferredDelete))
        if time.monotonic() >= end:
            return


def wait_until(predicate: Callable[[], object], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            return False
        process_events()
        time.sleep(0.005)
    return True


def _check(widget) -> None:
    name = widget.objectName or type(widget).__name__
    if not widget.window().visible:
        widget.window().show()
    process_events()
    if not widget.visible:
        raise AssertionError(f"{name} cannot be seen")
    if not widget.enabled:
        raise AssertionError(f"{name} is disabled")


def click(widget, position=None) -> None:
    _check(widget)
    if position is None:
        position = _place(widget)
    _mouse.mouseClick(widget, _Qt.LeftButton, _Qt.NoModifier, position)
    process_events()


def _place(widget):
    """Where clicking does something: the box of a check box, the header of a collapsible."""
    if isinstance(widget, ctkCollapsibleButton):
        return QtCore.QPoint(30, 8)
    if isinstance(widget, QtWidgets.QCheckBox | QtWidgets.QRadioButton):
        return QtCore.QPoint(10, widget.height // 2)
    if isinstance(widget, QtWidgets.QGroupBox):
        return QtCore.QPoint(14, 8)
    return widget.rect.center()


def drag(slider, value: float) -> None:
    """Takes the handle with the mouse, moves it in steps and lets go where the value is."""
    _check(slider)
    inner = getattr(slider, "_slider", slider)
    target = value
    if inner is not slider:
        target = round((value - slider.minimum) / slider.singleStep)
    start, end = _handle(inner, inner.sliderPosition), _handle(inner, int(target))
    _mouse.mousePress(inner, _Qt.LeftButton, _Qt.NoModifier, start)
    for step in range(1, 9):
        _move(inner, start + (end - start) * (step / 8))
    # A slider has more values than pixels, at times.
    if inner.sliderPosition != target:
        inner.sliderPosition = int(target)
    _mouse.mouseRelease(inner, _Qt.LeftButton, _Qt.NoModifier, end)
    process_events()


def _handle(slider, position: int):
    option = QtWidgets.QStyleOptionSlider()
    slider.initStyleOption(option)
    option.sliderPosition = position
    style = QtWidgets.QStyle
    return slider.style().subControlRect(style.CC_Slider, option, style.SC_SliderHandle, slider).center()


def _move(widget, position) -> None:
    _mouse.mouseMove(widget, position)
    process_events()


def type_text(field, text: str) -> None:
    """Replaces what a field holds; a line edit is left with Tab, as its signals expect."""
    _check(field)
    if isinstance(field, ctkPathLineEdit):
        field = field.comboBox().lineEdit()
    editor = field.findChild(QtWidgets.QLineEdit) if isinstance(field, QtWidgets.QAbstractSpinBox) else field
    if isinstance(field, QtWidgets.QComboBox):
        editor = field.lineEdit()
    editor.setFocus()
    editor.selectAll()
    _mouse.keyClick(editor, _Qt.Key_Delete)
    _mouse.keyClicks(editor, str(text))
    if isinstance(editor, QtWidgets.QLineEdit):
        _mouse.keyClick(editor, _Qt.Key_Tab)
    process_events()


def choose(combo, what) -> None:
    """An entry of a combo box by text or index; a node, its name or an entry such as "Create new Segmentation"."""
    _check(combo)
    if isinstance(combo, ctkCheckableComboBox):
        _toggle_entry(combo, what)
        return
    inner = combo
    if isinstance(combo, qMRMLNodeComboBox):
        inner = combo._combo
        what = what.GetName() if hasattr(what, "GetName") else combo.noneDisplay if what is None else what
    elif isinstance(combo, qMRMLSegmentSelectorWidget):
        inner = combo._segments
    index = what if isinstance(what, int) else inner.findText(what)
    if not 0 <= index < inner.count:
        offered = [inner.itemText(i) for i in range(inner.count)]
        raise AssertionError(f"{what!r} is not among {offered}")
    inner.currentIndex = index
    inner.activated.emit(index)
    inner.textActivated.emit(inner.itemText(index))
    process_events()


def _toggle_entry(combo, what) -> None:
    row = what if isinstance(what, int) else combo.findText(what)
    index = combo.model().index(row, 0)
    checked = combo.checkState(index) == _Qt.Checked
    combo.setCheckState(index, _Qt.Unchecked if checked else _Qt.Checked)
    process_events()


def press(widget, key: int, times: int = 1) -> None:
    _check(widget)
    inner = getattr(widget, "_slider", widget)
    inner.setFocus()
    for _ in range(times):
        _mouse.keyClick(inner, _Qt.Key(key))
    process_events()


def minimum_width(widget) -> int:
    """Pixels below which the contents of the window would be cut off."""
    widget.window().show()
    process_events(20)
    return widget.window().minimumSizeHint.width()


def screenshot(widget, path, width: int = 420) -> None:
    """The window of `widget` at this width and as high as it needs, as a PNG; then that of the widget in it."""
    window = widget.window()
    window.show()
    window.resize(width, max(window.sizeHint.height(), 50))
    process_events(50)
    height = window.layout().totalHeightForWidth(width) if window.layout() is not None else -1
    window.resize(width, max(height, window.minimumSizeHint.height(), 50))
    process_events(50)
    if not widget.grab().save(str(path)):
        raise OSError(f"{path} could not be written")
