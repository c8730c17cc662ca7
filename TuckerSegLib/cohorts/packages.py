"""What cohorts need besides, and which versions of everything decide what a result is."""

import platform
from collections.abc import Sequence
from importlib.util import find_spec

from ..errors import InputError
from ..version import VERSION, version_of

_NEEDED = ("distributed", "pyarrow")

_COMPARED = ("torch", "nnunetv2", "distributed", "dask")


def check_packages(needed: Sequence[str] = _NEEDED) -> None:
    """
    Raises:
        InputError: one of the packages is not installed.
    """
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise InputError(f"Cohorts need {' and '.join(missing)}: install them with pip install 'tuckerseg[cohort]'.")


def versions() -> dict[str, str]:
    """Those that have to be the same wherever scans of one cohort are segmented."""
    return {"python": platform.python_version(), "tuckerseg": VERSION, **{name: version_of(name) for name in _COMPARED}}


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """The first version that differs, in words; empty where none does."""
    for name, wanted in ours.items():
        if theirs.get(name) != wanted:
            return f"{name} {theirs.get(name, 'none')} instead of {wanted}"
    return ""
