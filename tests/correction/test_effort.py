"""What a case took, counted and kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from napari_medseg.correction.effort import IDLE_S, Effort, load, save, table


def worked() -> Effort:
    effort = Effort()
    effort.visited(0, 5, now=100.0)
    effort.stepped("brush", 30, now=105.0)
    effort.stepped("brush", 20, now=110.0)
    effort.visited(0, 6, now=112.0)
    effort.stepped("fill holes", 7, now=1000.0)
    return effort


def test_a_long_pause_counts_only_as_long_as_a_person_may_think() -> None:
    assert worked().seconds == pytest.approx(5 + 5 + 2 + IDLE_S)


def test_time_while_the_case_is_closed_is_no_work() -> None:
    effort = worked()
    effort.rested()
    effort.alive(now=1005.0)
    assert effort.seconds == pytest.approx(12 + IDLE_S)


def test_strokes_voxels_tools_slices_and_minutes_are_counted() -> None:
    effort = Effort()
    for second in range(0, 130, 10):
        effort.stepped("brush", 2, now=float(second))
    assert (effort.strokes["brush"], effort.voxels["brush"]) == (13, 26)
    assert effort.minutes == [6, 6, 1]


def test_it_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    effort = worked()
    save(effort, tmp_path / "one.effort")
    again = load(tmp_path / "one.effort")
    effort.rested()
    assert again == effort


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"seconds": "x"}', b"\xff\xfe"])
def test_a_damaged_file_is_a_case_without_effort(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.effort").write_bytes(content)
    assert load(tmp_path / "one.effort") == Effort()


def test_the_table_has_a_row_for_each_case_and_a_column_for_each_tool() -> None:
    rows = list(csv.DictReader(io.StringIO(table({"a": worked(), "b": Effort()}))))
    assert [row["strokes"] for row in rows] == ["3", "0"]
    assert rows[0]["strokes_fill_holes"] == "1"
    assert rows[0]["voxels_changed"] == "57"
    assert rows[0]["slices_visited"] == "2"
