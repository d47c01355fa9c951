"""How the next prediction runs, folded away: most users need none of it."""

from __future__ import annotations

from superqt import QCollapsible

from napari_medseg.inference.config import PredictConfig
from napari_medseg.models.card import ModelCard
from napari_medseg.widgets.forms import Form

SHOWN = {
    "mirror": "Average over mirrorings (slower)",
    "clean": "Clean the mask as learned",
    "keep_softmax": "Keep probabilities as layers",
}
TIPS = {
    "mirror": "A slightly better mask for 2 to 8 times the work, where the model learned mirrored",
    "clean": "Take away and fill what was always wrong in the model's validation cases",
    "keep_softmax": "One image layer per structure that says how sure the model is",
}


class PredictOptions:
    """The options that the chosen model knows, in a `box`; the others are grey."""

    def __init__(self) -> None:
        self.box = QCollapsible("Options", expandedIcon="▾", collapsedIcon="▸")
        self.box.setDuration(0)
        self.form = Form(PredictConfig(), SHOWN)
        for name, field in self.form.fields.items():
            field.tooltip = TIPS[name]
        self.box.addWidget(self.form)

    def value(self) -> PredictConfig:
        """What the user chose."""
        return self.form.value()

    def fit(self, card: ModelCard | None) -> None:
        """Offer what this model can do."""
        recipe = None if card is None else card.recipe
        self.form.fields["clean"].enabled = bool(recipe and recipe.clean)
        self.form.fields["mirror"].enabled = bool(recipe and recipe.mirror_axes)
