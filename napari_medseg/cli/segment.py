"""`medseg segment`: a mask on the scan's own grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.options import AsJson, OnDevice, Scan, Series
from napari_medseg.cli.paths import check_outputs, find_model
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import InputError
from napari_medseg.volume.volume import COLOURS

if TYPE_CHECKING:
    from napari_medseg.inference.config import PredictConfig
    from napari_medseg.inference.events import Prediction
    from napari_medseg.models.card import ModelCard
    from napari_medseg.volume import Mask, Volume


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
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="A .safetensors file, or the name of a shipped model; of several the mean counts.",
        ),
    ],
    device: OnDevice = "auto",
    series: Series = None,
    channel: Annotated[
        int | None, typer.Option(min=0, help="Which channel, for a model of one; from 0.")
    ] = None,
    softmax: Annotated[
        Path | None, typer.Option(help="Also save the probabilities, one channel per label.")
    ] = None,
    keep_largest: Annotated[
        bool, typer.Option("--keep-largest", help="Only the largest connected part of each label.")
    ] = False,
    clean: Annotated[
        bool, typer.Option(help="Clean the mask by the rules that the model learned.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Segment a scan with a model.

    The mask lies on the scan's own grid, whatever spacing the model works at. Several models vote:
    repeat --model.
    """
    from napari_medseg import io
    from napari_medseg.inference.config import PredictConfig
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
    config = PredictConfig(device=device, keep_softmax=softmax is not None, clean=clean)
    prediction = _predict(volume, cards, config, report)
    mask = _largest_parts(prediction.mask) if keep_largest else prediction.mask
    with about(out):
        io.write_mask(mask, out)
    if softmax is not None:
        io.write_volume(_probabilities(volume, card, prediction.softmax), softmax)
    labels = _labels(mask, card)
    document = {
        "labels": labels,
        "seconds": prediction.seconds,
        "device": prediction.device,
        "clean": _rules(cards) if clean else [],
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
    if volume.n_channels == len(wanted):
        return volume
    advice = f"choose one with --channel 0 to {volume.n_channels - 1}"
    raise InputError(
        f"the model takes {len(wanted)} channels ({', '.join(wanted)}), the scan has "
        f"{volume.n_channels}; {advice if len(wanted) == 1 else 'give a scan with these'}"
    )


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
    from dataclasses import replace

    import numpy as np

    names = ("background", *(label.name for label in card.recipe.labels))
    return replace(volume, array=np.asarray(softmax, dtype=np.float32), channels=names)
