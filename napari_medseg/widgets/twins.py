"""The same layers in another view: each has a twin there that shows the same array, alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer

from napari_medseg.widgets.sharing import Sharing

if TYPE_CHECKING:
    from napari.components import ViewerModel

BOTH = ("visible", "opacity", "blending")
IMAGE = (*BOTH, "contrast_limits", "gamma", "colormap", "interpolation2d")
LABELS = (
    *(*BOTH, "contour", "colormap", "editable", "mode", "selected_label", "brush_size"),
    *("n_edit_dimensions", "preserve_labels", "contiguous", "show_selected_label"),
)
BACK = ("selected_label", "brush_size", "contrast_limits")  # what napari lets change in any view


def looks_of(layer: Layer) -> tuple[str, ...]:
    """What a layer and its twin have in common besides the array."""
    return LABELS if isinstance(layer, Labels) else IMAGE


def can_have_twin(layer: Layer) -> bool:
    """Whether it can be cut along another axis."""
    kind = type(layer) in (Image, Labels)
    return kind and layer.ndim == 3 and not layer.multiscale


@dataclass(eq=False)
class Twin:
    """A layer and its copy; `calls` are what listens to both."""

    source: Layer
    copy: Layer
    calls: list[tuple[Any, Callable[..., None]]] = field(default_factory=list)

    def listen(self) -> None:
        """Keep both alike from now on."""
        for name in looks_of(self.source):
            self._hear(self.source, self.copy, name)
            if name in BACK:
                self._hear(self.copy, self.source, name)
        self._hear(self.source, self.copy, "data")

    def _hear(self, giver: Layer, taker: Layer, name: str) -> None:
        def pass_on(event: Any = None) -> None:
            value = getattr(giver, name)
            if _differs(value, getattr(taker, name)):
                setattr(taker, name, value)

        emitter = getattr(giver.events, name)
        emitter.connect(pass_on)
        self.calls.append((emitter, pass_on))

    def close(self) -> None:
        """Listen no more."""
        for emitter, call in self.calls:
            emitter.disconnect(call)
        self.calls.clear()


def twin_of(layer: Layer) -> Twin:
    """A copy of the layer's looks on the same array."""
    data, looks, kind = layer.as_layer_data_tuple()
    looks.pop("metadata", None)
    copy = Layer.create(data, looks, kind)
    if isinstance(layer, Labels):
        copy.editable, copy.brush_size = layer.editable, layer.brush_size
        copy.selected_label, copy.mode = layer.selected_label, layer.mode
        copy.n_edit_dimensions = layer.n_edit_dimensions
        copy.preserve_labels = layer.preserve_labels
    return Twin(layer, copy)


def _differs(one: Any, other: Any) -> bool:
    if one is other:
        return False
    if isinstance(one, (bool, int, float, str, list, tuple)):
        return bool(one != other)
    return True


class Twins:
    """Keeps the layers of one viewer model like those of another; `dropped` hears of each end."""

    def __init__(
        self,
        source: ViewerModel,
        target: ViewerModel,
        sharing: Callable[[Layer], Sharing],
        seen: Callable[[], bool],
        dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._source, self._target = source, target
        self._sharing, self._seen, self._dropped = sharing, seen, dropped
        self._twins: dict[Layer, Twin] = {}
        events = source.layers.events
        self._calls = [
            (events.inserted, self._fit),
            (events.removed, self._fit),
            (events.reordered, self._fit),
            (source.layers.selection.events.active, self._on_active),
        ]
        for emitter, call in self._calls:
            emitter.connect(call)
        self._fit()

    def copy_of(self, layer: Layer | None) -> Layer | None:
        """The twin of a layer; None if it has none."""
        twin = None if layer is None else self._twins.get(layer)
        return None if twin is None else twin.copy

    def close(self) -> None:
        """Take all away."""
        for emitter, call in self._calls:
            emitter.disconnect(call)
        for layer in list(self._twins):
            self._drop(layer)

    def _fit(self, event: Any = None) -> None:
        wanted = [layer for layer in self._source.layers if can_have_twin(layer)]
        for layer in [one for one in self._twins if one not in wanted]:
            self._drop(layer)
        for layer in wanted:
            if layer not in self._twins:
                self._add(layer)
        for place, layer in enumerate(wanted):
            here = self._target.layers.index(self._twins[layer].copy)
            if here != place:
                self._target.layers.move(here, place)
        self._on_active()

    def _add(self, layer: Layer) -> None:
        twin = self._twins[layer] = twin_of(layer)
        self._target.add_layer(twin.copy)
        twin.listen()
        self._sharing(layer).add(twin.copy, self._target, self._seen)

    def _drop(self, layer: Layer) -> None:
        twin = self._twins.pop(layer)
        twin.close()
        self._sharing(layer).remove(twin.copy)
        if twin.copy in self._target.layers:
            self._target.layers.remove(twin.copy)
            self._dropped()

    def _on_active(self, event: Any = None) -> None:
        active = self._source.layers.selection.active
        copy = self.copy_of(active)
        if copy is not self._target.layers.selection.active:
            self._target.layers.selection.active = copy
