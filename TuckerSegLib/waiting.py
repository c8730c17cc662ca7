"""How long the threads of PyTorch's operations wait for the next one before they sleep; free of PyTorch."""

import os
import sys
from collections.abc import Mapping

SETTING = {"GOMP_SPINCOUNT": "10000"}
"""A tenth of a millisecond of GNU's OpenMP, which PyTorch brings along on Linux, in place of three.

Those that wait keep their cores busy, and the fused engine's own threads have to share them.
"""

_USUAL = {"GOMP_SPINCOUNT": "300000"}
"""What GNU's OpenMP does where nothing is said."""


def wait_briefly() -> None:
    """For this process and those that it starts, where PyTorch is not there yet and nobody chose otherwise."""
    if "torch" not in sys.modules:
        for name, value in SETTING.items():
            os.environ.setdefault(name, value)


def as_usual(variables: Mapping[str, str]) -> dict[str, str]:
    """These variables for programs that are not ours, which are to wait as long as they do by themselves."""
    return {**variables, **_USUAL}
