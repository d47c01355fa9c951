"""What several models agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from echo import CONFIG, LABELS, RECIPE, random_scan

from napari_medseg.errors import InputError, ModelError
from napari_medseg.inference import device as devices
from napari_medseg.inference import ensemble as votes
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.ensemble import common, ensemble
from napari_medseg.inference.events import BoxDone, LookAt, Prediction
from napari_medseg.inference.predict import predict_with
from napari_medseg.jobs import Job, Progress, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.volume import Label, Volume

MakeModel = Callable[..., Path]
SCAN = random_scan((10, 12, 9), (2.0, 1.0, 1.0))
SURE = PredictConfig(keep_softmax=True)


@pytest.fixture
def model(tmp_path: Path) -> MakeModel:
    """A file of a model that gives each output the same logit everywhere; changes the recipe."""

    def make(name: str, logits: tuple[float, ...], **changes: object) -> Path:
        recipe = replace(RECIPE, **changes)
        network = build(CONFIG, 1, len(logits))
        weights = {key: torch.zeros_like(value) for key, value in weights_of(network).items()}
        for key, value in weights.items():
            if "seg_layers" in key and key.endswith("bias"):
                value[:] = torch.tensor(logits)
        path = tmp_path / f"{name}.safetensors"
        checkpoint.save(Segmenter(name, CONFIG, weights, recipe), path)
        return path

    return make


def run(paths: list[Path], config: PredictConfig = SURE) -> Prediction:
    return finish(ensemble(SCAN, paths, config))


def test_one_sure_model_outweighs_two_that_hesitate(model: MakeModel) -> None:
    doubt = [model(name, (0.25, 0.0, 0.0)) for name in ("a", "b")]
    sure = model("c", (0.0, 0.0, 9.0))
    result = run([*doubt, sure])
    assert (result.mask.labels == 2).all()
    assert result.mask.geometry.same_grid(SCAN.geometry)
    assert result.mask.names == LABELS


def test_the_probabilities_are_the_mean_of_the_models(model: MakeModel) -> None:
    paths = [model("a", (1.0, 2.0, 0.0)), model("b", (0.0, 0.0, 3.0))]
    singles = [finish(predict_with(SCAN, path, SURE)).softmax for path in paths]
    mean = np.mean(np.array(singles, np.float32), axis=0)
    np.testing.assert_allclose(run(paths).softmax, mean, atol=5e-4)


def test_labels_in_another_order_are_the_same_labels(model: MakeModel) -> None:
    one = model("a", (0.0, 0.5, 0.0))
    turned = model("b", (0.0, 0.0, 9.0), labels=LABELS[::-1])  # sure of label 1
    assert (run([one, turned]).mask.labels == 1).all()


def test_other_labels_are_refused_in_a_line(model: MakeModel) -> None:
    one = model("a", (0.0, 1.0, 0.0))
    other = model("b", (0.0, 1.0, 0.0), labels=(LABELS[0], Label(2, "kidney")))
    with pytest.raises(ModelError, match=r"must have the same labels, got .*2 kidney") as caught:
        run([one, other])
    assert len(str(caught.value)) < 180


def test_regions_that_overlap_paint_over_each_other(model: MakeModel) -> None:
    both = {"regions": ((1, 2), (2,))}
    paths = [model("a", (3.0, 2.0), **both), model("b", (3.0, -1.0), **both)]
    assert (run(paths).mask.labels == 2).all()  # (0.88 + 0.27) / 2 is more likely than not
    less = [paths[0], model("c", (3.0, -3.0), **both)]
    assert (run(less).mask.labels == 1).all()
    with pytest.raises(ModelError, match="must have the same in the same order"):
        run([paths[0], model("d", (3.0, 0.0, 0.0))])


def test_one_model_is_a_plain_prediction(model: MakeModel) -> None:
    path = model("a", (0.0, 1.0, 0.0))
    alone = finish(predict_with(SCAN, path, SURE))
    np.testing.assert_array_equal(run([path]).mask.labels, alone.mask.labels)


def test_progress_rises_over_all_models_and_only_the_first_shows_boxes(model: MakeModel) -> None:
    paths = [model(name, (0.0, 1.0, 0.0)) for name in ("a", "b")]
    events: list[object] = []
    finish(ensemble(SCAN, paths), events.append)
    told = [event for event in events if isinstance(event, Progress)]
    done = [event.done / event.total for event in told]
    assert done == sorted(done)
    assert done[-1] == 1.0
    assert told[-1].text.startswith("Model 2 of 2")
    last_box = max(n for n, event in enumerate(events) if isinstance(event, BoxDone))
    assert events.index(next(e for e in told if "Model 2" in e.text)) > last_box


def test_the_next_model_begins_where_the_user_went_during_the_first(
    model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []

    def noted(scan: Volume, path: Path, config: PredictConfig) -> Job[Prediction]:
        begun.append(config.slice_zyx)
        return predict_with(scan, path, config)

    monkeypatch.setattr(votes, "predict_with", noted)
    paths = [model(name, (0.0, 1.0, 0.0)) for name in ("a", "b")]
    finish(
        ensemble(SCAN, paths, replace(SURE, slice_zyx=(0, 2))),
        lambda event: LookAt(1, 5) if isinstance(event, BoxDone) else None,
    )
    assert begun == [(0, 2), (1, 5)]


def test_what_does_not_fit_in_memory_is_refused_before_the_work(
    model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [model(name, (0.0, 1.0, 0.0)) for name in ("a", "b")]
    monkeypatch.setattr(devices, "free_bytes", lambda _: 1000)
    with pytest.raises(InputError, match="fit in half of the free memory"):
        next(ensemble(SCAN, paths))


def test_only_what_every_model_cleans_is_cleaned(model: MakeModel) -> None:
    sizes = CleanRule(1, smallest_ml=1e6)  # no piece is so large
    paths = [model(name, (0.0, 1.0, 0.0), clean=(sizes,)) for name in ("a", "b")]
    assert not run(paths).mask.labels.any()
    assert run(paths, replace(SURE, clean=False)).mask.labels.all()
    assert run([*paths, model("c", (0.0, 1.0, 0.0))]).mask.labels.all()


def test_of_several_rules_the_most_careful_counts() -> None:
    mine = (CleanRule(1, keep_largest=True), CleanRule(2, smallest_ml=0.5, fill_holes=True))
    yours = (CleanRule(2, keep_largest=True, smallest_ml=0.2, fill_holes=True),)
    assert common([mine, yours]) == (CleanRule(2, smallest_ml=0.2, fill_holes=True),)
