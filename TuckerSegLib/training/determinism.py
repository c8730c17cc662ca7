"""Trainings that can be repeated: what is random in an epoch depends on the seed and the epoch's number alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

START, VALIDATION = -2, -1
"""What `seed_all` takes in place of an epoch's number."""


def seed_all(seed: int, number: int) -> None:
    """Seed NumPy, PyTorch and Python, all of which nnU-Net's data loaders draw from."""
    value = int(np.random.SeedSequence([seed, number + 2]).generate_state(1)[0])
    np.random.seed(value)
    random.seed(value)
    torch.manual_seed(value)


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Begin at the seed; the caller's random states come back afterwards."""
    states = np.random.get_state(), random.getstate(), torch.get_rng_state()
    try:
        seed_all(seed, START)
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
        torch.set_rng_state(states[2])
