"""TuckerSeg, TotalSegmentator and nnU-Net, each as a process that segments files on request.

`python -m TuckerSegLib.evaluation.speed.stock_programs NAME MODEL` reads {"image", "output", "factor"} a line and
answers each with {"seconds", "engine"} or {"error"}. What a program loads once is loaded before the clock of the first
answer starts, except for TuckerSeg's worker, which the first request starts.
"""

import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

Segment = Callable[[Path, Path, float], str]
"""Segments an image into a file at a factor, and names the engine that ran."""


def tuckerseg(model: str) -> Segment:
    """As `tuckerseg segment` does it, with the files read and written here and everything else in the worker."""
    from ...segmentation.request import Request
    from ...volumes.files import read_volume, write_segmentation
    from ...worker.client import Client

    client = Client()

    def segment(image: Path, output: Path, factor: float) -> str:
        finished = client.segment(read_volume([image]), Request(model, factor, device="cpu")).wait()
        write_segmentation(finished.label_map, output)
        return str(finished.engine)

    return segment


def totalsegmentator(model: str) -> Segment:
    """Its Python function, with the weights on this computer, its own settings untouched, and no internet."""
    from ...models.totalsegmentator.tasks import task
    from ...models.totalsegmentator.weights import weights_folder

    base, _, mode = task(model).name.partition("-")
    options = {"small": {"model_size": "small"}}.get(mode, {mode: True} if mode else {})
    os.environ["TOTALSEG_WEIGHTS_PATH"] = str(weights_folder())
    os.environ["TOTALSEG_HOME_DIR"] = _home()
    socket.getaddrinfo = _no_network
    from totalsegmentator import python_api

    def segment(image: Path, output: Path, _: float) -> str:
        python_api.totalsegmentator(image, output, ml=True, device="cpu", quiet=True, task=base, **options)
        return "torch"

    return segment


def nnunet(model: str) -> Segment:
    """Its predictor in one process, the network loaded once: faster than nnUNetv2_predict, which starts several."""
    import torch

    from ...models.quiet import quiet

    with quiet():
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(model, None)

    def segment(image: Path, output: Path, _: float) -> str:
        ending = "".join(output.suffixes)
        predictor.dataset_json["file_ending"] = ending
        predictor.predict_from_files_sequential([[str(image)]], [str(output).removesuffix(ending)])
        return "torch"

    return segment


PROGRAMS: dict[str, Callable[[str], Segment]] = {
    "TuckerSeg": tuckerseg,
    "TotalSegmentator": totalsegmentator,
    "nnU-Net": nnunet,
}


def by_nnunet(model: Path, image: Path, output: Path) -> float:
    """Segment by nnU-Net's predictor, in a process of its own that loaded it before: seconds from file to file.

    Raises:
        WorkerError: it ended before it was done.
    """
    from .program import program

    with program("nnU-Net", [sys.executable, "-m", __name__, "nnU-Net", str(model)]) as running:
        return float(running.ask(image=str(image), output=str(output), factor=1)["seconds"])


def _home() -> str:
    """A folder of settings in which no usage statistics are sent, with the user's licence number."""
    from totalsegmentator.config import get_totalseg_dir

    settings: dict[str, Any] = {"totalseg_id": "benchmark", "prediction_counter": 0}
    own = get_totalseg_dir() / "config.json"
    if own.is_file():
        settings |= json.loads(own.read_text())
    home = tempfile.mkdtemp()
    changed = {"send_usage_stats": False, "statistics_disclaimer_shown": True}
    (Path(home) / "config.json").write_text(json.dumps(settings | changed))
    return home


def _no_network(*_: Any, **__: Any) -> Any:
    raise OSError("the benchmark talks to nobody")


def main() -> None:
    """Answer requests until the input ends."""
    from .program import serve

    @cache
    def opened() -> Segment:
        return PROGRAMS[sys.argv[1]](sys.argv[2])

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        segment = opened()
        start = time.perf_counter()
        engine = segment(Path(request["image"]), Path(request["output"]), request["factor"])
        return {"seconds": time.perf_counter() - start, "engine": engine}

    serve(answer)


if __name__ == "__main__":
    main()
