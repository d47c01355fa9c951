"""Make sample_data/ from the source distribution of pyradiomics 3.0.1 (BSD-3-Clause).

    pip download --no-deps --no-build-isolation --no-binary :all: pyradiomics==3.0.1
    python scripts/make_sample_data.py pyradiomics-3.0.1.tar.gz

The chest CTs are averaged 2 x 2 in-plane, rounded to 4 HU and cut to the trunk, so that the folder
stays small; the MRs are as they come, without the slices that show a face. The tumours were drawn
by people and come with the scans. The lungs are machine-made, by threshold and connected parts
(`lungs_of`): dense tissue, such as a tumour or a nodule, is not in them.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from napari_medseg import io
from napari_medseg.volume import Geometry, Label, Mask, Volume

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "sample_data"
LUNG, TUMOUR = Label(1, "lung", "#42d4f4"), Label(2, "tumour", "#f58231")

AIR_HU = -400.0  # between lung (-850) and water (0)
AIRWAY_HU, AIRWAY_MM2 = -900.0, 900.0  # the trachea is darker than lung and small in a slice
SMALLEST_LUNG_ML = 200.0
VESSEL_MM = 4.0  # vessels up to twice as wide are closed into the lung
MARGIN_MM = 12.0
STEP_HU = 4  # finer than this is noise, and noise does not compress

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One of the distribution's cases and what becomes of it."""

    source: str
    name: str
    modality: str
    slices: tuple[int, int | None] = (0, None)  # face and neck are left out


CASES = (
    Case("lung2", "chest_ct", "CT", (9, 57)),
    Case("lung1", "nodule_ct", "CT", (0, 42)),
    Case("brain1", "brain_mr", "MR", (9, None)),
    Case("breast1", "breast_mr", "MR"),
)


def lungs_of(volume: Volume) -> Bools:
    """Both lungs (Z, Y, X) of a CT in HU, by threshold, connected parts and closing.

    Room air touches the side of the picture; bowel gas and airways are small; what is left above
    200 ml is lung. Closing takes vessels in, not what is denser and wider.
    """
    spacing = volume.geometry.spacing_mm
    air = ndi.gaussian_filter(volume.array.astype(np.float32), (0, 1, 1)) < AIR_HU
    air = _without_room(air) & ~_airways(air, volume)
    parts, count = ndi.label(air)
    ml = ndi.sum_labels(air, parts, np.arange(count + 1)) * volume.geometry.voxel_ml
    lungs = (ml >= SMALLEST_LUNG_ML)[parts]
    radius = round(VESSEL_MM / spacing[2])
    disk = np.hypot(*np.ogrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    closed = [ndi.binary_closing(np.pad(one, radius), disk) for one in lungs]
    inner = slice(radius, -radius)
    return np.stack([ndi.binary_fill_holes(one)[inner, inner] for one in closed]) & ~_airways(
        air, volume
    )


def _without_room(air: Bools) -> Bools:
    """Air that no slice's edge touches."""
    kept = np.zeros_like(air)
    for number, one in enumerate(air):
        parts, _ = ndi.label(one)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        kept[number] = one & ~np.isin(parts, edge)
    return kept


def _airways(air: Bools, volume: Volume) -> Bools:
    """Trachea and main bronchi: in a slice, small and darker than lung."""
    _, dy, dx = volume.geometry.spacing_mm
    found = np.zeros_like(air)
    for number, one in enumerate(_without_room(air)):
        parts, count = ndi.label(one)
        numbers = np.arange(count + 1)
        mm2 = ndi.sum_labels(one, parts, numbers) * dy * dx
        darkest = ndi.median(volume.array[number], parts, numbers)
        found[number] = ((mm2 < AIRWAY_MM2) & (np.asarray(darkest) < AIRWAY_HU))[parts] & one
    return found


def halved(volume: Volume, mask: Mask) -> tuple[Volume, Mask]:
    """Averaged 2 x 2 in-plane, the tumour by majority; the grid's corner stays where it is."""
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :2] @ (0.5, 0.5)
    affine[:3, :2] *= 2
    image, label = _blocks(volume.array), _blocks(mask.labels > 0)
    geometry = Geometry(image.shape, affine)  # type: ignore[arg-type]
    array = (np.rint(np.clip(image, -1024, 1500) / STEP_HU) * STEP_HU).astype(np.int16)
    labels = (label >= 0.5).astype(np.uint8)
    return replace(volume, array=array, geometry=geometry), Mask(labels, geometry)


def _blocks(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    z, y, x = array.shape
    even = array[:, : y // 2 * 2, : x // 2 * 2].astype(np.float64)
    return np.asarray(even.reshape(z, y // 2, 2, x // 2, 2).mean((2, 4)))


def cut(volume: Volume, mask: Mask, box: tuple[slice, slice, slice]) -> tuple[Volume, Mask]:
    """The box of both, each voxel where it was in the patient."""
    start = [s.indices(n)[0] for s, n in zip(box, volume.geometry.shape, strict=True)]
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.world(start)[0]
    array, labels = volume.array[box].copy(), mask.labels[box].copy()
    geometry = Geometry(array.shape, affine)  # type: ignore[arg-type]
    return replace(volume, array=array, geometry=geometry), Mask(labels, geometry)


def body_box(volume: Volume) -> tuple[slice, slice, slice]:
    """The largest thing in a CT and a margin; all slices."""
    inside = ndi.binary_opening(volume.array > AIR_HU, np.ones((1, 5, 5)))
    parts, count = ndi.label(inside)
    sizes = ndi.sum_labels(inside, parts, np.arange(1, count + 1))
    y, x = ndi.find_objects(parts)[int(np.argmax(sizes))][1:]
    pad = [round(MARGIN_MM / mm) for mm in volume.geometry.spacing_mm[1:]]
    return (
        slice(None),
        slice(max(0, y.start - pad[0]), y.stop + pad[0]),
        slice(max(0, x.start - pad[1]), x.stop + pad[1]),
    )


def made(case: Case, source: Path) -> tuple[Volume, Mask]:
    """The scan and its mask as they go into sample_data/."""
    volume = replace(io.read(source / f"{case.source}_image.nrrd"), modality=case.modality)
    mask = io.read_mask(source / f"{case.source}_label.nrrd")
    if case.modality == "CT":
        volume, mask = halved(volume, mask)
        volume, mask = cut(volume, mask, body_box(volume))
        labels = np.where(mask.labels > 0, 2, lungs_of(volume)).astype(np.uint8)
        names: tuple[Label, ...] = (LUNG, TUMOUR)
    else:
        labels, names = mask.labels.astype(np.uint8), (replace(TUMOUR, value=1),)
    labels = labels[slice(*case.slices)]
    volume, mask = cut(volume, mask, (slice(*case.slices), slice(None), slice(None)))
    volume = replace(volume, name=case.name, header={})
    return volume, Mask(labels, volume.geometry, names)


def unpacked(sdist: Path, target: Path) -> Path:
    """The distribution's data folder."""
    with tarfile.open(sdist) as archive:
        wanted = [m for m in archive.getmembers() if m.name.endswith(".nrrd")]
        archive.extractall(target, wanted, filter="data")
    return target / Path(wanted[0].name).parent


def main() -> int:
    """Write every case; 0 when done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sdist", type=Path, help="pyradiomics-3.0.1.tar.gz")
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = unpacked(args.sdist, Path(folder))
        for case in CASES:
            volume, mask = made(case, source)
            io.write_volume(volume, args.out / f"{case.name}.nii.gz")
            io.write_mask(mask, args.out / f"{case.name}_mask.nii.gz")
            sys.stdout.write(f"{case.name}: {volume.geometry}, labels {mask.values()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
