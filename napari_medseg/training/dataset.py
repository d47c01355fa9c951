"""A folder of labelled cases: which image belongs to which mask, and who holds the exam."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_medseg import io
from napari_medseg.errors import DatasetError, MedsegError
from napari_medseg.training.config import IGNORE, TrainConfig
from napari_medseg.volume import Label, Mask, Volume
from napari_medseg.volume.resample import mask_on

# twelve hues that stay apart for colour-blind eyes too (Sasha Trubetskoy's list)
COLORS = (
    *("#e6194b", "#4363d8", "#ffe119", "#3cb44b", "#f58231", "#911eb4"),
    *("#42d4f4", "#f032e6", "#bfef45", "#fabed4", "#469990", "#9a6324"),
)


@dataclass(frozen=True)
class Case:
    """One labelled scan on disk: a file per channel, or one with all."""

    name: str
    images: tuple[Path, ...]
    mask: Path
    subject: str


@dataclass(frozen=True)
class Cases:
    """A dataset as its folder tells it.

    Attributes
    ----------
    cases
        In the dataset's `train_order` if it has one, else by name.
    labels
        The structures that the dataset names; empty where it names none.
    channels
        What each input channel is; empty where the dataset does not say.
    validation
        Names that the dataset itself holds back.
    warnings
        One sentence each, such as an image without a mask.
    """

    name: str
    cases: tuple[Case, ...]
    labels: tuple[Label, ...] = ()
    channels: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def named(self, name: str) -> Case:
        """The case of this name, or whose name ends in ``_name``.

        Raises
        ------
        DatasetError
            None or several do.
        """
        found = [case for case in self.cases if case.name == name]
        found = found or [case for case in self.cases if case.name.endswith(f"_{name}")]
        if len(found) != 1:
            raise DatasetError(
                f"a name must fit one case, {len(found)} fit; use one such as {self.cases[0].name}",
                name,
            )
        return found[0]


@dataclass(frozen=True)
class Split:
    """Who teaches and who holds the exam; no subject does both."""

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    warnings: tuple[str, ...] = ()


def find_cases(folder: Path | str, subjects: Mapping[str, str] | None = None) -> Cases:
    """The cases of a folder with `images/` and `labels/`, or of an nnU-Net raw dataset.

    Images and masks are paired by name, never by order. A ``dataset.json`` may give `labels`,
    `channel_names` (or `modality`), `train_order`, `validation` and `subjects` (name to subject).

    Parameters
    ----------
    subjects
        Subject of each case by name; cases that it leaves out are a subject of their own.

    Raises
    ------
    DatasetError
        There is no such layout, no pair, or ``dataset.json`` cannot be read.
    """
    folder = Path(folder)
    about = _read_about(folder)
    images, masks, several = _layout(folder)
    pictures = _by_name(images, several)
    truths = {name: paths[0] for name, paths in _by_name(masks, False).items()}
    paired = sorted(pictures.keys() & truths.keys())
    if not paired:
        raise DatasetError(
            f"an image and a mask must have one name, none of {len(pictures)} images and "
            f"{len(truths)} masks do; rename them",
            folder.name,
        )
    known = {**_texts(about.get("subjects")), **(subjects or {})}
    cases = [
        Case(name, tuple(pictures[name]), truths[name], known.get(name, name)) for name in paired
    ]
    found = Cases(
        name=str(about.get("name") or folder.name),
        cases=tuple(cases),
        labels=_labels(about.get("labels")),
        channels=_channels(about),
        validation=tuple(str(name) for name in about.get("validation") or ()),
        warnings=_unpaired(pictures, truths),
    )
    return _ordered(found, [str(name) for name in about.get("train_order") or ()])


def read_case(case: Case) -> tuple[Volume, Mask]:
    """The scan with all its channels, and its mask on the scan's own grid.

    Raises
    ------
    DatasetError
        A file cannot be read, or mask or channels are not on the scan's grid.
    """
    import numpy as np

    try:
        channels = [io.read(path) for path in case.images]
        volume = channels[0]
        for other in channels[1:]:
            if not other.geometry.same_grid(volume.geometry):
                raise DatasetError(
                    f"channels must share a grid, got {volume.geometry} and {other.geometry}"
                )
        if len(channels) > 1:
            array = np.stack([channel.array for channel in channels])
            volume = replace(volume, array=array, channels=())
        return volume, mask_on(io.read_mask(case.mask), volume.geometry)
    except MedsegError as error:
        raise DatasetError(error.message, case.name) from error


def labels_of(cases: Cases, values: Sequence[int]) -> tuple[Label, ...]:
    """The structures to learn: those the dataset names, else one for each value that occurs.

    Raises
    ------
    DatasetError
        No mask holds a label, or one holds a value that the dataset does not name.
    """
    present = sorted(set(values) - {0, IGNORE})
    if not cases.labels:
        if not present:
            raise DatasetError("masks must hold a label, all are background", cases.name)
        return tuple(_label(value, f"label {value}", n) for n, value in enumerate(present))
    if strange := sorted(set(present) - {label.value for label in cases.labels}):
        raise DatasetError(
            f"masks must hold the labels that dataset.json names, got {strange[0]}; name it",
            cases.name,
        )
    return cases.labels


def split(cases: Cases, config: TrainConfig) -> Split:
    """The frozen split by subject: by name where names are given, else by a hash of the subject.

    Raises
    ------
    DatasetError
        Nothing would be left to train on.
    """
    held = _held_back(cases, config)
    names = {case.name for case in held}
    subjects = {case.subject for case in held}
    rest = [case for case in cases.cases if case.name not in names]
    train = [case for case in rest if case.subject not in subjects]
    warnings = tuple(
        f"{case.name} is left out: its subject {case.subject} is held back"
        for case in rest
        if case.subject in subjects
    )
    if config.only_first:
        train = train[: config.only_first]
    if not train:
        raise DatasetError(
            f"at least one case must be left to train on, {len(held)} of {len(cases.cases)} are "
            "held back; hold back fewer",
            cases.name,
        )
    return Split(tuple(train), tuple(held), warnings)


def held_subjects(subjects: Sequence[str], fraction: float, seed: int = 0) -> set[str]:
    """About this share of the subjects, at least one and not all; the same ones every time."""
    ranked = sorted(set(subjects), key=lambda name: _hash(f"{seed} {name}"))
    if fraction <= 0 or len(ranked) < 2:
        return set()
    return set(ranked[: min(len(ranked) - 1, max(1, round(fraction * len(ranked))))])


def _held_back(cases: Cases, config: TrainConfig) -> list[Case]:
    if names := config.validation or (() if config.validation_last else cases.validation):
        return list({case.name: case for case in map(cases.named, names)}.values())
    if config.validation_last:
        return list(cases.cases[-config.validation_last :])
    subjects = [case.subject for case in cases.cases]
    held = held_subjects(subjects, config.validation_fraction, config.seed)
    return [case for case in cases.cases if case.subject in held]


def _layout(folder: Path) -> tuple[Path, Path, bool]:
    """Folders of images and masks, and whether an image has one file per channel."""
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return folder / "images", folder / "labels", False
    if (folder / "imagesTr").is_dir() and (folder / "labelsTr").is_dir():
        channels = any(_stem(path).endswith("_0000") for path in _files(folder / "imagesTr"))
        return folder / "imagesTr", folder / "labelsTr", channels
    if not folder.is_dir():
        raise DatasetError(
            "a dataset must be a folder, there is no such folder; check the path", str(folder)
        )
    raise DatasetError(
        "a dataset must have folders images and labels, or imagesTr and labelsTr; make them",
        folder.name,
    )


def _by_name(folder: Path, several: bool) -> dict[str, list[Path]]:
    """Files by case name, their channels in order."""
    found: dict[str, list[Path]] = {}
    for path in _files(folder):
        name = _stem(path)
        found.setdefault(name[:-5] if several else name, []).append(path)
    for name, paths in found.items():
        if len(paths) > 1 and not several:
            raise DatasetError(
                f"one file must have this name in {folder.name}, {len(paths)} do; rename them", name
            )
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(io.READABLE) and not path.name.startswith(".")
    )


def _stem(path: Path) -> str:
    return io.stem(path)


def _unpaired(images: Mapping[str, object], masks: Mapping[str, object]) -> tuple[str, ...]:
    alone = [f"{name}: an image without a mask is left out" for name in sorted(images)]
    alone += [f"{name}: a mask without an image is left out" for name in sorted(masks)]
    both = images.keys() & masks.keys()
    return tuple(text for text in alone if text.split(":")[0] not in both)


def _ordered(found: Cases, order: Sequence[str]) -> Cases:
    """The cases in the dataset's own order; those that it leaves out come first, by name."""
    if not order:
        return found
    names = {case.name for case in found.cases}
    tails = {name.rsplit("_", 1)[-1]: name for name in sorted(names)}
    rank = {name if name in names else tails.get(name, ""): n for n, name in enumerate(order)}
    cases = sorted(found.cases, key=lambda case: rank.get(case.name, -1))
    return replace(found, cases=tuple(cases))


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.exists():
        return {}
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"dataset.json must be readable JSON: {error}", folder.name) from error
    if not isinstance(about, dict):
        raise DatasetError("dataset.json must hold one JSON object", folder.name)
    return about


def _labels(said: object) -> tuple[Label, ...]:
    """From nnU-Net's {"liver": 1} or the Decathlon's {"1": "liver"}."""
    pairs = []
    for key, value in said.items() if isinstance(said, dict) else ():
        name, number = (value, key) if str(key).isdigit() else (key, value)
        if not str(number).isdigit():
            raise DatasetError(f"a label in dataset.json must be one number, got {number}", name)
        if int(number) not in (0, IGNORE) and name != "ignore":
            pairs.append((int(number), str(name)))
    return tuple(_label(value, name, n) for n, (value, name) in enumerate(sorted(pairs)))


def _label(value: int, name: str, number: int) -> Label:
    return Label(value, name, COLORS[number % len(COLORS)])


def _channels(about: Mapping[str, Any]) -> tuple[str, ...]:
    said = _texts(about.get("channel_names") or about.get("modality"))
    return tuple(said[key] for key in sorted(said))


def _texts(said: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
