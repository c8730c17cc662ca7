"""A torso painted from a template, structure by structure; a seed moves, turns and scales each organ."""

from .abdomen import paint_abdomen, paint_bowel
from .body import Body
from .chest import above_diaphragm, paint_lungs, paint_mediastinum
from .muscles import paint_muscles, paint_wall
from .skeleton import paint_pelvis, paint_ribcage, paint_spine
from .vessels import paint_vessels


def paint_torso(body: Body, fat: float) -> None:
    """The whole torso, from the skin inwards; `fat` is the subcutaneous layer's thickness in mm at the navel."""
    diaphragm = above_diaphragm(body)
    paint_wall(body, fat)
    paint_lungs(body, diaphragm)
    paint_mediastinum(body)
    paint_bowel(body)
    paint_abdomen(body, diaphragm)
    paint_vessels(body)
    paint_pelvis(body)
    paint_muscles(body)
    paint_spine(body)
    paint_ribcage(body)
