"""How far a model agrees with itself: the same scan changed a little, and by earlier versions.

Where a small change of the scan, a mirroring or another version of the model moves the mask, the
mask is doubtful there. No truth is needed.

>>> found = finish(agreement(volume, segmenter))
>>> found.signs[1].expected     # the Dice that the model's own probabilities let expect
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.active.signs import Floats, Signs, signs_of
from napari_medseg.errors import ModelError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone, LookAt, Prediction
from napari_medseg.inference.predict import DEFAULT, predict
from napari_medseg.inference.relay import Part, relayed
from napari_medseg.jobs import Job, Progress
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Mask, Volume

LARGER = 1.15  # people differ in size by as much, so the model should not mind
GAMMA = 0.6
NOISE = 0.5  # of the scan's standard deviation: visible, and no structure is lost in it
SEED = 0

Labels = npt.NDArray[np.unsignedinteger[Any]]
Change = Callable[[Volume], Volume]
WAYS = ("as it is", "larger", "smaller", "brighter", "darker", "noisy", "mirrored")


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the passes over one scan found.

    Attributes
    ----------
    mask
        Of the scan as it is.
    signs
        By label value; a label without a voxel in the mask has none.
    wrong
        float16 (Z, Y, X) in [0, 1]: how likely the mask is wrong, by probabilities and passes.
    """

    mask: Mask
    signs: Mapping[int, Signs]
    wrong: npt.NDArray[np.float16]


def agreement(
    volume: Volume,
    segmenter: Segmenter,
    versions: Sequence[Segmenter] = (),
    config: PredictConfig = DEFAULT,
    first: Prediction | None = None,
) -> Job[Agreement]:
    """The mask of a scan, and how far changed scans and other versions of the model agree with it.

    Seven predictions and one more for each version; a `first` one that carries probabilities is not
    computed again. Yields `Progress`, and `BoxDone` and notices of the first prediction.

    Raises
    ------
    InputError, ModelError
        As `predict`; or a version finds other labels.
    """
    check_labels(segmenter, versions)
    passes = [*_changed(volume, segmenter), *((one, volume, _same) for one in versions)]
    if first is None or first.softmax is None:
        wanted = replace(config, keep_softmax=True)
        job = predict(volume, segmenter, wanted)
        first = yield from _one(job, Part("Pass", 0, 1 + len(passes)), True)
    others = []
    config = replace(config, keep_softmax=False, slice_zyx=None)
    for number, (model, scan, back) in enumerate(passes, start=1):
        job = predict(scan, model, config)
        found = yield from _one(job, Part("Pass", number, 1 + len(passes)), False)
        others.append(back(found.mask.labels))
    return _compared(first, others, segmenter.recipe)


def check_labels(segmenter: Segmenter, versions: Sequence[Segmenter]) -> None:
    """Refuse versions that find something else.

    Raises
    ------
    ModelError
        Their labels are others.
    """
    wanted = [(one.value, one.name) for one in segmenter.recipe.labels]
    for version in versions:
        if [(one.value, one.name) for one in version.recipe.labels] != wanted:
            raise ModelError(
                f"versions of a model must have its labels, got {len(version.recipe.labels)} "
                f"others than its {len(wanted)}; leave it out",
                version.name,
            )


def _compared(first: Prediction, others: Sequence[Labels], recipe: Recipe) -> Agreement:
    assert first.softmax is not None, "a prediction must give the probabilities it is asked for"
    labels = first.mask.labels
    skip = 0 if recipe.regions else 1
    signs = {}
    for number, label in enumerate(recipe.labels):
        ours = labels == label.value
        if ours.any():
            chances = first.softmax[number + skip].astype(np.float32)
            seen = [other == label.value for other in others]
            signs[label.value] = signs_of(ours, chances, seen, first.mask.geometry.voxel_ml)
    return Agreement(first.mask, signs, _wrong(first, others, recipe))


def _wrong(first: Prediction, others: Sequence[Labels], recipe: Recipe) -> npt.NDArray[np.float16]:
    """Where the mask has a label, what probabilities and passes say; else what most passes miss.

    Doubt in the background is left out: there is so much background that its sum would hide the
    structures, and ranked worse than drawing slices at random.
    """
    labels, softmax = first.mask.labels, first.softmax
    assert softmax is not None
    said = _doubt_of_outputs(labels, softmax, recipe)
    if not others:
        return np.asarray(np.where(labels > 0, said, 0), dtype=np.float16)
    differ = np.zeros(labels.shape, np.float32)
    for other in others:
        differ += other != labels
    differ /= len(others)
    missed = np.where(differ > 0.5, differ, 0)
    return np.asarray(np.where(labels > 0, (said + differ) / 2, missed), dtype=np.float16)


def _doubt_of_outputs(labels: Labels, softmax: npt.NDArray[np.float16], recipe: Recipe) -> Floats:
    """One less the probability of what the mask says."""
    if recipe.regions:  # overlapping: the least certain of them
        return np.asarray(0.5 - np.abs(softmax.astype(np.float32) - 0.5).min(axis=0))
    number = np.zeros(int(max(recipe.values)) + 1, np.intp)
    number[list(recipe.values)] = range(len(recipe.values))
    chosen = np.take_along_axis(softmax, number[labels][None], axis=0)[0]
    return np.asarray(1.0 - chosen.astype(np.float32))


def _changed(
    volume: Volume, segmenter: Segmenter
) -> Iterator[tuple[Segmenter, Volume, Callable[[Labels], Labels]]]:
    """Each changed scan, and how its mask goes back."""
    for change in (_sized(LARGER), _sized(1 / LARGER), _bent(GAMMA), _bent(1 / GAMMA), _noisy):
        yield segmenter, change(volume), _same
    yield segmenter, replace(volume, array=volume.array[..., ::-1].copy()), _mirrored


def _same(labels: Labels) -> Labels:
    return labels


def _mirrored(labels: Labels) -> Labels:
    return labels[..., ::-1]


def _sized(by: float) -> Change:
    """The same voxels, said to be larger: the network sees a larger patient."""

    def change(volume: Volume) -> Volume:
        affine = volume.geometry.affine.copy()
        affine[:3, :3] *= by
        return replace(volume, geometry=Geometry(volume.geometry.shape, affine))

    return change


def _bent(power: float) -> Change:
    """Other contrast between the same darkest and brightest values."""

    def change(volume: Volume) -> Volume:
        array = volume.array.astype(np.float32)
        low, high = (float(v) for v in np.percentile(array, (0.5, 99.5)))
        if high <= low:
            return volume
        share = np.clip((array - low) / (high - low), 0.0, 1.0)
        return replace(volume, array=low + (high - low) * share**power)

    return change


def _noisy(volume: Volume) -> Volume:
    """Noise as strong as a part of the scan's own variation; the same each time."""
    array = volume.array.astype(np.float32)
    noise = np.random.default_rng(SEED).standard_normal(array.shape, dtype=np.float32)
    inside = array[array > array.min()]  # air around the patient is no variation
    strength = NOISE * float(inside.std()) if inside.size else 0.0
    return replace(volume, array=array + strength * noise)


def _one(job: Job[Prediction], part: Part, shown: bool) -> Job[Prediction]:
    """One prediction with progress over all; only the first one shows its boxes."""

    def seen(event: object) -> object | None:
        if isinstance(event, Progress):
            return part.of_all(event)
        return event if shown or not isinstance(event, BoxDone) else None

    return relayed(job, seen, _unheard)


def _unheard(wish: object) -> None:
    """Where someone looks changes nothing here: all passes are needed whole."""
    assert wish is None or isinstance(wish, LookAt)
