"""CTK's widgets: what they look like roughly, what they offer exactly."""

# mypy: ignore-errors

from .qtbase import QtCore, QtGui, QtWidgets
from .signals import emit
from .standin import computed, stand_in, stored

_Qt = QtCore.Qt


_NO_LIMIT = 16777215


class _Folding:
    """Hides a widget's children while it is folded, those that come later too."""

    # Not ChildAdded: a child is announced while it is being made, and PySide6 would take it for a plain QWidget.
    _TIMES = (QtCore.QEvent.ChildPolished, QtCore.QEvent.LayoutRequest, QtCore.QEvent.Show)

    def __init__(self, widget) -> None:
        self._widget = widget
        self._hidden = []

    def apply(self, folded: bool) -> None:
        if folded:
            self._hide()
            return
        for child in self._hidden:
            child.show()
        self._hidden = []

    def _hide(self) -> None:
        for child in self._widget.children():
            if isinstance(child, QtWidgets.QWidget) and not child.isHidden():
                self._hidden.append(child)
                child.hide()

    def follow(self, event, folded: bool) -> None:
        if folded and event.type() in self._TIMES:
            self._hide()


@stand_in
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    collapsed = stored(bool, False, "_fold")
    collapsedHeight = stored(int, 10, "_fold")
    flat = stored(bool, False)
    buttonTextAlignment = stored(int, int(_Qt.AlignLeft | _Qt.AlignVCenter))
    indicatorAlignment = stored(int, int(_Qt.AlignLeft | _Qt.AlignVCenter))
    contentsFrameShape = stored(int, 0)
    contentsFrameShadow = stored(int, int(QtWidgets.QFrame.Raised))
    contentsLineWidth = stored(int, 1)
    contentsMidLineWidth = stored(int, 0)

    def __init__(self, *arguments) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parents = [a for a in arguments if isinstance(a, QtWidgets.QWidget)]
        super().__init__(*parents)
        self._folding = _Folding(self)
        self.text = text
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._header(), 0, 0)
        self.connect("clicked()", self._toggle)

    def _header(self) -> int:
        return self.fontMetrics().height() + 10

    def _toggle(self) -> None:
        self.collapsed = not self.collapsed

    def _fold(self) -> None:
        self.setMaximumHeight(self._header() + self.collapsedHeight if self.collapsed else _NO_LIMIT)
        self._folding.apply(self.collapsed)
        self.updateGeometry()
        emit(self, "contentsCollapsed(bool)", self.collapsed)

    def event(self, event) -> bool:
        self._folding.follow(event, self.collapsed)
        return super().event(event)

    def hitButton(self, position) -> bool:
        return position.y() <= self._header()

    def sizeHint(self):
        width = self.fontMetrics().horizontalAdvance(self.text) + 40
        layout = self.layout()
        if self.collapsed or layout is None:
            return QtCore.QSize(width, self._header() + (self.collapsedHeight if self.collapsed else 0))
        return layout.totalSizeHint().expandedTo(QtCore.QSize(width, 0))

    def minimumSizeHint(self):
        return self.sizeHint() if self.collapsed or self.layout() is None else self.layout().totalMinimumSize()

    def paintEvent(self, event) -> None:
        painter = QtWidgets.QStylePainter(self)
        bar = QtWidgets.QStyleOptionButton()
        bar.initFrom(self)
        bar.rect = QtCore.QRect(0, 0, self.rect.width(), self._header())
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, bar)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(8, (self._header() - 12) // 2, 12, 12)
        style = QtWidgets.QStyle
        painter.drawPrimitive(style.PE_IndicatorArrowRight if self.collapsed else style.PE_IndicatorArrowDown, arrow)
        painter.drawText(bar.rect.adjusted(26, 0, -6, 0), self.buttonTextAlignment, self.text)


@stand_in
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    collapsed = stored(bool, False, "_fold")
    collapsedHeight = stored(int, 14, "_fold")

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._folding = _Folding(self)
        self.checkable = True
        self.checked = True
        self.connect("toggled(bool)", self._toggled)

    def _toggled(self, on: bool) -> None:
        self.collapsed = not on

    def _fold(self) -> None:
        self.checked = not self.collapsed
        self.setMaximumHeight(self.collapsedHeight + self.fontMetrics().height() if self.collapsed else _NO_LIMIT)
        self._folding.apply(self.collapsed)

    def event(self, event) -> bool:
        self._folding.follow(event, self.collapsed)
        return super().event(event)


class _Range(QtWidgets.QWidget):
    """A slider over real numbers: a QSlider whose steps are single steps of the range."""

    def _build(self, orientation) -> None:
        self._slider = QtWidgets.QSlider(orientation, self)
        self._slider.connect("valueChanged(int)", self._slid)
        self._value = 0.0
        self._sync()

    def _sync(self) -> None:
        self._slider.blockSignals(True)
        self._slider.minimum = 0
        self._slider.maximum = max(0, round((self.maximum - self.minimum) / self.singleStep))
        self._slider.pageStep = max(1, round(self.pageStep / self.singleStep))
        self._slider.tracking = self.tracking
        self._slider.tickInterval = round(self.tickInterval / self.singleStep)
        self._slider.tickPosition = QtWidgets.QSlider.TickPosition(self.tickPosition)
        self._slider.invertedAppearance = self.invertedAppearance
        self._slider.invertedControls = self.invertedControls
        self._slider.blockSignals(False)
        self._set(self._value)

    def _slid(self, position: int) -> None:
        self._set(self.minimum + position * self.singleStep)

    def _set(self, value: float) -> None:
        value = min(max(float(value), self.minimum), self.maximum)
        self._slider.blockSignals(True)
        self._slider.value = round((value - self.minimum) / self.singleStep)
        self._slider.blockSignals(False)
        if value != self._value:
            self._value = value
            self._moved()


@stand_in
class ctkDoubleSlider(_Range):
    minimum = stored(float, 0.0, "_sync")
    maximum = stored(float, 99.0, "_sync")
    singleStep = stored(float, 1.0, "_sync")
    pageStep = stored(float, 10.0, "_sync")
    tickInterval = stored(float, 0.0, "_sync")
    tickPosition = stored(int, 0, "_sync")
    tracking = stored(bool, True, "_sync")
    invertedAppearance = stored(bool, False, "_sync")
    invertedControls = stored(bool, False, "_sync")
    handleToolTip = stored("QString", "")

    def __init__(self, *arguments) -> None:
        vertical = arguments and isinstance(arguments[0], int)
        super().__init__(*[a for a in arguments if isinstance(a, QtWidgets.QWidget)])
        self._build(_Qt.Orientation(arguments[0]) if vertical else _Qt.Vertical)
        box = QtWidgets.QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._slider)
        self._slider.connect("sliderPressed()", lambda: emit(self, "sliderPressed()"))
        self._slider.connect("sliderReleased()", lambda: emit(self, "sliderReleased()"))
        self._slider.connect("sliderMoved(int)", lambda p: emit(self, "sliderMoved(double)", self._at(p)))

    def _at(self, position: int) -> float:
        return self.minimum + position * self.singleStep

    def _moved(self) -> None:
        emit(self, "valueChanged(double)", self._value)

    def setValue(self, value: float) -> None:
        self._set(value)

    def setOrientation(self, orientation) -> None:
        self._slider.orientation = orientation

    value = computed(float, lambda self: self._value, lambda self, v: self._set(v))
    sliderPosition = computed(float, lambda self: self._at(self._slider.sliderPosition), lambda self, v: self._set(v))
    orientation = computed(int, lambda self: int(self._slider.orientation), lambda self, v: self.setOrientation(v))


@stand_in
class ctkSliderWidget(_Range):
    minimum = stored(float, 0.0, "_sync")
    maximum = stored(float, 99.0, "_sync")
    singleStep = stored(float, 1.0, "_sync")
    pageStep = stored(float, 10.0, "_sync")
    tickInterval = stored(float, 0.0, "_sync")
    tickPosition = stored(int, 0, "_sync")
    tracking = stored(bool, True, "_sync")
    invertedAppearance = stored(bool, False, "_sync")
    invertedControls = stored(bool, False, "_sync")
    decimals = stored(int, 2, "_sync")
    prefix = stored("QString", "", "_sync")
    suffix = stored("QString", "", "_sync")
    spinBoxVisible = stored(bool, True, "_sync")
    spinBoxAlignment = stored(int, int(_Qt.AlignRight))
    synchronizeSiblings = stored(int, 0)
    popupSlider = stored(bool, False)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._box = QtWidgets.QDoubleSpinBox(self)
        self._build(_Qt.Horizontal)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._box)
        self._box.connect("valueChanged(double)", self._set)

    def _sync(self) -> None:
        box = self._box
        box.blockSignals(True)
        box.decimals = self.decimals
        box.setRange(self.minimum, self.maximum)
        box.singleStep = self.singleStep
        box.prefix, box.suffix = self.prefix, self.suffix
        box.setVisible(self.spinBoxVisible)
        box.blockSignals(False)
        super()._sync()

    def _moved(self) -> None:
        self._box.blockSignals(True)
        self._box.value = self._value
        self._box.blockSignals(False)
        emit(self, "valueIsChanging(double)", self._value)
        emit(self, "valueChanged(double)", self._value)

    def setValue(self, value: float) -> None:
        self._set(value)

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals

    def setSpinBoxVisible(self, visible: bool) -> None:
        self.spinBoxVisible = visible

    def reset(self) -> None:
        self._set(self.minimum)

    value = computed(float, lambda self: self._value, lambda self, v: self._set(v))


@stand_in
class ctkDoubleSpinBox(QtWidgets.QWidget):
    minimum = stored(float, 0.0, "_sync")
    maximum = stored(float, 99.99, "_sync")
    singleStep = stored(float, 1.0, "_sync")
    decimals = stored(int, 2, "_sync")
    prefix = stored("QString", "", "_sync")
    suffix = stored("QString", "", "_sync")
    readOnly = stored(bool, False, "_sync")

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._box = QtWidgets.QDoubleSpinBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.connect("valueChanged(double)", lambda v: emit(self, "valueChanged(double)", v))
        self._box.connect("editingFinished()", lambda: emit(self, "editingFinished()"))
        self._sync()

    def _sync(self) -> None:
        box = self._box
        box.decimals = self.decimals
        box.setRange(self.minimum, self.maximum)
        box.singleStep = self.singleStep
        box.prefix, box.suffix = self.prefix, self.suffix
        box.readOnly = self.readOnly

    def setValue(self, value: float) -> None:
        self._box.value = value

    def setDecimals(self, decimals: int) -> None:
        self.decimals = decimals

    def setReadOnly(self, read_only: bool) -> None:
        self.readOnly = read_only

    def stepUp(self) -> None:
        self._box.stepUp()

    def stepDown(self) -> None:
        self._box.stepDown()

    value = computed(float, lambda self: self._box.value, lambda self, v: self.setValue(v))


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    defaultText = stored("QString", "", "_show_default")
    defaultIcon = stored(object, None)
    forceDefault = stored(bool, False)
    elideMode = stored(int, int(_Qt.ElideNone))
    scrollWheelEffect = stored(int, 0)

    def _show_default(self) -> None:
        self.placeholderText = self.defaultText

    def setCurrentUserDataAsString(self, data: str) -> None:
        texts = [str(self.itemData(i)) for i in range(self.count)]
        self.currentIndex = texts.index(data) if data in texts else -1

    currentUserDataAsString = computed(
        "QString", lambda self: str(self.currentData), lambda self, v: self.setCurrentUserDataAsString(v)
    )


@stand_in
class ctkCheckableComboBox(QtWidgets.QComboBox):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.model().connect("rowsInserted(QModelIndex,int,int)", self._inserted)
        self.model().connect("dataChanged(QModelIndex,QModelIndex,QList<int>)", self._changed)
        self.view().viewport().installEventFilter(self)

    def _inserted(self, parent, first: int, last: int) -> None:
        model = self.model()
        for row in range(first, last + 1):
            item = model.item(row)
            item.setFlags(_Qt.ItemIsUserCheckable | _Qt.ItemIsEnabled | _Qt.ItemIsSelectable)
            item.setData(_Qt.Unchecked, _Qt.CheckStateRole)

    def _changed(self, *_) -> None:
        self.update()
        emit(self, "checkedIndexesChanged()")

    def eventFilter(self, watched, event) -> bool:
        """A click on an entry checks it and leaves the list open."""
        if watched == self.view().viewport() and event.type() == QtCore.QEvent.MouseButtonRelease:
            item = self.model().itemFromIndex(self.view().indexAt(event.position().toPoint()))
            if item is not None:
                item.setCheckState(_Qt.Unchecked if item.checkState() == _Qt.Checked else _Qt.Checked)
            return True
        return False

    def paintEvent(self, event) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = ", ".join(i.data() for i in self.checkedIndexes()) or self.placeholderText
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)

    def checkableModel(self):
        return self.model()

    def checkedIndexes(self) -> tuple:
        model = self.model()
        return tuple(model.index(row, 0) for row in range(self.count) if model.item(row).checkState() == _Qt.Checked)

    def checkState(self, index):
        return self.model().itemFromIndex(index).checkState()

    def setCheckState(self, index, state) -> None:
        self.model().itemFromIndex(index).setCheckState(_Qt.CheckState(state))

    def allChecked(self) -> bool:
        return len(self.checkedIndexes()) == self.count

    def noneChecked(self) -> bool:
        return not self.checkedIndexes()


@stand_in
class ctkSearchBox(QtWidgets.QLineEdit):
    showSearchIcon = stored(bool, False)
    searchIcon = stored(object, None)
    clearIcon = stored(object, None)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.placeholderText = "Search..."
        self.clearButtonEnabled = True


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    label = stored("QString", "")
    filters = stored(int, 0x7)
    nameFilters = stored("QStringList", ())
    options = stored(int, 0)
    settingKey = stored("QString", "")
    minimumContentsLength = stored(int, 0)
    showBrowseButton = stored(bool, True, "_sync")
    showHistoryButton = stored(bool, True)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.editable = True
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton(self)
        self._button.text = "..."
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        row.addWidget(self._button)
        self._combo.connect("editTextChanged(QString)", self._edited)
        self._button.connect("clicked()", self.browse)

    def _sync(self) -> None:
        self._button.setVisible(self.showBrowseButton)

    def _edited(self, text: str) -> None:
        emit(self, "currentPathChanged(QString)", text)
        emit(self, "validInputChanged(bool)", bool(text))

    def comboBox(self):
        return self._combo

    def setCurrentPath(self, path: str) -> None:
        self._combo.setEditText(str(path))

    def addCurrentPathToHistory(self) -> None:
        path = self.currentPath
        if path and self._combo.findText(path) < 0:
            self._combo.addItem(path)
            self.setCurrentPath(path)

    def retrieveHistory(self) -> None:
        pass

    def browse(self) -> None:
        directories_only = not self.filters & 0x2
        dialog = QtWidgets.QFileDialog
        ask = dialog.getExistingDirectory if directories_only else dialog.getOpenFileName
        path = ask(self, self.label or "Select a file", self.currentPath)
        if path:
            self.setCurrentPath(path)

    currentPath = computed("QString", lambda self: self._combo.currentText, lambda self, v: self.setCurrentPath(v))


@stand_in
class ctkDirectoryButton(QtWidgets.QWidget):
    caption = stored("QString", "")
    directory = stored("QString", ".", "_changed")

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._button = QtWidgets.QPushButton(self.directory, self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._button)
        self._button.connect("clicked()", self.browse)

    def _changed(self) -> None:
        self._button.text = self.directory
        emit(self, "directoryChanged(QString)", self.directory)

    def browse(self) -> None:
        path = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self.directory)
        if path:
            self.directory = path
            emit(self, "directorySelected(QString)", path)


@stand_in
class ctkExpandableWidget(QtWidgets.QFrame):
    orientations = stored(int, int(_Qt.Vertical))
    sizeGripInside = stored(bool, True)

    def updateSizeHint(self) -> None:
        self.updateGeometry()


@stand_in
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """As high as its text."""

    collapsed = stored(bool, True, "_show")
    showDetailsText = stored("QString", "Show details...", "_show")
    hideDetailsText = stored("QString", "Hide details.", "_show")
    disableMouseScroll = stored(bool, False)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._parts = None
        self.verticalScrollBarPolicy = _Qt.ScrollBarAlwaysOff
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self.openLinks = False
        self.connect("textChanged()", self._fit)
        self.connect("anchorClicked(QUrl)", self._clicked)

    def _fit(self) -> None:
        self.document.setTextWidth(max(1, self.viewport().width))
        self.setFixedHeight(int(self.document.size.height()) + 2 * self.frameWidth)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._fit()

    def _clicked(self, url) -> None:
        if url.toString() in ("#show", "#hide"):
            self.collapsed = url.toString() == "#hide"

    def _show(self) -> None:
        if self._parts is None:
            return
        short, details, is_html = self._parts
        link = f'<a href="#show">{self.showDetailsText}</a>'
        if not self.collapsed:
            link = f'{details}<br><a href="#hide">{self.hideDetailsText}</a>'
        self.html = f"{short} {link}" if is_html else f"{short}<br>{link}"

    def _split(self, text: str, is_html: bool) -> None:
        mark = "<br>" if is_html else "\n"
        short, found, details = text.partition(mark)
        self._parts = (short, details, is_html)
        if found:
            self._show()
        else:
            self.html = short

    def setCollapsibleText(self, text: str) -> None:
        self._split(text, "<" in text)

    def setCollapsibleHtml(self, text: str) -> None:
        self._split(text, True)

    def setCollapsiblePlainText(self, text: str) -> None:
        self._split(text, False)

    def collapsibleText(self) -> str:
        return "" if self._parts is None else self._parts[0] + self._parts[1]


@stand_in
class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgain = stored(bool, False)
    dontShowAgainVisible = stored(bool, False)
    dontShowAgainSettingsKey = stored("QString", "")


@stand_in
class ctkPushButton(QtWidgets.QPushButton):
    buttonTextAlignment = stored(int, int(_Qt.AlignCenter))
    iconAlignment = stored(int, int(_Qt.AlignLeft))
    elideMode = stored(int, int(_Qt.ElideNone))


@stand_in
class ctkMenuButton(QtWidgets.QPushButton):
    pass


def pixmap_icon(color) -> QtGui.QIcon:
    pixmap = QtGui.QPixmap(16, 16)
    pixmap.fill(color)
    return QtGui.QIcon(pixmap)


STAND_INS = {c.__name__: c for c in list(globals().values()) if isinstance(c, type) and hasattr(c, "_signals")}
