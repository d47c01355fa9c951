"""Ties one desk, and so one workbench, to one viewer; and opens the docks."""

from __future__ import annotations

import weakref
from typing import Any

import napari
from napari import Viewer
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QTabWidget, QWidget

from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.notices import hushed
from napari_medseg.widgets.views import Views
from napari_medseg.workbench import Workbench

PLUGIN = "napari-medseg"
VIEWS = "Views"  # keys of this group work whatever layer is active
DOCKS = ("Segment", "Correct", "Fine-tune")  # in the order of the work
SIMULATE = "Simulate"  # beside the work, so it has no number and opens only when asked for

_desks: weakref.WeakKeyDictionary[Viewer, Desk] = weakref.WeakKeyDictionary()


def desk_of(napari_viewer: Viewer) -> Desk:
    """The desk of a viewer; made at the first call."""
    viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)  # plugins get a proxy
    if viewer not in _desks:
        desk = _desks[viewer] = Desk(viewer, Workbench())
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(desk.close)
    return _desks[viewer]


def workbench_of(napari_viewer: Viewer) -> Workbench:
    """What is open in a viewer."""
    return desk_of(napari_viewer).workbench


class WindowWatch(QObject):
    """Closes the desk once its window is really gone; a close that the user takes back is none."""

    def __init__(self, window: QWidget, desk: Desk) -> None:
        super().__init__(window)
        self._window, self._desk = window, desk
        window.installEventFilter(self)
        window.destroyed.connect(desk.close)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is not None and event.type() == QEvent.Type.Close:
            QTimer.singleShot(0, self._close_if_hidden)
        return False

    def _close_if_hidden(self) -> None:
        if not self._window.isVisible():
            self._desk.close()


def watch_window(dock: QWidget, desk: Desk) -> None:
    """Called by each dock when it is shown: only then does it stand in a window."""
    window = dock.window()
    if isinstance(window, QMainWindow) and window.findChild(WindowWatch) is None:
        WindowWatch(window, desk)
        desk.views = Views(desk, window, desk.toolbox.keys)
        desk.toolbox.keys.attach(desk.viewer, VIEWS)
        desk.toolbox.focus.follow(desk.views)
        desk.views.doubled.connect(desk.toolbox.close_line)
        desk.views.attach(desk.brush.attach)
        desk.views.pane_removed.connect(lambda _, layer: desk.brush.detach(layer))
        right = Qt.DockWidgetArea.RightDockWidgetArea
        window.setTabPosition(right, QTabWidget.TabPosition.North)  # where the eye begins


def new_viewer(**settings: Any) -> Viewer:
    """A napari window of our own, without the notice that would cover its canvas."""
    with hushed():
        return napari.Viewer(**settings)


def open_all_docks(viewer: Viewer) -> dict[str, QWidget]:
    """The docks as tabs on the right, in the order of the work, the first one on top."""
    made = {title: show_dock(viewer, title) for title in DOCKS}
    show_dock(viewer, DOCKS[0])
    return made


def show_dock(viewer: Viewer, title: str) -> QWidget:
    """Bring a dock to the front; open it if it is not there."""
    window = viewer.window
    for name, widget in window.dock_widgets.items():
        if name.split(" (")[0] == title:
            _raise(widget)
            return widget  # type: ignore[no-any-return]
    widget = _make(viewer, title)
    dock = window.add_dock_widget(widget, name=title, area="right", tabify=True)
    number = f"{DOCKS.index(title) + 1}  " if title in DOCKS else ""
    dock.setWindowTitle(f"{number}{title}")  # the tab's text
    _raise(widget)
    return widget


def _make(viewer: Viewer, title: str) -> QWidget:
    from napari_medseg.widgets.correct_dock import CorrectDock
    from napari_medseg.widgets.finetune_dock import FineTuneDock
    from napari_medseg.widgets.segment_dock import SegmentDock
    from napari_medseg.widgets.simulate_dock import SimulateDock

    made = (SegmentDock, CorrectDock, FineTuneDock, SimulateDock)
    kinds: dict[str, type[QWidget]] = dict(zip((*DOCKS, SIMULATE), made, strict=True))
    return kinds[title](viewer)


def _raise(widget: QWidget) -> None:
    dock = widget.parent()
    if isinstance(dock, QDockWidget):
        dock.show()
        dock.raise_()
