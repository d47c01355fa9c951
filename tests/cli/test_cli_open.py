"""`medseg open`: the window as the user finds it."""

from __future__ import annotations

from pathlib import Path

import napari
import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.volume import Geometry, Volume
from napari_medseg.widgets import attach


def test_open_docks_the_plugin_and_loads_the_scan(
    medseg, make_napari_viewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDSEG_DATA_DIR", str(tmp_path / "data"))
    viewer = make_napari_viewer()
    monkeypatch.setattr(attach, "new_viewer", lambda **_: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    io.write_volume(Volume(array, Geometry.from_spacing((4, 5, 6))), tmp_path / "scan.nii.gz")
    assert medseg("open", tmp_path / "scan.nii.gz").code == 0
    assert [layer.name for layer in viewer.layers][:1] == ["scan"]
    assert len(viewer.window.dock_widgets) == len(attach.DOCKS)
    attach.desk_of(viewer).close()


@pytest.mark.parametrize(("words", "code"), [(["no.nii"], 3), (["--model", "no"], 4)])
def test_open_refuses_before_a_window_comes_up(medseg, words: list[str], code: int) -> None:
    ended = medseg("open", *words)
    assert ended.code == code
    assert ended.err.startswith("error: no")
