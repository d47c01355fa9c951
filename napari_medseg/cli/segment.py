"""`medseg segment`: a mask on the scan's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from napari_medseg.cli.options import AsJson, OnDevice, Scan, Series
from napari_medseg.cli.paths import check_outputs, find_model
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import InputError
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.volume.volume import COLOURS

if TYPE_CHECKING:
    from napari_medseg.inference.events import Prediction
    from napari_medseg.models.card import ModelCard
    from napari_medseg.volume import Mask, Volume

Models: TypeAlias = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        metavar="M",
        help="A .safetensors file, or the name of a shipped model; of several the mean counts.",
    ),
]
Channel: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--channel",
        "--frame",
        min=0,
        help="One channel, or one frame of a series, for a model of one channel; from 0.",
    ),
]
Mirror: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--mirror", help="Average over mirrorings, if the model learned so; 2 to 8 times slower."
    ),
]
KeepLargest: TypeAlias = Annotated[
    bool, typer.Option("--keep-largest", help="Only the largest connected part of each label.")
]
Engine: TypeAlias = Annotated[
    EngineName,
    typer.Option(help="What computes; auto measures once and takes the fastest that agrees."),
]
Extent: TypeAlias = Annotated[
    Mode,
    typer.Option(
        help="full: all of the scan; regions: where a coarse look finds labels; borders: of these "
        "only where it is not sure; auto: what pays."
    ),
]
Clean: TypeAlias = Annotated[
    bool, typer.Option(help="Clean the mask by the rules that the model learned.")
]


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg segment scan.nii.gz mask.nii.gz --model hippocampus")(
        segment
    )


def segment(
    scan: Scan,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The mask; its ending picks the format.")
    ],
    model: Models,
    device: OnDevice = "auto",
    series: Series = None,
    channel: Channel = None,
    softmax: Annotated[
        Path | None, typer.Option(help="Also save the probabilities, one channel per label.")
    ] = None,
    mirror: Mirror = False,
    engine: Engine = EngineName.AUTO,
    mode: Extent = Mode.AUTO,
    keep_largest: KeepLargest = False,
    clean: Clean = True,
    as_json: AsJson = False,
) -> None:
    """Segment a scan with a model.

    The mask lies on the scan's own grid, whatever spacing the model works at. Several models vote:
    repeat --model. A series in time is segmented frame by frame, into a mask of as many frames.
    """
    from napari_medseg import io
    from napari_medseg.models.card import read_card

    report = Report(as_json)
    check_outputs((out, softmax), io.MASK_WRITABLE, (scan,))
    check_outputs((softmax,), io.WRITABLE, (scan,))
    cards = [read_card(find_model(one)) for one in model]
    card = cards[0]
    with about(scan):
        volume = _channels(io.read(scan, series), card, channel)
    misfits = (text for one in cards for text in _misfits(volume, one))
    report.warn_all(scan.name, (*volume.warnings, *misfits))
    if mirror and not any(one.recipe.mirror_axes for one in cards):
        report.warn(card.name, "the model was not trained to be mirrored: --mirror does nothing")
    config = PredictConfig(
        device=device,
        engine=engine,
        mode=mode,
        mirror=mirror,
        keep_softmax=softmax is not None,
        clean=clean,
    )
    if volume.n_channels > len(card.recipe.channels):
        _segment_series(volume, cards, config, out, keep_largest, report)
        return
    prediction = _predict(volume, cards, config, report)
    mask = _largest_parts(prediction.mask) if keep_largest else prediction.mask
    with about(out):
        io.write_mask(mask, out)
    if softmax is not None:
        io.write_volume(_probabilities(volume, card, prediction.softmax), softmax)
    _tell(mask, prediction, card, _rules(cards) if clean else [], report)


def _tell(
    mask: Mask, prediction: Prediction, card: ModelCard, rules: Sequence[Any], report: Report
) -> None:
    """What was found, by what, and what it was cleaned of."""
    labels = _labels(mask, card)
    document = {
        "labels": labels,
        "seconds": prediction.seconds,
        "device": prediction.device,
        "how": prediction.how,
        "clean": rules,
    }
    rows = [(name, one["value"], one["voxels"], one["volume_ml"]) for name, one in labels.items()]
    report.give(document, [("label", "value", "voxels", "volume (ml)"), *rows])


def _channels(volume: Volume, card: ModelCard, channel: int | None) -> Volume:
    """The channels that the model wants."""
    wanted = card.recipe.channels
    if wanted == COLOURS:
        volume = volume.in_colour()
    if channel is not None:
        volume = volume.channel(channel)
    series = len(wanted) == 1 and volume.channels != COLOURS
    if volume.n_channels == len(wanted) or series:
        return volume
    advice = f"choose one with --channel 0 to {volume.n_channels - 1}"
    raise InputError(
        f"the model takes {len(wanted)} channels ({', '.join(wanted)}), the scan has "
        f"{volume.n_channels}; {advice if len(wanted) == 1 else 'give a scan with these'}"
    )


def _segment_series(
    volume: Volume,
    cards: Sequence[ModelCard],
    config: PredictConfig,
    out: Path,
    keep_largest: bool,
    report: Report,
) -> None:
    """Frame by frame."""
    from napari_medseg import io
    from napari_medseg.inference.ensemble import ensemble
    from napari_medseg.inference.frames import frame_by_frame

    check_outputs((out,), io.WRITABLE)
    n, paths = volume.n_channels, [one.path for one in cards]
    config = replace(config, scans=n)
    if config.keep_softmax:
        raise InputError(f"probabilities are kept of one frame; choose it: --frame 0 to {n - 1}")
    report.warn(volume.name, f"its {n} volumes are segmented one by one; choose one with --frame")
    with about(volume.name):
        job = frame_by_frame(volume, lambda frame: ensemble(frame, paths, config))
        series = report.follow(job, volume.name)
    masks = [_largest_parts(one) for one in series.masks] if keep_largest else series.masks
    with about(out):
        io.write_masks(masks, out)
    labels = _over_time([_labels(one, cards[0]) for one in masks])
    document = {
        "frames": n,
        "labels": labels,
        "seconds": series.seconds,
        "device": series.device,
        "clean": _rules(cards) if config.clean else [],
    }
    rows = [
        (name, one["value"], min(one["volume_ml"]), max(one["volume_ml"]))
        for name, one in labels.items()
    ]
    report.give(document, [("label", "value", "smallest (ml)", "largest (ml)"), *rows])


def _over_time(frames: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Each label's voxels and volume as lists, one entry a frame."""
    return {
        name: {
            "value": one["value"],
            **{key: [frame[name][key] for frame in frames] for key in ("voxels", "volume_ml")},
        }
        for name, one in frames[0].items()
    }


def _misfits(volume: Volume, card: ModelCard) -> list[str]:
    """What to be warned of where model and scan are of two kinds; a kind not known is no misfit."""
    if not card.modality or volume.modality in ("", "OT", card.modality):
        return []
    return [f"the model reads {card.modality}, the scan is {volume.modality}"]


def _largest_parts(mask: Mask) -> Mask:
    from napari_medseg.inference.clean import clean
    from napari_medseg.preprocess.recipe import CleanRule

    return clean(mask, [CleanRule(value, keep_largest=True) for value in mask.values()])


def _predict(
    volume: Volume, cards: Sequence[ModelCard], config: PredictConfig, report: Report
) -> Prediction:
    from napari_medseg.inference.ensemble import ensemble

    with about(volume.name):
        return report.follow(ensemble(volume, [one.path for one in cards], config), volume.name)


def _rules(cards: Sequence[ModelCard]) -> list[dict[str, Any]]:
    """What the mask was cleaned of, rule by rule."""
    from napari_medseg.inference.ensemble import common

    return [asdict(rule) for rule in common([one.recipe.clean for one in cards])]


def _labels(mask: Mask, card: ModelCard) -> dict[str, dict[str, Any]]:
    """Value, voxels and volume by the label's name; labels that were not found count 0."""
    import numpy as np

    counts = np.bincount(mask.labels.ravel(), minlength=max(card.recipe.values) + 1)
    return {
        label.name: {
            "value": label.value,
            "voxels": int(counts[label.value]),
            "volume_ml": float(counts[label.value]) * mask.geometry.voxel_ml,
        }
        for label in card.recipe.labels
    }


def _probabilities(volume: Volume, card: ModelCard, softmax: Any) -> Volume:
    import numpy as np

    background = () if card.recipe.regions else ("background",)
    names = (*background, *(label.name for label in card.recipe.labels))
    return replace(volume, array=np.asarray(softmax, dtype=np.float32), channels=names)
