"""Write sample_data/models/README.md from what the checkpoints say of themselves.

    python scripts/model_cards.py

Run it after training a model: version, scores and settings come from the file, so that the card
cannot disagree with the weights. The words below say what a file cannot: data, licence, limits.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from napari_medseg.models.card import ModelCard, read_card
from napari_medseg.preprocess.recipe import Normalise

MODELS = Path(__file__).resolve().parents[1] / "sample_data" / "models"

HEAD = """# The models that come with the plugin

They show the loop on the sample scans. **Research use only**: none of them was checked for clinical
use. Weights are safetensors; loading one never runs code. `medseg models show NAME` prints what a
file says of itself. This page is made by `python scripts/model_cards.py`.
"""

WORDS = {
    "lung_ct": (
        "Finds the lungs in a chest CT, and a tumour only if it looks like the one it was shown.",
        """Taught by one patient (`nodule_ct`): machine-made lungs, one nodule of 1.4 ml. Scored on
another (`chest_ct`), which also picked the best moment of training; it misses the tumour there,
Dice 0. Scans: BSD-3-Clause, see [../README.md](../README.md); weights: BSD-3-Clause, like this
project.

Made by `python scripts/train_sample_models.py`, some minutes on one core.

What is left for you: the tumour of `chest_ct` is 35 times as large as the nodule, and it is missed;
the lungs are those of a threshold, without dense tissue. One patient is no basis for another
scanner, dose or disease.""",
    ),
    "hippocampus": (
        "Finds the anterior and posterior part of the hippocampus in a T1 MR cropped around it.",
        """Taught by 160 cases of Task04 of the [Medical Segmentation Decathlon](http://medicaldecathlon.com)
(CC BY-SA 4.0; Simpson et al., arXiv:1902.09063; Antonelli et al., Nat Commun 13, 4128, 2022); the
scores are those of 39 others, the last of the dataset's `train_order`, which also picked the best
moment of training. nnU-Net reaches 0.90 and 0.88 in cross-validation on this task. These weights
stay under CC BY-SA 4.0, as what they were made from.

Made by `medseg train hippocampus/ hippocampus.safetensors --set validation_last=39` with the
settings that the file keeps.

Limits: 1 mm T1 MR of adults from one centre, cropped to the region of one hippocampus. It was never
shown a whole head, another sequence, children, or a lesion.""",
    ),
}


def section(card: ModelCard) -> str:
    """What the file says and what it cannot."""
    name = card.path.stem
    first, rest = WORDS.get(name, (card.lineage.note, ""))
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts(card).items())
    return f"## {name}\n\n{first}\n\n| | |\n|---|---|\n{rows}\n\n{rest}\n"


def facts(card: ModelCard) -> dict[str, str]:
    """The rows of a card's table."""
    recipe, network, lineage = card.recipe, card.network, card.lineage
    scores = [f"{k} {v:.3f}" for k, v in lineage.scores.items() if not math.isnan(v)]
    grey = {
        Normalise.CT_WINDOW: f"HU from {recipe.window[0]:g} to {recipe.window[1]:g}",
        Normalise.Z_SCORE: "mean 0 and deviation 1 per scan",
    }.get(recipe.normalise, f"{recipe.normalise} per scan")
    features = ", ".join(map(str, network.features))
    spacing = " × ".join(f"{mm:.3g}" for mm in recipe.spacing_mm or ())
    return {
        "version": f"`{card.version}`, {lineage.created[:10]}, {megabytes(card.path)}",
        "input": f"{', '.join(recipe.channels)}; {grey}",
        "grid (Z, Y, X)": f"{spacing} mm; any scan is taken there and back" if spacing else "any",
        "output": ", ".join(f"{label.value} {label.name}" for label in recipe.labels),
        "network": f"{network.family}, {network.dims}-D, features {features}",
        "Dice, held back": ", ".join(scores) or "unknown",
    }


def megabytes(path: Path) -> str:
    """The file's size."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


def main() -> int:
    """Write the page; 0 when done."""
    cards = [read_card(path) for path in sorted(MODELS.glob("*.safetensors"))]
    (MODELS / "README.md").write_text("\n".join([HEAD, *map(section, cards)]), encoding="utf-8")
    sys.stdout.write(f"{len(cards)} cards written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
