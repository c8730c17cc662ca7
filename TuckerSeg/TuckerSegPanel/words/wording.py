"""What a level is known to cost, how a run ended, and what computers have, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from ..choices.measurements import Expected

POOR_AGREEMENT = 0.8
"""A result that differs more than this from the original network's is not fit for use."""


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


def savings(factor: float, cost: Cost | None, exact: bool) -> str:
    """The first line under the slider; what is not known is said to be unknown."""
    if factor == 1:
        return _("DF 1: the original network, nothing removed")
    if cost is None:
        return _("DF {factor:g}: savings unknown").format(factor=factor)
    text = _("DF {factor:g}: {parameters} of parameters, {flops} of FLOPs removed")
    if not exact:  # layers that would not be faster here are kept whole
        text = _("DF {factor:g}: up to {parameters} of parameters, {flops} of FLOPs removed")
    return text.format(factor=factor, parameters=percent(cost.parameters_removed), flops=percent(cost.flops_removed))


def expectation(factor: float, cost: Cost | None, expected: Expected) -> str:
    """The second line: of this computer, and of this network; measurements of runs go before those on phantoms."""
    agreement = _agreement(factor, expected)
    if factor != 1 and expected.agreement is None and cost and cost.agreement is not None:
        agreement = _("agreement {dice:.2f} (phantoms)").format(dice=cost.agreement)
    return _("Expected: {time}, {agreement}").format(time=_time(expected), agreement=agreement)


def outcome(parameters_removed: float, layers_kept: int) -> str:
    """For the log: what a run's network really was, which depends on what is fast on this computer."""
    return _("{parameters} of parameters removed, {count} layers kept whole").format(
        parameters=percent(parameters_removed), count=layers_kept
    )


def finished(structures: int, seconds: float, engine: str, was_ready: bool) -> str:
    """`14 structures in 9 s, by PyTorch (fused) (level was ready)`."""
    found = _("1 structure") if structures == 1 else _("{count} structures").format(count=structures)
    return _("{found} in {duration}, by {engine} ({level})").format(
        found=found,
        duration=duration(seconds),
        engine=engine_titles().get(engine, engine),
        level=_("level was ready") if was_ready else _("level was prepared"),
    )


def device_titles() -> dict[str, str]:
    """What the library's devices are called."""
    return {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("NVIDIA GPU (CUDA)"), "mps": _("Apple GPU (MPS)")}


def engine_titles() -> dict[str, str]:
    """What the library's engines are called."""
    return {"auto": _("Automatic"), "fused": "PyTorch (fused)", "openvino": "OpenVINO", "torch": "PyTorch"}


def _time(expected: Expected) -> str:
    return _("time unknown") if expected.seconds is None else duration(expected.seconds)


def _agreement(factor: float, expected: Expected) -> str:
    if factor == 1:
        return _("agreement 1")
    if expected.agreement is None:
        return _("agreement unknown")
    if expected.agreement < POOR_AGREEMENT:
        return _("agreement {dice:.2f} (poor)").format(dice=expected.agreement)
    return _("agreement {dice:.3f}").format(dice=expected.agreement)


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
