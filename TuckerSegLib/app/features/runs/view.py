"""*Segment* and *Cancel*, how far a run is, and how it ended."""

from collections.abc import Callable
from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v

from .logic import RunLogic

_COLOURS = "{good: 'success', poor: 'warning', failed: 'error', plain: undefined}"


def run_view(logic: RunLogic, segment: Callable[[], Any]) -> None:
    """`segment` is what the button does."""
    name = logic.name
    v.VBtn(
        "Segment",
        v_if=(f"!{name.busy}",),
        block=True,
        color="primary",
        size="large",
        click=logic.later(segment),
        disabled=(f"!!{name.obstacle}",),
        raw_attrs=['id="segment"', f':title="{name.obstacle}"'],
    )
    v.VBtn("Cancel", v_else=True, block=True, size="large", click=logic.cancel, raw_attrs=['id="cancel"'])
    v.VProgressLinear(
        v_if=(name.busy,),
        model_value=(f"{name.percent} || 0",),
        indeterminate=(f"{name.percent} === null",),
        color="primary",
        height=6,
        classes="mt-2",
        raw_attrs=['aria-label="How far the run is"'],
    )
    html.Div(
        f"{{{{ {name.status} }}}}",
        v_if=(name.status,),
        classes="text-body-2 mt-2",
        raw_attrs=[
            'id="status"',
            'role="status"',
            'aria-live="polite"',
            f":class=\"{name.meaning} === 'plain' ? '' : 'text-' + {_COLOURS}[{name.meaning}] + ' font-weight-bold'\"",
        ],
    )
    with html.Details(v_if=(name.details,), classes="text-caption"):
        html.Summary("Details for developers")
        html.Pre(f"{{{{ {name.details} }}}}", style="white-space:pre-wrap;max-height:160px;overflow:auto;")
