"""Results reach their file whole or not at all, and whatever would keep them from it is known before a run."""

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ..errors import OutputError, is_full_disk
from ..renaming import renamed

SEGMENTATION_SUFFIX = ".seg.nrrd"

LABEL_MAP_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")

SUFFIXES = (SEGMENTATION_SUFFIX, *LABEL_MAP_SUFFIXES)

DICOM_SUFFIX = ".dcm"
"""The suffix of a DICOM Segmentation object, which can be made of a DICOM series only."""

_DICOM_RESULTS = (b"1.2.840.10008.5.1.4.1.1.66.4", b"1.2.840.10008.5.1.4.1.1.481.3", b"1.2.840.10008.5.1.4.1.1.88.33")
"""Segmentation, structure set and report, which may be written anew."""

_DETACHED_HEADERS = (".nhdr", ".mhd")

_UNFINISHED = re.compile(r"\.tuckerseg-[0-9a-f]{8}(\..*)?")

_YOUNG = 60.0
"""Seconds for which a file that is not locked may be one that is about to be."""

_UNSUPPORTED = {errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY}
"""How file systems say that they know nothing of modes, owners or fsync; the result is none the worse for it."""


def output_suffix(path: Path) -> str:
    """Which of `SUFFIXES` the file has, longest first.

    Raises:
        OutputError: none of them.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise OutputError(f"{path} has no suffix a result can be written as: end it in one of {', '.join(SUFFIXES)}.")


def check_images_stay(path: Path, images: Sequence[Path]) -> None:
    """
    Args:
        path: a result's file.
        images: files and DICOM folders that a run reads.

    Raises:
        OutputError: the result would take the place of one of them, or its place cannot be looked at.
    """
    try:
        belongs = [image for image in images if _belongs_to(path, Path(image))]
    except OSError as error:
        raise _unwritable(path, error) from error
    if belongs:
        raise OutputError(f"{path} would overwrite the image {belongs[0]}: choose another name for the result.")


def _belongs_to(path: Path, image: Path) -> bool:
    """Whether the file at `path` is the image itself, by whatever name, or one of the files it consists of."""
    if not path.exists() or not image.exists():
        return False
    folder = path.resolve().parent
    if image.is_dir():
        return image.resolve() in (folder, *folder.parents) and _is_dicom_image(path)
    if path.samefile(image):
        return True
    names_data = image.suffix.lower() in _DETACHED_HEADERS and folder == image.resolve().parent
    return names_data and image.is_file() and os.fsencode(path.name) in image.read_bytes()


def _is_dicom_image(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(1024)
    return start[128:132] == b"DICM" and not any(kind in start for kind in _DICOM_RESULTS)


def check_writable(path: Path) -> None:
    """Whether a file of any kind can be written to `path`, by the names that `whole_file` will use.

    Raises:
        OutputError: it is a folder, or its folder is missing or cannot be written to, or the name is not allowed there.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder: add the name of a file, such as segmentation{SEGMENTATION_SUFFIX}.")
        if not path.parent.is_dir():
            raise OutputError(f"The folder {path.parent} does not exist: create it or choose another one.")
        target = path.resolve()
        # Permission bits do not tell about read-only disks, quotas and network shares; trying does.
        for name in (_temporary(target), target.with_name("." + target.name[1:])):
            with suppress(FileExistsError):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                name.unlink()
        if path.exists():
            _check_replaceable(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def make_folder(folder: Path) -> Path:
    """`folder`, with all above it, made unless it is there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}): choose another folder.") from error
    return folder


def _check_replaceable(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OutputError(f"{path} is a pipe, a device or the like: choose another name for the result.")
    path.open("r+b").close()


def _temporary(target: Path) -> Path:
    """A name beside `target` that nobody uses and no file system finds too long where it allows `target`'s own.

    The suffix stays, as some libraries choose the format by it.
    """
    suffix = "".join(target.suffixes[-2:])[-16:] if target.suffix else ""
    return target.with_name(f".tuckerseg-{uuid4().hex[:8]}{suffix}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it takes the place of `path` when the block ends well.

    It takes over the mode and owner of the file it replaces; a new one gets what the user's umask says. When the block
    fails, what was at `path` stays as it was and nothing else is left behind; what a process leaves that is killed goes
    with the next file that is written into the folder.

    Raises:
        OutputError: the disk is full, or the file or its folder cannot be written to.
    """
    check_writable(path)
    target = Path(path).resolve()
    temporary = _temporary(target)
    _sweep(target.parent)
    try:
        before = target.stat() if target.exists() else None
        # A private result is private from its first byte on.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if before else 0o666))
        wanted = before or temporary.stat()
        with _locked(temporary):
            yield temporary
        _settle(temporary, wanted)
        renamed(temporary, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # the drive may be what went away
            temporary.unlink()


def _lock(descriptor: int) -> bool:
    """Whether nobody held the file's lock, which the system releases when a process ends; False where there is none."""
    if sys.platform == "win32":
        return False
    import fcntl

    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Tells a file that is being written from one that a killed process left."""
    if sys.platform == "win32":
        yield
        return
    with file.open("rb") as held:
        _lock(held.fileno())
        yield


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for path in (path for path in folder.glob(".tuckerseg-*") if _UNFINISHED.fullmatch(path.name)):
        with suppress(OSError), path.open("rb") as file:
            if time.time() - path.stat().st_mtime > _YOUNG and _lock(file.fileno()):
                path.unlink()


def _settle(file: Path, wanted: os.stat_result) -> None:
    """Gives a finished file its owner and mode, and sees it onto the disk."""
    made = file.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (wanted.st_uid, wanted.st_gid):
        with _where_supported():
            os.chown(file, wanted.st_uid, wanted.st_gid)
    with _where_supported():
        file.chmod(stat.S_IMODE(wanted.st_mode))
    with file.open("r+b") as opened, _where_supported():
        os.fsync(opened.fileno())


@contextmanager
def _where_supported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


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
