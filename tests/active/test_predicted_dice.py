"""Predicted Dice on signs whose relation to the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_medseg.active.predicted import Known, calibrated
from napari_medseg.active.signs import Signs, signs_of
from napari_medseg.errors import InputError


def dice_of(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def known(rng: np.random.Generator, cases: int, noise: float = 0.25) -> list[Known]:
    """Two labels a case; three signs follow the truth, each in its own way, with noise."""
    found = []
    for case in range(cases):
        for label in (1, 2):
            truth = rng.normal(1.6, 0.8)
            seen = [
                dice_of(slope * truth + bias + rng.normal(0, noise))
                for slope, bias in ((0.8, 0.3), (1.1, 0.5), (0.7, 1.0))
            ]
            signs = Signs(seen[0], tuple(seen[1:]), (0.0, 0.0), 0.5, 2.0)
            found.append(Known(f"case {case}", label, signs, dice_of(truth)))
    return found


def test_the_error_is_small_where_the_signs_tell() -> None:
    rng = np.random.default_rng(0)
    judge = calibrated(known(rng, 20))
    misses = [abs(judge.guess(one.signs, one.label).dice - one.dice) for one in known(rng, 50)]
    assert np.mean(misses) < 0.03
    assert judge.error == pytest.approx(np.mean(misses), abs=0.01)


def test_nine_of_ten_intervals_hold_the_truth_over_many_draws() -> None:
    held = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        judge = calibrated(known(rng, 20))
        for one in known(rng, 40):
            guess = judge.guess(one.signs, one.label)
            held.append(guess.low <= one.dice <= guess.high)
    assert 0.86 <= np.mean(held) <= 0.96


def test_one_mad_case_does_not_bend_the_others() -> None:
    rng = np.random.default_rng(1)
    cases, others = known(rng, 20), known(rng, 50)
    mad = [
        Known("mad", label, Signs(0.99, (0.99, 0.99), (0.0, 0.0), 0.5, 2.0), 0.02)
        for label in (1, 2)
    ]
    judge = calibrated([*cases, *mad])
    assert np.mean([abs(judge.guess(o.signs, o.label).dice - o.dice) for o in others]) < 0.03


def test_few_cases_give_a_wide_interval_and_fewer_give_none() -> None:
    rng = np.random.default_rng(2)
    cases = known(rng, 40)
    widths = []
    for n in (7, 12, 40):
        guess = calibrated(cases[: 2 * n]).guess(cases[0].signs, cases[0].label)
        widths.append(guess.high - guess.low)
    assert widths[0] == 1.0
    assert 1.0 > widths[1] > 0
    assert "not calibrated" in str(calibrated(cases[:6]).guess(cases[0].signs, 1))


def test_without_corrected_cases_it_is_the_models_own_opinion() -> None:
    guess = calibrated([]).guess(Signs(0.9, (0.8, 0.7), (0.0, 0.0), 0.5, 2.0), 1)
    assert guess.dice == pytest.approx(0.8)
    assert (guess.low, guess.high) == (0, 1)


def test_a_guess_reads_as_a_number_and_its_interval() -> None:
    guess = calibrated(known(np.random.default_rng(3), 20)).guess(
        Signs(0.9, (0.9, 0.9), (0.0, 0.0), 0.5, 2), 1
    )
    assert str(guess) == f"{guess.dice:.2f} ({guess.low:.2f} to {guess.high:.2f})"
    assert guess.low < guess.dice < guess.high


def test_signs_of_other_passes_are_refused() -> None:
    judge = calibrated(known(np.random.default_rng(4), 10))
    with pytest.raises(InputError, match="2 passes"):
        judge.guess(Signs(0.9, (0.9,), (0.0,), 0.5, 2.0), 1)


def test_signs_are_the_dice_of_mask_and_passes() -> None:
    ours = np.zeros((4, 4, 4), bool)
    ours[:2] = True
    other = np.roll(ours, 1, axis=0)
    signs = signs_of(ours, ours.astype(np.float32), [ours, other, ~ours], voxel_ml=0.5)
    assert signs.expected == 1.0
    assert signs.agreed == (1.0, 0.5, 0.0)
    assert signs.grown[:2] == (0.0, 0.0)
    assert (signs.sure, signs.volume_ml) == (1.0, 16.0)
