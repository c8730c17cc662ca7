"""slicer.app, slicer.modules and the main window: as much of them as a scripted module meets."""

# mypy: ignore-errors

import shutil
import sys
from pathlib import Path

import slicer

from .qtbase import QtCore, QtGui, QtWidgets
from .signals import disconnect_all, emit
from .standin import computed, stand_in

VERSION = (5, 13, 0)
opened_urls: list[str] = []
_LAYOUTS = "SlicerLayoutFourUpView"


def reset() -> None:
    opened_urls.clear()


def _open_url(url) -> bool:
    opened_urls.append(url if isinstance(url, str) else url.toString())
    return True


class ModuleManager(QtCore.QObject):
    """slicer.app.moduleManager()"""

    _signals = ("moduleLoaded(QString)", "moduleAboutToBeUnloaded(QString)")

    def __init__(self, modules) -> None:
        super().__init__()
        self._modules = modules

    def module(self, name: str):
        return getattr(self._modules, name.lower(), None)

    def modulesNames(self) -> tuple:
        return self._modules.names()

    def loadedModuleNames(self) -> tuple:
        return self._modules.names()

    def factoryManager(self):
        return self


class LoadableModule:
    """slicer.modules.volumes and such: a module of C++, of which the core package has the logic."""

    def __init__(self, name: str, logic) -> None:
        self.name = name
        self.title = name
        self._logic = logic

    def logic(self):
        return self._logic

    def widgetRepresentation(self):
        raise NotImplementedError(f"The host has no panel for {self.name}")


class Modules:
    """slicer.modules"""

    def names(self) -> tuple:
        return tuple(sorted(m.name for m in vars(self).values() if hasattr(m, "widgetRepresentation")))


class SliceWidget:
    def __init__(self, logic) -> None:
        self._logic = logic

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()


@stand_in
class qSlicerLayoutManager(QtCore.QObject):
    def __init__(self, slices: dict) -> None:
        super().__init__()
        self._slices = slices
        self._layout = int(getattr(slicer.vtkMRMLLayoutNode, _LAYOUTS))

    def _set_layout(self, layout: int) -> None:
        if layout != self._layout:
            self._layout = layout
            emit(self, "layoutChanged(int)", layout)

    setLayout = _set_layout
    layout = computed(int, lambda self: self._layout, _set_layout)
    threeDViewCount = computed(int, lambda self: 0)
    tableViewCount = computed(int, lambda self: 0)
    plotViewCount = computed(int, lambda self: 0)

    def sliceViewNames(self) -> tuple:
        return tuple(self._slices)

    def sliceWidget(self, name: str):
        return SliceWidget(self._slices[name]) if name in self._slices else None

    def mrmlSliceLogics(self):
        return slicer.app.applicationLogic().GetSliceLogics()

    def threeDWidget(self, index: int):
        return None

    def plotWidget(self, index: int):
        return None

    def tableWidget(self, index: int):
        return None

    def resetThreeDViews(self) -> None:
        pass

    def resetSliceViews(self) -> None:
        for logic in self._slices.values():
            logic.FitSliceToAll()

    def mrmlScene(self):
        return slicer.mrmlScene


class ModuleSelector:
    """What slicer.util.selectModule needs: the host shows one panel at a time."""

    def __init__(self, host) -> None:
        self._host = host

    @property
    def selectedModule(self) -> str:
        return self._host.selected

    def selectModule(self, name: str) -> None:
        self._host.select(name)


class qSlicerMainWindow(QtWidgets.QMainWindow):
    def __init__(self, host) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self._selector = ModuleSelector(host)

    def moduleSelector(self):
        return self._selector


def _folder(name: str):
    """A property that is a folder of the run's own, made when asked for."""

    def get(self) -> str:
        path = Path(self._home, name)
        path.mkdir(parents=True, exist_ok=True)
        return str(path)

    return computed("QString", get)


class qSlicerApplication(QtWidgets.QApplication):
    """slicer.app. There is one QApplication in a process; `start` gives it what belongs to one run."""

    _signals = ("startupCompleted()", "mrmlSceneChanged(vtkMRMLScene*)")

    majorVersion = computed(int, lambda self: VERSION[0])
    minorVersion = computed(int, lambda self: VERSION[1])
    mainApplicationMajorVersion = computed(int, lambda self: VERSION[0])
    mainApplicationMinorVersion = computed(int, lambda self: VERSION[1])
    mainApplicationPatchVersion = computed(int, lambda self: VERSION[2])
    mainApplicationName = computed("QString", lambda self: "Slicer")
    mainApplicationDisplayName = computed("QString", lambda self: "3D Slicer")
    mainApplicationRevision = computed("QString", lambda self: "31053")
    revision = computed("QString", lambda self: "31053")
    repositoryRevision = computed("QString", lambda self: "31053")
    releaseType = computed("QString", lambda self: "Preview")
    platform = computed("QString", lambda self: "linux-amd64")
    os = computed("QString", lambda self: "linux")
    arch = computed("QString", lambda self: "amd64")
    isInstalled = computed(bool, lambda self: True)
    applicationLocaleName = computed("QString", lambda self: "en-US")
    slicerHome = _folder("Slicer")
    slicerSharePath = computed("QString", lambda self: "share/Slicer-5.13")
    temporaryPath = _folder("tmp")
    cachePath = _folder("cache")
    extensionsInstallPath = _folder("extensions")
    defaultScenePath = _folder("scenes")
    startupWorkingPath = computed("QString", lambda self: str(Path.cwd()))

    def begin(self, host, parts, modules: Modules, home: Path) -> None:
        self._host, self._parts, self._modules = host, parts, modules
        self._home = str(home)
        self._manager = ModuleManager(modules)
        self._layout_manager = qSlicerLayoutManager(parts.slices)
        self._testing = False
        self.applicationName = "Slicer"
        self.organizationName = "slicer.org"
        self.applicationVersion = ".".join(map(str, VERSION))
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, self._home)
        self._settings = QtCore.QSettings()

    def end(self) -> None:
        disconnect_all(self)
        self._host = self._parts = self._modules = self._layout_manager = None
        shutil.rmtree(self._home, ignore_errors=True)

    def mrmlScene(self):
        return slicer.mrmlScene

    def applicationLogic(self):
        return self._parts.application

    def moduleLogic(self, name: str):
        return self._parts.logics.get(name)

    def moduleManager(self):
        return self._manager

    def layoutManager(self):
        """None without a main window, as there."""
        return self._layout_manager if self._host.main_window is not None else None

    def settings(self):
        return self._settings

    def userSettings(self):
        return self._settings

    def revisionUserSettings(self):
        return self._settings

    def testingEnabled(self) -> bool:
        return self._testing

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass

    def setRenderPaused(self, paused: bool) -> None:
        pass

    def restart(self) -> None:
        self._host.restarts += 1

    def pythonConsole(self):
        return None

    def startupEnvironment(self):
        return QtCore.QProcessEnvironment.systemEnvironment()

    def openUrl(self, url: str) -> None:
        _open_url(url)

    def toSlicerHomeAbsolutePath(self, path: str) -> str:
        return str(Path(self.slicerHome, path))

    def quit(self) -> None:
        """Only asks: the test that runs the host decides when it ends."""
        self._host.quit_requested = True

    def exit(self, status: int = 0) -> None:
        self.quit()


def _qt_message(kind, context, message: str) -> None:
    if "propagateSizeHints" not in message:  # the offscreen platform says so at every resize
        print(message, file=sys.stderr)


def make_application() -> qSlicerApplication:
    QtCore.qInstallMessageHandler(_qt_message)
    QtGui.QDesktopServices.openUrl = staticmethod(_open_url)
    existing = QtWidgets.QApplication.instance()
    if existing is not None and not isinstance(existing, qSlicerApplication):
        raise RuntimeError("This process has a QApplication already: start the host first")
    return existing or qSlicerApplication(["Slicer"])
