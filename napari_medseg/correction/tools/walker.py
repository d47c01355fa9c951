"""Random walker with priors on a small grid, by conjugate gradients (Grady 2005)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, diags_array

from napari_medseg.correction.edit import Bools
from napari_medseg.correction.tools.part import Floats

LEAST = 1e-4  # of a conductance: nothing is wholly cut off, or the system would be singular
Index = npt.NDArray[np.int64]


def walked(
    image: Floats,
    spacing_mm: Sequence[float],
    seeds: npt.NDArray[np.int8],
    deviation: float,
    prior: Floats | None = None,
    trust: float = 0.0,
    steps: int = 80,
) -> Floats:
    """Probability that a walker from a voxel reaches the foreground first.

    Parameters
    ----------
    image
        Shape (Z, Y, X).
    seeds
        Same shape: 1 foreground, -1 background, 0 to be found, -2 left out (a wall).
    deviation
        Difference of neighbouring grey values that still is no edge.
    prior
        Probability of the foreground by each voxel's own looks.
    trust
        Weight of the prior; the conductance within even tissue is 1.
    steps
        At most so many steps of the solver.

    Returns
    -------
    float32, shape of the image: 1 and 0 at the seeds, 0 at walls.
    """
    out: Floats = (seeds == 1).astype(np.float32)
    free = seeds == 0
    if not free.any():
        return out
    first, second, weight = _bonds(image, spacing_mm, seeds, deviation)
    number = np.full(seeds.size, -1, np.int64)
    number[free.ravel()] = np.arange(int(free.sum()))
    matrix, pull = _system(number, (first, second), weight, out.ravel())
    guess = out[free]
    if prior is not None and trust > 0:
        guess = prior[free]
        pull = pull + trust * guess
        matrix = matrix + diags_array(np.full(len(guess), trust, np.float32))
    out[free] = _solved(matrix.tocsr(), pull.astype(np.float32), guess, steps)
    return out


def _bonds(
    image: Floats, spacing_mm: Sequence[float], seeds: npt.NDArray[np.int8], deviation: float
) -> tuple[Index, Index, Floats]:
    """Both ends and the conductance of each bond that touches a free voxel."""
    index = np.arange(seeds.size).reshape(seeds.shape)
    finest = min(one for one, size in zip(spacing_mm, seeds.shape, strict=True) if size > 1)
    firsts, seconds, weights = [], [], []
    for axis in range(3):
        if seeds.shape[axis] == 1:
            continue
        lower = tuple(slice(0, -1) if one == axis else slice(None) for one in range(3))
        upper = tuple(slice(1, None) if one == axis else slice(None) for one in range(3))
        step = (image[upper] - image[lower]) / deviation
        weight = np.maximum(np.exp(-0.5 * step * step), LEAST)
        weight *= (finest / spacing_mm[axis]) ** 2  # the Laplacian of a grid in mm
        bond = (seeds[lower] > -2) & (seeds[upper] > -2)
        bond &= (seeds[lower] == 0) | (seeds[upper] == 0)
        firsts.append(index[lower][bond])
        seconds.append(index[upper][bond])
        weights.append(weight[bond].astype(np.float32))
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(weights)


def _system(
    number: Index, ends: tuple[Index, Index], weight: Floats, known: Floats
) -> tuple[csr_array, Floats]:
    """The Laplacian among free voxels, and the pull of the seeds on them."""
    first, second = number[ends[0]], number[ends[1]]
    size = int(number.max()) + 1
    sums, pull = np.zeros(size, np.float64), np.zeros(size, np.float64)
    for here, there, other in ((first, second, ends[1]), (second, first, ends[0])):
        free = here >= 0
        sums += np.bincount(here[free], weight[free], size)
        seeded = free & (there < 0)
        pulled = weight[seeded] * known[other[seeded]]
        pull += np.bincount(here[seeded], pulled, size)
    both = (first >= 0) & (second >= 0)
    rows, columns = first[both], second[both]
    off = coo_array((-weight[both], (rows, columns)), (size, size)).tocsr()
    total = off + off.T + diags_array((sums + 1e-6).astype(np.float32))
    return total, pull.astype(np.float32)


def _solved(matrix: csr_array, pull: Floats, guess: Floats, steps: int) -> Floats:
    """Conjugate gradients, scaled by the diagonal; near enough to compare with one half."""
    scale = 1 / matrix.diagonal()
    found = guess.astype(np.float32)
    rest = pull - matrix @ found
    goal = 1e-3 * max(float(np.linalg.norm(pull)), 1e-6)
    scaled = scale * rest
    towards, size = scaled.copy(), float(rest @ scaled)
    for _ in range(steps):
        if float(np.linalg.norm(rest)) <= goal:
            break
        image = matrix @ towards
        length = size / float(towards @ image)
        found += length * towards
        rest -= length * image
        scaled = scale * rest
        size, before = float(rest @ scaled), size
        towards = scaled + (size / before) * towards
    return found


def box_seeds(shape: tuple[int, ...], foreground: Bools, background: Bools) -> npt.NDArray[np.int8]:
    """Seeds as `walked` takes them; where both are claimed, the foreground holds."""
    seeds = np.zeros(shape, np.int8)
    seeds[background] = -1
    seeds[foreground] = 1
    return seeds
