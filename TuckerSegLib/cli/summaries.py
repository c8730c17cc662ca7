"""What is said of segmentations that were made: for programs, and for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        "peak_memory_bytes": finished.peak_memory,
        "labels": _structures(finished.label_map),
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
        lines = [(s["output"], str(len(s["labels"])), f"{sum(s['seconds'].values()):.1f}", s["engine"]) for s in done]
        console.write_table(f"{len(done)} segmentations", ("File", "Structures", "Seconds", "Engine"), lines)
        return
    rows = [(s["name"], f"{s['voxels']:,}", f"{s['millilitres']:.1f}") for s in summary["labels"]]
    console.write_table(summary["output"], ("Structure", "Voxels", "Millilitres"), rows)
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in summary["seconds"].items())
    print(f"{stages}, by {summary['engine']}")
    if summary["parameters_removed"]:
        print(
            f"{summary['parameters_removed']:.0%} of the parameters removed, {summary['layers_kept']} layers kept whole"
        )
