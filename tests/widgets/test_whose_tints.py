"""Three tints that everybody tells apart over a grey scan."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_medseg.widgets.whose import COLORS, CONFIRMED, MODEL, NOBODY, PAINTED, Whose
from napari_medseg.widgets.whose_row import OPACITY

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
EYES = {
    "most": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip


def seen(color: str, grey: float, eyes: np.ndarray) -> np.ndarray:
    """CIELAB of a tint over a grey value in [0, 1]."""
    rgb = np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    mixed = OPACITY * rgb + (1 - OPACITY) * grey
    linear = np.clip(eyes @ mixed**2.2, 0, 1)
    return np.asarray(rgb2lab(linear ** (1 / 2.2)))


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("grey", [0.1, 0.4, 0.7])
def test_no_two_tints_look_alike(eyes: str, grey: float) -> None:
    tints = [seen(color, grey, EYES[eyes]) for color in COLORS.values()]
    assert min(np.linalg.norm(a - b) for a, b in combinations(tints, 2)) > 30


def test_each_source_has_its_number_and_the_models_background_none() -> None:
    case = SimpleNamespace(
        source=np.array([[[0, 0, 1, 1, 2, 2]]], np.uint8),
        labels=np.array([[[0, 3, 0, 3, 0, 3]]], np.uint8),
    )
    whose = Whose(case)
    expected = [NOBODY, MODEL, PAINTED, PAINTED, CONFIRMED, CONFIRMED]
    assert whose[0, 0].tolist() == expected
    assert np.asarray(whose).shape == whose.shape == (1, 1, 6)
    assert whose[0].dtype == whose.dtype
