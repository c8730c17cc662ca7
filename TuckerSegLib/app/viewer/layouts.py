"""Which views stand where: four at once, one alone, or two positions of the slider side by side."""

from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition, ViewProps, ViewType

FOUR, SLICES, VOLUME, COMPARED = "four", "axial", "3d", "compared"

LEFT = ("Red", "Green")
"""The views of the first of two compared positions; they are those of the other layouts too."""

RIGHT = ("RedB", "GreenB")
"""Those of the second."""

_COLOURS = {"Axial": "#F34A33", "Coronal": "#6DAD4A", "Sagittal": "#EFD64D"}

_TAGS = {"Axial": "Red", "Coronal": "Green", "Sagittal": "Yellow"}


def layouts() -> dict[str, Layout]:
    """Each by its name."""
    axial, coronal, sagittal = (_slice(orientation) for orientation in _TAGS)
    model = ViewLayoutDefinition.threed_view(background_color=("#101418", "#2a323c"))
    across, down = LayoutDirection.Horizontal, LayoutDirection.Vertical
    beside = [Layout(down, [_slice(orientation, "B") for orientation in ("Axial", "Coronal")])]
    return {
        FOUR: Layout(across, [Layout(down, [axial, coronal]), Layout(down, [model, sagittal])]),
        SLICES: Layout(across, [axial]),
        VOLUME: Layout(across, [model]),
        COMPARED: Layout(across, [Layout(down, [axial, coronal]), *beside]),
    }


def _slice(orientation: str, copy: str = "") -> ViewLayoutDefinition:
    properties = ViewProps(label=_TAGS[orientation], orientation=orientation, color=_COLOURS[orientation], group=0)
    return ViewLayoutDefinition(f"{_TAGS[orientation]}{copy}", ViewType.SLICE_VIEW, properties)
