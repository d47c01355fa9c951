"""A real window with a small scan, a model that calls everything organ, and a real mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from mouse import canvas_of, on_canvas, send
from napari import Viewer
from napari.layers import Layer
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, Qt

from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume
from napari_medseg.widgets import layers, outlook
from napari_medseg.widgets.attach import desk_of
from napari_medseg.widgets.desk import Desk

SHAPE = (12, 24, 24)
Drag = Callable[[Viewer, Layer, Sequence[Sequence[float]]], None]


@pytest.fixture(scope="session")
def organ_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose last layer always answers 1, "organ"."""
    config = NetworkConfig(features=(4, 8), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
    network = build(config, in_channels=1, n_outputs=2)
    weights = weights_of(network)
    for name, value in weights.items():
        if "seg_layers" in name and name.endswith("bias"):
            value[:] = torch.tensor([-9.0, 9.0])
    recipe = Recipe((Label(1, "organ", "#3cb44b"),), patch=(8, 16, 16))
    path = tmp_path_factory.mktemp("models") / "organ.safetensors"
    checkpoint.save(Segmenter("organ", config, weights, recipe), path)
    return path


@pytest.fixture
def scan() -> Volume:
    """Noise on a grid of (2, 0.5, 0.5) mm whose axes are not the shown ones; never the same."""
    affine = np.diag([0.5, -0.5, -2.0, 1.0])
    noise = np.random.default_rng().normal(100, 10, SHAPE).astype(np.float32)
    return Volume(noise, Geometry(SHAPE, affine), name="scan")


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Corrections and versions go here, not to the user's folder."""
    monkeypatch.setenv("MEDSEG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the child
    monkeypatch.setattr(outlook, "UNASKED_S", -1.0)  # no second child after each prediction
    return tmp_path / "data"


@pytest.fixture
def viewer(make_napari_viewer, own_data, request) -> Iterator[Viewer]:
    """A window, on the screen only if the test draws with the mouse: that costs a second more."""
    made = make_napari_viewer(show="drag" in request.fixturenames)
    made.window.resize(900, 600)
    yield made
    desk_of(made).close()


@pytest.fixture
def empty(viewer: Viewer) -> Desk:
    """The window's desk with nothing open."""
    return desk_of(viewer)


@pytest.fixture
def desk(empty: Desk, scan: Volume, organ_model: Path) -> Desk:
    """The desk with a scan open and the model chosen."""
    bench = empty.workbench
    bench.adopt(bench.add_model(organ_model))
    layers.show(empty.viewer, scan)
    empty.open_scan(empty.viewer.layers[0])
    return empty


@pytest.fixture
def said():
    """What napari told the user since the test began."""
    before = len(notification_manager.records)
    return lambda: [str(one.message) for one in list(notification_manager.records)[before:]]


@pytest.fixture
def drag(qtbot) -> Drag:
    """Press, move and release the left button over points (z, y, x) of a layer."""

    def go(viewer: Viewer, layer: Layer, points: Sequence[Sequence[float]]) -> None:
        canvas, spots = canvas_of(viewer), [on_canvas(viewer, layer, point) for point in points]
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        send(canvas, QEvent.Type.MouseButtonPress, spots[0], left, left)
        for spot in spots[1:]:
            send(canvas, QEvent.Type.MouseMove, spot, none, left)
            qtbot.wait(10)  # napari takes a move each 5 ms
        send(canvas, QEvent.Type.MouseButtonRelease, spots[-1], left, none)
        qtbot.wait(10)

    return go
