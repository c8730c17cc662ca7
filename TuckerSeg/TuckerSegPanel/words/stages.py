"""What a run is doing, in words."""

from slicer.i18n import tr as _

from ..runs.run import Advance
from .wording import duration, percent


def describe(advance: Advance) -> str:
    """`Segmenting: 45 %, 12 s left`."""
    parts = [] if advance.preparing else [percent(advance.fraction)]
    if advance.seconds_left is not None:
        parts.append(_("{duration} left").format(duration=duration(advance.seconds_left)))
    doing = _stage(advance.stage)
    if advance.count:
        doing = _("{doing} ({number} of {count})").format(doing=doing, number=advance.number, count=advance.count)
    if advance.title:
        doing = f"{advance.title}, {doing[:1].lower()}{doing[1:]}"
    return f"{doing}: {', '.join(parts)}" if parts else doing


def _stage(stage: str) -> str:
    return {
        "start": _("Starting"),
        "download": _("Downloading"),
        "unpack": _("Unpacking"),
        "calibrate": _("Fitting this level, which happens once"),
        "phantom": _("Making the phantom CT"),
        "load": _("Opening the model"),
        "measure": _("Measuring what is fast on this computer, once"),
        "compress": _("Preparing this level, which happens once"),
        "preprocess": _("Preparing the image"),
        "predict": _("Segmenting"),
        "check": _("Checking against the original network"),
        "postprocess": _("Finishing"),
    }.get(stage, stage)
