"""A label more for a model that knows two cubes: what it knew, and what it then learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cubes import example_of, phantom

from napari_medseg.correction.record import Example
from napari_medseg.errors import ModelError
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Notice, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, network_of, weights_of
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.exemplar import exemplar
from napari_medseg.models.monai_shape import MonaiShape, Net
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.finetune import fine_tune
from napari_medseg.training.newlabels import doubted, merged, widened, with_label
from napari_medseg.volume import Label

ROD = Label(9, "rod", "#00ff00")


def untrained(family: Family = Family.UNET, **other: object) -> Segmenter:
    network = NetworkConfig(family=family, features=(4, 8), strides=((1, 1, 1), (2, 2, 2)))
    recipe = Recipe((Label(1, "a"), Label(2, "b")), patch=(8, 8, 8), **other)  # type: ignore[arg-type]
    weights = weights_of(build(network, 1, 3))
    return Segmenter("test", network, weights, recipe)


def with_rod(seed: int) -> Example:
    """The phantom with a very bright bar along its edge, painted and named."""
    volume, mask = phantom(seed)
    image, labels = volume.array.copy(), mask.labels.copy()
    image[1:15, 13:16, 13:16], labels[1:15, 13:16, 13:16] = 500, 9
    return replace(
        example_of(seed),
        volume=replace(volume, array=image),
        mask=replace(mask, labels=labels, names=(Label(1, "a"), Label(2, "b"), ROD)),
    )


@pytest.mark.parametrize("family", [Family.UNET, Family.RESIDUAL, Family.LIGHT, Family.FCN])
def test_a_new_label_changes_no_old_answer(family: Family) -> None:
    old = untrained(family)
    new = with_label(old, ROD)
    batch = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        before, after = (network_of(one)(batch) for one in (old, new))
    torch.testing.assert_close(after[:, :3], before)
    assert bool((after.argmax(1) == before.argmax(1)).all())
    assert float((before.softmax(1) - after.softmax(1)[:, :3]).max()) < 0.01


def test_every_output_of_deep_supervision_gets_the_label() -> None:
    network = network_of(with_label(untrained(), ROD))
    network.deep_supervision = True
    assert {out.shape[1] for out in network(torch.randn(1, 1, 8, 8, 8))} == {4}


def test_the_new_number_and_name_stand_in_the_file(tmp_path: object) -> None:
    path = checkpoint.save(with_label(untrained(), ROD), tmp_path / "new.safetensors").path  # type: ignore[operator]
    assert checkpoint.load(path).recipe.labels[-1] == ROD


def test_a_model_that_cannot_be_extended_says_why() -> None:
    with pytest.raises(ModelError, match="regions that overlap"):
        with_label(untrained(regions=((1, 2), (2,))), ROD)
    with pytest.raises(ModelError, match="only be run"):
        with_label(replace(untrained(), network=NetworkConfig(family=Family.ONNX)), ROD)


def test_a_number_that_is_taken_is_refused() -> None:
    with pytest.raises(ModelError, match="2 is taken"):
        with_label(untrained(), Label(2, "again"))


def test_a_new_label_counts_as_the_background_that_it_was() -> None:
    logits = torch.randn(2, 4, 3, 3, 3)
    expected = logits.softmax(1)
    got = merged(logits, 3).softmax(1)
    torch.testing.assert_close(got[:, 0], expected[:, 0] + expected[:, 3])
    torch.testing.assert_close(got[:, 1:], expected[:, 1:3])


def test_memory_is_unknown_where_the_new_structure_is_seen() -> None:
    new = with_label(untrained(), ROD)
    loud = {k: v.clone() for k, v in new.weights.items()}
    for name, one in loud.items():
        if one.shape[:1] == (4,) and one.ndim == 1 and "seg_layers" in name:
            one[3] = 100.0  # sees it everywhere
    target = torch.zeros(8, 8, 8)
    target[:2] = 1
    kept = exemplar(torch.randn(1, 8, 8, 8), target, "someone", False)
    (after,) = doubted([kept], replace(new, weights=loud), 3)
    assert set(after.target[:2].unique().tolist()) == {1}
    assert set(after.target[2:].unique().tolist()) == {255}


def test_a_painted_and_named_structure_is_learned_and_the_old_ones_stay(
    segmenter: Segmenter,
) -> None:
    examples = [with_rod(seed) for seed in range(20, 24)]
    config = FineTuneConfig(steps=12, threads=1, learning_rate=0.005, validations=1, ema=0.9)
    said: list[object] = []
    outcome = finish(fine_tune(segmenter, examples, config), said.append)
    assert any(isinstance(one, Notice) and "new label: rod" in one.text for one in said)
    unseen = with_rod(40)
    found = finish(predict(unseen.volume, outcome.candidate)).mask.labels
    bar = unseen.mask.labels == 9
    assert 2 * np.sum((found == 9) & bar) / (np.sum(found == 9) + bar.sum()) > 0.7
    before = finish(predict(unseen.volume, segmenter)).mask.labels
    for n in (1, 2):
        truth = unseen.mask.labels == n
        old, new = (
            2 * np.sum((m == n) & truth) / (np.sum(m == n) + truth.sum()) for m in (before, found)
        )
        assert new > old - 0.1


def test_told_not_to_it_learns_no_new_label(segmenter: Segmenter) -> None:
    config = FineTuneConfig(steps=1, threads=1, validations=1, new_labels=False)
    outcome = finish(fine_tune(segmenter, [with_rod(20)], config))
    assert outcome.candidate.recipe.labels == segmenter.recipe.labels


def test_a_head_that_cannot_grow_is_said_and_stops_nothing() -> None:
    shape = MonaiShape(Net.UNET, residual=2, up_kernel=(3, 3, 3))
    network = NetworkConfig(
        family=Family.MONAI,
        features=(8, 16),
        strides=((1, 1, 1), (2, 2, 2)),
        deep_supervision=False,
        monai=shape,
    )
    first = replace(untrained(), network=network, weights=weights_of(build(network, 1, 3)))
    after, said = widened(first, [with_rod(20)], True)
    assert after is first
    assert len(said) == 1
    assert "rod cannot be learned by this model" in said[0]
