"""Real ultrasound pictures, grey and in colour: from PNG files to a mask in a PNG file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import DatasetError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.session import train
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.volume import COLOURS

QUICK = TrainConfig(
    steps=4,
    features=(4, 8, 16),
    patch=(1, 64, 64),
    spacing_mm=(1.0, 4.0, 4.0),
    batch=2,
    validations=1,
    threads=1,
)


def chosen(kit: Path, channels: int, n: int) -> list[str]:
    """Names of the first pictures with so many channels."""
    folder = kit / "us_nerve_2d" / "images"
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if io.read(folder / name).n_channels == channels][:n]


def learnt(kit: Path, names: Sequence[str], folder: Path) -> Segmenter:
    for ours, theirs in (("images", "images"), ("labels", "masks")):
        (folder / ours).mkdir()
        for name in names:
            shutil.copy(kit / "us_nerve_2d" / theirs / name, folder / ours / name)
    return finish(train(find_cases(folder), QUICK))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_learnt_and_segmented_and_the_mask_is_a_png(
    channels: int, kit: Path, tmp_path: Path
) -> None:
    *teachers, new = chosen(kit, channels, 4)
    segmenter = learnt(kit, teachers, tmp_path)
    assert segmenter.network.dims == 2
    assert segmenter.recipe.channels == (COLOURS if channels == 3 else ("image",))
    picture = io.read(kit / "us_nerve_2d" / "images" / new)
    mask = finish(predict(picture, segmenter, PredictConfig(device="cpu"))).mask
    io.write_mask(mask, tmp_path / "mask.png")
    back = io.read_mask(tmp_path / "mask.png")
    np.testing.assert_array_equal(back.labels, mask.labels)
    assert io.check_label(tmp_path / "mask.png", kit / "us_nerve_2d" / "images" / new) is not None


def test_a_grey_picture_among_colours_is_learnt_and_segmented_as_one(
    kit: Path, tmp_path: Path
) -> None:
    (grey, other), colours = chosen(kit, 1, 2), chosen(kit, 3, 2)
    segmenter = learnt(kit, [grey, *colours], tmp_path)
    assert segmenter.recipe.channels == COLOURS
    picture = io.read(kit / "us_nerve_2d" / "images" / other)
    three = replace(
        picture, array=np.repeat(picture.array[None], 3, 0), channels=COLOURS
    )  # what a program gives that saves grey as colour
    masks = [
        finish(predict(one, segmenter, PredictConfig(device="cpu"))).mask.labels
        for one in (picture, three)
    ]
    np.testing.assert_array_equal(*masks)


def test_scans_of_one_and_of_three_channels_that_are_no_colours_are_not_mixed(
    tmp_path: Path,
) -> None:
    geometry = Geometry.from_spacing((1, 8, 8))
    for name, shape in (("a", (3, 1, 8, 8)), ("b", (1, 8, 8))):
        for part in ("images", "labels"):
            (tmp_path / part).mkdir(exist_ok=True)
        io.write_volume(
            Volume(np.zeros(shape, np.float32), geometry), tmp_path / "images" / f"{name}.nii"
        )
        ones = Volume(np.ones((1, 8, 8), np.uint8), geometry)
        io.write_volume(ones, tmp_path / "labels" / f"{name}.nii")
    with pytest.raises(DatasetError, match="equal channels"):
        finish(train(find_cases(tmp_path), QUICK))
