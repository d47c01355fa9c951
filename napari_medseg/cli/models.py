"""`medseg models`: which models there are, what one says of itself, whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli import exchange
from napari_medseg.cli.options import AsJson
from napari_medseg.cli.paths import find_model, models_in
from napari_medseg.cli.report import Report, about, in_words
from napari_medseg.errors import ModelError

if TYPE_CHECKING:
    from napari_medseg.models.card import ModelCard

ModelArgument = Annotated[
    str, typer.Argument(metavar="M", help="A .safetensors file, or the name of a shipped model.")
]


def add_to(app: typer.Typer) -> None:
    """Offer the commands."""
    group = typer.Typer(
        name="models",
        help="List, show, verify, import and export models.",
        no_args_is_help=False,
        epilog="Example: medseg models show hippocampus",
    )
    group.command("list", epilog="Example: medseg models list my_models/ --json")(list_)
    group.command(epilog="Example: medseg models show hippocampus --json")(show)
    group.command(epilog="Example: medseg models verify my_models/lungs.safetensors")(verify)
    exchange.add_to(group)
    app.add_typer(group)


def list_(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of models; else those shipped.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List models; what is none is warned of."""
    from napari_medseg.models.card import read_card

    report = Report(as_json)
    cards = []
    for path in [one for folder in _folders(folders) for one in models_in(folder)]:
        try:
            cards.append(read_card(path))
        except ModelError as error:
            report.warn(path.name, error.message)
    rows = [
        (c.path.stem, c.name, c.version, _names(c), in_words(c.lineage.scores), c.path)
        for c in cards
    ]
    heading = ("--model", "what it is", "version", "labels", "Dice", "file")
    report.give({"models": [_summary(card) for card in cards]}, [heading, *rows])


def show(model: ModelArgument, as_json: AsJson = False) -> None:
    """Show what a model says of itself."""
    from napari_medseg.models.card import read_card

    card = read_card(find_model(model))
    recipe, lineage = card.recipe, card.lineage
    rows: list[tuple[object, ...]] = [
        ("name", card.name),
        ("version", card.version),
        ("labels", ", ".join(f"{label.value} {label.name}" for label in recipe.labels)),
        ("channels", ", ".join(recipe.channels)),
        ("spacing (Z, Y, X)", f"{recipe.spacing_mm} mm" if recipe.spacing_mm else "the scan's own"),
        ("normalisation", _normalisation(card)),
        ("network", _network(card)),
        ("made", _made(card)),
        ("parent", lineage.parent or "none"),
        ("Dice", in_words(lineage.scores) or "not known"),
        ("note", "; ".join([lineage.note, *lineage.config.get("warnings", ())]).strip("; ")),
    ]
    details = {key: asdict(getattr(card, key)) for key in ("network", "recipe", "lineage")}
    Report(as_json).give({**_summary(card), **details}, rows)


def verify(model: ModelArgument, as_json: AsJson = False) -> None:
    """Check a model's weights against its card."""
    from napari_medseg.models.checkpoint import load
    from napari_medseg.models.config import Family
    from napari_medseg.models.onnx_graph import bytes_of, looked_through

    path = find_model(model)
    segmenter = load(path)
    n_parameters = sum(tensor.numel() for tensor in segmenter.weights.values())
    document = {"path": str(path), "ok": True, "parameters": n_parameters}
    size = f"{n_parameters:,} parameters"
    if segmenter.network.family is Family.ONNX:
        with about(path.name):
            looked_through(bytes_of(segmenter.weights))
        document, size = {**document, "parameters": None}, f"a graph of {n_parameters:,} bytes"
    Report(as_json).give(document, [(path.name, "is whole", size)])


def _folders(folders: list[Path] | None) -> list[Path]:
    if not folders:
        from napari_medseg.workbench.shelf import bundled_models

        return [bundled_models()]
    for folder in folders:
        if not folder.is_dir():
            raise ModelError("a folder of models must exist; name another", str(folder))
    return folders


def _summary(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "version": card.version,
        "path": str(card.path),
        "labels": {label.name: label.value for label in card.recipe.labels},
        "cases": card.lineage.cases,
        "scores": dict(card.lineage.scores),
    }


def _network(card: ModelCard) -> str:
    """The network in words; of an imported graph nobody knows the shape."""
    network = card.network
    if network.family == "onnx":
        return f"an ONNX graph, {network.dims}-D; it can be run, not trained"
    kind = f"MONAI's {network.monai.net}" if network.monai else str(network.family)
    return f"{kind}, {network.dims}-D, {network.features}"


def _normalisation(card: ModelCard) -> str:
    """How intensities are scaled; of nnU-Net's models each channel in its own way."""
    plan = card.recipe.nnunet
    return ", ".join(one.scheme for one in plan.channels) if plan else str(card.recipe.normalise)


def _made(card: ModelCard) -> str:
    lineage = card.lineage
    source = lineage.config.get("from") if lineage.how == "import" else f"{lineage.cases} cases"
    return f"{lineage.created} by {lineage.how or '?'} from {source or 'another program'}"


def _names(card: ModelCard) -> str:
    return ", ".join(label.name for label in card.recipe.labels)
