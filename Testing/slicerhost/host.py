"""The host: starts what stands in for the application, loads modules into it and plays its user."""

# mypy: ignore-errors

import contextlib
import importlib.util
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import slicer
import slicer.util

from . import application, dialogs, gestures, namespaces, packages, sample_data, scene, uiloader, violations
from .application import LoadableModule, Modules, make_application, qSlicerMainWindow
from .qtbase import QtWidgets
from .scripted_module import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget
from .signals import emit

_current: list["Host"] = []
_prepared: list[bool] = []


def start(offscreen: bool = True, main_window: bool = True, packaging: bool = True, pytorch: bool = False) -> "Host":
    """The running host, or a new one with an empty scene. `offscreen=False` uses the display there is (Xvfb).

    Args:
        main_window: False is `Slicer --no-main-window`.
        packaging: whether there is `slicer.packaging` with pip_ensure, as of Slicer 5.12.
        pytorch: whether the PyTorch extension is installed.
    """
    if not _current:
        _current.append(Host(main_window, packaging, pytorch))
    return _current[0]


class Host:
    def __init__(self, main_window: bool = True, packaging: bool = True, pytorch: bool = False) -> None:
        if hasattr(slicer, "app"):
            raise RuntimeError("slicer.app exists already")
        for part in (violations, dialogs, packages, application):
            part.reset()
        self.violations, self.errors = violations.violations, violations.errors
        self.dialogs, self.answers = dialogs.recorded, dialogs.answers
        self.installs, self.missing_packages, self.on_install = packages.installs, packages.missing, packages.on_install
        self.restarts, self.quit_requested, self.selected = 0, False, ""
        self.opened_urls = application.opened_urls
        self._handles: list[ModuleHandle] = []
        self._before = {n: getattr(slicer, n) for n in ("mrmlScene", "modules") if hasattr(slicer, n)}
        self._hooks = sys.excepthook, threading.excepthook
        sys.excepthook = violations.report_error
        threading.excepthook = lambda a: violations.report_error(a.exc_type, a.exc_value, a.exc_traceback)
        self.app = make_application()
        self._start(main_window, packaging, pytorch)

    def _start(self, main_window: bool, packaging: bool, pytorch: bool) -> None:
        if not _prepared:
            sys.modules["qt"], sys.modules["ctk"] = namespaces.qt_module(), namespaces.ctk_module()
            namespaces.fill_slicer()
            _prepared.append(True)
        home = Path(tempfile.mkdtemp(prefix="slicerhost-"))
        self._parts = scene.make_scene(home)
        slicer.mrmlScene = self._parts.scene
        slicer.modules = Modules()
        for name, logic in self._parts.logics.items():
            setattr(slicer.modules, name.lower(), LoadableModule(name, logic))
        slicer.moduleNames = type("moduleNames", (), {n: n for n in self._parts.logics})
        self.app.begin(self, self._parts, slicer.modules, home)
        slicer.app = self.app
        slicer.util.reloadScriptedModule = self._reload
        slicer.util.pip_install, slicer.util.pip_uninstall = packages.pip_install, packages.pip_uninstall
        self._optional("slicer.packaging", packages.packaging_module() if packaging else None)
        self._optional("SampleData", sample_data.sample_data_module())
        self._optional("PyTorchUtils", packages.pytorch_module() if pytorch else None)
        self.main_window = qSlicerMainWindow(self) if main_window else None

    def _optional(self, name: str, module: ModuleType | None) -> None:
        """A module that this application has or has not."""
        sys.modules.pop(name, None)
        vars(slicer).pop(name.removeprefix("slicer."), None)
        if module is not None:
            sys.modules[name] = module
            if name.startswith("slicer."):
                setattr(slicer, name.removeprefix("slicer."), module)

    # What tests say beforehand

    def answer_next(self, *answers) -> None:
        """The answers to the next dialogs: yes or no, a path, or a function that is given the dialog.

        A question nobody has an answer to is declined.
        """
        self.answers.extend(answers)

    @property
    def testing(self) -> bool:
        """slicer.app.testingEnabled(): Slicer then shows no dialogs."""
        return self.app._testing

    @testing.setter
    def testing(self, on: bool) -> None:
        self.app._testing = on

    # Modules

    def load_module(self, path: Path | str) -> "ModuleHandle":
        handle = ModuleHandle(self, Path(path).resolve())
        self._handles.append(handle)
        emit(self.app, "startupCompleted()")
        return handle

    def select(self, name: str) -> None:
        for handle in self._handles:
            if handle.name != name and handle.entered:
                handle.switch_away()
        self.selected = name
        for handle in self._handles:
            if handle.name == name:
                handle.enter()

    def _reload(self, name: str) -> ModuleType:
        handle = next(h for h in self._handles if h.name == name)
        handle.reload()
        return handle.module

    # The scene

    def close_scene(self) -> None:
        slicer.mrmlScene.Clear(0)
        self.process_events()

    def save_scene(self, path: Path | str) -> None:
        scene.save(slicer.mrmlScene, Path(path))

    def load_scene(self, path: Path | str) -> None:
        scene.load(slicer.mrmlScene, Path(path))
        self.process_events()

    def import_scene(self, path: Path | str) -> None:
        """Beside what is there."""
        scene.load(slicer.mrmlScene, Path(path), keep=True)
        self.process_events()

    # Gestures

    click = staticmethod(gestures.click)
    drag = staticmethod(gestures.drag)
    type = staticmethod(gestures.type_text)
    choose = staticmethod(gestures.choose)
    press = staticmethod(gestures.press)
    wait_until = staticmethod(gestures.wait_until)
    process_events = staticmethod(gestures.process_events)
    screenshot = staticmethod(gestures.screenshot)
    minimum_width = staticmethod(gestures.minimum_width)

    @property
    def unexpected(self) -> list[str]:
        """All that a module should not have done: violations, and exceptions in its slots and observers."""
        return [*self.violations, *self.errors]

    @contextlib.contextmanager
    def expected_violations(self) -> Iterator[list[str]]:
        """For tests of the host: the violations of the block, taken out of the record afterwards."""
        known = len(self.violations)
        caught: list[str] = []
        yield caught
        caught.extend(self.violations[known:])
        del self.violations[known:]

    def quit(self) -> None:
        """Ends the application: aboutToQuit, then every module's cleanup; afterwards `start` makes a new one."""
        if self not in _current:
            return
        self.app.aboutToQuit.emit()
        for handle in list(self._handles):
            handle.close()
        self.process_events()
        slicer.mrmlScene.Clear(1)
        self._remove()

    def _remove(self) -> None:
        for widget in QtWidgets.QApplication.topLevelWidgets():
            widget.close()
            widget.deleteLater()
        self.process_events()
        uiloader.alive.clear()
        self.app.end()
        sys.excepthook, threading.excepthook = self._hooks
        del slicer.app
        for name in ("mrmlScene", "modules"):
            delattr(slicer, name)
            if name in self._before:
                setattr(slicer, name, self._before[name])
        for name in ("slicer.packaging", "SampleData", "PyTorchUtils"):
            self._optional(name, None)
        _current.clear()


class ModuleHandle:
    """A loaded module: its Python module, its instance, its widget and logic."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host, self.path, self.name = host, path, path.stem
        self.entered = False
        self._widget = None
        self._checked: set[str] = set()
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        self.module = self._import()
        self.parent = qSlicerScriptedLoadableModule(self.name, path)
        self.instance = getattr(self.module, self.name)(self.parent)
        setattr(slicer.modules, self.name.lower(), self.parent)
        setattr(slicer.modules, f"{self.name}Instance", self.instance)
        setattr(slicer.moduleNames, self.name, self.name)
        emit(host.app.moduleManager(), "moduleLoaded(QString)", self.name)

    def _import(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module
        spec.loader.exec_module(module)
        self._check_imports()
        return module

    def _check_imports(self) -> None:
        """Of the module and of what it has imported from beside it so far."""
        files = {vars(m).get("__file__") or "" for m in list(sys.modules.values()) if isinstance(m, ModuleType)}
        for file in sorted(files - self._checked):
            if self.path.parent in Path(file).parents and file.endswith(".py"):
                violations.check_imports(Path(file))
        self._checked |= files

    @property
    def widget(self):
        """The module's widget; made and set up when first asked for, as the application does."""
        if self._widget is None:
            self.panel = uiloader.remember(qSlicerScriptedLoadableModuleWidget(self))
            self.parent._widget = self.panel
            self.panel.windowTitle = self.parent.title
            self.panel.setMRMLScene(slicer.mrmlScene)
            self.make_widget()
        return self._widget

    @property
    def logic(self):
        return self.widget.logic

    @property
    def ui(self):
        return self.widget.ui

    def make_widget(self) -> None:
        self._widget = getattr(self.module, f"{self.name}Widget")(self.panel)
        setattr(slicer.modules, f"{self.name}Widget", self._widget)
        self._widget.setup()
        self.host.process_events()

    def enter(self) -> None:
        widget = self.widget
        self.panel.show()
        self.host.selected = self.name
        if not self.entered:
            self.entered = True
            widget.enter()
        self.host.process_events()

    def switch_away(self) -> None:
        if self.entered:
            self.entered = False
            self.widget.exit()
            self.panel.hide()
        self.host.process_events()

    def reload(self) -> None:
        """As the Reload button does: the old widget is cleaned up and hidden, a new one made from the new source.

        As there, nobody enters the new widget, though it is what the user sees.
        """
        for child in self.panel.children():
            if hasattr(child, "hide"):
                child.hide()
        self._clean_up()
        layout = self.panel.layout()
        for item in [layout.itemAt(i) for i in range(layout.count())]:
            layout.removeItem(item)
        self.module = self._import()
        self.make_widget()

    def _clean_up(self) -> None:
        widget = self._widget
        widget.cleanup()
        if hasattr(widget, "_onModuleAboutToBeUnloaded"):
            manager = self.host.app.moduleManager()
            manager.disconnect("moduleAboutToBeUnloaded(QString)", widget._onModuleAboutToBeUnloaded)

    def run_test(self, **options) -> None:
        """The module's self-test, as `Slicer --testing` runs it."""
        self.instance.runTest(**options)

    def close(self) -> None:
        """Unloads the module, as the application does when it ends."""
        self._check_imports()
        emit(self.host.app.moduleManager(), "moduleAboutToBeUnloaded(QString)", self.name)
        if self._widget is not None:
            self.panel.hide()
            self.panel.deleteLater()
            self._widget = None
        if self in self.host._handles:
            self.host._handles.remove(self)
        for name in (self.name.lower(), f"{self.name}Instance", f"{self.name}Widget"):
            vars(slicer.modules).pop(name, None)
        sys.modules.pop(self.name, None)
        self.host.process_events()
