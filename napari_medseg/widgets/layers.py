"""Scans and masks as napari layers, and back again.

A layer shows a scan on canonical axes (z to Superior, y to Posterior, x to Left; so the patient's
left is on the right of the screen), spacing in `scale`: napari's 3-D brush looks only there. How
to go back to the scan's own grid travels in the layer's metadata under "medseg".
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InputError
from napari_medseg.volume import (
    Geometry,
    Label,
    Mask,
    Reorientation,
    Volume,
    mask_to_canonical,
    to_canonical,
)
from napari_medseg.widgets.contrast import full_range, window_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer
    from napari.utils import DirectLabelColormap

    from napari_medseg.workbench import Case

LayerTuple = tuple[npt.NDArray[Any], dict[str, Any], str]

KEY = "medseg"  # where a layer's metadata keeps its Origin
AXIS_LABELS = ("z", "y", "x")
OPACITY = 0.5
MM_PER = {"meter": 1000.0, "centimeter": 10.0, "millimeter": 1.0, "micrometer": 1e-3}
OTHER_COLOR = "#f5f5f5"  # a number that no structure has
IGNORE = Label(255, "ignore", "#555555")

# far apart for most eyes, in this order (S. Trubetskoy, "20 simple, distinct colors")
PALETTE = (
    "#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#42d4f4", "#f032e6", "#bfef45",
    "#fabed4", "#469990", "#dcbeff", "#9a6324", "#fffac8", "#800000", "#aaffc3", "#808000",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a layer comes from; holds what its array cannot say.

    Attributes
    ----------
    turn
        From the file's own grid to the grid shown.
    volume
        The scan on the grid shown, all channels; None for a mask.
    channel
        Which of them the layer shows.
    names
        The structures of a mask.
    header
        What the file's format needs to write a mask back the same way.
    derived
        Whether it was computed from a scan: nobody wants it segmented.
    case
        The open case whose mask it is, as long as there is one: quick looks in it are not saved.
    """

    turn: Reorientation
    volume: Volume | None = None
    channel: int = 0
    names: tuple[Label, ...] = ()
    header: Any = field(default_factory=dict, repr=False)
    derived: bool = False
    case: weakref.ref[Case] | None = field(default=None, repr=False)

    @property
    def is_scan(self) -> bool:
        """Whether the layer stands for a scan in a list; of several channels the first does."""
        return self.channel == 0 and not self.derived


def show(viewer: ViewerModel, what: Volume | Mask | Case, name: str = "") -> list[Layer]:
    """Add a scan (one layer a channel), a mask, or an open case (both) to the viewer.

    The mask of a `Case` is its own array, not a copy: painting in the layer is painting the case.
    """
    if isinstance(what, Volume):
        made = volume_layers(what)
    elif isinstance(what, Mask):
        made = [mask_layer(what, name or "mask")]
    else:
        made = [*_canonical_layers(what.volume, what.turn), case_layer(what)]
    return [_add(viewer, one) for one in made]


def _add(viewer: ViewerModel, made: LayerTuple) -> Layer:
    from napari.layers import Layer

    layer = Layer.create(*made)
    viewer.add_layer(layer)
    if made[2] == "image":
        widen(layer)
    return layer


def widen(layer: Image) -> None:
    """Let the contrast slider reach all values; napari would end it at the window."""
    low, high = full_range(np.asarray(layer.data))
    window = tuple(layer.contrast_limits)
    layer.contrast_limits_range = [min(low, window[0]), max(high, window[1])]
    layer.contrast_limits = window


def volume_layers(volume: Volume) -> list[LayerTuple]:
    """Layer data of a scan on canonical axes: one image layer a channel, the first visible."""
    shown, turn = to_canonical(volume)
    return _canonical_layers(shown, turn)


def _canonical_layers(volume: Volume, turn: Reorientation) -> list[LayerTuple]:
    return [_channel_layer(volume, turn, number) for number in range(volume.n_channels)]


def _channel_layer(volume: Volume, turn: Reorientation, number: int) -> LayerTuple:
    one = volume.channel(number)
    name = volume.name or "scan"
    if volume.n_channels > 1:
        name += f" · {one.channels[0] if one.channels else number + 1}"
    look = {
        **placement(volume.geometry),
        "name": name,
        "contrast_limits": window_of(one),
        "colormap": "gray_r" if volume.inverted else "gray",
        "visible": number == 0,
        "metadata": {KEY: Origin(turn, volume, number, header=volume.header)},
    }
    return one.array, look, "image"


def mask_layer(mask: Mask, name: str = "mask") -> LayerTuple:
    """Layer data of a mask on canonical axes, in its structures' colours."""
    shown, turn = mask_to_canonical(mask)
    names = named(shown.names, shown.values())
    origin = Origin(turn, names=names, header=mask.header)
    return small(shown.labels), _label_look(turn.target, names, name, origin), "labels"


def case_layer(case: Case) -> LayerTuple:
    """Layer data of an open case's mask; shares its array."""
    header = case.volume.header
    origin = Origin(case.turn, names=case.names, header=header, case=weakref.ref(case))
    name = f"{case.volume.name or 'scan'} · mask"
    return case.labels, _label_look(case.volume.geometry, case.names, name, origin), "labels"


def _label_look(
    geometry: Geometry, names: Sequence[Label], name: str, origin: Origin
) -> dict[str, Any]:
    return {
        **placement(geometry),
        "name": name,
        "opacity": OPACITY,
        "colormap": colormap_of(names),
        "features": features_of(names),
        "metadata": {KEY: origin},
    }


def placement(geometry: Geometry) -> dict[str, Any]:
    """Scale and place of a canonical grid, in mm along (z, y, x).

    napari cannot show a slice through a tilted grid: such a scan is shown on its own axes, its
    middle where it lies in the patient. Saving uses the full grid.
    """
    spacing = np.array(geometry.spacing_mm)
    half = (np.array(geometry.shape) - 1) / 2
    middle_zyx = geometry.world(half)[0][::-1]
    return {
        "scale": tuple(spacing.tolist()),
        "translate": tuple((middle_zyx - half * spacing).tolist()),
        "units": ("mm",) * 3,
        "axis_labels": AXIS_LABELS,
    }


def beside(
    viewer: ViewerModel, mine: Labels, labels: npt.NDArray[Any], name: str, colors: Any
) -> Labels:
    """A layer on the grid of another one that is looked at and never painted."""
    layer: Labels = viewer.add_labels(
        labels,
        name=name,
        scale=mine.scale,
        translate=mine.translate,
        units=mine.units,
        axis_labels=mine.axis_labels,
        opacity=mine.opacity,
        colormap=colors,
    )
    layer.editable = False
    return layer


def named(names: Iterable[Label], values: Iterable[int]) -> tuple[Label, ...]:
    """The structures, with a plain name and a colour for each number that has none."""
    known = {label.value: label for label in names}
    for value in sorted(set(values) - known.keys()):
        color = _free_color(value, {label.color.lower() for label in known.values()})
        known[value] = IGNORE if value == IGNORE.value else Label(value, f"label {value}", color)
    return tuple(known[value] for value in sorted(known))


def _free_color(value: int, taken: set[str]) -> str:
    """The palette's colour for a number, or the next that no structure has."""
    first = (value - 1) % len(PALETTE)
    turned = (*PALETTE[first:], *PALETTE[:first])
    return next((color for color in turned if color not in taken), turned[0])


def colormap_of(names: Iterable[Label]) -> DirectLabelColormap:
    """Each structure in its own colour, background clear."""
    from napari.utils import DirectLabelColormap

    colors: dict[int | None, str] = {None: OTHER_COLOR, 0: "#00000000"}
    colors.update({label.value: label.color for label in names})
    return DirectLabelColormap(color_dict=colors)


def features_of(names: Iterable[Label]) -> Any:
    """The table that lets the status bar say "2; name: kidney"."""
    import pandas as pd

    rows = [(0, "background"), *((label.value, label.name) for label in names)]
    return pd.DataFrame(rows, columns=["index", "name"])


def origin_of(layer: Layer) -> Origin | None:
    """What we know of a layer; None if we did not make it, or if its shape was changed since."""
    origin = layer.metadata.get(KEY)
    if not isinstance(origin, Origin) or tuple(layer.data.shape) != origin.turn.target.shape:
        return None
    return origin


def rename(layer: Labels, names: tuple[Label, ...]) -> None:
    """Let a mask that is taken from the layer later have these structures."""
    origin = origin_of(layer)
    if origin is not None:
        layer.metadata[KEY] = replace(origin, names=names)


def recolor(layer: Labels, names: tuple[Label, ...], hidden: Collection[int]) -> None:
    """Show a mask's structures in their colours, but for those that are hidden."""
    shown = [replace(one, color="#00000000") if one.value in hidden else one for one in names]
    layer.colormap = colormap_of(shown)
    layer.features = features_of(names)
    rename(layer, names)


def copy_labels(data: Any, into: npt.NDArray[np.unsignedinteger[Any]]) -> bool:
    """Write the values of another array into a mask.

    Raises
    ------
    InputError
        It has another shape, or a number that the mask cannot hold; nothing is written.
    """
    if tuple(getattr(data, "shape", ())) != into.shape:
        raise InputError(
            f"an open mask must stay {into.shape}, got {getattr(data, 'shape', None)}; "
            "its own labels are back: add the others as a new layer"
        )
    array, top = np.asarray(data), int(np.iinfo(into.dtype).max)
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high > top:
        raise InputError(
            f"an open mask must hold 0 to {top}, got {low} to {high}; "
            "its own labels are back: add the others as a new layer"
        )
    np.copyto(into, array, casting="unsafe")
    return True


def volume_of(layer: Layer) -> Volume:
    """The scan of an image layer on its file's own grid, all channels.

    A layer that we did not make is taken as it lies in napari: its axes as (z, y, x) growing to
    Superior, Posterior and Left, pixels without a unit as mm.

    Raises
    ------
    InputError
        The layer is no 2-D or 3-D image in grey values.
    """
    origin = origin_of(layer)
    if origin is not None and origin.volume is not None:
        shown = np.asarray(layer.data)
        volume = origin.volume
        if not np.shares_memory(shown, volume.array):  # filtered since: what is seen counts
            volume = replace(volume.channel(origin.channel), array=shown)
        array = origin.turn.undo(volume.array)
        return replace(volume, array=array, geometry=origin.turn.source)
    array = _stack(layer)
    if array.dtype.kind not in "iufb":
        raise InputError(f"a scan must hold real numbers, got {array.dtype}", layer.name)
    low, high = layer.contrast_limits if hasattr(layer, "contrast_limits") else (0, 1)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    window = (float(low), float(high))
    return Volume(array, geometry_of(layer), name=str(layer.name), window=window)


def mask_of(layer: Labels) -> Mask:
    """The mask of a labels layer on its source's own grid, ready to be written.

    What is only a quick look of a prediction that runs is left out.

    Raises
    ------
    InputError
        The layer holds negative numbers, or is not 2-D or 3-D.
    """
    origin = origin_of(layer)
    if origin is None:
        return Mask(small(_stack(layer), str(layer.name)), geometry_of(layer))
    case = None if origin.case is None else origin.case()
    shared = case is not None and np.shares_memory(case.labels, np.asarray(layer.data))
    final = case.without_looks() if shared and case else np.asarray(layer.data)
    labels = np.ascontiguousarray(origin.turn.undo(final))
    labels = small(labels, str(layer.name))
    return Mask(labels, origin.turn.source, names=origin.names, header=origin.header)


def small(labels: npt.NDArray[Any], name: str = "") -> npt.NDArray[np.unsignedinteger[Any]]:
    """Labels in the smallest unsigned type; the same array if it is in it already."""
    if labels.dtype == np.uint8:
        return labels
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or labels.dtype.kind not in "iub":
        raise InputError(f"a mask must hold whole numbers from 0, got {low} to {high}", name)
    return labels.astype(np.min_scalar_type(high), copy=False)


def geometry_of(layer: Layer) -> Geometry:
    """The grid (Z, Y, X) on which any 2-D or 3-D layer lies in napari's world."""
    shape = tuple(int(n) for n in layer.data.shape)
    lead = 3 - len(shape)
    origin = np.asarray(layer.data_to_world((0,) * len(shape)), dtype=np.float64)
    affine = np.eye(4)
    for axis, factor in enumerate(_mm_per_unit(layer)):
        step = np.eye(len(shape))[axis]
        moved = (np.asarray(layer.data_to_world(step)) - origin) * factor
        affine[: len(shape), 2 - lead - axis] = moved[::-1]
        affine[len(shape) - 1 - axis, 3] = origin[axis] * factor
    return Geometry((1,) * lead + shape, affine)  # type: ignore[arg-type]


def _mm_per_unit(layer: Layer) -> list[float]:
    return [MM_PER.get(str(unit), 1.0) for unit in layer.units]


def _stack(layer: Layer) -> npt.NDArray[Any]:
    if getattr(layer, "rgb", False) or not 2 <= layer.ndim <= 3:
        raise InputError(
            "a scan must be a 2-D or 3-D layer in grey values, "
            f"got {tuple(layer.data.shape)}; split its channels or frames first",
            str(layer.name),
        )
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    array = np.asarray(data)
    return array[np.newaxis] if array.ndim == 2 else array
