"""Where everything is kept that could be made or fetched again; free of PyTorch."""

import os
from pathlib import Path

from platformdirs import user_cache_path

FOLDER_VARIABLE = "TUCKERSEG_CACHE"
"""Names another folder than the platform's user cache directory."""


def cache_folder() -> Path:
    """This user's."""
    return Path(os.environ.get(FOLDER_VARIABLE) or user_cache_path("tuckerseg", appauthor=False))
