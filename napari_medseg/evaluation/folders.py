"""A folder of masks against a folder of references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.errors import InputError, MedsegError
from napari_medseg.evaluation.compare import LabelScores, Scores, compare, mean_scores
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.volume import Mask


@dataclass(frozen=True)
class Files:
    """How files are read, given by the caller: this room knows no formats.

    Attributes
    ----------
    read
        A path to a mask.
    stem
        A path to the name that pairs it with another, without its ending.
    endings
        Which files of a folder are looked at, e.g. (".nii.gz", ".nrrd").
    """

    read: Callable[[Path], Mask]
    stem: Callable[[Path], str]
    endings: Sequence[str]

    def within(self, folder: Path) -> dict[str, Path]:
        """The folder's masks by stem.

        Raises
        ------
        InputError
            It is no folder or holds no masks, or two files have the same stem.
        """
        if not folder.is_dir():
            raise InputError("a folder of masks must exist, it does not", folder.name)
        found: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and path.name.lower().endswith(tuple(self.endings)):
                other = found.setdefault(self.stem(path), path)
                if other != path:
                    raise InputError(
                        f"a case must have one mask, {other.name} has its name too; remove one",
                        path.name,
                    )
        if not found:
            raise InputError(
                "a folder of masks must hold masks, there are no masks in the folder; check it",
                folder.name,
            )
        return found


@dataclass(frozen=True)
class FolderScores:
    """Scores by case name; what has no partner by name, what failed with its reason."""

    cases: Mapping[str, Scores]
    only_pred: tuple[str, ...]
    only_ref: tuple[str, ...]
    failed: Mapping[str, str]

    @property
    def mean(self) -> LabelScores:
        """Mean over the cases of each case's mean."""
        return mean_scores(case.mean for case in self.cases.values())

    @property
    def mean_by_label(self) -> dict[int, LabelScores]:
        """Mean over the cases, for each mask value."""
        values = sorted({value for case in self.cases.values() for value in case.labels})
        return {
            value: mean_scores(
                case.labels[value] for case in self.cases.values() if value in case.labels
            )
            for value in values
        }


def compare_folders(
    pred_dir: Path,
    ref_dir: Path,
    files: Files,
    tolerance_mm: float = 1.0,
    labels: Iterable[int] | None = None,
) -> Job[FolderScores]:
    """Scores of the cases that both folders have, paired by equal stems.

    Yields a `Progress` before each case and a `Notice` for each that has no partner or fails.

    Raises
    ------
    InputError
        A folder does not exist, or the two have no case in common.
    """
    pred, ref = files.within(pred_dir), files.within(ref_dir)
    both = sorted(pred.keys() & ref.keys())
    if not both:
        raise InputError(
            f"masks must be named as their references, none of {len(pred)} "
            f"is among {len(ref)}; rename them",
            pred_dir.name,
        )
    only_pred, only_ref = sorted(pred.keys() - ref.keys()), sorted(ref.keys() - pred.keys())
    yield from (Notice(f"{name}: has no reference") for name in only_pred)
    yield from (Notice(f"{name}: has no prediction") for name in only_ref)
    values = None if labels is None else tuple(labels)
    cases: dict[str, Scores] = {}
    failed: dict[str, str] = {}
    for done, name in enumerate(both):
        yield Progress(done, len(both), name)
        try:
            cases[name] = compare(
                files.read(pred[name]), files.read(ref[name]), tolerance_mm, values
            )
        except MedsegError as error:
            failed[name] = str(error)
            yield Notice(f"{name}: {error.message}")
    return FolderScores(cases, tuple(only_pred), tuple(only_ref), failed)
