"""What lies over each view: its name, a button that fits it to the image, and the slider through its slices."""

from typing import Any

from trame.widgets import html
from trame_server import Server
from trame_slicer.app.logic import connect_slice_view_slider_to_state

_BAR = "position:absolute;left:0;right:0;display:flex;align-items:center;gap:8px;padding:4px 8px;pointer-events:none;"

_BUTTON = (
    "pointer-events:auto;background:rgb(0 0 0 / 45%);color:#fff;border:1px solid rgb(255 255 255 / 35%);"
    "border-radius:4px;padding:1px 8px;font-size:12px;cursor:pointer;"
)

_NAME = "color:#fff;font-size:12px;text-shadow:0 0 3px #000,0 0 3px #000;user-select:none;"


def slice_overlay(server: Server, _view_id: str, view: Any) -> None:
    """For a slice view."""
    orientation = view.get_orientation()
    _top(orientation, view)
    slider = connect_slice_view_slider_to_state(server, view)
    name = slider.name
    with html.Div(style=f"{_BAR}bottom:0;"):
        html.Input(
            type="range",
            style="flex:1;pointer-events:auto;accent-color:#4d9fff;min-width:0;",
            raw_attrs=[
                f'aria-label="{orientation} slice"',
                f':min="{name.min_value}"',
                f':max="{name.max_value}"',
                f':step="{name.step}"',
                f':value="{name.value}"',
                f'@input="{name.value} = Number($event.target.value)"',
            ],
        )


def volume_overlay(_server: Server, _view_id: str, view: Any) -> None:
    """For a 3D view."""
    _top("3D", view)


def _top(title: str, view: Any) -> None:
    with html.Div(style=f"{_BAR}top:0;"):
        html.Span(title, style=_NAME)
        html.Button("Fit", style=_BUTTON, click=view.reset_view, raw_attrs=[f'aria-label="Fit the {title} view"'])
