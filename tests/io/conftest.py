"""Small files of every kind, with truth by construction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_medseg.volume import Geometry

SERIES_UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture
def ramp() -> npt.NDArray[np.int16]:
    """(6, 5, 4) int16, every voxel another number."""
    return np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)


@pytest.fixture
def slanted() -> Geometry:
    """A grid of (6, 5, 4) voxels in general position: rotated, shifted, (2.5, 0.8, 0.7) mm."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_z @ np.diag([0.7, 0.8, 2.5])
    affine[:3, 3] = (-101.5, 33.25, 250.125)
    return Geometry((6, 5, 4), affine)


def slice_of(pixels: npt.NDArray[np.int16], **tags: object) -> FileDataset:
    """One CT slice as a dataset; `tags` add, change or (None) remove elements."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.SeriesInstanceUID = "CT", SERIES_UID
    dataset.SeriesDescription, dataset.SeriesNumber = "Thorax", 3
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.7], 2.5
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelData = pixels.astype("<i2").tobytes()
    for name, value in tags.items():
        if value is None and name in dataset:
            delattr(dataset, name)
        elif value is not None:
            setattr(dataset, name, value)
    return dataset


Writer = Callable[..., Path]


@pytest.fixture
def write_series(tmp_path: Path, ramp: npt.NDArray[np.int16]) -> Writer:
    """Write `ramp` as a series in a folder; `tags_of(z)` gives extra tags of slice z."""

    def write(
        tags_of: Callable[[int], dict[str, object]] = lambda z: {},
        cosines: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        heights_mm: tuple[float, ...] = (0, 2.5, 5, 7.5, 10, 12.5),
        folder: str = "series",
    ) -> Path:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        normal = np.cross(cosines[:3], cosines[3:])
        for z, height in enumerate(heights_mm):
            tags: dict[str, object] = {
                "ImageOrientationPatient": list(cosines),
                "ImagePositionPatient": list(np.array([-10.0, 20.0, 30.0]) + height * normal),
                "InstanceNumber": z + 1,
            }
            save(slice_of(ramp[z % 6], **(tags | tags_of(z))), place / f"IM{z:03d}")
        return place

    return write


def save(dataset: pydicom.Dataset, path: Path) -> None:
    dataset.save_as(path, enforce_file_format=True)
