"""What is said of segmentations that were made: for programs, and for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..inference.check.checked import Checked
    from ..segmentation.result import Segmentation
    from ..volumes.volume import LabelMap

Summary = dict[str, Any]


def summary_of(finished: "Segmentation", output: Path) -> Summary:
    """What `--json` tells of one segmentation."""
    return {
        "output": str(output),
        "model": finished.model,
        "policy": dict(finished.policy),
        "parameters_removed": finished.parameters_removed,
        "layers_kept": finished.layers_kept,
        "cache": "hit" if finished.cache_hit else "miss",
        "engine": finished.engine,
        "seconds": dict(finished.seconds),
        "agreement": None if finished.check is None else _agreement(finished.check),
        "networks": {name: _agreement(check) for name, check in finished.checks.items()},
        "warnings": list(finished.warnings),
        "peak_memory_bytes": finished.peak_memory,
        "choices": dict(finished.choices),
        "labels": _structures(finished.label_map),
    }


def _agreement(check: "Checked") -> Summary:
    """How near the original network's answer it is, and from what that is known."""
    return {
        "expected": check.agreement,
        "low": check.low,
        "high": check.high,
        "poor": check.poor,
        "basis": check.basis,
        "patches_of_the_original": check.windows,
        "patches": check.count,
        "seconds": check.seconds,
    }


def _structures(label_map: "LabelMap") -> list[Summary]:
    volume = label_map.geometry.voxel_volume
    return [
        {"label": label, "name": label_map.names.get(label, str(label)), "voxels": n, "millilitres": n * volume}
        for label, n in label_map.voxel_counts().items()
    ]


def show(summary: Summary) -> None:
    """One segmentation, or several, as tables."""
    from . import console

    if "segmentations" in summary:
        done = summary["segmentations"]
        lines = [
            (
                s["output"],
                str(len(s["labels"])),
                f"{sum(s['seconds'].values()):.1f}",
                s["engine"],
                _short(s["agreement"]),
            )
            for s in done
        ]
        heads = ("File", "Structures", "Seconds", "Engine", "Agreement")
        console.write_table(f"{len(done)} segmentations", heads, lines)
        return
    rows = [(s["name"], f"{s['voxels']:,}", f"{s['millilitres']:.1f}") for s in summary["labels"]]
    console.write_table(summary["output"], ("Structure", "Voxels", "Millilitres"), rows)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary["seconds"].items())
    print(f"{stages}, by {summary['engine']}")
    if summary["agreement"]:
        print(f"Agreement with the original network {_short(summary['agreement'])}, {summary['agreement']['basis']}")
    if summary["parameters_removed"]:
        print(
            f"{summary['parameters_removed']:.0%} of the parameters removed, {summary['layers_kept']} layers kept whole"
        )


def _short(agreement: Summary | None) -> str:
    """`0.93 (0.90 to 0.95)`, and whether that is poor."""
    if agreement is None:
        return ""
    poor = ", poor" if agreement["poor"] else ""
    return f"{agreement['expected']:.2f} ({agreement['low']:.2f} to {agreement['high']:.2f}){poor}"
