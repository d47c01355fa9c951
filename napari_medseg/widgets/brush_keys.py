"""What the brush and undo do by key, as commands of the key map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.keys import Command

if TYPE_CHECKING:
    from napari_medseg.widgets.brush_tool import BrushTool

GROUP = "Brush"
TOOL_KEYS = {  # napari's own numbers and letters, where it has some
    Tool.BRUSH: ("Paint", ("P", "2")),
    Tool.ERASER: ("Erase", ("E", "1")),
    Tool.PENCIL: ("Pencil of one voxel", ("D",)),
    Tool.LASSO: ("Lasso: draw around it", ("A",)),
    Tool.POLYGON: ("Polygon: click its corners", ("3",)),
    Tool.SCISSORS: ("Scissors through slices", ("S",)),
    Tool.FILL: ("Fill a closed area", ("F", "4")),
    Tool.LABEL: ("Pick a structure in the image", ("L", "5")),
    Tool.GREY: ("Pick a grey range", ("G",)),
    Tool.PAN: ("Move the view", ("Z", "6")),
}


def commands_of(tool: BrushTool) -> tuple[Command, ...]:
    """What can be done by key with a brush."""
    state = tool.state
    return (
        *(
            Command(kind.name.lower(), words, GROUP, keys, partial(state.set, tool=kind))
            for kind, (words, keys) in TOOL_KEYS.items()
        ),
        Command("smaller", "Smaller brush", GROUP, ("[",), lambda: state.grow(-1)),
        Command("larger", "Larger brush", GROUP, ("]",), lambda: state.grow(1)),
        Command("undo", "Undo", "Steps", ("Control-Z",), tool.undo),
        Command("redo", "Redo", "Steps", ("Control-Shift-Z",), tool.redo),
        Command("cancel", "Take the unfinished stroke back", GROUP, ("Escape",), tool.cancel),
        Command("close_outline", "Close the polygon", GROUP, ("Enter",), tool.close_outline),
        Command("last_corner", "Last corner away", GROUP, ("Backspace",), tool.step_back),
        Command("hold", "Hold to move the view", GROUP, ("Space",), tool.hold, tool.let_go),
    )
