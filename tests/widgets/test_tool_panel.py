"""The smart tools as the Correct dock shows them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_medseg.correction.edit import edit_of
from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.widgets.history_panel import HistoryPanel
from napari_medseg.widgets.tool_panel import ToolPanel, shown_knobs


@pytest.fixture
def panel(desk, qtbot) -> ToolPanel:
    made = ToolPanel(desk.toolbox)
    qtbot.addWidget(made)
    return made


def paint(desk, box, value: int) -> None:
    editor = desk.workbench.editor
    shape = tuple(part.stop - part.start for part in box)
    editor.apply(edit_of(editor.scene(), box, np.ones(shape, bool), value), "brush", value)


def test_every_tool_can_be_taken_up_from_the_menu_with_its_knobs(panel, desk):
    groups = [action.menu() for action in panel.menu.actions()]
    actions = [action for group in groups for action in group.actions()]
    by_name = {tool.name: tool for tool in catalogue()}
    assert sorted(action.text() for action in actions) == sorted(by_name)
    for action in actions:
        action.trigger()
        tool = by_name[action.text()]
        assert desk.toolbox.smart.tool is tool
        assert tool.name in panel.choose.text()
        form = panel._form
        assert (form is None) == (not shown_knobs(tool.knobs))
        assert form is None or form.value() == tool.knobs
        assert len(shown_knobs(tool.knobs)) <= len(fields(tool.knobs))


@pytest.mark.parametrize("name", ["Active contour", "Intersect with another", "Assisted brush"])
def test_no_tool_makes_the_panel_wider_than_its_dock(panel, desk, name):
    panel.show()
    desk.toolbox.smart.choose(next(t for t in catalogue() if t.name == name))
    assert panel.minimumSizeHint().width() <= 300


def test_the_form_of_the_tool_before_is_gone_at_once(panel, desk, qtbot):
    tools = {tool.name: tool for tool in catalogue()}
    panel.show()
    desk.toolbox.smart.choose(tools["Flood"])
    before = panel._form
    desk.toolbox.smart.choose(tools["Grow"])
    assert before.isHidden()
    qtbot.waitUntil(panel._form.isVisible, timeout=2000)


def test_preview_and_apply_by_button(panel, desk, qtbot):
    paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), 1)
    paint(desk, (slice(5, 6), slice(20, 21), slice(20, 21)), 1)
    desk.toolbox.smart.choose(next(t for t in catalogue() if t.name == "Keep largest"))
    panel.preview.click()
    qtbot.waitUntil(lambda: panel.apply.isEnabled(), timeout=5000)
    panel.apply.click()
    assert np.count_nonzero(desk.labels.data) == 16
    assert not panel.apply.isEnabled()


def test_next_error_goes_there_and_its_fix_is_applied_as_one_step(panel, desk, viewer, qtbot):
    for z in range(2, 9):
        paint(desk, (slice(z, z + 1), slice(6, 16), slice(6, 16)), 1)
    paint(desk, (slice(4, 5), slice(21, 22), slice(21, 22)), 1)
    panel.next.click()
    qtbot.waitUntil(lambda: desk.toolbox.smart.proposal is not None, timeout=10000)
    assert desk.viewed_slice() == (0, 4)
    assert panel.doubt.text()
    qtbot.waitUntil(lambda: not desk.toolbox.smart.busy, timeout=5000)
    assert desk.toolbox.smart.apply()
    assert desk.labels.data[4, 21, 21] == 0
    assert desk.workbench.editor.undo()
    assert desk.labels.data[4, 21, 21] == 1


@pytest.mark.parametrize(("name", "way"), [("next", 1), ("previous", -1)])
def test_after_a_copy_the_view_is_at_the_slice_copied_to_so_that_it_goes_on(
    panel, desk, viewer, qtbot, name, way
):
    paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), 1)
    viewer.dims.set_current_step(0, 5)
    desk.toolbox.smart.choose(next(t for t in catalogue() if t.name == f"Copy to {name} slice"))
    for z in (5 + way, 5 + 2 * way):
        panel.preview.click()
        qtbot.waitUntil(lambda: panel.apply.isEnabled(), timeout=5000)
        panel.apply.click()
        assert desk.viewed_slice() == (0, z)
    np.testing.assert_array_equal(desk.labels.data[5], desk.labels.data[5 + 2 * way])


def test_the_history_lists_steps_and_a_click_goes_to_any(desk, qtbot):
    history = HistoryPanel(desk)
    qtbot.addWidget(history)
    for value in (1, 2, 3):
        paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), value)
    rows = [row.strip() for row in lines(history)]
    assert rows[0].startswith("▸")
    assert "brush, 16 voxels" in rows[0]
    assert rows[3:] == ["As it was opened"]
    click(history, 2)
    assert desk.labels.data.max() == 1
    assert [row.startswith("▸") for row in lines(history)] == [False, False, True, False]
    assert history.steps.data(history.steps.index(0), Qt.ItemDataRole.ForegroundRole) is not None
    click(history, 0)
    assert desk.labels.data.max() == 3
    click(history, 3)
    assert not desk.labels.data.any()


def lines(history: HistoryPanel) -> list[str]:
    steps = history.steps
    return [steps.data(steps.index(row)) for row in range(steps.rowCount())]


def click(history: HistoryPanel, row: int) -> None:
    place = history.list.visualRect(history.steps.index(row)).center()
    QTest.mouseClick(history.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_stroke_after_a_step_back_takes_the_place_of_what_was_taken_back(desk, qtbot):
    history = HistoryPanel(desk)
    qtbot.addWidget(history)
    for value in (1, 2, 3, 4):
        paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), value)
    desk.workbench.editor.go_to(2)
    paint(desk, (slice(6, 7), slice(8, 10), slice(8, 10)), 1)
    assert [(", 16 vox" in row, ", 4 vox" in row, "▸" in row) for row in lines(history)] == [
        (False, True, True),
        (True, False, False),
        (True, False, False),
        (False, False, False),
    ]


def test_a_stroke_touches_two_rows_of_a_long_history_and_a_long_way_back_is_told_once(desk, qtbot):
    history = HistoryPanel(desk)
    qtbot.addWidget(history)
    for number in range(300):
        paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), 1 + number % 2)
    changed: list[int] = []
    history.steps.dataChanged.connect(lambda a, b: changed.append(b.row() - a.row() + 1))
    paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), 1)
    assert changed == [2]
    told: list[None] = []
    desk.brush.stepped.connect(lambda: told.append(None))
    desk.workbench.editor.go_to(0)
    assert (len(told), desk.tally.voxels) == (1, 0)
    assert lines(history)[-1].startswith("▸")


def test_work_is_counted_and_comes_again_with_the_case(desk, scan, viewer):
    paint(desk, (slice(5, 6), slice(8, 12), slice(8, 12)), 1)
    viewer.dims.set_current_step(0, 3)
    viewer.dims.set_current_step(0, 4)
    desk.open_volume(scan)
    effort = desk.workbench.editor.effort
    assert (effort.strokes["brush"], effort.voxels["brush"]) == (1, 16)
    assert {(0, 3), (0, 4)} <= effort.slices
    assert [one.strokes.total() for one in desk.workbench.efforts().values()] == [1]
