"""slicer.ScriptedLoadableModule: the base classes of module, widget, logic and test."""

# mypy: ignore-errors

import logging
import unittest
from pathlib import Path

import slicer
import slicer.util

from .qmrml_standins import qSlicerWidget
from .qtbase import QtCore, QtGui, QtWidgets
from .standin import stand_in, stored


@stand_in
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The `parent` of a module's class."""

    title = stored("QString", "")
    categories = stored("QStringList", ())
    contributors = stored("QStringList", ())
    dependencies = stored("QStringList", ())
    extensions = stored("QStringList", ())
    associatedNodeTypes = stored("QStringList", ())
    helpText = stored("QString", "")
    acknowledgementText = stored("QString", "")
    hidden = stored(bool, False)
    index = stored(int, -1)
    icon = stored(object, None)
    # Of qSlicerAbstractCoreModule
    _signals = ()

    def __init__(self, name: str, path: Path) -> None:
        super().__init__()
        self._module_name = name
        self._path = str(path)
        self._widget = None


_core = qSlicerScriptedLoadableModule
_core.name = property(lambda self: self._module_name)
_core.path = property(lambda self: self._path)
_core.defaultDocumentationLink = property(lambda self: "")
_core.widgetRepresentation = lambda self: self._widget
_core.createNewWidgetRepresentation = lambda self: self._widget


@stand_in
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The `parent` of a module widget's class: where the panel is laid out."""

    def __init__(self, handle) -> None:
        super().__init__()
        self._handle = handle
        box = QtWidgets.QVBoxLayout(self)
        box.setContentsMargins(6, 6, 6, 6)

    def self(self):
        return self._handle.widget

    def reload(self) -> None:
        self._handle.make_widget()


class ScriptedLoadableModule:
    def __init__(self, parent) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = self.moduleName
        icon = Path(parent.path).parent / "Resources" / "Icons" / f"{self.moduleName}.png"
        if icon.exists():
            parent.icon = QtGui.QIcon(str(icon))

    def resourcePath(self, filename: str) -> str:
        return _resource(self.moduleName, filename)

    def getDefaultModuleDocumentationLink(self, docPage=None) -> str:
        return (
            f'<p>See the <a href="https://slicer.readthedocs.io">documentation</a> of {docPage or self.moduleName}.</p>'
        )

    def runTest(self, msec: int = 100, **kwargs):
        test = getattr(_module_of(self), f"{self.moduleName}Test")()
        test.messageDelay = msec
        return test.runTest(**kwargs)


def _module_of(instance):
    import sys

    return sys.modules[type(instance).__module__]


def _resource(module_name: str, filename: str) -> str:
    folder = Path(slicer.util.modulePath(module_name)).parent / "Resources"
    return str(folder / filename)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        if parent is None:
            self.parent = QtWidgets.QWidget()
            self.parent.setLayout(QtWidgets.QVBoxLayout())
            self.layout = self.parent.layout()
            self.setup()
            self.parent.show()
        else:
            self.parent = parent
            self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def _onModuleAboutToBeUnloaded(self, module_name: str) -> None:
        if module_name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return _resource(self.moduleName, filename)

    def setup(self) -> None:
        if self.developerMode:
            self.setupDeveloperSection()

    def setupDeveloperSection(self) -> None:
        self.reloadButton = QtWidgets.QPushButton("Reload")
        self.reloadButton.connect("clicked()", self.onReload)
        self.layout.addWidget(self.reloadButton)

    def enter(self) -> None:
        pass

    def exit(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def onReloadAndTest(self, **kwargs) -> None:
        self.onReload()
        getattr(slicer.modules, f"{self.moduleName}Instance").runTest(**kwargs)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def resourcePath(self, filename: str) -> str:
        return _resource(self.moduleName, filename)

    def getParameterNode(self):
        node = self._existing()
        if node is None:
            node = slicer.mrmlScene.AddNode(self.createParameterNode())
        return node

    def _existing(self):
        if self.isSingletonParameterNode:
            return slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return next(iter(self.getAllParameterNodes()), None)

    def getAllParameterNodes(self) -> list:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [n for n in nodes if n.GetModuleName() == self.moduleName]

    def createParameterNode(self):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments or ("runTest",), **keywords)
        self.messageDelay = 0
        self.enableScreenshots = False

    def delayDisplay(self, message: str, requestedDelay=None, msec=None) -> None:
        logging.info(message)
        slicer.app.processEvents()

    def takeScreenshot(self, name: str, description: str, type: int = -1) -> None:
        pass

    def setUp(self) -> None:
        pass

    def runTest(self) -> None:
        pass


NAMES = (
    ScriptedLoadableModule,
    ScriptedLoadableModuleWidget,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
