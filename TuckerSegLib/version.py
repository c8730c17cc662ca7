"""Versions: that of TuckerSeg, in its one place, from which packages, results and citations take it, and others'."""

from importlib.metadata import PackageNotFoundError, version

VERSION = "0.2.0"


def version_of(package: str) -> str:
    """Of an installed package; "none" where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
