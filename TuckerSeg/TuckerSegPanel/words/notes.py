"""What is known of a result, for the description of its node, which is saved with the scene."""

from slicer.i18n import tr as _

from TuckerSegLib.inference.check.checked import POOR
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.segmentation.result import Segmentation
from TuckerSegLib.segmentation.slider.measurements import Expected
from TuckerSegLib.words.wording import how


def of_result(
    volume: str, request: Request, finished: Segmentation, agreement: float | None, expected: Expected
) -> str:
    """Model, level and how far it agrees with the original network's result, and where that is known from.

    `agreement` was measured on this very volume, `finished.check` expects one of it, `expected` holds that of the last
    such volume; None where unknown.
    """
    what = _("TuckerSeg: {model} at DF {factor:g} on {volume}.").format(
        model=finished.model, factor=finished.policy.get("factor", request.factor), volume=volume
    )
    ran = how(finished.engine, finished.cache_hit) + "."
    return " ".join([what, ran, _known(request, finished, agreement, expected)])


def _known(request: Request, finished: Segmentation, agreement: float | None, expected: Expected) -> str:
    if request.factor == 1:
        return _("This is the original network's result.")
    if agreement is not None:
        return _agreement(agreement, _("measured on this volume"))
    if finished.check is not None:
        return _agreement(finished.check.agreement, finished.check.basis)
    if expected.agreement is not None:
        return _agreement(expected.agreement, _("on an earlier volume"))
    return _("How far it agrees with the original network's result is unknown: press Measure to know.")


def _agreement(value: float, known_from: str) -> str:
    text = _("Agreement with the original network's result {dice:.2f} (mean Dice; {known_from})").format(
        dice=value, known_from=known_from
    )
    return text + (_(": poor, look at it before use.") if value < POOR else ".")
