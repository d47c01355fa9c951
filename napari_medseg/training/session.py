"""Training and fine-tuning as jobs.

>>> segmenter = finish(train(find_cases("cases"), TrainConfig(minutes=30)))
>>> outcome = finish(fine_tune(segmenter, examples, FineTuneConfig(steps=200)))
"""

from __future__ import annotations

from napari_medseg.training.finetune import fine_tune, fine_tune_file
from napari_medseg.training.train import train

__all__ = ["fine_tune", "fine_tune_file", "train"]
