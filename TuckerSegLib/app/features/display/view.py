"""The controls of how things look."""

from trame.widgets import html
from trame.widgets import vuetify3 as v

from ..controls import check_box, choice, slider
from .logic import LAYOUTS, PRESETS, DisplayLogic


def display_view(logic: DisplayLogic) -> None:
    """Below the heading *Display*."""
    name = logic.name
    choice(name.preset, "Window", f"{list(PRESETS)}")
    with html.Div(classes="d-flex ga-2 mt-2"):
        for label, field in (("From", name.low), ("To", name.high)):
            v.VTextField(
                label=label,
                type="number",
                density="compact",
                variant="outlined",
                hide_details=True,
                raw_attrs=[f':model-value="{field}"', f'@change="{field} = Number($event.target.value)"'],
            )
    with html.Label(classes="d-flex align-center ga-2 mt-2 text-body-2"):
        html.Span("Opacity")
        slider(str(name.opacity), "Opacity of the segments", (0, 1), 0.05, "flex:1;", ['id="opacity"'])
    with html.Div(classes="d-flex flex-wrap"):
        check_box(str(name.outlined), "Outlines")
        check_box(str(name.volume_in_3d), "Volume in 3D", "The image itself in the 3D view")


def layout_view(logic: DisplayLogic) -> None:
    """Which views are shown."""
    name = logic.name
    with v.VBtnToggle(
        v_model=(name.layout,),
        mandatory=True,
        density="compact",
        variant="outlined",
        divided=True,
        raw_attrs=['aria-label="Views"'],
    ):
        for layout, title in LAYOUTS.items():
            v.VBtn(title, value=layout, size="small", raw_attrs=[f'id="layout-{layout}"'])


def theme_view(logic: DisplayLogic) -> None:
    """Light or dark."""
    name = logic.name
    v.VBtn(
        f"{{{{ {name.theme} === 'dark' ? 'Light' : 'Dark' }}}}",
        variant="text",
        size="small",
        click=f"{name.theme} = {name.theme} === 'dark' ? 'light' : 'dark'; window.tuckerseg.theme({name.theme})",
        raw_attrs=['id="theme"', 'aria-label="Switch between light and dark"'],
    )
