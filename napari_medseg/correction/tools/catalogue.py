"""All tools, in the order in which a window lists them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from napari_medseg.correction.tools.tool import Tool

MODULES = (  # read only when somebody asks: scipy and scikit-image take their time
    "assisted",
    "probable",
    "regions",
    "seeding",
    "tracing",
    "wire",
    "contours",
    "islands",
    "holes",
    "splitting",
    "smoothing",
    "margins",
    "logic",
    "between_slices",
    "propagate",
)


@cache
def catalogue() -> tuple[Tool, ...]:
    """The tools of all modules; names are unique."""
    modules = [import_module(f"napari_medseg.correction.tools.{name}") for name in MODULES]
    return tuple(tool for module in modules for tool in module.TOOLS)
