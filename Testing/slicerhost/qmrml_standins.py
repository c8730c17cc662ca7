"""Slicer's widgets over the real scene: they show its nodes and follow it."""

# mypy: ignore-errors

import shiboken6
import slicer
import vtk

from .ctk_standins import ctkCollapsibleButton, ctkMenuButton, pixmap_icon
from .qtbase import QtCore, QtGui, QtWidgets
from .signals import emit
from .standin import computed, stand_in, stored

_Qt = QtCore.Qt
_NODE_ROLE = int(_Qt.UserRole)
_ACTION_ROLE = int(_Qt.UserRole) + 1
_scene_events = ("NodeAddedEvent", "NodeRemovedEvent", "EndBatchProcessEvent", "EndCloseEvent", "EndImportEvent")


class Observer:
    """VTK observations that end with the widget."""

    def __init__(self, widget) -> None:
        self._widget = widget
        self._tags = []

    def watch(self, obj, event, callback) -> None:
        self._tags.append((obj, obj.AddObserver(event, self._guarded(callback))))

    def _guarded(self, callback):
        def call(caller, event) -> None:
            if shiboken6.isValid(self._widget):
                callback()
            else:
                self.stop()

        return call

    def stop(self) -> None:
        for obj, tag in self._tags:
            obj.RemoveObserver(tag)
        self._tags = []


@stand_in
class qMRMLWidget(QtWidgets.QWidget):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            emit(self, "mrmlSceneChanged(vtkMRMLScene*)", scene)


@stand_in
class qSlicerWidget(QtWidgets.QWidget):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            emit(self, "mrmlSceneChanged(vtkMRMLScene*)", scene)


@stand_in
class qMRMLCollapsibleButton(ctkCollapsibleButton):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            emit(self, "mrmlSceneChanged(vtkMRMLScene*)", scene)


@stand_in
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A combo box of the scene's nodes, with the entries to create, rename and delete below them."""

    nodeTypes = stored("QStringList", (), "_refresh")
    noneEnabled = stored(bool, False, "_refresh")
    noneDisplay = stored("QString", "None", "_refresh")
    addEnabled = stored(bool, True, "_refresh")
    removeEnabled = stored(bool, True, "_refresh")
    renameEnabled = stored(bool, False, "_refresh")
    editEnabled = stored(bool, False, "_refresh")
    showHidden = stored(bool, False, "_refresh")
    showChildNodeTypes = stored(bool, True, "_refresh")
    hideChildNodeTypes = stored("QStringList", (), "_refresh")
    selectNodeUponCreation = stored(bool, True)
    baseName = stored("QString", "")
    interactionNodeSingletonTag = stored("QString", "")
    sizeAdjustPolicy = stored(int, 0)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None
        self._node = None
        self._had_nodes = False
        self._labels = {}
        self._attributes = []
        self._actions = []
        self._observer = Observer(self)
        self._renames = Observer(self)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.sizeAdjustPolicy = QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon
        self._combo.enabled = False
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._combo.connect("activated(int)", self._activated)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        self._observer.stop()
        self._scene = scene
        self._combo.enabled = scene is not None
        if scene is not None:
            for event in _scene_events:
                self._observer.watch(scene, getattr(slicer.vtkMRMLScene, event), self._scene_changed)
        self._refresh()

    def _scene_changed(self) -> None:
        if not self._scene.IsBatchProcessing():
            self._refresh()

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = (self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes()))
        return [n for n in nodes if self._shows(n)]

    def _shows(self, node) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return any(self._matches(node, kind) for kind in self.nodeTypes) and not any(
            node.IsA(kind) for kind in self.hideChildNodeTypes
        )

    def _matches(self, node, kind: str) -> bool:
        if node.GetClassName() != kind and not (self.showChildNodeTypes and node.IsA(kind)):
            return False
        wanted = [(name, value) for of, name, value in self._attributes if of == kind]
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == str(value))
            for name, value in wanted
        )

    def _refresh(self) -> None:
        nodes = self._nodes()
        lost = self._node is not None and self._node not in nodes
        first = nodes and not self._had_nodes
        self._had_nodes = bool(nodes)
        if lost or (first and self._node is None):
            self._select(nodes[0] if nodes and not self.noneEnabled else None)
        self._fill(nodes)

    def _fill(self, nodes: list) -> None:
        self._renames.stop()
        combo = self._combo
        combo.blockSignals(True)
        combo.clear()
        if self.noneEnabled:
            combo.addItem(self.noneDisplay)
        for node in nodes:
            combo.addItem(node.GetName() or "", node.GetID())
            self._renames.watch(node, vtk.vtkCommand.ModifiedEvent, self._renamed)
        self._add_actions(combo)
        self._show_current()
        combo.blockSignals(False)

    def _add_actions(self, combo) -> None:
        actions = [(f"Create new {self.nodeTypeLabel(t)}", ("add", t)) for t in self.nodeTypes if self.addEnabled]
        if self._node is not None:
            label = self.nodeTypeLabel(self._node.GetClassName())
            actions += [(f"Edit current {label}", ("edit", ""))] * self.editEnabled
            actions += [(f"Rename current {label}", ("rename", ""))] * self.renameEnabled
            actions += [(f"Delete current {label}", ("remove", ""))] * self.removeEnabled
        actions += [(action.text, ("menu", str(i))) for i, action in enumerate(self._actions)]
        if actions and combo.count:
            combo.insertSeparator(combo.count)
        for text, action in actions:
            combo.addItem(text)
            combo.setItemData(combo.count - 1, action, _ACTION_ROLE)

    def _show_current(self) -> None:
        index = self._combo.findData(self._node.GetID()) if self._node is not None else -1
        self._combo.currentIndex = index if index >= 0 else 0 if self.noneEnabled else -1

    def _renamed(self) -> None:
        for index in range(self._combo.count):
            node = self._scene.GetNodeByID(str(self._combo.itemData(index))) if self._scene else None
            if node is not None and self._combo.itemText(index) != node.GetName():
                self._combo.setItemText(index, node.GetName())
                if node is self._node:
                    emit(self, "currentNodeRenamed(QString)", node.GetName())

    def _activated(self, index: int) -> None:
        action = self._combo.itemData(index, _ACTION_ROLE)
        if not action:
            self._choose(self._scene.GetNodeByID(str(self._combo.itemData(index))))
            if self._node is not None:
                emit(self, "nodeActivated(vtkMRMLNode*)", self._node)
            return
        self._show_current()
        kind, argument = action
        if kind == "add":
            self._add_as_user(argument)
        elif kind == "remove":
            self.removeCurrentNode()
        elif kind == "rename":
            self.renameCurrentNode()
        elif kind == "edit":
            self.editCurrentNode()
        else:
            self._actions[int(argument)].trigger()

    def _add_as_user(self, kind: str) -> None:
        node = self.addNode(kind)
        if node is not None:
            emit(self, "nodeAddedByUser(vtkMRMLNode*)", node)

    def _choose(self, node) -> None:
        self._select(node)
        self._fill(self._nodes())

    def _select(self, node) -> None:
        if node is self._node:
            return
        self._node = node
        emit(self, "currentNodeChanged(vtkMRMLNode*)", node)
        emit(self, "currentNodeChanged(bool)", node is not None)
        emit(self, "currentNodeIDChanged(QString)", self.currentNodeID)

    def currentNode(self):
        return self._node

    def setCurrentNode(self, node) -> None:
        self._choose(node if node is not None and node in self._nodes() else None)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if self._scene and node_id else None)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self._nodes()[index])

    def nodeFromIndex(self, index: int):
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def nodeCount(self) -> int:
        return len(self._nodes())

    def addNode(self, kind: str = ""):
        if self._scene is None or not (kind or self.nodeTypes):
            return None
        kind = kind or self.nodeTypes[0]
        name = self._scene.GenerateUniqueName(self.baseName or self.nodeTypeLabel(kind))
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(name)
        for of, attribute, value in self._attributes:
            if of == kind:
                node.SetAttribute(attribute, str(value if value is not None else ""))
        self._scene.AddNode(node)
        emit(self, "nodeAdded(vtkMRMLNode*)", node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self._node is not None:
            emit(self, "nodeAboutToBeRemoved(vtkMRMLNode*)", self._node)
            self._scene.RemoveNode(self._node)

    def renameCurrentNode(self) -> None:
        name = QtWidgets.QInputDialog.getText(self, "Rename", "New name:")
        if name and self._node is not None:
            self._node.SetName(name)

    def editCurrentNode(self) -> None:
        emit(self, "nodeAboutToBeEdited(vtkMRMLNode*)", self._node)

    def addAttribute(self, kind: str, name: str, value=None) -> None:
        self.removeAttribute(kind, name)
        self._attributes.append((kind, name, value))
        self._refresh()

    def removeAttribute(self, kind: str, name: str) -> None:
        self._attributes = [a for a in self._attributes if a[:2] != (kind, name)]
        self._refresh()

    def addMenuAction(self, action) -> None:
        self._actions.append(action)
        self._refresh()

    def nodeTypeLabel(self, kind: str) -> str:
        if kind in self._labels:
            return self._labels[kind]
        node = self._scene.CreateNodeByClass(kind) if self._scene else None
        if node is None:
            return kind.removeprefix("vtkMRML").removesuffix("Node")
        node.UnRegister(None)
        return node.GetNodeTagName()

    def setNodeTypeLabel(self, label: str, kind: str) -> None:
        self._labels[kind] = label
        self._refresh()

    def _current_id(self) -> str:
        return self._node.GetID() or "" if self._node is not None else ""

    currentNodeID = computed("QString", _current_id, setCurrentNodeID)
    # Slicer has it as a property under both spellings.
    currentNodeId = computed("QString", _current_id, setCurrentNodeID)


@stand_in
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """A node selector over a selector of its segments."""

    noneEnabled = stored(bool, False, "_sync")
    editEnabled = stored(bool, False)
    multiSelection = stored(bool, False)
    selectNodeUponCreation = stored(bool, True)
    horizontalLayout = stored(bool, False)
    segmentationNodeSelectorVisible = stored(bool, True, "_sync")

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._nodes = qMRMLNodeComboBox(self)
        self._nodes.nodeTypes = ("vtkMRMLSegmentationNode",)
        self._nodes.addEnabled = self._nodes.removeEnabled = False
        self._segments = QtWidgets.QComboBox(self)
        self._observer = Observer(self)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._nodes)
        column.addWidget(self._segments)
        self._nodes.connect("currentNodeChanged(vtkMRMLNode*)", self._node_changed)
        self._segments.connect(
            "currentIndexChanged(int)", lambda: emit(self, "currentSegmentChanged(QString)", self.currentSegmentID())
        )

    def _sync(self) -> None:
        self._nodes.noneEnabled = self.noneEnabled
        self._nodes.setVisible(self.segmentationNodeSelectorVisible)

    def setMRMLScene(self, scene) -> None:
        self._nodes.setMRMLScene(scene)
        super().setMRMLScene(scene)

    def _node_changed(self, node) -> None:
        self._observer.stop()
        if node is not None:
            for event in (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved):
                self._observer.watch(node.GetSegmentation(), event, self._fill)
        self._fill()
        emit(self, "currentNodeChanged(vtkMRMLNode*)", node)
        emit(self, "currentNodeChanged(bool)", node is not None)

    def _fill(self) -> None:
        self._segments.clear()
        for segment_id in self.segmentIDs():
            segment = self.currentNode().GetSegmentation().GetSegment(segment_id)
            self._segments.addItem(segment.GetName(), segment_id)

    def segmentIDs(self) -> tuple:
        node = self.currentNode()
        return tuple(node.GetSegmentation().GetSegmentIDs()) if node is not None else ()

    def currentNode(self):
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._nodes.currentNodeID

    def setCurrentNode(self, node) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self._nodes.setCurrentNodeID(node_id)

    def currentSegmentID(self) -> str:
        return self._segments.currentData or ""

    def setCurrentSegmentID(self, segment_id: str) -> None:
        self._segments.currentIndex = self._segments.findData(segment_id)


@stand_in
class qMRMLSegmentsTableView(qMRMLWidget):
    """A row for each segment: shown or not, colour, opacity, name."""

    headerVisible = stored(bool, True, "_fill")
    visibilityColumnVisible = stored(bool, True, "_fill")
    colorColumnVisible = stored(bool, True, "_fill")
    opacityColumnVisible = stored(bool, True, "_fill")
    statusColumnVisible = stored(bool, False)
    layerColumnVisible = stored(bool, False)
    filterBarVisible = stored(bool, False)
    readOnly = stored(bool, False)
    textFilter = stored("QString", "", "_fill")
    selectionMode = stored(int, int(QtWidgets.QAbstractItemView.ExtendedSelection))
    jumpToSelectedSegmentEnabled = stored(bool, False)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node = None
        self._observer = Observer(self)
        self._table = QtWidgets.QTableWidget(0, 4, self)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.verticalHeader().hide()
        self._table.horizontalHeader().stretchLastSection = True
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._table)
        self._table.connect("itemChanged(QTableWidgetItem*)", self._edited)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node) -> None:
        self._observer.stop()
        self._node = node
        if node is not None:
            kind = slicer.vtkSegmentation
            for event in (kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified):
                self._observer.watch(node.GetSegmentation(), event, self._fill)
        self._fill()

    def _segments(self) -> list:
        if self._node is None:
            return []
        segmentation = self._node.GetSegmentation()
        pairs = [(i, segmentation.GetSegment(i)) for i in segmentation.GetSegmentIDs()]
        return [p for p in pairs if self.textFilter.lower() in p[1].GetName().lower()]

    def _fill(self) -> None:
        table = self._table
        table.blockSignals(True)
        table.horizontalHeader().setVisible(self.headerVisible)
        table.setHorizontalHeaderLabels(["", "", "Opacity", "Name"])
        columns = (self.visibilityColumnVisible, self.colorColumnVisible, self.opacityColumnVisible, True)
        for column, visible in enumerate(columns):
            table.setColumnHidden(column, not visible)
        segments = self._segments()
        table.rowCount = len(segments)
        for row, (segment_id, segment) in enumerate(segments):
            self._fill_row(row, segment_id, segment)
        for column in range(3):
            table.resizeColumnToContents(column)
        table.blockSignals(False)

    def _fill_row(self, row: int, segment_id: str, segment) -> None:
        display = self._node.GetDisplayNode()
        visible = display is None or display.GetSegmentVisibility(segment_id)
        shown = QtWidgets.QTableWidgetItem()
        shown.setCheckState(_Qt.Checked if visible else _Qt.Unchecked)
        shown.setData(_NODE_ROLE, segment_id)
        color = QtWidgets.QTableWidgetItem(pixmap_icon(QtGui.QColor.fromRgbF(*segment.GetColor())), "")
        opacity = 1.0 if display is None else display.GetSegmentOpacity3D(segment_id)
        for column, item in enumerate(
            (shown, color, QtWidgets.QTableWidgetItem(f"{opacity:.2f}"), QtWidgets.QTableWidgetItem(segment.GetName()))
        ):
            self._table.setItem(row, column, item)

    def _edited(self, item) -> None:
        segment_id = self.segmentIDForRow(item.row())
        if item.column() == 0 and self._node.GetDisplayNode() is not None:
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, item.checkState() == _Qt.Checked)
        elif item.column() == 3:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())

    def tableWidget(self):
        return self._table

    def segmentIDForRow(self, row: int) -> str:
        return self._table.item(row, 0).data(_NODE_ROLE)

    def rowForSegmentID(self, segment_id: str) -> int:
        ids = [i for i, _ in self._segments()]
        return ids.index(segment_id) if segment_id in ids else -1

    def displayedSegmentIDs(self) -> tuple:
        return tuple(i for i, _ in self._segments())

    def selectedSegmentIDs(self) -> tuple:
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, segment_ids) -> None:
        self._table.clearSelection()
        for segment_id in segment_ids:
            self._table.selectRow(self.rowForSegmentID(segment_id))

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def setReadOnly(self, read_only: bool) -> None:
        self.readOnly = read_only

    def setHeaderVisible(self, visible: bool) -> None:
        self.headerVisible = visible

    def setVisibilityColumnVisible(self, visible: bool) -> None:
        self.visibilityColumnVisible = visible

    def setColorColumnVisible(self, visible: bool) -> None:
        self.colorColumnVisible = visible

    def setOpacityColumnVisible(self, visible: bool) -> None:
        self.opacityColumnVisible = visible

    def setStatusColumnVisible(self, visible: bool) -> None:
        self.statusColumnVisible = visible

    def setFilterBarVisible(self, visible: bool) -> None:
        self.filterBarVisible = visible

    def setTextFilter(self, text: str) -> None:
        self.textFilter = text

    segmentCount = computed(int, lambda self: len(self._segments()))


@stand_in
class qMRMLSegmentationShow3DButton(ctkMenuButton):
    locked = stored(bool, False)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node = None
        self._observer = Observer(self)
        self.text = "Show 3D"
        self.checkable = True
        self.enabled = False
        self.connect("clicked(bool)", self._clicked)

    def segmentationNode(self):
        return self._node

    def setSegmentationNode(self, node) -> None:
        self._observer.stop()
        self._node = node
        if node is not None:
            kind = slicer.vtkSegmentation
            for event in (kind.ContainedRepresentationNamesModified, kind.SegmentAdded, kind.SegmentRemoved):
                self._observer.watch(node.GetSegmentation(), event, self._sync)
        self._sync()

    def setLocked(self, locked: bool) -> None:
        self.locked = locked

    def _sync(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        self.enabled = segmentation is not None and segmentation.GetNumberOfSegments() > 0
        self.checked = segmentation is not None and segmentation.ContainsRepresentation("Closed surface")

    def _clicked(self, on: bool) -> None:
        if on:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()
        self._sync()


@stand_in
class qMRMLTableView(QtWidgets.QTableView):
    firstRowLocked = stored(bool, False)
    firstColumnLocked = stored(bool, False)
    transposed = stored(bool, False)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene = None
        self._node = None
        self._observer = Observer(self)
        self._items = QtGui.QStandardItemModel(self)
        self.setModel(self._items)

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        self._scene = scene
        emit(self, "mrmlSceneChanged(vtkMRMLScene*)", scene)

    def mrmlTableNode(self):
        return self._node

    def setMRMLTableNode(self, node) -> None:
        self._observer.stop()
        self._node = node
        if node is not None:
            self._observer.watch(node, vtk.vtkCommand.ModifiedEvent, self._fill)
        self._fill()

    def tableModel(self):
        return self._items

    def _fill(self) -> None:
        self._items.clear()
        if self._node is None:
            return
        table = self._node.GetTable()
        columns = range(self._node.GetNumberOfColumns())
        self._items.setHorizontalHeaderLabels([table.GetColumnName(c) or "" for c in columns])
        for row in range(self._node.GetNumberOfRows()):
            self._items.appendRow([QtGui.QStandardItem(self._node.GetCellText(row, c)) for c in columns])


STAND_INS = {c.__name__: c for c in list(globals().values()) if isinstance(c, type) and hasattr(c, "_signals")}
