"""How many cores PyTorch's operations take.

PyTorch takes the last number that any thread sets for that of all threads to come. On macOS the number stays as it is:
the OpenMP library there is reported to crash now and then where it is changed after the first parallel operation.
"""

import sys

import torch


def set_threads(count: int) -> None:
    """Have the operations of this thread take so many cores, where that can be changed safely."""
    if sys.platform != "darwin":
        torch.set_num_threads(count)
