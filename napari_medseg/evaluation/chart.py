"""Curves with their spread as a PNG picture, without a plotting library."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from napari_medseg.errors import WriteError

# Okabe and Ito's colours, which stay apart for colour-blind eyes
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
PANEL = (560, 400)  # pixels
LEFT, TOP, RIGHT, BOTTOM = 62, 34, 14, 46  # pixels around the axes
LEGEND = 30  # pixels above the panels
FINER = 2  # drawn larger, then smoothed
STEPS = (1, 2, 2.5, 5, 10)  # of ten, between two ticks
FONT_PX = 14

Pen: TypeAlias = "ImageDraw.ImageDraw"
To: TypeAlias = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One curve; `low` and `high` are the ends of its spread, empty for none."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """Curves on the same axes; a level is a dashed line across."""

    title: str
    x_label: str
    lines: tuple[Line, ...]
    levels: tuple[float, ...] = field(default=())


def write_chart(panels: Sequence[Panel], path: Path, columns: int = 2) -> None:
    """All panels in a grid under one legend; a name has one colour in all of them.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    picture = drawn(panels, columns)
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    try:
        Path(path).write_bytes(packed.getvalue())
    except OSError as error:
        raise WriteError(
            f"a chart must be saved, {error.strerror}; choose another folder", Path(path).name
        ) from error


def drawn(panels: Sequence[Panel], columns: int = 2) -> Image.Image:
    """The chart as an RGB picture."""
    rows = math.ceil(len(panels) / columns)
    size = (columns * PANEL[0], LEGEND + rows * PANEL[1])
    picture = Image.new("RGB", (FINER * size[0], FINER * size[1]), "white")
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    _legend(ImageDraw.Draw(picture), colours)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        _draw(picture, panel, (column * PANEL[0], LEGEND + row * PANEL[1]), colours)
    return picture.resize(size, Image.Resampling.LANCZOS)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in STEPS if power * one >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _draw(
    picture: Image.Image, panel: Panel, corner: tuple[int, int], colours: dict[str, str]
) -> None:
    pen = ImageDraw.Draw(picture, "RGBA")  # what has an alpha is blended
    x0, y0 = corner[0] + LEFT, corner[1] + TOP
    x1, y1 = corner[0] + PANEL[0] - RIGHT, corner[1] + PANEL[1] - BOTTOM
    left, right = _range([x for line in panel.lines for x in line.x])
    heights = [y for line in panel.lines for part in (line.y, line.low, line.high) for y in part]
    bottom, top = _range([*heights, *panel.levels])

    def to(x: float, y: float) -> tuple[float, float]:
        across, up = (x - left) / (right - left), (y - bottom) / (top - bottom)
        return FINER * (x0 + across * (x1 - x0)), FINER * (y1 - up * (y1 - y0))

    _axes(pen, panel, (left, right, bottom, top), to)
    for line in panel.lines:
        _curve(pen, line, colours[line.name], to)


def _axes(pen: Pen, panel: Panel, ends: tuple[float, float, float, float], to: To) -> None:
    left, right, bottom, top = ends
    for y in ticks(bottom, top):
        pen.line([to(left, y), to(right, y)], "#e4e4e4", FINER)
        _text(pen, to(left, y), f"{y:.4g}", "rm", (-6, 0))
    for x in ticks(left, right):
        pen.line([to(x, bottom), to(x, top)], "#f0f0f0", FINER)
        _text(pen, to(x, bottom), f"{x:.4g}", "mt", (0, 6))
    for level in panel.levels:
        (x, y), (end, _) = to(left, level), to(right, level)
        while x < end:
            pen.line([(x, y), (min(x + 6 * FINER, end), y)], "#777777", FINER)
            x += 10 * FINER
    pen.line([to(left, top), to(left, bottom), to(right, bottom)], "#444444", FINER)
    _text(pen, to(left, top), panel.title, "lb", (-40, -8))
    _text(pen, to((left + right) / 2, bottom), panel.x_label, "mt", (0, 24))


def _curve(pen: Pen, line: Line, colour: str, to: To) -> None:
    def points(heights: Sequence[float]) -> list[tuple[float, float]]:
        pairs = zip(line.x, heights, strict=True)
        return [to(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]

    if line.low and line.high:
        band = points(line.low) + points(line.high)[::-1]
        if len(band) > 2:
            pen.polygon(band, fill=f"{colour}28")
    middle = points(line.y)
    pen.line(middle, colour, 2 * FINER, joint="curve")
    for x, y in middle:
        pen.ellipse([x - 3 * FINER, y - 3 * FINER, x + 3 * FINER, y + 3 * FINER], colour)


def _legend(pen: Pen, colours: dict[str, str]) -> None:
    x = float(FINER * LEFT)
    for name, colour in colours.items():
        pen.line([(x, FINER * 16), (x + FINER * 24, FINER * 16)], colour, 3 * FINER)
        _text(pen, (x, FINER * 16), name, "lm", (30, 0))
        x += FINER * 52 + pen.textlength(name, _font())


def _text(pen: Pen, at: tuple[float, float], text: str, anchor: str, off: tuple[int, int]) -> None:
    place = (at[0] + FINER * off[0], at[1] + FINER * off[1])
    pen.text(place, text, "#222222", _font(), anchor)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FINER * FONT_PX)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Both ends, a little wider; 0 to 1 without a number."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return (low - room if low != 0 else 0.0), high + room
