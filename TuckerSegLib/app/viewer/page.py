"""The page: a panel with the features one below the other, and the views beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v
from trame_server import Server

from ..features.comparing.view import comparing_view
from ..features.display.view import display_view, layout_view, theme_view
from ..features.downloads.view import download_view
from ..features.image.view import image_view
from ..features.levels.view import level_view, trade_off_view
from ..features.runs.view import run_view
from ..features.structures.view import structure_view

_STYLE = """
.structures { width: 100%; border-collapse: collapse; font-size: 13px; }
.structures td, .structures th { padding: 2px 4px; text-align: left; vertical-align: middle; }
.structures tr:hover { background: rgb(127 127 127 / 15%); }
.structures .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.structures .name { width: 60%; max-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.list { max-height: max(228px, calc(100vh - 640px)); overflow-y: auto; margin: 0 -14px; padding: 0 14px; }
.structures thead th { position: sticky; top: 0; background: rgb(var(--v-theme-surface)); font-weight: 500; }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; vertical-align: middle; }
.fly { background: none; border: 0; color: inherit; cursor: pointer; text-align: left; font: inherit; padding: 0; }
.fly:hover { text-decoration: underline; }
.download { border: 1px solid currentColor; border-radius: 4px; padding: 2px 10px; font-size: 13px; color: inherit; }
.tucker-panel section { padding: 10px 14px; border-bottom: 1px solid rgb(127 127 127 / 25%); }
.tucker-panel h2 { font-size: 14px; font-weight: 600; margin-bottom: 6px; }
.tucker-panel .v-label { font-size: 14px; opacity: 1; }
.tucker-panel .v-checkbox { flex: 0 0 auto; margin-left: -8px; margin-right: 12px; }
.tucker-panel .v-checkbox .v-selection-control { min-height: 32px; }
.v-btn { text-transform: none; letter-spacing: normal; }
.number-field { width: 62px; border: 1px solid currentColor; border-radius: 4px; padding: 1px 4px; color: inherit;
  background: transparent; }
.tucker-views { height: 100%; width: 100%; display: flex; background: #000; }
"""

_THEMES = {
    "themes": {
        "dark": {"dark": True, "colors": {"primary": "#4d9fff", "background": "#12161b", "surface": "#1a2027",
                                          "success": "#6fcf8f", "warning": "#ffb366", "error": "#ff8a80"}},
        "light": {"dark": False, "colors": {"primary": "#2563a8", "background": "#f4f6f8", "surface": "#ffffff",
                                            "success": "#1b7a3a", "warning": "#b35900", "error": "#b3261e"}},
    }
}  # fmt: skip


def build_page(server: Server, features: Any, layouts: Any) -> VAppLayout:
    """Puts the features' views together; `layouts` places the views of the scene."""
    display = features.display.name
    with VAppLayout(server, vuetify_config={"theme": _THEMES}) as page:
        page.root.theme = (display.theme,)
        client.Style(_STYLE)
        _bar(features)
        with (
            v.VNavigationDrawer(
                v_model=(display.panel,),
                width=356,
                permanent=True,
                disable_resize_watcher=True,
                raw_attrs=['aria-label="Panel"'],
            ),
            html.Div(classes="tucker-panel"),
        ):
            _panel(features)
        with v.VMain(style="height:100vh;"), html.Div(classes="tucker-views", raw_attrs=['aria-label="Views"']):
            layouts.initialize_layout_grid(page)
    return page


def _bar(features: Any) -> None:
    display, image = features.display.name, features.image.name
    with v.VAppBar(density="compact", flat=True, border=True):
        v.VBtn(
            icon="mdi-menu",
            size="small",
            click=f"{display.panel} = !{display.panel}",
            raw_attrs=['aria-label="Show or hide the panel"'],
        )
        html.H1("TuckerSeg", classes="text-h6 ml-2")
        html.Span(f"{{{{ {image.title} }}}}", classes="ml-4 text-body-2 text-truncate", raw_attrs=['id="image-title"'])
        v.VSpacer()
        html.Span(
            "Research software, not a medical device",
            classes="text-caption text-medium-emphasis mr-3 d-none d-md-inline",
        )
        layout_view(features.display)
        theme_view(features.display)


def _panel(features: Any) -> None:
    busy = features.runs.name.busy
    with _section("Image"):
        image_view(features.image)
    with _section("Segment"):
        level_view(features.levels)
        run_view(features.runs, features.levels.segment)
    with _section("Structures", f"{features.structures.name.rows}.length"):
        structure_view(features.structures)
        download_view(features.downloads)
    with _section("Compare two positions"):
        comparing_view(features.comparing, busy)
    with _section("Display"):
        display_view(features.display)
    with _section("Trade-off"):
        trade_off_view(features.levels, busy)


@contextmanager
def _section(title: str, condition: str = "true") -> Iterator[None]:
    with html.Section(v_if=(condition,), raw_attrs=[f'aria-label="{title}"']):
        html.H2(title)
        yield
