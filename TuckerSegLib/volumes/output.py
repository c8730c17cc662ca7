"""Results reach their file whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ..errors import OutputError, is_full_disk

SEGMENTATION_SUFFIX = ".seg.nrrd"

LABEL_MAP_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")

SUFFIXES = (SEGMENTATION_SUFFIX, *LABEL_MAP_SUFFIXES)


def output_suffix(path: Path) -> str:
    """Which of `SUFFIXES` the file has, longest first.

    Raises:
        OutputError: none of them.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise OutputError(f"{path} has no suffix a result can be written as: end it in one of {', '.join(SUFFIXES)}.")


def check_output(path: Path) -> None:
    """Whether a result can be written to `path`, to be asked before a long run.

    Raises:
        OutputError: the suffix is unknown, or the folder is missing or cannot be written to.
    """
    if not Path(path).is_dir():
        output_suffix(path)
    check_writable(path)


def check_writable(path: Path) -> None:
    """Whether a file of any kind can be written to `path`.

    Raises:
        OutputError: it is a folder, or its folder is missing or cannot be written to.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder: add the name of a file, such as segmentation{SEGMENTATION_SUFFIX}.")
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} does not exist: create it or choose another one.")
    try:
        # Permission bits do not tell about read-only disks, quotas and network shares; trying does.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            path.open("r+b").close()
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it takes the place of `path` when the block ends well.

    When the block fails, what was at `path` stays as it was and nothing else is left behind.

    Raises:
        OutputError: the disk is full, or the file or its folder cannot be written to.
    """
    check_writable(path)
    target = Path(path).resolve()
    temporary = target.with_name(f".{uuid4().hex}.{target.name}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # the user's other files' permissions, whatever the writer gave it
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def system_errors() -> Iterator[None]:
    """safetensors tells what the system refused in words alone; out of the block it comes as an `OSError`."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        told = re.search(r"([^:]+) \(os error (\d+)\)", str(error))
        if told is None:
            raise OSError(str(error)) from error
        reason, number = told[1].strip(), int(told[2])
        raise OSError(number, reason, None, number) from error  # the last one is Windows' own number, elsewhere ignored


def _unwritable(path: Path, error: OSError) -> OutputError:
    if is_full_disk(error):
        return OutputError(f"{path} could not be written, the disk is full: free some space or choose another folder.")
    reason = error.strerror or str(error)
    return OutputError(f"{path} cannot be written ({reason}): choose another folder or ask for access to this one.")
