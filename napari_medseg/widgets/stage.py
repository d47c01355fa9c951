"""Where the views stand: two rows of two around napari's own canvas, a bar above, a line below.

napari's canvas stays the child of the widget that it is in, for a canvas that moves to another
window would lose what is drawn on it: only the layout around it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari.qt import QtViewer
from qtpy.QtWidgets import QGridLayout, QMainWindow, QVBoxLayout, QWidget

from napari_medseg.errors import MedsegError

CELLS = ((0, 0), (1, 0), (1, 1), (0, 1))  # axial, coronal, sagittal, 3-D: as in 3D Slicer


class Stage:
    """The middle of a window.

    Parameters
    ----------
    window
        napari's window.
    main
        Its canvas.
    header
        The line above that canvas.
    above, below
        Rows over and under all views.
    """

    def __init__(
        self,
        window: QMainWindow,
        main: QtViewer,
        header: QWidget,
        above: Sequence[QWidget],
        below: QWidget,
    ) -> None:
        middle = window.centralWidget()
        outer = None if middle is None else middle.layout()
        if outer is None or outer.indexOf(main) < 0:
            raise MedsegError("napari's canvas must stand in the middle of its window")
        outer.removeWidget(main)
        self._main: QtViewer | None = main
        self._header = header
        self._views: dict[int, QWidget] = {}
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        first = QVBoxLayout()
        first.setSpacing(0)
        first.addWidget(header)
        first.addWidget(main, 1)
        self._grid.addLayout(first, *CELLS[0])
        column = QVBoxLayout()
        column.setSpacing(2)
        for row in above:
            column.addWidget(row)
        column.addLayout(self._grid, 1)
        column.addWidget(below)
        outer.addLayout(column)  # type: ignore[attr-defined]

    def put(self, number: int, view: QWidget) -> None:
        """Give a view its place."""
        self._views[number] = view
        self._grid.addWidget(view, *CELLS[number])

    def close(self) -> None:
        """Take the other views away, and hold napari's canvas no more."""
        for view in self._views.values():
            self._grid.removeWidget(view)
        self._views.clear()
        self.show(False, -1)
        self._main = None

    def forget(self) -> None:
        """Hold nothing more: the window is gone, and all widgets with it."""
        self._views.clear()
        self._main = None

    def show(self, four: bool, enlarged: int) -> None:
        """All views, or one of them in the place of all."""
        alone = enlarged if four else 0
        for number, view in self._views.items():
            view.setVisible(four and alone in (-1, number))
        if self._main is not None:
            self._main.setVisible(alone in (-1, 0))
        self._header.setVisible(alone in (-1, 0) and bool(self._views))
        for index in (0, 1):
            used = [n for n, cell in enumerate(CELLS) if alone in (-1, n)]
            self._grid.setRowStretch(index, int(any(CELLS[n][0] == index for n in used)))
            self._grid.setColumnStretch(index, int(any(CELLS[n][1] == index for n in used)))
