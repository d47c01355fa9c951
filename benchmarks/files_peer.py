"""nnU-Net's predictor from file to file, stage by stage; run by `files.py` in its environment."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from pathlib import Path

warnings.filterwarnings("ignore")
for one in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(one, ".")

import torch  # noqa: E402
from nnunetv2.inference import predict_from_raw_data  # noqa: E402

spent: dict[str, list[float]] = {}


def timed(stage: str, function: Callable[..., object]) -> Callable[..., object]:
    """The function, whose wall and CPU seconds are noted."""

    @wraps(function)
    def run(*args: object, **kwargs: object) -> object:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[stage] = [time.perf_counter() - wall, time.process_time() - cpu]

    return run


def main() -> None:
    model, scan, mask = (Path(word) for word in sys.argv[1:4])
    predictor = predict_from_raw_data.nnUNetPredictor(
        tile_step_size=0.5, use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), allow_tqdm=False,
    )  # fmt: skip
    predictor.initialize_from_trained_model_folder(str(model), (0,), "checkpoint_final.pth")
    kind = predictor.configuration_manager.preprocessor_class
    kind.run_case = timed("read and prepare", kind.run_case)
    predictor.predict_logits_from_preprocessed_data = timed(
        "network and blending", predictor.predict_logits_from_preprocessed_data
    )
    predict_from_raw_data.export_prediction_from_logits = timed(
        "labels and writing", predict_from_raw_data.export_prediction_from_logits
    )
    wall, cpu = time.perf_counter(), time.process_time()
    predictor.predict_from_files_sequential([[str(scan)]], [str(mask)], False, True, None)
    spent["all"] = [time.perf_counter() - wall, time.process_time() - cpu]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    found = {"spent": spent, "peak_gb": peak, "version": f"nnunetv2 {version('nnunetv2')}"}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
