"""What a level is known to cost, how a run ended, and what computers have, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..inference.check.checked import POOR, Checked
from ..segmentation.slider.measurements import Expected
from .translation import tr as _


@dataclass(frozen=True)
class Cost:
    """What one level of one model saves, as shares of the original from 0 to 1; negative where it costs more.

    `agreement` was measured on phantoms, None where it was not.
    """

    factor: float
    parameters_removed: float
    flops_removed: float
    agreement: float | None = None

    @classmethod
    def of(cls, level: Mapping[str, Any]) -> "Cost":
        """From the worker's JSON."""
        return cls(level["factor"], level["parameters_removed"], level["flops_removed"], level.get("agreement"))


def gain(factor: float, cost: Cost | None, expected: Expected) -> tuple[str, str]:
    """The line below the slider, the gain first, and what it means: "good", "poor" or "plain".

    `about 9 s, 4 times faster than the original, agreement 0.98`; what was not measured is said to be unknown.
    """
    agreement, on_phantoms = _agreement_of(factor, cost, expected)
    parts = [_time(expected), *_speedup(expected)]
    if factor == 1:
        parts.append(_("the original network"))
    elif agreement is None:
        parts.append(_("agreement unknown"))
    else:
        parts.append(_agreement(agreement, on_phantoms))
    text = ", ".join(parts)
    if expected.preparing is not None and expected.preparing >= 1:
        text += _("; {duration} more the first time").format(duration=duration(expected.preparing))
    if agreement is None:
        return text, "plain"
    return text, "poor" if agreement < POOR else "good"


def basis(factor: float, cost: Cost | None, expected: Expected, exact: bool) -> str:
    """What the line stands on, and the jargon: for its tool tip."""
    _agreement_known, on_phantoms = _agreement_of(factor, cost, expected)
    lines = [savings(factor, cost, exact)]
    if expected.seconds is not None:
        lines.append(_("The time is that of the last run at this level, scaled to the size of this volume."))
    if on_phantoms:
        lines.append(_("The agreement was measured on phantoms: press Measure to know it on this volume."))
    elif expected.agreement is not None and factor != 1:
        lines.append(_("The agreement is the mean Dice with the original network's result, on the last such volume."))
    else:
        lines.append(_("Press Measure to know what is unknown."))
    return "\n".join(lines)


def savings(factor: float, cost: Cost | None, exact: bool) -> str:
    """What the level removes; layers that would not be faster here are kept whole, unless `exact` ranks are wanted."""
    if factor == 1:
        return _("DF 1: the original network, nothing removed")
    if cost is None:
        return _("DF {factor:g}: savings unknown").format(factor=factor)
    text = _("DF {factor:g}: {parameters} of parameters, {flops} of FLOPs removed")
    if not exact:
        text = _("DF {factor:g}: up to {parameters} of parameters, {flops} of FLOPs removed")
    return text.format(factor=factor, parameters=percent(cost.parameters_removed), flops=percent(cost.flops_removed))


def outcome(parameters_removed: float, layers_kept: int) -> str:
    """For the log: what a run's network really was, which depends on what is fast on this computer."""
    return _("{parameters} of parameters removed, {count} layers kept whole").format(
        parameters=percent(parameters_removed), count=layers_kept
    )


def finished(structures: int, seconds: float, expected: Expected, check: Checked | None = None) -> tuple[str, str]:
    """`14 structures in 9 s, agreement 0.98`, and what that means: a result known to be poor is no success.

    The check on this very scan goes before what is known of the level from others.
    """
    found = _("1 structure") if structures == 1 else _("{count} structures").format(count=structures)
    text = _("{found} in {duration}").format(found=found, duration=duration(seconds))
    agreement = expected.agreement if check is None else check.agreement
    if agreement is None:
        return text, "good"
    text = f"{text}, {_agreement(agreement, False)}"
    return text, "poor" if agreement < POOR else "good"


def checked(check: Checked) -> str:
    """For the log: how sure that agreement is, on what it stands, and what it took to know."""
    text = _(
        "Agreement with the original network {agreement:.3f} ({low:.3f} to {high:.3f}): "
        "it ran on {windows} of {count} patches, which took {duration}"
    )
    return text.format(
        agreement=check.agreement,
        low=check.low,
        high=check.high,
        windows=check.windows,
        count=check.count,
        duration=duration(check.seconds),
    )


def how(engine: str, was_ready: bool) -> str:
    """For the log: what ran."""
    return _("Run by {engine} ({level})").format(
        engine=engine_titles().get(engine, engine),
        level=_("level was ready") if was_ready else _("level was prepared"),
    )


def device_titles() -> dict[str, str]:
    """What the library's devices are called."""
    return {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("NVIDIA GPU (CUDA)"), "mps": _("Apple GPU (MPS)")}


def engine_titles() -> dict[str, str]:
    """What the library's engines are called."""
    openvino = {"openvino": "OpenVINO", "openvino-bf16": "OpenVINO (bfloat16)"}
    return {"auto": _("Automatic"), "fused": "PyTorch (fused)", **openvino, "torch": "PyTorch"}


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """`0.8 s`, `12 s`, `2 min 5 s`."""
    if seconds < 1:
        return _("{seconds:.1f} s").format(seconds=max(seconds, 0.1))
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return _("{seconds} s").format(seconds=rest)
    return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)


def improved(minutes: float) -> str:
    """What is said when *Improve* is through."""
    return _("All positions were improved for {minutes} min: segment or measure again.").format(minutes=f"{minutes:g}")


def _agreement_of(factor: float, cost: Cost | None, expected: Expected) -> tuple[float | None, bool]:
    """The agreement, None where it is unknown, and whether it is one on phantoms; measurements of runs go first."""
    if factor == 1 or expected.agreement is not None:
        return expected.agreement, False
    return (cost.agreement if cost else None), bool(cost and cost.agreement is not None)


def _agreement(value: float, on_phantoms: bool) -> str:
    text = _("agreement {dice:.2f}").format(dice=value)
    if on_phantoms:
        return _("{agreement} on phantoms").format(agreement=text)
    return _("{agreement}: poor").format(agreement=text) if value < POOR else text


def _time(expected: Expected) -> str:
    if expected.seconds is None:
        return _("Time unknown")
    return _("About {duration}").format(duration=duration(expected.seconds))


def _speedup(expected: Expected) -> list[str]:
    """Below a tenth nobody feels a difference."""
    times = expected.speedup
    if times is None:
        return []
    if times >= 1.1:
        shown = f"{times:.1f}" if times < 3 else f"{times:.0f}"
        return [_("{times} times faster than the original").format(times=shown)]
    return [_("as fast as the original") if times > 0.9 else _("slower than the original")]
