"""Controls that several features show in the same way."""

from collections.abc import Sequence
from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v

_SLIDER = "accent-color:#2563a8;min-width:0;"


def slider(
    field: str, label: str, ends: tuple[float, float], step: float, style: str, more: Sequence[str] = ()
) -> None:
    """For the state called `field`: the browser's own, which arrow keys move and screen readers know."""
    html.Input(
        type="range",
        style=_SLIDER + style,
        raw_attrs=[*_number(field, label, ends, step, "input"), *more],
    )


def number_field(field: str, label: str, ends: tuple[float, float], step: float) -> None:
    """A number for the state called `field`."""
    html.Input(
        type="number",
        classes="number-field",
        raw_attrs=_number(field, label, ends, step, "change"),
    )


def check_box(field: str, label: str, hint: str = "") -> None:
    """A box to tick for the state called `field`."""
    hints = [f'title="{hint}"'] if hint else []
    v.VCheckbox(label=label, v_model=(field,), density="compact", hide_details=True, raw_attrs=hints)


def choice(field: str, label: str, items: str, **more: Any) -> None:
    """A list to choose from; `items` is an expression of the page's."""
    v.VSelect(
        label=label, v_model=(field,), items=(items,), density="compact", variant="outlined", hide_details=True, **more
    )


def text_button(text: str, click: Any, label: str) -> None:
    """A button that looks like the text it stands in; `label` is an expression of the page's."""
    html.Button(text, click=click, classes="fly", raw_attrs=[f':title="{label}"', f':aria-label="{label}"'])


def _number(field: str, label: str, ends: tuple[float, float], step: float, event: str) -> list[str]:
    """Attributes of an input whose number goes into the state called `field` at each such event."""
    return [
        f'aria-label="{label}"',
        f'min="{ends[0]:g}"',
        f'max="{ends[1]:g}"',
        f'step="{step:g}"',
        f':value="{field}"',
        f'@{event}="{field} = Number($event.target.value)"',
    ]
