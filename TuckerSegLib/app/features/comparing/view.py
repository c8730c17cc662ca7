"""Which positions are compared, and the table of structures, the worst first."""

from trame.widgets import html
from trame.widgets import vuetify3 as v

from ....decomposition.published import LEVELS
from ..controls import check_box, choice, text_button
from .logic import ComparingLogic

_ITEMS = [
    {"value": position, "title": "1: original" if factor == 1 else f"{factor:g}"}
    for position, factor in enumerate(LEVELS)
]

_LEGEND = (("#ffd900", "left only"), ("#00d9ff", "right only"), ("#ff00d9", "other structure"))


def comparing_view(logic: ComparingLogic, busy: str) -> None:
    """Below the heading *Compare*; `busy` names the state that says whether something runs."""
    name = logic.name
    with html.Div(classes="d-flex ga-2"):
        for label, field in (("Left", name.left), ("Right", name.right)):
            choice(str(field), label, f"{_ITEMS}")
    v.VBtn(
        "Compare side by side",
        block=True,
        variant="tonal",
        classes="mt-2",
        click=logic.later(logic.compare),
        disabled=(busy,),
        raw_attrs=['id="compare"'],
    )
    with html.Div(v_if=(f"{name.rows}.length",), classes="mt-2"):
        html.Div(f"{{{{ {name.summary} }}}}", classes="text-body-2 font-weight-bold", raw_attrs=['id="compared"'])
        check_box(str(name.differences), "Highlight differences")
        with html.Div(classes="text-caption d-flex ga-3"):
            for colour, text in _LEGEND:
                with html.Span():
                    html.Span(classes="swatch", style=f"background:{colour}")
                    html.Span(f" {text}")
        _table(logic)


def _table(logic: ComparingLogic) -> None:
    with html.Div(classes="list mt-1", raw_attrs=['tabindex="-1"']), html.Table(classes="structures"):
        with html.Thead(), html.Tr():
            for title in ("Structure", "Dice", "Left ml", "Right ml"):
                html.Th(title, raw_attrs=['scope="col"'], classes="" if title == "Structure" else "number")
        rows = {"v_for": f"row in {logic.name.rows}", "key": "row.id", "raw_attrs": [":data-compared='row.id'"]}
        with html.Tbody(), html.Tr(**rows):
            with html.Td(classes="name"):
                text_button("{{ row.title }}", (logic.fly_to, "[row.id]"), "'Fly to where ' + row.title + ' differs'")
            for column in ("dice", "left", "right"):
                html.Td(f"{{{{ row.{column} }}}}", classes="number")
