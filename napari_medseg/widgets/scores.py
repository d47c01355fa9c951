"""Before and after, label by label; and the versions of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_medseg.models.card import ModelCard
from napari_medseg.training.events import Dice
from napari_medseg.widgets.style import BAD, GOOD, QUIET
from napari_medseg.widgets.tally import words

ROW_PX = 24
MOST_ROWS = 6
SAME = 0.005  # Dice that rounds to nothing


class _Table(QTableWidget):
    """A quiet table that is as high as its rows."""

    def __init__(self, titles: Sequence[str], wide: int) -> None:
        super().__init__(0, len(titles))
        self.setHorizontalHeaderLabels(list(titles))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        vertical, horizontal = self.verticalHeader(), self.horizontalHeader()
        if vertical is not None and horizontal is not None:
            vertical.setVisible(False)
            vertical.setDefaultSectionSize(ROW_PX)
            horizontal.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            horizontal.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
            horizontal.setFixedHeight(ROW_PX)
            horizontal.setHighlightSections(False)

    def fill(self, rows: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Cells as (text, colour); "" is the theme's own colour."""
        self.setRowCount(len(rows))
        for number, cells in enumerate(rows):
            for column, (text, color) in enumerate(cells):
                item = QTableWidgetItem(text)
                if color:
                    item.setForeground(QColor(color))
                self.setItem(number, column, item)
        self.setFixedHeight(ROW_PX * (1 + max(1, min(len(rows), MOST_ROWS))) + 4)


class ScoreTable(_Table):
    """Dice of each label before and after."""

    def __init__(self, after: str = "after") -> None:
        super().__init__(("Dice", "before", after, ""), wide=0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def show_scores(self, before: Dice, after: Dice) -> None:
        rows = []
        for name in before:
            old, new = before[name], after.get(name, math.nan)
            rows.append([(name, ""), (number(old), ""), (number(new), ""), change(old, new)])
        self.fill(rows)


class VersionTable(_Table):
    """The versions of the model in use, the newest on top.

    Signals
    -------
    picked
        The version of the chosen row, or None.
    """

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__(("Version", "Dice", "Note"), wide=2)
        self._cards: list[ModelCard] = []
        self.itemSelectionChanged.connect(lambda: self.picked.emit(self.current()))

    def show_versions(self, cards: Sequence[ModelCard], used: ModelCard | None) -> None:
        self._cards = list(reversed(distinct(cards)))
        rows = []
        for card in self._cards:
            mark = "● " if used is not None and card.version == used.version else ""
            color = GOOD if mark else ""
            rows.append([(mark + day(card), color), (mean(card), ""), (note(card), QUIET)])
        self.fill(rows)
        for row, card in enumerate(self._cards):
            item = self.item(row, 2)
            if item is not None:
                item.setToolTip(f"{card.name} {card.version}\n{card.lineage.note or note(card)}")

    def current(self) -> ModelCard | None:
        """The card of the chosen row."""
        rows = {index.row() for index in self.selectedIndexes()}
        return self._cards[rows.pop()] if rows else None


def distinct(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Each model once, also if it lies in two places."""
    return list({card.version: card for card in reversed(cards)}.values())[::-1]


def number(dice: float) -> str:
    return "–" if math.isnan(dice) else f"{dice:.3f}"


def change(old: float, new: float) -> tuple[str, str]:
    """An arrow, the difference and its colour."""
    difference = new - old
    if math.isnan(difference):
        return "", ""
    if abs(difference) < SAME:
        return "=", QUIET
    arrow, color = ("▲", GOOD) if difference > 0 else ("▼", BAD)
    return f"{arrow} {difference:+.3f}", color


def day(card: ModelCard) -> str:
    """When it was made, in the user's own time."""
    try:
        made = datetime.fromisoformat(card.lineage.created).astimezone()
    except ValueError:
        return "original"
    return f"{made:%d %b %H:%M}"


def mean(card: ModelCard) -> str:
    values = [value for value in card.lineage.scores.values() if not math.isnan(value)]
    return number(sum(values) / len(values)) if values else "–"


def note(card: ModelCard) -> str:
    """What became of it, in some words."""
    if card.lineage.how == "finetune":
        cases = card.lineage.cases
        return f"fine-tuned, {words(cases, 'case')}" if cases else "fine-tuned"
    return "original"
