"""A plugin for pytest: PyTorch without oneDNN where LIMITED says so; for `Testing/test_other_computers.py`."""

# mypy: allow-untyped-calls

import os

import torch


def pytest_configure() -> None:
    if os.environ["LIMITED"] == "no onednn":
        torch.backends.mkldnn.set_flags(False)
        torch.backends.mkldnn.is_available = lambda: False
