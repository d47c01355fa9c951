"""A config's fields as a form: bounds, kinds and defaults come from the dataclass itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from magicgui.widgets import CheckBox, create_widget
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

C = TypeVar("C")
CHOICE_LETTERS = 8


class Form(QWidget, Generic[C]):
    """Some fields of a frozen config; `value` is a config with what the user chose.

    Parameters
    ----------
    config
        Its values are shown first, and kept for the fields that are not shown.
    shown
        Field name to the words before it.
    """

    def __init__(self, config: C, shown: Mapping[str, str]) -> None:
        super().__init__()
        self._config = config
        hints = get_type_hints(type(config), include_extras=True)
        self.fields = {name: field(name, hints[name], getattr(config, name)) for name in shown}
        self._rows = rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, text in shown.items():
            one = self.fields[name]
            if isinstance(one, CheckBox):  # says itself what it is for
                one.text = text
                rows.addRow(one.native)
            else:
                rows.addRow(text, one.native)

    def titles(self) -> list[QWidget]:
        """The words before the fields."""
        found = [self._rows.labelForField(one.native) for one in self.fields.values()]
        return [one for one in found if one is not None]

    def value(self) -> C:
        """The config as the form shows it."""
        chosen = {name: widget.value for name, widget in self.fields.items()}
        return replace(self._config, **chosen)  # type: ignore[type-var]


def field(name: str, hint: Any, value: Any) -> Any:
    """The widget of one field, within its bounds."""
    options: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, bounds = get_args(hint)[:2]
        options = dict(bounds)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        options["choices"] = [(str(one).capitalize(), one) for one in hint]
        made = create_widget(value=value, widget_type="ComboBox", name=name, options=options)
        _let_shrink(made.native)
        return made
    if hint is float:
        options.setdefault("step", _step(value))
    return create_widget(value=value, annotation=hint, name=name, options=options)


def _let_shrink(choice: QComboBox) -> None:
    """A long choice is cut, and whole in the list: it must not widen the dock beyond its frame."""
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(CHOICE_LETTERS)


def _step(value: float) -> float:
    """A tenth of the value's own size, so that 0.0002 is shown and stepped as such."""
    return 0.5 if value in (0, 1) else 10.0 ** (math.floor(math.log10(abs(value))) - 1)


def align(*forms: Form[Any]) -> None:
    """Let the fields of forms that stand one below the other begin at one edge."""
    titles = [one for form in forms for one in form.titles()]
    for one in titles:
        one.ensurePolished()
    widest = max((one.sizeHint().width() for one in titles), default=0)
    for one in titles:
        one.setMinimumWidth(widest)
