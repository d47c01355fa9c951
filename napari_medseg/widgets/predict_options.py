"""How the next prediction runs, folded away: most users need none of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from qtpy.QtWidgets import QSizePolicy
from superqt import QCollapsible

from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.models.card import ModelCard
from napari_medseg.widgets.forms import Form

SHOWN = {
    "engine": "Engine",
    "mode": "Computes",
    "mirror": "Average over mirrorings (slower)",
    "clean": "Clean the mask as learned",
    "keep_softmax": "Keep probabilities as layers",
}
TIPS = {
    "engine": "What computes the network; all give the same mask but for a few voxels at borders",
    "mode": "To leave out where no label can be is faster; only some models can look coarsely",
    "mirror": "A slightly better mask for 2 to 8 times the work, where the model learned mirrored",
    "clean": "Take away and fill what was always wrong in the model's validation cases",
    "keep_softmax": "One image layer per structure that says how sure the model is",
}
ENGINES = {
    EngineName.AUTO: "Automatic (the fastest)",
    EngineName.TORCH: "PyTorch, 32 bits (the reference)",
    EngineName.TORCH_HALF: "PyTorch, 16 bits",
    EngineName.OPENVINO: "OpenVINO, 32 bits",
    EngineName.OPENVINO_HALF: "OpenVINO, 16 bits",
    EngineName.ONNX: "ONNX Runtime",
}
MODES = {
    "auto": "Automatic (what pays)",
    "full": "The whole scan",
    "regions": "Where a coarse look finds labels",
    "borders": "Where a coarse look is not sure",
}
DONE = {
    "full": "the whole scan",
    "body": "the body without the air around it",
    "regions": "where a coarse look found labels",
    "borders": "where a coarse look was not sure",
    "1 tiles": "1 tile",
}
NEEDS = {EngineName.OPENVINO: "openvino", EngineName.OPENVINO_HALF: "openvino"}


class PredictOptions:
    """The options that the chosen model knows, in a `box`; the others are grey."""

    def __init__(self) -> None:
        self.box = QCollapsible("Options", expandedIcon="▾", collapsedIcon="▸")
        self.box.setDuration(0)
        self.form = Form(PredictConfig(), SHOWN)
        for name, field in self.form.fields.items():
            field.tooltip = TIPS[name]
        self.form.fields["engine"].choices = [(ENGINES[one], one) for one in at_hand()]
        self.form.fields["mode"].choices = [(mode_words(one), one) for one in Mode]
        for name in ("engine", "mode"):  # long words must not make the dock wider than it is
            combo = self.form.fields[name].native
            combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            combo.setMinimumContentsLength(8)
        self.box.addWidget(self.form)

    def value(self) -> PredictConfig:
        """What the user chose."""
        return self.form.value()

    def fit(self, card: ModelCard | None) -> None:
        """Offer what this model can do."""
        recipe = None if card is None else card.recipe
        self.form.fields["clean"].enabled = bool(recipe and recipe.clean)
        self.form.fields["mirror"].enabled = bool(recipe and recipe.mirror_axes)


def at_hand() -> list[EngineName]:
    """The engines that are installed; ONNX Runtime takes the models that came as ONNX by itself."""
    return [
        one
        for one in EngineName
        if one is not EngineName.ONNX
        and (one not in NEEDS or importlib.util.find_spec(NEEDS[one]) is not None)
    ]


def mode_words(mode: Mode) -> str:
    """A mode as a user reads it."""
    return MODES.get(mode, str(mode).capitalize())


def how_words(how: str) -> str:
    """What a prediction did, in plain words: "openvino-16bit, full, 27 tiles" as a sentence.

    What is not known here stands as it came.
    """
    engine, *rest = how.split(", ")
    words = [_engine_words(engine), *(DONE.get(one, one) for one in rest)]
    return _sentence(words) if how else ""


def _engine_words(name: str) -> str:
    known = {str(one): words for one, words in ENGINES.items()}
    return known.get(name, name).replace(" (the reference)", "")


def _sentence(words: Iterable[str]) -> str:
    engine, *rest = words
    return f"Computed by {engine}: {', '.join(rest)}." if rest else f"Computed by {engine}."
