"""Where the curves of a run go: TensorBoard, Weights & Biases, MLflow; all work without a network.

Nothing leaves the machine unless the user says so in that program's own way (``WANDB_MODE=online``,
``MLFLOW_TRACKING_URI``): pictures of a scan must not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import TrainingError
from napari_medseg.training.config import Track

PROJECT = "napari-medseg"
Picture = npt.NDArray[np.uint8]


class Tracker(Protocol):
    """What a run tells."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Numbers by name."""

    def picture(self, name: str, picture: Picture, step: int) -> None:
        """RGB (Y, X, 3)."""

    def close(self) -> None:
        """No more."""


def tracker(kind: Track, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """The tracker of a run that has a folder.

    Raises
    ------
    TrainingError
        Its program is not installed.
    """
    module = {Track.WANDB: "wandb", Track.MLFLOW: "mlflow"}.get(kind)
    if module is not None and find_spec(module) is None:
        raise TrainingError(
            f"must be installed to track a run, it is not; pip install {module}", module
        )
    kinds: dict[Track, Callable[[Path, Mapping[str, Any]], Tracker]] = {
        Track.TENSORBOARD: _TensorBoard,
        Track.WANDB: _Wandb,
        Track.MLFLOW: _Mlflow,
    }
    return kinds[kind](folder, settings)


class _TensorBoard:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second, which most runs can save

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, picture: Picture, step: int) -> None:
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        wandb = self._wandb = import_module("wandb")
        self._run = wandb.init(
            project=PROJECT,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=dict(settings),
            settings=wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True),
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, name: str, picture: Picture, step: int) -> None:
        self._run.log({name: self._wandb.Image(picture)}, step=step)

    def close(self) -> None:
        self._run.finish()


class _Mlflow:
    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        mlflow = import_module("mlflow")
        own = f"sqlite:///{(folder / 'mlflow.db').absolute()}"
        uri = os.environ.get("MLFLOW_TRACKING_URI", own)
        self._client = mlflow.MlflowClient(uri)
        found = self._client.get_experiment_by_name(PROJECT)
        place = (folder / "mlartifacts").absolute().as_uri() if uri == own else None
        number = found.experiment_id if found else self._client.create_experiment(PROJECT, place)
        self._run = self._client.create_run(number).info.run_id
        for name, value in settings.items():
            self._client.log_param(self._run, name, str(value)[:500])

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def picture(self, name: str, picture: Picture, step: int) -> None:
        self._client.log_image(self._run, picture, artifact_file=f"{name}-{step}.png")

    def close(self) -> None:
        self._client.set_terminated(self._run)
