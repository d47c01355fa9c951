"""Scores as JSON and CSV, under the names that the command line promises.

A number that does not exist (a label that neither mask has) or is not finite (the distance to a
label that only one mask has) is null in JSON and empty in CSV.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from napari_medseg.errors import WriteError
from napari_medseg.evaluation.compare import LabelScores, Scores
from napari_medseg.evaluation.folders import FolderScores

NUMBERS = tuple(field.name for field in fields(LabelScores))


def as_json(scores: Scores) -> dict[str, Any]:
    """One case: ``labels`` by mask value, each with its name and numbers, and their ``mean``."""
    labels = {
        str(value): {"name": scores.names.get(value, str(value)), **numbers(one)}
        for value, one in scores.labels.items()
    }
    return {"labels": labels, "mean": numbers(scores.mean)}


def folder_as_json(scores: FolderScores) -> dict[str, Any]:
    """All cases of a folder.

    ``cases`` by name, the ``mean`` over all cases and labels, ``mean_by_label``, and what could not
    be scored: ``only_pred`` and ``only_ref`` (no partner), ``failed`` (name and reason).
    """
    return {
        "cases": {name: as_json(one) for name, one in scores.cases.items()},
        "mean": numbers(scores.mean),
        "mean_by_label": {str(v): numbers(one) for v, one in scores.mean_by_label.items()},
        "only_pred": list(scores.only_pred),
        "only_ref": list(scores.only_ref),
        "failed": dict(scores.failed),
    }


def numbers(scores: LabelScores) -> dict[str, float | None]:
    """The numbers of one label; what is not finite is None."""
    return {name: n if math.isfinite(n) else None for name, n in scores.as_dict().items()}


def write_csv(cases: Mapping[str, Scores], path: Path) -> None:
    """One row for each case and label.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "label", "name", *NUMBERS])
            for case, scores in cases.items():
                for value, one in scores.labels.items():
                    name = scores.names.get(value, str(value))
                    writer.writerow([case, value, name, *numbers(one).values()])
    except OSError as error:
        raise WriteError(
            f"a table of scores must be saved, {error.strerror}; choose another folder", path.name
        ) from error
