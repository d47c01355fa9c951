"""The knobs of training and fine-tuning, each stated once: form, command line and checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from enum import Enum, StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from napari_medseg.errors import TrainingError
from napari_medseg.models.card import read_card
from napari_medseg.models.config import Family
from napari_medseg.preprocess.recipe import MOST_NEIGHBOURS, Denoise, Normalise

IGNORE = 255  # mask value of voxels that teach nothing; the largest of uint8, as nnU-Net users do

IN_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


class Optimiser(StrEnum):
    """What turns gradients into steps."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"  # Nesterov momentum 0.99, nnU-Net's


class Schedule(StrEnum):
    """How the learning rate falls over the run."""

    POLY = "poly"  # (1 - done) ** 0.9, nnU-Net's
    COSINE = "cosine"
    CONSTANT = "constant"


class Plane(StrEnum):
    """What a network sees at a time."""

    VOLUME = "volume"  # all of it; of single images, the slice
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Track(StrEnum):
    """Who keeps the curves of a run that has a folder."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    MLFLOW = "mlflow"


class Teaches(StrEnum):
    """What of a network a fine-tune changes; the less, the less is forgotten, and learned."""

    WHOLE = "whole"
    DECODER = "decoder"
    LAST = "last block"
    ADAPTERS = "adapters"  # low-rank additions to every convolution (Hu et al. 2021)


class Precision(StrEnum):
    """Arithmetic of the network's layers."""

    AUTO = "auto"  # bfloat16 where the processor has instructions for it
    FULL = "float32"
    MIXED = "mixed"


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained from labelled cases.

    Attributes
    ----------
    minutes
        Wall time of the run, validation included; 0 runs `epochs` instead.
    epochs
        One epoch shows as many patches as there are training cases.
    steps
        Optimiser steps; 0 leaves it to `minutes` or `epochs`.
    learning_rate
        At the start; 0 means 0.01 for SGD and 0.001 for the others.
    batch
        Patches of one step; 0 lets the memory at hand decide.
    plane
        Slice by slice in this plane with a 2-D network, or the volume at once. Z of `patch` and
        `spacing_mm` then runs across the slices.
    neighbours
        Slices on either side that a 2-D network sees too, as further channels (2.5-D).
    patch
        (Z, Y, X) voxels of a patch; empty lets the cases and the memory decide.
    spacing_mm
        (Z, Y, X) of the training grid; empty takes the median of the cases.
    features
        Feature maps of each stage; empty lets the patch and the device decide.
    mirror_axes
        Axes (0 Z, 1 Y, 2 X; canonical LPS) along which the anatomy may be flipped.
    augmentation
        Strength; 0 shows the cases as they are, 1 is nnU-Net's.
    foreground
        Share of the patches that are centred on a labelled voxel.
    scout
        How many times coarser some of the patches are, so that a prediction can look at the whole
        before the parts; 0: 2 where scans are much larger than a patch, else 1; 1: none.
    validations
        How often the held-back cases are scored in the run.
    validation_fraction
        Share of the subjects that is held back, where no names are given.
    validation
        Names of the held-back cases, or the ends of their names.
    validation_last
        Hold back the last cases in the order of the dataset's `train_order`; 0 does not.
    only_first
        Train on the first cases of that order only; 0 takes all.
    patience
        Stop after so many validations without a better Dice; 0 never stops early.
    ema
        Weight of the past in the running average of the weights; the average is what you get.
    learn_cleaning
        Whether to learn from the held-back cases what a finished mask is cleaned of.
    memory_mb
        Megabytes of labelled patches that the model takes along, so that fine-tuning need not
        forget; 0 keeps none, where no piece of a scan may leave.
    threads
        Processor threads; 0 takes what torch takes.
    run_folder
        Where the state for resuming and the TensorBoard events go; empty keeps neither.
    resume
        Whether to go on with an interrupted run of the same settings in `run_folder`.
    track
        What else is told of the run in `run_folder`; each must be installed.
    """

    name: str = "model"
    minutes: Annotated[float, {"min": 0.0, "max": 100_000.0}] = 0.0
    epochs: Annotated[int, {"min": 1, "max": 100_000}] = 100
    steps: Annotated[int, {"min": 0, "max": 10_000_000}] = 0
    family: Family = Family.UNET
    features: tuple[int, ...] = ()
    convs_per_stage: Annotated[int, {"min": 1, "max": 6}] = 2
    deep_supervision: bool = True
    plane: Plane = Plane.VOLUME
    neighbours: Annotated[int, {"min": 0, "max": MOST_NEIGHBOURS}] = 0
    spacing_mm: tuple[float, ...] = ()
    patch: tuple[int, ...] = ()
    batch: Annotated[int, {"min": 0, "max": 256}] = 0
    denoise: Denoise = Denoise.NONE
    normalise: Normalise | None = None
    window: tuple[float, float] = (-1000.0, 1000.0)
    mirror_axes: tuple[int, ...] = ()
    augmentation: Annotated[float, {"min": 0.0, "max": 3.0}] = 1.0
    foreground: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.5
    scout: Annotated[float, {"min": 0.0, "max": 8.0}] = 0.0
    optimiser: Optimiser = Optimiser.ADAMW
    learning_rate: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.0
    weight_decay: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.01
    schedule: Schedule = Schedule.POLY
    ema: Annotated[float, {"min": 0.0, "max": 0.99999}] = 0.99
    precision: Precision = Precision.AUTO
    device: str = "auto"
    threads: Annotated[int, {"min": 0, "max": 1024}] = 0
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0
    validations: Annotated[int, {"min": 1, "max": 10_000}] = 20
    validation_fraction: Annotated[float, {"min": 0.0, "max": 0.9}] = 0.2
    validation: tuple[str, ...] = ()
    validation_last: Annotated[int, {"min": 0, "max": 1_000_000}] = 0
    only_first: Annotated[int, {"min": 0, "max": 1_000_000}] = 0
    patience: Annotated[int, {"min": 0, "max": 10_000}] = 10
    learn_cleaning: bool = True
    memory_mb: Annotated[float, {"min": 0.0, "max": 1_000.0}] = 8.0
    run_folder: str = ""
    resume: bool = True
    track: tuple[Track, ...] = (Track.TENSORBOARD,)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.patch and (len(self.patch) != 3 or min(self.patch) < 1):
            raise TrainingError(f"must be three sizes (Z, Y, X), got {self.patch}", "patch")
        if self.spacing_mm and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise TrainingError(f"must be three lengths, got {self.spacing_mm}", "spacing_mm")

    @property
    def rate(self) -> float:
        """The learning rate at the start."""
        return self.learning_rate or (0.01 if self.optimiser is Optimiser.SGD else 0.001)


@dataclass(frozen=True)
class FineTuneConfig:
    """How one fine-tune session runs.

    Attributes
    ----------
    minutes
        Wall time for the optimiser; 0 runs `steps` instead.
    ignore
        Mask value of voxels that teach nothing.
    validations
        How often the copy, and a place between it and where it began, is scored. The best of these
        is the candidate, or the last such place if that is about as good.
    remember
        Weight of staying near the parent's own output where nobody corrected, for a model that has
        no memory to learn from again and whose word does not teach (`weak`). It, `anchor` and
        `replay` are multiplied by a strength that follows what is being forgotten.
    anchor
        Weight of staying near the parent's weights (L2-SP).
    replay
        Weight of the cases in the model's memory.
    teaches
        What of the network learns.
    weak
        Weight of what the parent is sure of in the corrected scans and nobody vouches for; a voxel
        that somebody vouches for has 1.
    worst_drop
        A candidate that loses more Dice than this on any label is not adopted.
    gate
        Whether a candidate must be better to be adopted; without, any is. For experiments.
    memory_mb
        Megabytes of labelled patches that the model takes along; 0 keeps none and forgets what its
        parent kept.
    new_labels
        Whether a structure that was painted and named, and that the model does not know, becomes a
        label more of it; else its voxels teach nothing.
    recent
        How many of the cases, which come with the last corrected first, are shown twice as often
        as older ones; 0 shows all alike, where nobody knows their order.
    run_folder
        Where the state for going on after an interruption is kept; empty keeps none.
    """

    steps: Annotated[int, {"min": 1, "max": 100_000}] = 200
    minutes: Annotated[float, {"min": 0.0, "max": 1_000.0}] = 0.0
    learning_rate: Annotated[float, {"min": 1e-7, "max": 0.1}] = 3e-3
    batch: Annotated[int, {"min": 1, "max": 64}] = 2
    ignore: Annotated[int, {"min": 0, "max": 65535}] = IGNORE
    augmentation: Annotated[float, {"min": 0.0, "max": 3.0}] = 1.0
    remember: Annotated[float, {"min": 0.0, "max": 10.0}] = 2.0
    anchor: Annotated[float, {"min": 0.0, "max": 10.0}] = 0.002
    replay: Annotated[float, {"min": 0.0, "max": 10.0}] = 1.0
    teaches: Teaches = Teaches.WHOLE
    ema: Annotated[float, {"min": 0.0, "max": 0.99999}] = 0.98
    gate: bool = True
    memory_mb: Annotated[float, {"min": 0.0, "max": 1_000.0}] = 8.0
    weak: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.2
    worst_drop: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.01
    new_labels: bool = True
    recent: Annotated[int, {"min": 0, "max": 10_000}] = 8
    validations: Annotated[int, {"min": 1, "max": 100}] = 2
    precision: Precision = Precision.AUTO
    device: str = "auto"
    threads: Annotated[int, {"min": 0, "max": 1024}] = 0
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0
    run_folder: str = ""

    def __post_init__(self) -> None:
        check_bounds(self)


C = TypeVar("C", TrainConfig, FineTuneConfig)


def check_bounds(config: object) -> None:
    """Refuse a number outside the bounds that its field states."""
    for name, hint in get_type_hints(type(config), include_extras=True).items():
        if get_origin(hint) is not Annotated:
            continue
        bounds: Mapping[str, float] = hint.__metadata__[0]
        value = getattr(config, name)
        if not bounds["min"] <= value <= bounds["max"]:
            raise TrainingError(
                f"must be {bounds['min']} to {bounds['max']}, got {value}; choose another", name
            )


def load_config(path: Path, kind: type[C]) -> C:
    """The settings in a JSON file, of a run's folder, or of a model that was made with them.

    Keys that it leaves out keep their default.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return from_json(_of_model(path, kind), kind)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"must be a readable JSON file: {error}", Path(path).name) from error
    if not isinstance(data, dict):
        raise TrainingError("must hold one JSON object of settings", Path(path).name)
    inner = data.get("config")  # as a run writes them, beside its cases
    return from_json(inner if isinstance(inner, dict) else data, kind)


def _of_model(path: Path, kind: type[C]) -> dict[str, Any]:
    """The settings that a model was made with."""
    how = {TrainConfig: "train", FineTuneConfig: "finetune"}[kind]
    lineage = read_card(path).lineage
    if lineage.how != how:
        raise TrainingError(
            f"must be the model of a {how} run to be made again, it comes from "
            f"{lineage.how or 'elsewhere'}; give another one or a JSON file",
            path.name,
        )
    return dict(lineage.config)


def from_json(data: Mapping[str, Any], kind: type[C]) -> C:
    """The settings of plain JSON values."""
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(data) - known):
        near = get_close_matches(unknown[0], known, n=1, cutoff=0.0)[0]
        raise TrainingError(f"is no setting; the nearest is {near}", unknown[0])
    hints = get_type_hints(kind)
    return kind(**{name: _typed(name, value, hints[name]) for name, value in data.items()})


def as_json(config: TrainConfig | FineTuneConfig) -> dict[str, Any]:
    """The settings as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def _typed(name: str, value: Any, hint: Any) -> Any:
    """A JSON value as the type of its field."""
    try:
        return _converted(value, hint)
    except (TypeError, ValueError) as error:
        raise TrainingError(f"cannot be {value!r}: {error}", name) from error


def _converted(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        if value is None:
            return None
        return _converted(value, next(kind for kind in get_args(hint) if kind is not NoneType))
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise TypeError("a list is needed")
        return tuple(_converted(item, get_args(hint)[0]) for item in value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        if value not in list(hint):
            raise ValueError(f"one of {', '.join(map(str, hint))} is needed")
        return hint(value)
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is not hint:
        raise TypeError(f"{IN_WORDS[hint]} is needed")
    return value
