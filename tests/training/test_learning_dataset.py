"""Which image belongs to which mask, and who holds the exam."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import DatasetError
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import (
    Cases,
    find_cases,
    held_subjects,
    labels_of,
    read_case,
    split,
)
from napari_medseg.volume import Geometry, Mask, Volume

Write = Callable[..., Path]


def test_cases_are_paired_by_name(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(3)).cases
    assert [case.name for case in cases] == ["scan_000", "scan_001", "scan_002"]
    assert all(io.stem(case.images[0]) == io.stem(case.mask) for case in cases)


def test_what_has_no_partner_is_left_out_and_told(write_dataset: Write) -> None:
    folder = write_dataset(3)
    (folder / "labels" / "scan_000.nii.gz").unlink()
    (folder / "images" / "scan_001.nii.gz").unlink()
    found = find_cases(folder)
    assert [case.name for case in found.cases] == ["scan_002"]
    assert found.warnings == (
        "scan_000: an image without a mask is left out",
        "scan_001: a mask without an image is left out",
    )


def test_images_and_masks_of_other_names_are_not_paired_by_order(write_dataset: Write) -> None:
    folder = write_dataset(1)
    (folder / "labels" / "scan_000.nii.gz").rename(folder / "labels" / "truth.nii.gz")
    with pytest.raises(DatasetError, match="must have one name"):
        find_cases(folder)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_an_unreadable_dataset_json_is_refused(write_dataset: Write, text: str) -> None:
    folder = write_dataset(1)
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json must"):
        find_cases(folder)


def test_a_folder_without_the_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must have folders images and labels"):
        find_cases(tmp_path)


def test_one_name_for_two_files_is_refused(write_dataset: Write) -> None:
    folder = write_dataset(1)
    volume = io.read(folder / "images" / "scan_000.nii.gz")
    io.write_volume(volume, folder / "images" / "scan_000.nrrd")
    with pytest.raises(DatasetError, match="scan_000: one file must have this name"):
        find_cases(folder)


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "rind": 1, "core": 2, "ignore": 255},
        {"0": "background", "1": "rind", "2": "core"},
    ],
)
def test_label_names_come_from_both_kinds_of_dataset_json(
    write_dataset: Write, labels: dict[str, object]
) -> None:
    cases = find_cases(write_dataset(1, labels=labels))
    assert [(label.value, label.name) for label in labels_of(cases, [0, 1, 2, 255])] == [
        (1, "rind"),
        (2, "core"),
    ]


def test_labels_without_names_are_numbered_and_may_have_gaps() -> None:
    labels = labels_of(Cases("d", ()), [0, 7, 40, 255])
    assert [(label.value, label.name) for label in labels] == [(7, "label 7"), (40, "label 40")]


def test_a_label_that_dataset_json_does_not_name_is_refused(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(1, labels={"rind": 1}))
    with pytest.raises(DatasetError, match="got 2"):
        labels_of(cases, [1, 2])


def test_masks_without_any_label_are_refused() -> None:
    with pytest.raises(DatasetError, match="all are background"):
        labels_of(Cases("d", ()), [0, 255])


def test_nnunet_channels_become_one_volume(write_dataset: Write) -> None:
    folder = write_dataset(2, channel_names={"0": "T1", "1": "FLAIR"})
    (folder / "images").rename(folder / "imagesTr")
    (folder / "labels").rename(folder / "labelsTr")
    for path in list((folder / "imagesTr").iterdir()):
        shutil.copy(path, path.with_name(path.name.replace(".nii", "_0001.nii")))
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    cases = find_cases(folder)
    assert cases.channels == ("T1", "FLAIR")
    assert read_case(cases.cases[0])[0].array.shape == (2, 16, 16, 16)


def test_a_mask_of_another_shape_is_refused_with_both_shapes(write_dataset: Write) -> None:
    folder = write_dataset(1)
    geometry = Geometry.from_spacing((8, 8, 8))
    wrong = Mask(np.ones((8, 8, 8), np.uint8), geometry)
    io.write_mask(wrong, folder / "labels" / "scan_000.nii.gz")
    with pytest.raises(DatasetError, match=r"scan_000: .*\(16, 16, 16\).*\(8, 8, 8\)"):
        read_case(find_cases(folder).cases[0])


def test_a_mask_with_flipped_axes_is_laid_on_its_scan(write_dataset: Write) -> None:
    folder = write_dataset(1)
    path = folder / "labels" / "scan_000.nii.gz"
    mask = io.read_mask(path)
    affine = mask.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 0] * 15
    affine[:3, 0] *= -1
    flipped = np.ascontiguousarray(mask.labels[:, :, ::-1])
    io.write_mask(Mask(flipped, Geometry(mask.labels.shape, affine)), path)
    assert np.array_equal(read_case(find_cases(folder).cases[0])[1].labels, mask.labels)


def test_an_unreadable_scan_is_refused_by_its_case(write_dataset: Write) -> None:
    folder = write_dataset(1)
    (folder / "images" / "scan_000.nii.gz").write_bytes(b"no scan")
    with pytest.raises(DatasetError, match="scan_000: "):
        read_case(find_cases(folder).cases[0])


def test_train_order_orders_the_cases_by_the_ends_of_their_names(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(3, train_order=["002", "000", "001"]))
    assert [case.name for case in cases.cases] == ["scan_002", "scan_000", "scan_001"]
    parts = split(cases, TrainConfig(validation_last=1))
    assert [case.name for case in parts.validation] == ["scan_001"]
    assert [case.name for case in parts.train] == ["scan_002", "scan_000"]


def test_only_the_first_cases_can_be_asked_for(write_dataset: Write) -> None:
    parts = split(find_cases(write_dataset(4)), TrainConfig(validation_last=2, only_first=1))
    assert [case.name for case in parts.train] == ["scan_000"]


def test_named_cases_are_held_back(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(4))
    parts = split(cases, TrainConfig(validation=("003", "scan_001")))
    assert [case.name for case in parts.validation] == ["scan_003", "scan_001"]
    with pytest.raises(DatasetError, match="9: a name must fit one case"):
        split(cases, TrainConfig(validation=("9",)))


def test_the_dataset_itself_may_hold_cases_back(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(3, validation=["scan_002"]))
    assert [case.name for case in split(cases, TrainConfig()).validation] == ["scan_002"]


@pytest.mark.parametrize("seed", range(5))
def test_no_subject_is_on_both_sides(write_dataset: Write, seed: int) -> None:
    cases = find_cases(write_dataset(1))
    one = cases.cases[0]
    many = tuple(replace(one, name=f"c{n}", subject=f"s{n // 2}") for n in range(20))
    parts = split(replace(cases, cases=many), TrainConfig(seed=seed))
    train = {case.subject for case in parts.train}
    assert train.isdisjoint(case.subject for case in parts.validation)
    assert len(parts.train) + len(parts.validation) == 20
    assert len(parts.validation) == 4


def test_the_other_side_of_a_held_back_subject_is_left_out(write_dataset: Write) -> None:
    folder = write_dataset(3, subjects={"scan_000": "a", "scan_001": "a"})
    parts = split(find_cases(folder), TrainConfig(validation=("scan_000",)))
    assert [case.name for case in parts.train] == ["scan_002"]
    assert parts.warnings == ("scan_001 is left out: its subject a is held back",)


def test_holding_all_back_is_refused(write_dataset: Write) -> None:
    with pytest.raises(DatasetError, match="must be left to train on"):
        split(find_cases(write_dataset(1)), TrainConfig(validation=("scan_000",)))


def test_a_split_stays_when_a_case_joins() -> None:
    before = held_subjects([f"s{n}" for n in range(40)], 0.25)
    after = held_subjects([f"s{n}" for n in range(41)], 0.25)
    assert len(before - after) <= 1


def test_subjects_can_be_given_by_the_caller(write_dataset: Write) -> None:
    cases = find_cases(write_dataset(2), subjects={"scan_001": "anna"})
    assert [case.subject for case in cases.cases] == ["scan_000", "anna"]


def test_channels_on_two_grids_are_refused(write_dataset: Write) -> None:
    folder = write_dataset(1)
    other = Volume(np.zeros((8, 8, 8), np.float32), Geometry.from_spacing((8, 8, 8)))
    io.write_volume(other, folder / "other.nii.gz")
    case = find_cases(folder).cases[0]
    with pytest.raises(DatasetError, match="channels must share a grid"):
        read_case(replace(case, images=(*case.images, folder / "other.nii.gz")))


def test_the_real_hippocampus_is_read_as_its_readme_says(kit: Path) -> None:
    cases = find_cases(kit / "hippocampus")
    order = json.loads((kit / "hippocampus" / "dataset.json").read_text())["train_order"]
    assert [case.name for case in cases.cases] == [f"hippocampus_{name}" for name in order]
    assert [label.name for label in cases.labels] == ["anterior", "posterior"]
    assert len(split(cases, TrainConfig(validation_last=39)).train) == 160
