"""A scan that another window corrects is shown, not painted, until that window lets go of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_medseg.volume import Volume
from napari_medseg.widgets import layers
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.desk import Desk
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.case import READ_ONLY


@pytest.fixture
def other(own_data: object, scan: Volume) -> Iterator[Workbench]:
    """The other window, which has corrected the scan."""
    bench = Workbench()
    bench.open_case(scan).labels[3, 4:9, 4:9] = 1
    bench.commit(name="brush")
    assert bench.flush(20)
    yield bench
    bench.close()


def test_it_cannot_be_painted_until_the_other_window_lets_go(
    other: Workbench, empty: Desk, scan: Volume
) -> None:
    layers.show(empty.viewer, scan)
    image = empty.viewer.layers[0]
    case = empty.open_scan(image)
    assert empty.labels is not None
    assert not empty.labels.editable
    assert empty.open_scan(image) is not case  # asked again, it looks again
    other.close_case()
    again = empty.open_scan(image)
    assert again.writable
    assert empty.labels.editable
    assert int((again.labels == 1).sum()) == 25
    assert len(empty.viewer.layers) == 2


def test_what_another_plugin_writes_into_it_is_taken_back_and_told(
    other: Workbench, empty: Desk, scan: Volume, qtbot, said
) -> None:
    layers.show(empty.viewer, scan)
    empty.open_scan(empty.viewer.layers[0])
    assert empty.labels is not None
    before = empty.labels.data.copy()
    empty.labels.data_setitem((np.array([1, 2]), np.array([5, 5]), np.array([7, 8])), 3)
    qtbot.waitUntil(lambda: (empty.labels.data == before).all(), timeout=5000)
    assert any("another window" in told for told in said())


def test_painting_there_says_once_a_press_why_nothing_is_painted(
    other: Workbench, empty: Desk, scan: Volume, drag, said
) -> None:
    layers.show(empty.viewer, scan)
    empty.open_scan(empty.viewer.layers[0])
    assert empty.labels is not None
    empty.viewer.dims.set_current_step(0, 5)
    empty.viewer.reset_view()
    before = empty.labels.data.copy()
    empty.brush.state.set(tool=Tool.BRUSH)
    for presses in (1, 2):
        drag(empty.viewer, empty.labels, [(5, 6, 6), (5, 8, 10), (5, 12, 14)])
        assert said().count(READ_ONLY) == presses
    assert (empty.labels.data == before).all()
