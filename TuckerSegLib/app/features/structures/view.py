"""The list of structures, with a search."""

from trame.widgets import html
from trame.widgets import vuetify3 as v

from ..controls import text_button
from .logic import StructureLogic


def structure_view(logic: StructureLogic) -> None:
    """Below the heading *Structures*."""
    name = logic.name
    with html.Div(classes="d-flex align-center ga-2"):
        v.VTextField(
            label="Search structures",
            v_model=(name.search,),
            density="compact",
            variant="outlined",
            hide_details=True,
            clearable=True,
        )
        v.VBtn(
            f"{{{{ {name.anything} ? 'Hide all' : 'Show all' }}}}",
            size="small",
            variant="text",
            click=logic.toggle_all,
            raw_attrs=['id="toggle-all"'],
        )
    found = f"{name.rows}.filter((row) => row.title.toLowerCase().includes(({name.search} || '').toLowerCase().trim()))"
    rows = {"v_for": f"row in {found}", "key": "row.id", "raw_attrs": [":data-structure='row.id'"]}
    with html.Div(classes="list mt-2", raw_attrs=['tabindex="-1"']), html.Table(classes="structures"):
        with html.Thead(), html.Tr():
            for title in ("", "", "Structure", "ml", "Mean", ""):
                html.Th(title, raw_attrs=['scope="col"'], classes="number" if title in ("ml", "Mean") else "")
        with html.Tbody(), html.Tr(**rows):
            _row(logic)


def _row(logic: StructureLogic) -> None:
    with html.Td():
        html.Input(
            type="checkbox",
            click=(logic.toggle, "[row.id]"),
            raw_attrs=[":checked='row.shown'", ":aria-label=\"'Show ' + row.title\""],
        )
    with html.Td():
        html.Span(classes="swatch", style=("{background: row.colour}",))
    with html.Td(classes="name"):
        text_button("{{ row.title }}", (logic.fly_to, "[row.id]"), "'Centre the views on ' + row.title")
    html.Td("{{ row.ml }}", classes="number")
    html.Td("{{ row.mean }}", classes="number", raw_attrs=['title="Mean intensity (HU in CT)"'])
    with html.Td():
        text_button("only", (logic.only, "[row.id]"), "'Show only ' + row.title")
