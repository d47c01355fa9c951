"""Which settings train best: some trainings, each with what the ones before taught of settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Job, Notice
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.models.whole_file import write_whole
from napari_medseg.training.config import Optimiser, TrainConfig
from napari_medseg.training.dataset import Cases
from napari_medseg.training.events import Validated
from napari_medseg.training.train import train
from napari_medseg.training.validate import Exam

WARM_UP = 3  # trials before any is broken off: the first are compared with nothing
TABLE = "trials.csv"


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes
    ----------
    settings
        What it tried, of all the settings.
    dice
        The best mean Dice on the held-back cases; nan for one that failed.
    finished
        Whether it ran to its end; one that lagged behind the others was broken off.
    """

    number: int
    settings: Mapping[str, Any]
    dice: float
    finished: bool


@dataclass(frozen=True, eq=False)
class Found:
    """The best model of a search, and all that was tried."""

    segmenter: Segmenter
    trials: tuple[Trial, ...]


def search(cases: Cases, config: TrainConfig, trials: int) -> Job[Found]:
    """Train again and again with other settings; the model that scored best.

    Learning rate, optimiser, width of the network, augmentation and the share of labelled patches
    are tried; everything else, time and seed too, is as in `config`. Each trial holds the same
    cases back. One that lags behind the middle of those before is broken off.

    Raises
    ------
    TrainingError
        Optuna is not installed, no case is held back, or no trial ended.
    """
    if find_spec("optuna") is None:
        raise TrainingError("must be installed to search, it is not; pip install optuna", "optuna")
    optuna: Any = import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=WARM_UP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=WARM_UP),
    )
    done: list[Trial] = []
    best: Segmenter | None = None
    for number in range(trials):
        trial = study.ask()
        tried = replace(config, **suggested(trial, config), run_folder="")
        yield Notice(f"Trial {number + 1} of {trials}: {_words(trial.params)}")
        segmenter, dice = yield from _run(cases, tried, trial)
        finished = segmenter is not None
        state = optuna.trial.TrialState.COMPLETE if finished else optuna.trial.TrialState.PRUNED
        study.tell(trial, dice if finished else None, state=state)
        if segmenter is not None and dice > max((t.dice for t in done if t.finished), default=-1):
            best = segmenter
        done.append(Trial(number + 1, dict(trial.params), dice, finished))
        _keep(done, config.run_folder)
    if best is None:
        raise TrainingError("must end at least once, no trial did; give it more time", "search")
    return Found(best, tuple(done))


def suggested(trial: Any, config: TrainConfig) -> dict[str, Any]:
    """The settings of one trial."""
    kind = trial.suggest_categorical("optimiser", [Optimiser.ADAMW.value, Optimiser.SGD.value])
    found: dict[str, Any] = {
        "optimiser": Optimiser(kind),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 3e-2, log=True),
        "augmentation": trial.suggest_float("augmentation", 0.0, 1.5),
        "foreground": trial.suggest_float("foreground", 0.33, 0.9),
    }
    if config.features:
        width = trial.suggest_categorical("width", [0.5, 1.0, 1.5])
        found["features"] = tuple(max(2, round(n * width)) for n in config.features)
    return found


def _run(cases: Cases, config: TrainConfig, trial: Any) -> Job[tuple[Segmenter | None, float]]:
    """Train once; None where it was broken off, and the best mean Dice until then."""
    job, best, looks = train(cases, config), float("nan"), 0
    try:
        while True:
            try:
                event = next(job)
            except StopIteration as ended:
                return ended.value, best
            if isinstance(event, Validated):
                dice = Exam(event.dice, event.jaccard).mean
                best, looks = max(dice, best) if looks else dice, looks + 1
                trial.report(dice, looks)
                if trial.should_prune():
                    return None, best
            yield event
    finally:
        job.close()


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def _keep(done: list[Trial], folder: str) -> None:
    """The table of all trials in the run's folder, if there is one."""
    if not folder:
        return
    text = io.StringIO()
    names = sorted({name for one in done for name in one.settings})
    writer = csv.writer(text)
    writer.writerow(["trial", "dice", "finished", *names])
    for one in done:
        row = [one.settings.get(name, "") for name in names]
        writer.writerow([one.number, one.dice, one.finished, *row])
    write_whole(Path(folder) / TABLE, text.getvalue().encode(), make_folder=True)
