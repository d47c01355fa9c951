"""nnU-Net's side of `nnunet_equality.py`: makes data sets, trains small models, predicts.

Runs in an environment with nnunetv2, as a child of `nnunet_equality.py`:

    python nnunet_peer.py HIPPOCAMPUS_FOLDER WORK_FOLDER prepare
    python nnunet_peer.py HIPPOCAMPUS_FOLDER WORK_FOLDER train   DATASET CONFIGURATION PLANS FOLD
    python nnunet_peer.py HIPPOCAMPUS_FOLDER WORK_FOLDER predict MODEL FOLDS OUT MIRROR WIDE [PRIOR]

All work is done on one thread of a CPU. The plans are nnU-Net's own with fewer features and smaller
patches, so that a model learns within a minute and a scan takes several tiles.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

HIPPOCAMPUS, WORK = Path(sys.argv[1]), Path(sys.argv[2])
N_TRAIN, N_TEST = 12, 6
EPOCHS, STEPS, RATE = 3, 80, 3e-3  # AdamW: nnU-Net's SGD is made for 250 000 steps
FEATURES_SHARE = 4  # nnU-Net's divided by this
DATASETS = ("Dataset901_Plain", "Dataset902_Regions", "Dataset903_Thick")
PLANS = {"nnUNetPlans": "ExperimentPlanner", "nnUNetResEncUNetMPlans": "nnUNetPlannerResEncM"}

for name in ("raw", "preprocessed", "results"):
    os.environ[f"nnUNet_{name}"] = str(WORK / name)
os.environ.update({"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f"})


def raw_datasets() -> None:
    """Isotropic as it is; as CT with regions; in thick slices with a border of zeros."""
    images = sorted((HIPPOCAMPUS / "images").glob("*.nii.gz"))[: N_TRAIN + N_TEST]
    plain = {"background": 0, "anterior": 1, "posterior": 2}
    regions = {"background": 0, "whole": [1, 2], "posterior": 2}
    for dataset in DATASETS:
        folder = WORK / "raw" / dataset
        for number, image in enumerate(images):
            _write_case(folder, image, dataset, number)
        about: dict[str, Any] = {
            "channel_names": {"0": "CT" if dataset == DATASETS[1] else "MRI"},
            "labels": regions if dataset == DATASETS[1] else plain,
            "numTraining": N_TRAIN,
            "file_ending": ".nii.gz",
        }
        if dataset == DATASETS[1]:
            about["regions_class_order"] = [1, 2]
        (folder / "dataset.json").write_text(json.dumps(about, indent=1))


def _write_case(folder: Path, path: Path, dataset: str, number: int) -> None:
    import numpy as np
    import SimpleITK as sitk  # noqa: N813

    image, label = sitk.ReadImage(path), sitk.ReadImage(HIPPOCAMPUS / "labels" / path.name)
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    classes = sitk.GetArrayFromImage(label).round().astype(np.uint8)
    spacing = image.GetSpacing()
    if dataset == DATASETS[1]:
        low, high = np.percentile(values, (1, 99))
        values = ((values - low) / (high - low) * 400 - 100).round()
    if dataset == DATASETS[2]:
        values = values[: len(values) // 4 * 4].reshape(-1, 4, *values.shape[1:]).mean(1)
        values, classes = np.maximum(values, 1.0), classes[2::4][: len(values)]
        border = ((1, 1), (9, 7), (8, 11))
        values, classes = np.pad(values, border), np.pad(classes, border)
        spacing = (0.9 + 0.05 * (number % 5), 0.9 + 0.05 * (number % 5), 4.0 + 0.25 * (number % 4))
    for array, place in ((values, "images"), (classes, "labels")):
        out = sitk.GetImageFromArray(array)
        out.SetSpacing(spacing)
        out.SetOrigin(image.GetOrigin())
        out.SetDirection(image.GetDirection())
        end = "Tr" if number < N_TRAIN else "Ts"
        channel = "_0000" if place == "images" else ""
        target = folder / f"{place}{end}" / f"case_{number:03d}{channel}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(out, target)


def plan_and_preprocess() -> None:
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    numbers = [int(dataset[7:10]) for dataset in DATASETS]
    api.extract_fingerprints(numbers, num_processes=1, verbose=False, show_progress_bar=False)
    for plans, planner in PLANS.items():
        for number in numbers if plans == "nnUNetPlans" else numbers[:1]:
            api.plan_experiments([number], planner)
            path = WORK / "preprocessed" / DATASETS[numbers.index(number)] / f"{plans}.json"
            path.write_text(json.dumps(_smaller(json.loads(path.read_text())), indent=1))
            found = json.loads(path.read_text())["configurations"]
            stages = [name for name in ("2d", "3d_fullres", "3d_lowres") if name in found]
            api.preprocess([number], plans, stages, [1], show_progress_bar=False)


def _smaller(plans: dict[str, Any]) -> dict[str, Any]:
    """Fewer features, smaller patches; a low-resolution stage and a cascade beside them."""
    stages = plans["configurations"]
    for name in ("2d", "3d_fullres"):
        stage = stages[name]
        kwargs = stage["architecture"]["arch_kwargs"]
        kwargs["features_per_stage"] = [n // FEATURES_SHARE for n in kwargs["features_per_stage"]]
        steps = [1] * len(stage["patch_size"])
        for row in kwargs["strides"]:
            steps = [a * b for a, b in zip(steps, row, strict=True)]
        half = [max(1, round(0.6 * n / s)) for n, s in zip(stage["patch_size"], steps, strict=True)]
        stage["patch_size"] = [n * s for n, s in zip(half, steps, strict=True)]
        stage["batch_size"] = 12 if name == "2d" else 2
    if plans["plans_name"] == "nnUNetPlans":
        low = {"inherits_from": "3d_fullres", "data_identifier": "nnUNetPlans_3d_lowres"}
        low["spacing"] = [1.6 * mm for mm in stages["3d_fullres"]["spacing"]]
        stages["3d_lowres"] = {**low, "next_stage": "3d_cascade_fullres"}
        stages["3d_cascade_fullres"] = {
            "inherits_from": "3d_fullres",
            "previous_stage": "3d_lowres",
        }
    return plans


def train(dataset: str, configuration: str, plans_name: str, fold: int) -> None:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(fold)
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    folder = WORK / "preprocessed" / dataset
    plans = json.loads((folder / f"{plans_name}.json").read_text())
    plans["continue_training"] = False
    about = json.loads((folder / "dataset.json").read_text())
    os.environ.update({"nnUNet_n_proc_DA": "0"})  # "in this process"
    trainer = nnUNetTrainer(plans, configuration, fold, about, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch = EPOCHS, STEPS
    trainer.num_val_iterations_per_epoch = 2
    trainer.configure_optimizers = lambda: _adam(trainer, torch)
    trainer.initialize()
    if trainer.is_cascaded:  # its weights do not matter here
        _save_untrained(trainer, plans, about)
    else:
        trainer.run_training()


def _save_untrained(trainer: Any, plans: Any, about: Any) -> None:
    folder = Path(trainer.output_folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "plans.json").write_text(json.dumps(plans))
    (folder.parent / "dataset.json").write_text(json.dumps(about))
    trainer.save_checkpoint(str(folder / "checkpoint_final.pth"))


def _adam(trainer: Any, torch: Any) -> Any:
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

    adam = torch.optim.AdamW(trainer.network.parameters(), RATE)
    return adam, PolyLRScheduler(adam, RATE, trainer.num_epochs)


def predict(
    model: Path, folds: tuple[int, ...], out: Path, mirror: bool, wide: bool, previous: Path | None
) -> None:
    """nnU-Net's own masks of the test cases; `wide`: tiles blended in float32, not float16."""
    import torch

    torch.set_num_threads(1)
    from nnunetv2.inference import predict_from_raw_data as engine

    if wide:
        _blend_in_float32(engine, torch)
    predictor = engine.nnUNetPredictor(
        use_mirroring=mirror,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(str(model), folds)
    cases = sorted((WORK / "raw" / model.parent.name / "imagesTs").glob("*.nii.gz"))
    predictor.predict_from_files_sequential(
        [[str(case)] for case in cases],
        [str(out / case.name.replace("_0000.nii.gz", "")) for case in cases],
        overwrite=True,
        folder_with_segs_from_prev_stage=str(previous) if previous else None,
    )


def _blend_in_float32(engine: Any, torch: Any) -> None:
    """nnU-Net's code as it is, but that "half" means float32 in it."""
    import functools

    half = torch.half
    gaussian = functools.partial(engine.compute_gaussian, dtype=torch.float32)
    original = engine.nnUNetPredictor._internal_predict_sliding_window_return_logits

    def blended(self: Any, *args: Any, **kwargs: Any) -> Any:
        torch.half = torch.float32
        try:
            return original(self, *args, **kwargs)
        finally:
            torch.half = half

    gaussian.cache_clear = engine.compute_gaussian.cache_clear  # type: ignore[attr-defined]
    engine.compute_gaussian = gaussian
    engine.nnUNetPredictor._internal_predict_sliding_window_return_logits = blended


def main() -> None:
    task, rest = sys.argv[3], sys.argv[4:]
    if task == "prepare":
        raw_datasets()
        plan_and_preprocess()
    elif task == "train":
        train(rest[0], rest[1], rest[2], int(rest[3]))
    else:
        folds = tuple(int(fold) for fold in rest[1].split(","))
        previous = Path(rest[5]) if len(rest) > 5 else None
        predict(Path(rest[0]), folds, Path(rest[2]), rest[3] == "1", rest[4] == "1", previous)


if __name__ == "__main__":
    main()
