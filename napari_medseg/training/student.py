"""A network that learns, one step at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from napari_medseg.errors import TrainingError
from napari_medseg.inference.device import half_type
from napari_medseg.training.config import Optimiser, Precision, Schedule

CLIP = 12.0  # norm of the gradient, nnU-Net's
WARM_UP = 20  # steps: Adam's first estimates are poor
MOST_BAD_STEPS = 30  # in a row, each at half the rate: then nothing will help
Loss = Callable[[nn.Module], torch.Tensor]


class Student:
    """A network, the running average of its weights and its optimiser.

    A step whose loss or gradient is not finite changes nothing but the rate, which it halves. One
    that leaves weights behind that are not finite goes back to the running average, which is.

    Attributes
    ----------
    average
        The network with the running average of the weights: what is scored and kept.
    slowdown
        1, halved by each step that was not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: Optimiser,
        weight_decay: float,
        ema: float,
        precision: Precision,
        device: torch.device,
        warm_up: int = WARM_UP,
    ) -> None:
        self._warm_up = warm_up
        self.network = network.to(device).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.device = device
        self.ema = ema
        self.slowdown = 1.0
        self.steps = 0
        self._bad = 0
        self._precision = precision
        self._choose_type()
        free = [one for one in self.network.parameters() if one.requires_grad]
        self.optimiser = _optimiser(optimiser, free, weight_decay)

    def move(self, device: torch.device) -> None:
        """Go on on another device; what a failed step left behind is forgotten."""
        self.optimiser.zero_grad(set_to_none=True)
        if device == self.device:
            return
        self.network.to(device)
        self.average.to(device)
        self.optimiser.load_state_dict(
            self.optimiser.state_dict()
        )  # moves to where the weights are
        self.device = device
        self._choose_type()

    def _choose_type(self) -> None:
        self._dtype = _half(self._precision, self.device)
        self._scaler = torch.amp.GradScaler("cuda", enabled=self._dtype is torch.float16)

    def half(self) -> AbstractContextManager[Any]:
        """In here layers compute in the faster type, where there is one."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._dtype)

    def step(self, loss_of: Loss, rate: float) -> float:
        """Learn once; the loss, which is not finite if nothing was learnt.

        Raises
        ------
        TrainingError
            Too many steps in a row were not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate * self.slowdown * min(1.0, (self.steps + 1) / self._warm_up)
        self.optimiser.zero_grad(set_to_none=True)
        with self.half():
            loss = loss_of(self.network)
        value = float(loss.detach())
        if math.isfinite(value) and self._learn(loss) and _finite(self.network):
            self._bad = 0
            self.steps += 1
            self._follow()
            return value
        self._skip()
        return math.nan

    def state(self) -> dict[str, Any]:
        """All that a later run needs to go on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "slowdown": self.slowdown,
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])
        self.slowdown, self.steps = state["slowdown"], state["steps"]

    def _learn(self, loss: torch.Tensor) -> bool:
        """Take the step, if the gradient is finite."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        finite = bool(torch.isfinite(norm))
        if finite or self._scaler.is_enabled():
            self._scaler.step(self.optimiser)  # leaves it out where a gradient overflowed
            self._scaler.update()
        return finite

    def _follow(self) -> None:
        """Move the average; it forgets the random start faster than `ema` says."""
        weight = min(self.ema, (1 + self.steps) / (10 + self.steps))
        mix(self.average, self.network, 1 - weight)

    def _skip(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        if not _finite(self.network):
            self.network.load_state_dict(self.average.state_dict())
            self.optimiser.state.clear()  # its moments led here
        self._bad += 1
        if not self._scaler.is_enabled():  # the scaler starts too high on purpose and comes down
            self.slowdown *= 0.5
        if self._bad > MOST_BAD_STEPS:
            raise TrainingError(
                f"the loss was not finite {self._bad} steps in a row; check the images, "
                "or choose a lower learning rate"
            )


def _finite(network: nn.Module) -> bool:
    """Whether all weights are."""
    with torch.no_grad():
        norms = torch._foreach_norm(list(network.parameters()), torch.inf)
        return bool(torch.isfinite(torch.stack(norms)).all())


def mix(network: nn.Module, other: nn.Module, share: float) -> None:
    """Move a network's weights this share of the way to those of its like, in place."""
    with torch.no_grad():
        own: list[torch.Tensor] = list(network.parameters())
        theirs: list[torch.Tensor] = list(other.parameters())
        torch._foreach_lerp_(own, theirs, share)


def decayed(schedule: Schedule, done: float) -> float:
    """Share of the first learning rate when this share of the run is done."""
    left = min(1.0, max(0.0, 1.0 - done))
    if schedule is Schedule.POLY:
        return float(max(left, 1e-3) ** 0.9)
    if schedule is Schedule.COSINE:
        return max(0.5 * (1 - math.cos(math.pi * left)), 1e-3)
    return 1.0


def _optimiser(
    kind: Optimiser, parameters: Iterable[nn.Parameter], weight_decay: float
) -> torch.optim.Optimizer:
    if kind is Optimiser.SGD:
        return torch.optim.SGD(
            parameters, 0.01, momentum=0.99, nesterov=True, weight_decay=weight_decay
        )
    if kind is Optimiser.ADAM:
        return torch.optim.Adam(parameters, 1e-3, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, 1e-3, weight_decay=weight_decay)


def _half(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The faster type of this device; None for float32 throughout."""
    if precision is Precision.FULL:
        return None
    fast = half_type(device)
    return torch.bfloat16 if fast is None and precision is Precision.MIXED else fast
