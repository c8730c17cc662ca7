"""What a run is doing, in words."""

from ..progress import PREPARING, Event
from .translation import tr as _
from .wording import duration, percent


def is_preparing(event: Event) -> bool:
    """Whether the stage comes before the run's own work, so that the fraction stands."""
    return event.stage in (*PREPARING, "phantom", "unpack", "try", "remove")


def describe(event: Event, title: str = "") -> str:
    """`Segmenting: 45 %, 12 s left`; `title` says of which part of a longer run."""
    parts = [] if is_preparing(event) else [percent(event.fraction)]
    if event.seconds_left is not None:
        parts.append(_("{duration} left").format(duration=duration(event.seconds_left)))
    doing = _stage(event.stage)
    if event.count:
        doing = _("{doing} ({number} of {count})").format(doing=doing, number=event.number, count=event.count)
    if title:
        doing = f"{title}, {doing[:1].lower()}{doing[1:]}"
    return f"{doing}: {', '.join(parts)}" if parts else doing


def _stage(stage: str) -> str:
    return {
        "start": _("Starting"),
        "download": _("Downloading"),
        "unpack": _("Unpacking"),
        "install": _("Installing"),
        "try": _("Trying it out"),
        "remove": _("Removing"),
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
