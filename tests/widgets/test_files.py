"""What napari's File menu opens and saves, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.utils.notifications import notification_manager

from napari_medseg import io
from napari_medseg.errors import WriteError
from napari_medseg.volume import Geometry, Mask, Volume
from napari_medseg.widgets import files

LPI = np.diag([1.0, 1.0, -1.5, 1.0])  # z runs downwards: not the way it is shown


@pytest.fixture(autouse=True)
def plugin(npe2pm):
    """napari with our manifest, and no other plugin."""
    with npe2pm.tmp_plugin(manifest=str(Path(__file__).parents[2] / "napari.yaml")):
        yield


@pytest.fixture
def said():
    """What napari told the user meanwhile."""
    before = len(notification_manager.records)
    return lambda: [str(one.message) for one in list(notification_manager.records)[before:]]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A CT-like scan of 4 x 6 x 8 voxels whose z axis runs downwards."""
    values = np.random.default_rng(0).integers(-900, 1500, (4, 6, 8)).astype(np.int16)
    path = tmp_path / "scan.nii.gz"
    io.write_volume(Volume(values, Geometry((4, 6, 8), LPI)), path)
    return path


def opened(path: Path) -> list:
    return ViewerModel().open(str(path), plugin="napari-medseg")


def test_napari_knows_our_reader_for_scans_and_folders(scan, tmp_path):
    assert files.reader(str(scan)) is files.read
    assert files.reader(str(tmp_path)) is files.read
    assert files.reader(str(tmp_path / "notes.txt")) is None


def test_a_scan_opens_upright_in_mm(scan):
    (layer,) = opened(scan)
    assert isinstance(layer, Image)
    assert layer.name == "scan"
    assert tuple(layer.scale) == (1.5, 1.0, 1.0)
    np.testing.assert_array_equal(layer.data, io.read(scan).array[::-1])


def test_a_mask_opens_as_labels_and_is_saved_on_its_own_grid(tmp_path):
    geometry = Geometry((4, 6, 8), LPI)
    labels = np.zeros((4, 6, 8), np.uint8)
    labels[0, 1, 2] = 2
    io.write_mask(Mask(labels, geometry), tmp_path / "scan_seg.nii.gz")
    (layer,) = opened(tmp_path / "scan_seg.nii.gz")
    assert isinstance(layer, Labels)
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    layer.save(str(tmp_path / "new.nrrd"), plugin="napari-medseg")
    back = io.read_mask(tmp_path / "new.nrrd")
    assert back.geometry == geometry
    labels[3, 0, 0] = 1
    np.testing.assert_array_equal(back.labels, labels)


@pytest.mark.parametrize("ending", io.WRITABLE)
def test_a_mask_drawn_on_a_scan_is_saved_where_it_was_drawn(scan, tmp_path, ending):
    (image,) = opened(scan)
    layer = Labels(
        np.zeros(image.data.shape, int), scale=image.scale, translate=image.translate, units="mm"
    )
    layer.data_setitem((np.array([3]), np.array([1]), np.array([2])), 1)
    files.write_labels(str(tmp_path / f"m{ending}"), *layer.as_layer_data_tuple()[:2])
    back = io.read_mask(tmp_path / f"m{ending}")
    (index,) = np.argwhere(back.labels)
    np.testing.assert_allclose(
        back.geometry.world(index)[0], image.data_to_world((3, 1, 2))[::-1], atol=1e-4
    )


def test_a_scan_is_saved_on_the_grid_it_was_read_on(scan, tmp_path):
    (layer,) = opened(scan)
    layer.save(str(tmp_path / "copy.mha"), plugin="napari-medseg")
    back, source = io.read(tmp_path / "copy.mha"), io.read(scan)
    assert back.geometry == source.geometry
    np.testing.assert_array_equal(back.array, source.array)


def test_a_refused_file_is_one_sentence_and_leaves_the_viewer_as_it_was(tmp_path, said):
    (tmp_path / "page.nii.gz").write_text("<html>404</html>")
    viewer = ViewerModel()
    viewer.add_image(np.zeros((3, 3)))
    assert viewer.open(str(tmp_path / "page.nii.gz"), plugin="napari-medseg") == []
    assert len(viewer.layers) == 1
    (text,) = said()
    assert text.startswith("page.nii.gz: ")
    assert "\n" not in text


def test_of_several_files_the_good_ones_open(scan, tmp_path, said):
    (tmp_path / "bad.nii").write_bytes(b"")
    made = files.read([str(tmp_path / "bad.nii"), str(scan)])
    assert [look["name"] for _, look, _ in made] == ["scan"]
    assert len(said()) == 1


def test_a_mask_that_cannot_be_saved_says_so_and_stays(tmp_path):
    layer = Labels(np.ones((2, 3, 4), np.uint8))
    with pytest.raises(WriteError):
        files.write_labels(str(tmp_path / "no" / "m.nii.gz"), *layer.as_layer_data_tuple()[:2])
    assert layer.data.all()


@pytest.mark.parametrize(
    ("name", "is_mask"),
    [("case_label", True), ("seg", True), ("Tumour-Mask.v2", True), ("segovia", False)],
)
def test_the_name_says_mask_where_the_values_leave_it_open(name, is_mask):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    volume = Volume(values, Geometry.from_spacing(values.shape))
    assert files.is_mask(volume, name) is is_mask


@pytest.mark.parametrize(
    ("values", "is_mask"),
    [
        (np.r_[np.zeros(20), 1, 2, 2, 1].astype(np.uint8), True),
        (np.r_[np.zeros(20), 1, 2, 2, 1].astype(np.float32), False),
        (np.zeros(24, np.uint8), False),
        (np.arange(24, dtype=np.uint8), False),
        (np.linspace(0, 1, 24), False),
    ],
    ids=["few and whole", "floats", "empty", "many", "probabilities"],
)
def test_without_a_word_in_the_name_only_few_whole_numbers_are_a_mask(values, is_mask):
    volume = Volume(values.reshape(2, 3, 4), Geometry.from_spacing((2, 3, 4)))
    assert files.is_mask(volume, "scan") is is_mask


def test_probabilities_named_mask_stay_an_image():
    volume = Volume(np.full((2, 3, 4), 0.5), Geometry.from_spacing((2, 3, 4)))
    assert not files.is_mask(volume, "mask")


def test_a_picture_opens_as_one_slice(tmp_path):
    from PIL import Image as Picture

    values = np.random.default_rng(0).integers(0, 255, (6, 8)).astype(np.uint8)
    Picture.fromarray(values).save(tmp_path / "us.png")
    (layer,) = opened(tmp_path / "us.png")
    np.testing.assert_array_equal(layer.data, values[np.newaxis])


def test_every_series_of_a_dicom_folder_is_a_layer_and_the_largest_is_visible(kit):
    made = opened(kit / "bad_inputs" / "d04_mixed_series")
    assert len(made) == 2
    assert sum(layer.visible for layer in made) == 1


def test_a_label_stored_on_other_axes_lies_on_its_scan(kit):
    folder = kit / "bad_inputs"
    (one,) = opened(folder / "reference_label.nii.gz")
    (other,) = opened(folder / "l08_flipped_same_space.nii.gz")
    np.testing.assert_array_equal(one.data, other.data)
    np.testing.assert_allclose(one.translate, other.translate, atol=1e-4)


def test_no_broken_file_reaches_the_user_as_a_traceback(kit, said):
    import json

    folder = kit / "bad_inputs"
    entries = json.loads((folder / "manifest.json").read_text())["entries"]
    refused = [e["path"] for e in entries if e["expect"] == "refuse" and e["path"][0] in "nvd"]
    for path in refused:
        assert files.read(str(folder / path)) == files.NOTHING
    assert len(said()) == len(refused) > 5
