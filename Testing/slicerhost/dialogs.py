"""Modal dialogs: nobody sits there to answer, so they are recorded, and answered as the test said beforehand."""

# mypy: ignore-errors

from collections import deque
from typing import NamedTuple

from .qtbase import QtWidgets

_Box = QtWidgets.QMessageBox
_KINDS = {
    int(_Box.NoIcon): "message",
    int(_Box.Information): "info",
    int(_Box.Warning): "warning",
    int(_Box.Critical): "error",
    int(_Box.Question): "question",
}
_YES = (_Box.Ok, _Box.Yes, _Box.Retry, _Box.Open, _Box.Save, _Box.Apply)
_NO = (_Box.Cancel, _Box.No, _Box.Close, _Box.Abort, _Box.Ignore, _Box.Discard)


class Dialog(NamedTuple):
    kind: str
    text: str
    details: str
    title: str = ""


recorded: list[Dialog] = []
answers: deque = deque()


def reset() -> None:
    recorded.clear()
    answers.clear()


def _answer(default):
    return answers.popleft() if answers else default


def _execute(dialog) -> int:
    if not isinstance(dialog, _Box):
        recorded.append(Dialog("dialog", dialog.windowTitle, "", dialog.windowTitle))
        return _run(dialog, _answer(False))
    recorded.append(Dialog(_KINDS[int(dialog.icon)], dialog.text, dialog.detailedText, dialog.windowTitle.strip()))
    buttons = [b for b in (*_YES, *_NO) if int(dialog.standardButtons) & int(b)]
    if len(buttons) < 2:
        return int(buttons[0]) if buttons else int(_Box.Ok)
    answer = _answer(False)
    if callable(answer):
        return _run(dialog, answer)
    return int(next((b for b in buttons if b in (_YES if answer else _NO)), buttons[0]))


def _run(dialog, answer) -> int:
    """`answer` is yes or no, or a function that gets the shown dialog and does something with it."""
    if not callable(answer):
        return int(bool(answer))
    dialog.show()
    answer(dialog)
    dialog.hide()
    return int(dialog.result())


def _static_box(kind: str):
    def ask(parent, title: str, text: str, buttons=None, default=None) -> int:
        recorded.append(Dialog(kind, text, "", title))
        if kind != "question":
            return int(_Box.Ok)
        offered = int(buttons if buttons is not None else _Box.Yes | _Box.No)
        wanted = _YES if _answer(False) else _NO
        return int(next((b for b in wanted if offered & int(b)), _Box.No))

    return staticmethod(ask)


def _static_path(kind: str, nothing):
    def ask(parent=None, caption: str = "", directory: str = "", *_):
        recorded.append(Dialog(kind, caption, "", caption))
        answer = _answer(nothing)
        return (tuple(answer) if isinstance(nothing, tuple) else str(answer)) if answer else nothing

    return staticmethod(ask)


def patch() -> None:
    dialog, files = QtWidgets.QDialog, QtWidgets.QFileDialog
    for cls in (dialog, _Box, files, QtWidgets.QInputDialog, QtWidgets.QProgressDialog):
        cls.exec_ = _execute
        cls.exec = _execute
    for name, kind in (
        ("information", "info"),
        ("warning", "warning"),
        ("critical", "error"),
        ("question", "question"),
    ):
        setattr(_Box, name, _static_box(kind))
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        setattr(files, name, _static_path("file", ""))
    files.getOpenFileNames = _static_path("file", ())
    QtWidgets.QInputDialog.getText = _static_path("input", "")


patch()
