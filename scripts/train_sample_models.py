"""Train the lung model of sample_data/models/ from the sample scans: about five minutes, one core.

    python scripts/train_sample_models.py

One patient teaches (nodule_ct: machine-made lungs and one nodule of 1.4 ml), another one holds the
exam (chest_ct, whose tumour is 35 times as large). So the network learns what lung is and has a
place for tumours, but misses the one of chest_ct: a person can show it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from napari_medseg import io
from napari_medseg.jobs import Notice, finish
from napari_medseg.models import checkpoint
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.events import StepDone, Validated
from napari_medseg.training.session import train
from napari_medseg.volume import Label

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data"
LABELS = (Label(1, "lung", "#42d4f4"), Label(2, "tumour", "#f58231"))
TEACHER, EXAM = "nodule_ct", "chest_ct"

CONFIG = TrainConfig(
    name="lung in CT",
    minutes=5.0,
    spacing_mm=(5.0, 2.5, 2.5),
    patch=(16, 64, 64),
    features=(10, 20, 40, 80),
    batch=2,
    normalise=Normalise.CT_WINDOW,
    window=(-1000.0, 400.0),
    mirror_axes=(2,),  # one label for both lungs
    validation=(EXAM,),
    validations=4,
    threads=1,
)


def dataset(folder: Path) -> Path:
    """The two CTs and their masks as a dataset."""
    for name in (TEACHER, EXAM):
        volume = io.read(SAMPLES / f"{name}.nii.gz")
        mask = io.read_mask(SAMPLES / f"{name}_mask.nii.gz")
        for part in ("images", "labels"):
            (folder / part).mkdir(exist_ok=True)
        io.write_volume(volume, folder / "images" / f"{name}.nii.gz")
        io.write_mask(mask, folder / "labels" / f"{name}.nii.gz")
    about = {
        "name": "sample chest CTs",
        "labels": {label.name: label.value for label in LABELS},
        "channel_names": {"0": "CT"},
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def say(event: object) -> None:
    """Each tenth step, each validation, each notice, a line."""
    if isinstance(event, StepDone) and event.step % 10 == 0:
        left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
        sys.stdout.write(f"step {event.step}: loss {event.loss:.3f}{left}\n")
    elif isinstance(event, Validated):
        sys.stdout.write(f"step {event.step}: Dice {dict(event.dice)}\n")
    elif isinstance(event, Notice):
        sys.stdout.write(f"{event.text}\n")
    sys.stdout.flush()


def main() -> int:
    """Train and save; 0 when done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=SAMPLES / "models" / "lung_ct.safetensors")
    parser.add_argument("--minutes", type=float, default=CONFIG.minutes)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = find_cases(dataset(Path(folder)))
        segmenter = finish(train(cases, replace(CONFIG, minutes=args.minutes)), say)
    note = (
        "Taught by one CT with machine-made lungs and one small nodule, to try the loop on the "
        "sample scans; research use only."
    )
    segmenter = replace(
        segmenter,
        recipe=replace(segmenter.recipe, labels=LABELS),
        lineage=replace(segmenter.lineage, note=note),
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    card = checkpoint.save(segmenter, args.out)
    sys.stdout.write(f"{card.path.name} {card.version}: Dice {dict(card.lineage.scores)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
