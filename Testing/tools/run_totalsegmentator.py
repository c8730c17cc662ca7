"""TotalSegmentator itself, in a process of its own: `python run_totalsegmentator.py JOBS.json`, without a network.

JOBS.json holds {"jobs": [{"image", "output", "task", ...}], "in_process": bool}; each job's other entries are passed
on to `totalsegmentator.python_api.totalsegmentator`, or are TASK_CONFIGS entries to change under "config". With
`in_process`, nnU-Net's own sequential prediction takes the place of its pools, whose processes take seconds to start.
"""

# mypy: allow-untyped-calls

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any


def _no_network(*_: Any, **__: Any) -> Any:
    raise OSError("no network in tests")


def main(jobs_file: Path) -> None:
    given = json.loads(jobs_file.read_text())
    socket.getaddrinfo = _no_network
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ[variable] = os.environ["TOTALSEG_WEIGHTS_PATH"]
    from totalsegmentator import map_tasks_config, nnunet, python_api
    from totalsegmentator.python_api import totalsegmentator

    # It answers None for "cpu", at which the one task that calls another one by name fails.
    python_api.convert_device_to_string = lambda device: device

    if given["in_process"]:

        def predict(self: Any, folder: str, output: str, **options: Any) -> Any:
            kept = {key: options[key] for key in ("save_probabilities", "overwrite")}
            return self.predict_from_files_sequential(folder, output, **kept)

        nnunet.nnUNetPredictor.predict_from_files = predict
    for job in given["jobs"]:
        options = {key: value for key, value in job.items() if key not in ("image", "output", "config")}
        map_tasks_config.TASK_CONFIGS[options["task"]].update(job.get("config", {}))
        output = Path(job["output"])
        start = time.perf_counter()
        totalsegmentator(Path(job["image"]), output, ml=True, device="cpu", quiet=True, nr_thr_saving=1, **options)
        print(f"{options['task']}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
