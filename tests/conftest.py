"""What all tests share: the folder of real scans and phantoms whose truth is known."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import taught as child

from napari_medseg.correction.record import Example
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.volume import Geometry, Mask, Volume
from napari_medseg.workbench import Workbench, lesson

KIT = Path(os.environ.get("MEDSEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def kit() -> Path:
    """The folder of real labelled scans; tests that need it skip where it is not."""
    if not (KIT / "MANIFEST.tsv").exists():
        pytest.skip(f"real scans are not at {KIT}; set MEDSEG_TEST_DATA to their folder")
    return KIT


def pytest_configure() -> None:
    """Napari's settings are not the person's own, nor those of tests that run beside these."""
    folder = tempfile.mkdtemp(prefix="napari-settings-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")


@pytest.fixture(autouse=True, scope="session")
def own_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What engines were measured before, on this machine, decides no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDSEG_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def ball() -> tuple[Volume, Mask]:
    """A bright ball of radius 8 mm in noise, on a grid of (2, 1, 1) mm."""
    geometry = Geometry.from_spacing((20, 40, 40), (2.0, 1.0, 1.0))
    z, y, x = np.ogrid[:20, :40, :40]
    inside = ((z - 10) * 2.0) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 64
    noise = np.random.default_rng(0).normal(0, 10, geometry.shape)
    image = (noise + 100 * inside).astype(np.float32)
    return Volume(image, geometry, name="ball"), Mask(inside.astype(np.uint8), geometry)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Callable[[Workbench], list[Example]]:
    """What a fine-tune gives its child to learn from: the open case first, then the others."""
    monkeypatch.setenv("PYTHONPATH", str(child.HERE), prepend=os.pathsep)
    monkeypatch.setattr(lesson, "FINE_TUNE", child.CHILD)

    def shown(bench: Workbench) -> list[Example]:
        with closing(bench.fine_tune(FineTuneConfig())) as job:
            return next(event for event in job if isinstance(event, list))

    return shown
