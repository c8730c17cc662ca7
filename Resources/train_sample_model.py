"""Trains the sample models: ordinary nnU-Nets on phantoms that are made here, on a CPU, in about two hours each.

    python Resources/train_sample_model.py all --work /tmp/sample --minutes 85
    python Resources/train_sample_model.py all --work /tmp/wide --minutes 120 --wide

run the steps `generate`, `plan` (not of the wide one), `train`, `export`, `levels` and `evaluate`, each of which can
also be run alone. `levels` writes what is known of the sample's compressed levels beside it; train those further
beforehand with `tuckerseg prepare --model sample --minutes 60`. The small sample is trained by nnU-Net itself. The wide
one has the features of nnU-Net's own networks; it grows out of the small one and is trained further, in bfloat16 where
the processor multiplies it. Times on two CPU cores: generate 5 min (4 s a phantom; 20 min for the wide one), plan
(fingerprint, plan, preprocessing) 5 min, train as long as `--minutes` says, export at once, evaluate 30 s a phantom. An
interrupted training goes on from where it was last saved when `train` is run again, and one that ended when it is run
with more minutes.

The phantoms of training, validation and test have different seeds: see `TuckerSegLib/volumes/phantoms/seeds.py`.

On Linux, MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000 MALLOC_ARENA_MAX=1 in the environment nearly halve the
time of an iteration: the memory of one layer is then used again for the next.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from sample_training import SMALL, WIDE, small  # noqa: E402
from sample_training.evaluation import evaluate, evaluate_on_two_cores  # noqa: E402
from sample_training.levels import ship  # noqa: E402

__all__ = ["evaluate"]


def small_steps(work: Path, minutes: float, model: Path) -> dict[str, Callable[[], object]]:
    """The steps that make the small sample, in their order."""
    small.use_folder(work)
    return {
        "generate": lambda: small.generate(work),
        "plan": lambda: small.plan(work),
        "train": lambda: small.train(work, minutes),
        "export": lambda: small.export(work, model),
        "levels": lambda: ship(model),
        "evaluate": lambda: evaluate_on_two_cores(model),
    }


def wide_steps(work: Path, minutes: float, rate: float | None, model: Path) -> dict[str, Callable[[], object]]:
    """The steps that make the wide sample, in their order."""
    from sample_training import wide

    return {
        "generate": lambda: wide.generate(work),
        "plan": lambda: None,
        "train": lambda: wide.train(work, minutes, rate or wide.LEARNING_RATE),
        "export": lambda: wide.export(work, model),
        "levels": lambda: ship(model),
        "evaluate": lambda: evaluate_on_two_cores(model),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["all", "generate", "plan", "train", "export", "levels", "evaluate"])
    parser.add_argument("--wide", action="store_true", help="the wide sample instead of the small one")
    parser.add_argument("--work", type=Path, default=Path("sample_training_data"), help="where the data go")
    parser.add_argument("--minutes", type=float, default=85, help="how long to train")
    parser.add_argument("--rate", type=float, help="the wide sample's learning rate at the start")
    parser.add_argument("--model", type=Path, help="the folder that is made")
    chosen = parser.parse_args()
    work, model = chosen.work.resolve(), chosen.model or (WIDE if chosen.wide else SMALL)
    if chosen.wide:
        steps = wide_steps(work, chosen.minutes, chosen.rate, model)
    else:
        steps = small_steps(work, chosen.minutes, model)
    for step in steps if chosen.step == "all" else [chosen.step]:
        steps[step]()


if __name__ == "__main__":
    main()
