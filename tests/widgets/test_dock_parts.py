"""The small things that docks are made of; none needs a window."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_medseg.inference.config import EngineName, Mode
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.widgets import style
from napari_medseg.widgets.curves import MOST_POINTS, thinned
from napari_medseg.widgets.forms import Form
from napari_medseg.widgets.label_list import millilitres
from napari_medseg.widgets.predict_options import PredictOptions, at_hand, how_words
from napari_medseg.widgets.runs import mean_dice
from napari_medseg.widgets.saving import ENDINGS, with_ending
from napari_medseg.widgets.scores import change, number
from napari_medseg.widgets.strokes import box_of
from napari_medseg.widgets.tally import Tally, words


def atom(*ends: tuple[int, int]) -> SimpleNamespace:
    return SimpleNamespace(slice_key=tuple(slice(a, b) for a, b in ends))


def test_the_box_of_a_stroke_holds_all_its_stamps():
    stamps = [atom((5, 6), (2, 7), (3, 8)), atom((5, 6), (4, 9), (1, 6))]
    assert box_of(stamps) == (slice(5, 6), slice(2, 9), slice(1, 8))


def test_the_box_of_single_voxels_holds_them_all():
    indices = (np.array([1, 3]), np.array([5, 5]), np.array([9, 2]))
    assert box_of([(indices, 0, 1)]) == (slice(1, 4), slice(5, 6), slice(2, 10))


def test_a_stroke_that_changed_nothing_has_no_box():
    nothing = tuple(np.array([], int) for _ in range(3))
    assert box_of([(nothing, 0, 1)]) is None


def test_the_tally_follows_a_stroke_by_its_slices():
    source = np.zeros((4, 3, 3), np.uint8)
    tally = Tally(SimpleNamespace(source=source))
    source[1:3, 0, 0] = 1
    tally.recount(slice(1, 3))
    assert (tally.voxels, tally.slices) == (2, 2)


def test_a_form_gives_a_config_with_what_the_user_chose_and_keeps_the_rest(qtbot):
    form = Form(FineTuneConfig(batch=4), {"steps": "Steps", "learning_rate": "Learning rate"})
    qtbot.addWidget(form)
    assert form.fields["learning_rate"].value == FineTuneConfig().learning_rate
    form.fields["steps"].value = 30
    assert form.value() == FineTuneConfig(batch=4, steps=30)


def test_a_form_refuses_what_the_config_refuses(qtbot):
    form = Form(FineTuneConfig(), {"steps": "Steps"})
    qtbot.addWidget(form)
    with pytest.raises(ValueError, match="0"):
        form.fields["steps"].value = 0


@pytest.mark.parametrize("count", [1, 400, 401, 12_345])
def test_a_long_curve_is_thinned_to_what_the_plot_can_show(count):
    steps, losses = thinned(range(count), [2.0] * count)
    assert len(steps) == len(losses) <= MOST_POINTS
    assert losses[-1] == 2.0


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [(0.5, 0.6, "▲ +0.100"), (0.6, 0.5, "▼ -0.100"), (0.5, 0.504, "="), (math.nan, 0.5, "")],
)
def test_a_change_of_dice_is_an_arrow_a_sign_or_nothing(old, new, text):
    assert change(old, new)[0] == text


def test_dice_of_a_label_that_nobody_has_is_a_dash_and_counts_not():
    assert number(math.nan) == "–"
    assert mean_dice({"a": 0.5, "b": math.nan}) == 0.5


@pytest.mark.parametrize(
    ("ml", "text"), [(0.034, "0.03 ml"), (12.34, "12.3 ml"), (812.3, "812 ml")]
)
def test_a_volume_has_the_digits_that_count(ml, text):
    assert millilitres(ml) == text


def test_numbers_come_with_their_noun():
    assert (words(1, "slice"), words(12_345, "voxel")) == ("1 slice", "12\u202f345 voxels")


@pytest.mark.parametrize(
    ("typed", "kind", "saved"),
    [("a", 0, "a.nii.gz"), ("a.v2", 1, "a.v2.nrrd"), ("a.mha", 0, "a.mha"), ("a", 2, "a.mha")],
)
def test_a_name_without_an_ending_gets_that_of_the_chosen_kind(typed, kind, saved):
    assert with_ending(Path(typed), ENDINGS.split(";;")[kind]) == Path(saved)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (
            "openvino-16bit, regions, 27 tiles",
            "Computed by OpenVINO, 16 bits: where a coarse look found labels, 27 tiles.",
        ),
        ("torch-float32, full, 1 tiles", "Computed by PyTorch, 32 bits: the whole scan, 1 tile."),
        ("of-tomorrow, unheard, 2 tiles", "Computed by of-tomorrow: unheard, 2 tiles."),
        ("", ""),
    ],
)
def test_what_a_prediction_did_is_said_in_plain_words(how, words):
    assert how_words(how) == words


def test_the_options_offer_the_engines_at_hand_and_every_mode_in_words(qtbot):
    options = PredictOptions()
    qtbot.addWidget(options.box)
    engine, mode = (options.form.fields[name] for name in ("engine", "mode"))
    assert list(engine.choices) == at_hand()
    assert EngineName.AUTO in engine.choices
    assert list(mode.choices) == list(Mode)
    engine.value, mode.value = EngineName.TORCH, Mode.FULL
    assert (options.value().engine, options.value().mode) == (EngineName.TORCH, Mode.FULL)
    assert engine.native.currentText() == "PyTorch, 32 bits (the reference)"


def test_a_slim_row_drops_what_it_can_do_without_and_brings_it_back(qtbot):
    row = style.Slim()
    qtbot.addWidget(row)
    needed, spare = style.button("needed"), style.button("a long text that can be done without")
    layout = style.row(needed, spare)
    layout.setSizeConstraint(layout.SizeConstraint.SetNoConstraint)
    row.setLayout(layout)
    row.spare = (spare,)
    row.show()
    row.resize(600, 40)
    assert spare.isVisible()
    row.resize(needed.sizeHint().width() + 30, 40)
    assert needed.isVisible()
    assert not spare.isVisible()
    row.resize(600, 40)
    assert spare.isVisible()
