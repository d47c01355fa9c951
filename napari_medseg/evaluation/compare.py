"""A mask against a reference, label by label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from scipy import ndimage

from napari_medseg.errors import InputError
from napari_medseg.evaluation.overlap import Counts, Labels, counts_by_label
from napari_medseg.evaluation.surface import SurfaceScores, surface_scores
from napari_medseg.volume import Mask
from napari_medseg.volume.resample import mask_on


@dataclass(frozen=True)
class LabelScores:
    """One label of one case.

    Neither mask has the label: all but the volumes are nan and no mean counts them. Only one has
    it: dice, jaccard and nsd are 0, the distances infinite, and no mean counts the distances.
    """

    dice: float
    jaccard: float
    hd95_mm: float
    assd_mm: float
    nsd: float
    volume_ml_pred: float
    volume_ml_ref: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Scores:
    """All labels of one case, by mask value; `names` where the masks know them."""

    labels: Mapping[int, LabelScores]
    names: Mapping[int, str]
    tolerance_mm: float

    @property
    def mean(self) -> LabelScores:
        """Mean over the labels, of what is finite."""
        return mean_scores(self.labels.values())


def compare(
    pred: Mask, ref: Mask, tolerance_mm: float = 1.0, labels: Iterable[int] | None = None
) -> Scores:
    """Scores of `pred` against `ref`.

    Parameters
    ----------
    pred, ref
        On one grid; one in another order or direction of axes is turned.
    tolerance_mm
        How far a surface may be off and still count for nsd.
    labels
        Mask values to score; None: all that occur in either, background left out.

    Raises
    ------
    GridError
        The masks lie on different grids.
    """
    if not tolerance_mm >= 0 or math.isinf(tolerance_mm):
        raise InputError(f"a tolerance must be 0 mm or more, got {tolerance_mm:g}")
    turned = mask_on(pred, ref.geometry, "the reference's")
    values = sorted(set(labels) if labels is not None else {*turned.values(), *ref.values()})
    counts = counts_by_label(turned.labels, ref.labels, values)
    scores = {}
    for value, box in label_boxes(turned.labels, ref.labels, values).items():
        pair = (turned.labels[box] == value, ref.labels[box] == value)
        surface = surface_scores(*pair, ref.geometry.spacing_mm, tolerance_mm)
        scores[value] = _label_scores(counts[value], surface, ref.geometry.voxel_ml)
    names = {label.value: label.name for label in (*pred.names, *ref.names)}
    return Scores(scores, {v: names[v] for v in values if v in names}, tolerance_mm)


def mean_scores(scores: Iterable[LabelScores]) -> LabelScores:
    """The mean of each number over those that have a finite one; nan where none has."""
    several = list(scores)
    return LabelScores(*(_mean(getattr(s, f.name) for s in several) for f in fields(LabelScores)))


def label_boxes(
    pred: Labels, ref: Labels, values: Iterable[int]
) -> dict[int, tuple[slice, slice, slice]]:
    """For each value the box that holds it in both arrays, and one voxel around it."""
    found = [dict(enumerate(ndimage.find_objects(array), start=1)) for array in (pred, ref)]
    boxes = {}
    for value in values:
        parts = [part for one in found if (part := one.get(value)) is not None]
        z, y, x = (
            slice(max(0, min(s.start for s in along) - 1), max(s.stop for s in along) + 1)
            for along in (zip(*parts, strict=True) if parts else [(slice(0, 0),)] * 3)
        )
        boxes[value] = (z, y, x)
    return boxes


def _label_scores(counts: Counts, surface: SurfaceScores, voxel_ml: float) -> LabelScores:
    return LabelScores(
        counts.dice,
        counts.jaccard,
        surface.hd95_mm,
        surface.assd_mm,
        surface.nsd,
        counts.pred * voxel_ml,
        counts.ref * voxel_ml,
    )


def _mean(numbers: Iterable[float]) -> float:
    finite = [n for n in numbers if math.isfinite(n)]
    return sum(finite) / len(finite) if finite else math.nan
