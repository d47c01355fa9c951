"""One step at a time, and none that breaks."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from napari_medseg.errors import TrainingError
from napari_medseg.training.config import Optimiser, Precision, Schedule
from napari_medseg.training.parts import pull
from napari_medseg.training.student import MOST_BAD_STEPS, Student, decayed, mix

CPU = torch.device("cpu")


def student(ema: float = 0.5, optimiser: Optimiser = Optimiser.ADAMW) -> Student:
    torch.manual_seed(0)
    return Student(nn.Linear(3, 1), optimiser, 0.0, ema, Precision.FULL, CPU)


def towards_zero(network: nn.Module) -> torch.Tensor:
    return sum((p**2).sum() for p in network.parameters())  # type: ignore[return-value]


def size(network: nn.Module) -> float:
    return float(towards_zero(network).detach())


def broken(network: nn.Module) -> torch.Tensor:
    return towards_zero(network) * math.nan


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in network.parameters()]


@pytest.mark.parametrize("optimiser", Optimiser)
def test_learning_lowers_the_loss(optimiser: Optimiser) -> None:
    some = student(optimiser=optimiser)
    losses = [some.step(towards_zero, 0.05) for _ in range(40)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_leaves_every_weight_as_it_was(bad: float) -> None:
    some = student()
    some.step(towards_zero, 0.1)
    before, average = weights(some.network), weights(some.average)
    assert math.isnan(some.step(lambda network: towards_zero(network) * bad, 0.1))
    assert all(map(torch.equal, before, weights(some.network)))
    assert all(map(torch.equal, average, weights(some.average)))
    assert some.slowdown == 0.5


def test_a_gradient_that_is_not_finite_is_left_out_too() -> None:
    some = student()
    before = weights(some.network)

    def finite_loss_infinite_slope(network: nn.Module) -> torch.Tensor:
        zero = next(network.parameters()).sum() * 0
        return torch.sqrt(zero)

    assert math.isnan(some.step(finite_loss_infinite_slope, 0.1))
    assert all(map(torch.equal, before, weights(some.network)))


def test_learning_goes_on_after_a_bad_step_and_ends_after_too_many() -> None:
    some = student()
    some.step(lambda network: towards_zero(network) * math.nan, 0.1)
    assert math.isfinite(some.step(towards_zero, 0.1))
    for _ in range(MOST_BAD_STEPS):
        some.step(broken, 0.1)
    with pytest.raises(TrainingError, match="not finite"):
        some.step(broken, 0.1)


def test_the_average_lags_behind_the_network() -> None:
    some = student(ema=0.9)
    start = size(some.average)
    for _ in range(8):
        some.step(towards_zero, 0.05)
    assert size(some.network) < size(some.average) < start


def test_a_restored_student_goes_on_as_if_never_stopped() -> None:
    whole, first, second = student(), student(), student()
    for _ in range(3):
        whole.step(towards_zero, 0.1)
        first.step(towards_zero, 0.1)
    second.restore(first.state())
    for some in (whole, second):
        some.step(towards_zero, 0.1)
    assert all(map(torch.equal, weights(whole.network), weights(second.network)))
    assert all(map(torch.equal, weights(whole.average), weights(second.average)))


def test_pulling_all_the_way_gives_the_parent() -> None:
    some, parent = student(), nn.Linear(3, 1)
    pull(some.network, parent, 1.0)
    assert all(map(torch.allclose, weights(some.network), weights(parent)))


def test_half_way_lies_the_mean_of_two_networks() -> None:
    one, other = nn.Linear(3, 1), nn.Linear(3, 1)
    mean = [(a + b) / 2 for a, b in zip(weights(one), weights(other), strict=True)]
    mix(one, other, 0.5)
    assert all(map(torch.allclose, weights(one), mean))


def test_no_computing_in_half_precision_unless_allowed() -> None:
    with student().half():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype is torch.float32
    mixed = Student(nn.Linear(3, 1), Optimiser.SGD, 0.0, 0.5, Precision.MIXED, CPU)
    with mixed.half():
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype is torch.bfloat16


@pytest.mark.parametrize("schedule", Schedule)
def test_the_rate_starts_whole_and_never_rises(schedule: Schedule) -> None:
    rates = [decayed(schedule, done / 10) for done in range(11)]
    assert rates[0] == pytest.approx(1)
    assert all(0 < b <= a for a, b in itertools.pairwise(rates))
    assert schedule is Schedule.CONSTANT or rates[-1] < 0.01


def test_weights_that_became_infinite_go_back_to_the_last_average() -> None:
    some = student()
    some.step(towards_zero, 0.1)
    average = weights(some.average)
    assert math.isnan(some.step(towards_zero, math.inf))
    assert all(map(torch.equal, average, weights(some.network)))
    assert math.isfinite(some.step(towards_zero, 0.1))
    assert some.slowdown == 0.5
