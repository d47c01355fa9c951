"""The list of all tools."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shapes import BALL_SCENE

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools import catalogue as catalogue_module
from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

AT_ONCE = pytest.mark.parametrize(  # the others want to be shown something; their own tests show it
    "tool",
    [one for one in catalogue() if one.wants is Wants.NOTHING and not one.needs_chances],
    ids=lambda tool: tool.name,
)
EVERY = pytest.mark.parametrize("tool", catalogue(), ids=lambda tool: tool.name)


def test_no_module_with_tools_is_forgotten() -> None:
    folder = Path(catalogue_module.__file__).parent
    with_tools = {path.stem for path in folder.glob("*.py") if "\nTOOLS:" in path.read_text()}
    assert with_tools == set(catalogue_module.MODULES)


def test_names_are_unique() -> None:
    names = [tool.name for tool in catalogue()]
    assert len(names) == len(set(names))


@EVERY
def test_knobs_are_frozen_and_all_have_defaults(tool: Tool) -> None:
    assert dataclasses.is_dataclass(tool.knobs)
    assert tool.knobs.__dataclass_params__.frozen
    assert type(tool.knobs)() is not None


@EVERY
def test_a_tip_is_one_sentence(tool: Tool) -> None:
    assert tool.tip.endswith(".")
    assert len(tool.tip) < 140


@AT_ONCE
def test_a_tool_writes_nothing_and_stays_in_the_slice_where_told(tool: Tool) -> None:
    knobs = tool.knobs
    if hasattr(knobs, "reach"):
        knobs = dataclasses.replace(knobs, reach=Reach.SLICE)
    before = BALL_SCENE.labels.copy()
    try:
        edit = tool.run(BALL_SCENE, Aim(1, 0, 12), knobs)
    except InputError:
        edit = None
    np.testing.assert_array_equal(BALL_SCENE.labels, before)
    if edit is not None and hasattr(knobs, "reach"):
        changed = edit.labels != BALL_SCENE.labels[edit.box]
        planes = np.flatnonzero(changed.any((1, 2))) + edit.box[0].start
        assert set(planes) == {12}


def test_importing_the_package_loads_no_scipy() -> None:
    code = (
        "import sys, napari_medseg.correction.tools.catalogue, napari_medseg.correction.tools.tool;"
        "print(sorted(m for m in ('skimage', 'cc3d', 'edt', 'scipy.ndimage') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
