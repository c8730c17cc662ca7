"""The modules `qt`, `ctk` and `slicer` as a scripted module imports them."""

# mypy: ignore-errors

import sys
from types import ModuleType

import slicer
import slicer.util

from . import application, ctk_standins, qmrml_standins, scripted_module, violations
from .qtbase import MODULES
from .uiloader import QUiLoader

# PySide6's own, which PythonQt has not or has differently.
_PYSIDE_ONLY = {"Signal", "Slot", "Property", "QEnum", "QFlag", "ClassInfo", "SIGNAL", "SLOT", "qVersion"}
_PYSIDE_ONLY |= {"QUiLoader", "QSignalBlocker"}


def _guard(module: ModuleType) -> ModuleType:
    """Names that are not there are recorded when read, not when asked for by hasattr."""

    def missing(name: str):
        frame = sys._getframe(1)
        if not name.startswith("__") and violations.reads_attribute(frame):
            violations.record(frame, f"{module.__name__}.{name} does not exist")
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = missing
    return module


def qt_module() -> ModuleType:
    module = ModuleType("qt")
    for source in MODULES:
        names = (n for n in dir(source) if not n.startswith("_") and n not in _PYSIDE_ONLY)
        vars(module).update({n: getattr(source, n) for n in names})
    module.QUiLoader = QUiLoader
    return _guard(module)


def ctk_module() -> ModuleType:
    module = ModuleType("ctk")
    vars(module).update(ctk_standins.STAND_INS)
    return _guard(module)


def fill_slicer() -> None:
    """Takes away what the core package's `slicer` has and the application's has not, and adds what that has."""
    for name in dir(slicer.util):
        if not name.startswith("__") and getattr(slicer, name, slicer) is getattr(slicer.util, name):
            delattr(slicer, name)
    for name in ("me", "info", "item_name", "module", "iter_modules", "import_module", "extend_path"):
        vars(slicer).pop(name, None)
    vars(slicer).update(qmrml_standins.STAND_INS)
    slicer.qSlicerScriptedLoadableModule = scripted_module.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = scripted_module.qSlicerScriptedLoadableModuleWidget
    slicer.qSlicerLayoutManager = application.qSlicerLayoutManager
    slicer.i18n = _module("slicer.i18n", tr=_tr, translate=_translate, getContext=_context)
    base = _module("slicer.ScriptedLoadableModule", **{c.__name__: c for c in scripted_module.NAMES})
    base.__all__ = [c.__name__ for c in scripted_module.NAMES]
    slicer.ScriptedLoadableModule = base
    _guard(slicer)


def _module(name: str, **content) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(content)
    return module


def _tr(text: str) -> str:
    return text


def _translate(context: str, text: str, disambiguation: str | None = None, n: int = -1) -> str:
    return text


def _context(path: str) -> str:
    return path
