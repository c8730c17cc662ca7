"""The image's part of the panel: what is open, and how to open something else."""

from trame.widgets import html
from trame.widgets import vuetify3 as v

from .logic import ImageLogic


def image_view(logic: ImageLogic) -> None:
    """Below the heading *Image*."""
    name = logic.name
    with html.Div(classes="d-flex align-center ga-2 flex-wrap"):
        v.VBtn("Open a file", size="small", variant="tonal", click="window.tuckerseg.choose(false)")
        v.VBtn("Open a DICOM folder", size="small", variant="tonal", click="window.tuckerseg.choose(true)")
        v.VBtn("Phantom", size="small", variant="text", click=logic.later(logic.show_phantom))
    html.Div(f"{{{{ {name.details} }}}}", classes="text-caption mt-1", v_if=(f"{name.details} && !{name.busy}",))
    html.Div("or drop it anywhere on this page", classes="text-caption text-medium-emphasis", v_if=(f"!{name.busy}",))
    with html.Div(v_if=(name.busy,), raw_attrs=['role="status"'], classes="mt-2"):
        html.Div(f"{{{{ {name.busy} }}}}", classes="text-body-2")
        v.VProgressLinear(
            model_value=(name.sent,),
            indeterminate=(f"{name.sent} === 0",),
            color="primary",
            raw_attrs=['aria-label="How far opening the image is"'],
        )
    v.VAlert(
        text=(name.error,),
        v_if=(name.error,),
        type="error",
        density="compact",
        variant="tonal",
        classes="mt-2",
        closable=True,
        raw_attrs=['role="alert"', f"@click:close=\"{name.error} = ''\""],
    )
    with (
        v.VDialog(v_model=(name.choosing,), max_width=520),
        v.VCard(title="Which of these images?"),
        v.VList(raw_attrs=['aria-label="Images that were sent"']),
    ):
        v.VListItem(
            v_for=f"choice in {name.choices}",
            key="choice",
            title=("choice",),
            click=(logic.later(logic.choose), "[choice]"),
        )
