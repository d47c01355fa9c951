"""The scans that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_medseg import io
from napari_medseg.errors import ReadError
from napari_medseg.widgets import sample

KEYS = ("chest-ct", "nodule-ct", "brain-mr", "breast-mr")


@pytest.fixture(autouse=True)
def plugin(npe2pm):
    """napari with our manifest, and no other plugin."""
    with npe2pm.tmp_plugin(manifest=str(Path(__file__).parents[2] / "napari.yaml")):
        yield


@pytest.mark.parametrize("key", KEYS)
def test_each_sample_opens_from_the_file_menu_in_mm(key):
    viewer = ViewerModel()
    viewer.open_sample("napari-medseg", key)
    assert len(viewer.layers) in (1, 2)
    assert str(viewer.layers[0].units[0]) == "millimeter"
    assert max(viewer.layers[0].scale) <= 6.5


def test_the_tumour_is_named_and_lies_within_its_scan():
    viewer = ViewerModel()
    viewer.open_sample("napari-medseg", "brain-mr")
    image, mask = viewer.layers
    assert isinstance(mask, Labels)
    assert list(mask.features["name"]) == ["background", "tumour"]
    assert mask.data.shape == image.data.shape
    assert mask.data.any()


@pytest.mark.parametrize("name", ["chest_ct", "nodule_ct", "brain_mr", "breast_mr"])
def test_each_mask_lies_on_its_scans_grid(name):
    scan = io.read(sample.folder() / f"{name}.nii.gz")
    assert io.read_mask(sample.truth(name)).geometry == scan.geometry


def test_lungs_are_air_and_the_tumour_is_not():
    scan = io.read(sample.folder() / "chest_ct.nii.gz").array
    truth = io.read_mask(sample.truth("chest_ct")).labels
    assert np.median(scan[truth == 1]) < -700
    assert np.median(scan[truth == 2]) > -100


def test_the_folder_stays_small():
    files = [path for path in sample.folder().rglob("*") if path.is_file()]
    models = [path for path in files if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in set(files) - set(models)) < 8 << 20
    assert all(path.stat().st_size < 10 << 20 for path in models)


def test_a_package_without_its_data_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sample, "__file__", str(tmp_path / "a" / "b" / "sample.py"))
    with pytest.raises(ReadError, match="reinstall"):
        sample.folder()
