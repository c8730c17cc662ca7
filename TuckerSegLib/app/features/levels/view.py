"""The model, the slider between *Most accurate* and *Fastest*, and the trade-off as a plot."""

from trame.widgets import html
from trame.widgets import vuetify3 as v

from ....decomposition.published import LEVELS
from ....segmentation.request import help_of
from ..controls import check_box, choice, number_field, slider
from .logic import LevelLogic

_LEVEL = "How much of the network is kept: to the right it gets smaller, faster and less accurate"

_IMPROVE = "Train all positions for this long to answer as the original network does; needs no labels"

_FIT = (
    "Fit the compressed layers to what the original network makes of this very scan; "
    "takes minutes the first time and keeps more accuracy"
)

_COLOURS = "{good: 'text-success', poor: 'text-warning', failed: 'text-error', plain: ''}"

_PLOT = """
<svg viewBox="-14 -8 124 132" style="width:100%;max-height:190px" role="img" aria-label="Seconds against agreement">
  <path d="M0 0V100H100" fill="none" stroke="currentColor" stroke-opacity="0.5" stroke-width="0.8"/>
  <text x="-2" y="3" font-size="6" text-anchor="end" fill="currentColor">1</text>
  <text x="-2" y="102" font-size="6" text-anchor="end" fill="currentColor">0</text>
  <text x="100" y="108" font-size="6" text-anchor="end" fill="currentColor">{{ SLOWEST }}</text>
  <text x="50" y="118" font-size="7" text-anchor="middle" fill="currentColor">time</text>
  <text x="-8" y="50" font-size="7" text-anchor="middle" fill="currentColor" transform="rotate(-90 -8 50)">
    agreement</text>
  <g v-for="point in POINTS" :key="point.factor">
    <circle :cx="point.x" :cy="100 - point.y" :r="point.chosen ? 3.6 : 2.4"
      :fill="point.chosen ? '#f59e0b' : '#3b82f6'" stroke="currentColor" stroke-width="0.4">
      <title>{{ point.label }}</title></circle>
    <text :x="point.x - 4" :y="103 - point.y + 3" font-size="5.5" text-anchor="end" fill="currentColor">
      {{ point.factor }}</text>
  </g>
</svg>
"""


def level_view(logic: LevelLogic) -> None:
    """The controls themselves."""
    name = logic.name
    choice(
        name.model,
        "Model",
        str(name.models),
        item_title="title",
        item_value="value",
        raw_attrs=[f':title="{name.hint}"'],
    )
    with html.Div(classes="mt-3"):
        value = f":aria-valuetext=\"'factor ' + {name.factor} + ', ' + {name.text}\""
        more = ['id="level"', value, f':disabled="{name.fixed}"', f'title="{_LEVEL}"']
        slider(str(name.position), "Level", (0, len(LEVELS) - 1), 1, "width:100%;", more)
        with html.Div(classes="d-flex justify-space-between text-caption"):
            html.Span("Most accurate")
            html.Span(f"{{{{ {name.factor} }}}}", classes="font-weight-bold")
            html.Span("Fastest")
    html.Div(
        f"{{{{ {name.text} }}}}",
        classes="text-body-2 mt-1",
        style="min-height:2.6em;",
        raw_attrs=['id="gain"', f':title="{name.basis}"', f':class="{_COLOURS}[{name.meaning}]"', 'aria-live="polite"'],
    )
    with html.Div(classes="d-flex align-center flex-wrap"):
        check_box(str(name.fit), "Fit to this scan", _FIT)
        check_box(str(name.promised), "Accuracy at least", help_of("at_least"))
        with html.Span(v_if=(name.promised,)):
            number_field(str(name.at_least), "Agreement with the original, at least", (0.5, 1), 0.01)


def trade_off_view(logic: LevelLogic, busy: str) -> None:
    """The plot; `busy` names the state that says whether something runs."""
    name = logic.name
    with html.Div(v_if=(f"{name.points}.length",)):
        html.Div(_PLOT.replace("SLOWEST", str(name.slowest)).replace("POINTS", str(name.points)))
    html.Div("No position was measured yet with this model.", v_else=True, classes="text-caption")
    v.VBtn(
        f"Measure {{{{ {name.unmeasured} }}}} more",
        v_if=(f"{name.unmeasured}",),
        size="small",
        variant="tonal",
        click=logic.later(logic.measure),
        disabled=(busy,),
        raw_attrs=['id="measure"'],
    )
    with html.Div(classes="d-flex align-center ga-2 mt-2"):
        v.VBtn(
            "Improve",
            size="small",
            variant="tonal",
            click=logic.later(logic.improve),
            disabled=(f"{busy} || {name.fixed}",),
            raw_attrs=['id="improve"', f'title="{_IMPROVE}"'],
        )
        number_field(str(name.minutes), "Minutes of training", (1, 600), 1)
        html.Span("minutes", classes="text-caption")
