"""A label more for a trained network, which keeps what it knows.

The new output starts as the background's, a constant lower: it never wins anywhere, takes at most
`exp(-LOWER)` of the background's share from it and nothing from the other labels' order, and sits
where a structure that was background so far is to be found.

A fine-tune first fits the new output alone, by logistic regression on what the network knows of the
painted voxels: an optimiser's small steps would take hundreds from so low a start.

While it is learned, what was called background before (by the parent's own answers and by the
patches in its memory) may be the new structure: there only the sum of the two is held to be
background (as Cermelli et al., "Modeling the background", CVPR 2020). Afterwards the new model
itself looks at the patches: where it sees the new structure in their background, nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_medseg.correction.record import Example
from napari_medseg.errors import ModelError
from napari_medseg.inference.regrid import winners
from napari_medseg.models.build import build, load_weights, network_of
from napari_medseg.models.card import why_no_label_more
from napari_medseg.models.exemplar import Exemplar
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, Sampler, with_places
from napari_medseg.volume import Label

LOWER = 5.0  # logits below the background: 0.7 % of its share
LOOKS = 8  # patches that a new output is fitted to
SHOWN = 0.75  # of them around the new structure
MOST_FITTED = 3000  # voxels of either kind and patch
FIT = 60  # iterations at most
CALM = 1e-4  # weight of staying near the start
Weights = Mapping[str, torch.Tensor]


def with_label(segmenter: Segmenter, label: Label) -> Segmenter:
    """The segmenter with one more output, which it does not use yet.

    Raises
    ------
    ModelError
        Its network cannot be extended, or it has the label.
    """
    recipe = segmenter.recipe
    if reason := why_no_label_more(segmenter):
        raise ModelError(f"a label cannot be added to this model: {reason}", segmenter.name)
    if label.value in recipe.values:
        raise ModelError(
            f"a new label must have a number of its own, {label.value} is taken; choose another",
            segmenter.name,
        )
    wider = replace(recipe, labels=(*recipe.labels, label), scout=1.0, borders=False)
    own = dict(build(segmenter.network, recipe.n_inputs, recipe.n_outputs).named_parameters())
    new = dict(build(segmenter.network, recipe.n_inputs, wider.n_outputs).named_parameters())
    axes = {name: _axis(one, new[name], segmenter.name) for name, one in own.items()}
    first, *folds = (_extended(one, axes) for one in segmenter.members)
    longer = replace(segmenter, weights=first, folds=tuple(folds), recipe=wider)
    _check_same(segmenter, longer)
    return longer


def widened(
    segmenter: Segmenter, examples: Sequence[Example], wanted: bool
) -> tuple[Segmenter, list[str]]:
    """The segmenter with an output for each painted and named structure, and what to say of it."""
    said: list[str] = []
    for label in new_labels(examples, segmenter) if wanted else ():
        if reason := why_no_label_more(segmenter):
            return segmenter, [f"{label.name} cannot be learned by this model: {reason}"]
        try:
            segmenter = with_label(segmenter, label)
        except ModelError as error:
            return segmenter, [*said, f"{label.name} cannot be learned by this model: {error}"]
        said.append(f"The model learns a new label: {label.name}")
    return segmenter, said


def new_labels(examples: Sequence[Example], segmenter: Segmenter) -> tuple[Label, ...]:
    """Structures that a person painted and named, and the model does not know."""
    names: dict[int, Label] = {}
    for example in reversed(examples):  # the newest come first, their names count
        painted = {int(v) for v in np.unique(example.mask.labels[example.confirmed])}
        names |= {one.value: one for one in example.mask.names if one.value in painted}
    unknown = sorted(names.keys() - set(segmenter.recipe.values) - {IGNORE})
    return tuple(names[value] for value in unknown)


def merged(logits: torch.Tensor, known: int) -> torch.Tensor:
    """Logits (B, known, ...): the outputs from `known` on are counted as background."""
    if logits.shape[1] == known:
        return logits
    hidden = torch.cat([logits[:, :1], logits[:, known:]], 1).float().logsumexp(1, keepdim=True)
    return torch.cat([hidden, logits[:, 1:known].float()], 1)


def fitted(segmenter: Segmenter, lessons: Sequence[Lesson], known: int) -> Weights:
    """The weights with the outputs from `known` on fitted to the lessons, all else kept.

    As they are where no lesson shows these, or the last layer is not a 1 x 1 x 1 convolution.
    """
    shown = [with_places(one, [(one.target >= known) & (one.target != IGNORE)]) for one in lessons]
    shown = [one for one in shown if one.places]
    network = network_of(segmenter)
    name, head = _head(network, segmenter.recipe)
    if not shown or head is None or set(head.kernel_size) != {1} or head.bias is None:
        return segmenter.weights
    features, logits, targets = _looked(network, head, shown, segmenter.recipe, known)
    rows = head.weight.detach()[known:].flatten(1).clone().requires_grad_(True)
    bias = head.bias.detach()[known:].clone().requires_grad_(True)
    start = rows.detach().clone()
    search = torch.optim.LBFGS([rows, bias], max_iter=FIT, line_search_fn="strong_wolfe")

    def off() -> float:
        search.zero_grad()
        every = torch.cat([logits, features @ rows.T + bias], 1)
        loss = F.cross_entropy(every, targets) + CALM * ((rows - start) ** 2).sum()
        loss.backward()
        return float(loss.detach())

    search.step(off)  # type: ignore[no-untyped-call]
    weights = {key: one.clone() for key, one in segmenter.weights.items()}
    with torch.no_grad():
        weights[f"{name}.weight"][known:] = rows.reshape(head.weight[known:].shape)
        weights[f"{name}.bias"][known:] = bias
    return weights


def _head(network: nn.Module, recipe: Recipe) -> tuple[str, Any]:
    """The last convolution that gives the outputs, and its name."""
    found: list[tuple[str, Any]] = [("", None)]
    hooks = [
        one.register_forward_hook(lambda own, _, __, name=name: found.append((name, own)))
        for name, one in network.named_modules()
        if isinstance(one, (nn.Conv2d, nn.Conv3d)) and one.out_channels == recipe.n_outputs
    ]
    size = recipe.patch[1:] if recipe.patch[0] == 1 else recipe.patch
    try:
        with torch.no_grad():
            network(torch.zeros(1, recipe.n_inputs, *size))
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1]


def _looked(
    network: nn.Module, head: Any, lessons: Sequence[Lesson], recipe: Recipe, known: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of known voxels what the head sees (N, F), its old outputs (N, known) and the targets."""
    seen: list[torch.Tensor] = []
    hook = head.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    sampler = Sampler(lessons, recipe.patch, 1, (), 0.0, SHOWN, 0, recipe.patch[0] == 1)
    parts = []
    chance = torch.Generator().manual_seed(0)
    try:
        for look in range(LOOKS):
            image, target = sampler(look)
            with torch.no_grad():
                logits = network(image).float()
            new = (target >= known) & (target != IGNORE)
            for kind in (new, (target < known) & ~new):
                at = kind.flatten().nonzero()[:, 0]
                at = at[torch.randperm(len(at), generator=chance)[:MOST_FITTED]]
                flat = [one.movedim(1, -1).flatten(0, -2)[at] for one in (seen[-1].float(), logits)]
                parts.append((flat[0], flat[1][:, :known], target.flatten()[at].long()))
    finally:
        hook.remove()
    features, old, targets = (torch.cat(some) for some in zip(*parts, strict=True))
    return features, old, targets


def doubted(memory: Sequence[Exemplar], segmenter: Segmenter, known: int) -> tuple[Exemplar, ...]:
    """A memory from before the outputs from `known` on: unknown where the model sees these now."""
    if known == segmenter.recipe.n_outputs or not memory:
        return tuple(memory)
    network = network_of(segmenter)
    return tuple(
        replace(one, target=torch.where(_seen(network, one, known), IGNORE, one.target))
        for one in memory
    )


def _seen(network: nn.Module, one: Exemplar, known: int) -> torch.Tensor:
    """Where the network sees a new label in a patch's background, bool (Z, Y, X)."""
    flat = next(p for p in network.parameters() if p.ndim > 2).ndim == 4
    image = one.values()
    batch = image.transpose(0, 1) if flat else image[None]
    with torch.no_grad():
        logits = network(batch)
    found = winners(logits.movedim(1, 0))  # (B, ...): of a 2-D network B is Z
    return (found.reshape(one.target.shape) >= known) & (one.target == 0)


def _axis(old: torch.Tensor, new: torch.Tensor, name: str) -> int | None:
    """Along which axis a weight grew with the label; None where it stayed as it is."""
    if old.shape == new.shape:
        return None
    grown = [k for k, (a, b) in enumerate(zip(old.shape, new.shape, strict=True)) if a != b]
    if len(grown) != 1 or new.shape[grown[0]] != old.shape[grown[0]] + 1:
        raise ModelError("a label cannot be added to this model: its head has another form", name)
    return grown[0]


def _extended(weights: Weights, axes: Mapping[str, int | None]) -> dict[str, torch.Tensor]:
    """The weights with another background, lower, as the last output."""
    longer = {}
    for name, one in weights.items():
        axis = axes[name]
        if axis is None:
            longer[name] = one
            continue
        again = one.narrow(axis, 0, 1)
        longer[name] = torch.cat([one, again - LOWER if one.ndim == 1 else again], axis)
    return longer


def _check_same(old: Segmenter, new: Segmenter) -> None:
    """Refuse a network whose old outputs changed, or whose new one wins, on noise."""
    patch, channels = old.recipe.patch, old.recipe.n_inputs
    size = patch[1:] if patch[0] == 1 else patch
    noise = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network_of(old)(noise)
        network = build(new.network, new.recipe.n_inputs, new.recipe.n_outputs)
        load_weights(network, new.weights)
        after = network.eval()(noise)
    same = torch.allclose(after[:, :-1], before, rtol=1e-3, atol=1e-3)
    if not same or bool((after[:, -1] >= after[:, 0]).any()):
        raise ModelError(
            "a label cannot be added to this model: its last layer mixes the labels", old.name
        )
