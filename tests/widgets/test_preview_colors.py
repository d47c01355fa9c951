"""What a proposal would change stands out from the mask that it is drawn on."""

from __future__ import annotations

from napari_medseg.correction.tools.tool import ADDED, OTHER, REMOVED
from napari_medseg.volume import Label
from napari_medseg.widgets.preview_colors import FIRST, OTHERS, preview_colors


def of(*colors: str) -> dict[int | None, str]:
    return preview_colors([Label(n + 1, f"s{n}", color) for n, color in enumerate(colors)])


def test_the_usual_colours_where_no_structure_has_them() -> None:
    assert {kind: of("#3b5bdb")[kind] for kind in FIRST} == FIRST


def test_what_is_removed_from_a_red_structure_is_not_drawn_red() -> None:
    found = of("#e6194b")
    assert found[REMOVED] in OTHERS
    assert (found[ADDED], found[OTHER]) == (FIRST[ADDED], FIRST[OTHER])


def test_each_kind_has_a_colour_of_its_own_however_many_structures_there_are() -> None:
    many = [f"#{r:02x}{g:02x}{b:02x}" for r in (0, 255) for g in (0, 128, 255) for b in (0, 255)]
    found = of(*many)
    assert len({found[kind] for kind in FIRST}) == 3
