"""How sure a model was, as an image layer for each structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Label, Volume
from napari_medseg.widgets.layers import KEY, LayerTuple, Origin, origin_of, placement

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer
    from napari.utils import Colormap

    from napari_medseg.workbench import Case

OPACITY = 0.4  # of the scan below, much is seen; with the mask on top still something
NAME = "probability"


def renew(
    viewer: Viewer,
    case: Case,
    labels: Sequence[Label],
    softmax: npt.NDArray[np.float16] | None,
    above: Image | None,
) -> dict[int, npt.NDArray[np.float16]]:
    """Show the probabilities of a new prediction in place of earlier ones; by structure's number.

    The arrays (Z, Y, X) on canonical axes are views of `softmax`; none where nothing was kept.
    """
    remove(viewer, case)
    if softmax is None:
        return {}
    show(viewer, case, labels, softmax, above)
    arrays = map(case.turn.apply, softmax[-len(labels) :])
    return {label.value: array for label, array in zip(labels, arrays, strict=True)}


def show(
    viewer: Viewer,
    case: Case,
    labels: Sequence[Label],
    softmax: npt.NDArray[np.float16],
    above: Image | None,
) -> list[Layer]:
    """Add a layer for each label right above the scan's, so that the mask stays on top.

    `softmax` is (L, Z, Y, X) on the scan's own grid, background first if there is one.
    """
    from napari.layers import Image

    place = viewer.layers.index(above) + 1 if above in viewer.layers else len(viewer.layers)
    made = [Image(data, **look) for data, look, _ in probability_layers(case, labels, softmax)]
    for layer in reversed(made):  # the first structure's lies on top
        viewer.layers.insert(place, layer)
        place += 1
    return list(made)


def probability_layers(
    case: Case, labels: Sequence[Label], softmax: npt.NDArray[np.float16]
) -> list[LayerTuple]:
    """Layer data on canonical axes, in the structures' colours; only the first is visible.

    The arrays are views of `softmax`. Black adds nothing: where a structure is impossible the scan
    is seen as it is.
    """
    return [
        (array, _look(case, label, array, first=number == 0), "image")
        for number, (label, array) in enumerate(
            zip(labels, map(case.turn.apply, softmax[-len(labels) :]), strict=True)
        )
    ]


def remove(viewer: Viewer, case: Case) -> None:
    """Take away the layers of an earlier prediction of this scan."""
    for layer in [one for one in viewer.layers if _is_of(one, case)]:
        viewer.layers.remove(layer)


def _is_of(layer: Layer, case: Case) -> bool:
    origin = origin_of(layer)
    return origin is not None and origin.derived and origin.turn is case.turn


def _look(
    case: Case, label: Label, array: npt.NDArray[np.float16], first: bool
) -> dict[str, object]:
    name = f"{NAME}: {label.name}"
    volume = Volume(array, case.volume.geometry, name=name, window=(0.0, 1.0))
    return {
        **placement(case.volume.geometry),
        "name": name,
        "contrast_limits": (0.0, 1.0),
        "colormap": _colormap(label),
        "blending": "additive",
        "opacity": OPACITY,
        "visible": first,
        "metadata": {KEY: Origin(case.turn, volume, header=case.volume.header, derived=True)},
    }


def _colormap(label: Label) -> Colormap:
    """From black to the structure's colour."""
    from napari.utils import Colormap

    return Colormap(["#000000", label.color], name=f"{NAME} {label.color}")
