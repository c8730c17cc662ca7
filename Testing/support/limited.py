"""A plugin for pytest: this computer as another one, by what LIMITED names; for `Testing/test_other_computers.py`."""

# mypy: allow-untyped-calls

import os
from functools import cache

import torch

from TuckerSegLib.engines.fused.compiled import llvm

WITHOUT = {"avx2": ("avx512",), "none": ("avx",)}
"""Beginnings of the names of instructions that a processor lacks."""


def pytest_configure() -> None:
    limit = os.environ["LIMITED"]
    if limit == "no onednn":
        torch.backends.mkldnn.set_flags(False)
        torch.backends.mkldnn.is_available = lambda: False
    lacking = WITHOUT.get(limit, ())
    usual = llvm._features()
    found = {name: there and not name.startswith(lacking) for name, there in usual.items()}
    llvm._features = cache(lambda: found)
