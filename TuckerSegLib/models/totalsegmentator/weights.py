"""TotalSegmentator's weights on this computer: where they are kept, whether they are whole, how they come there.

They lie where TotalSegmentator keeps them, so that nobody has them twice. What is unpacked appears whole or not at all.
"""

import lzma
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from uuid import uuid4

from ...errors import ModelError, OutputError, WeightsError
from ...renaming import renamed
from ..headers.reading import check_ordinary
from .tasks import Network, Task, task_names
from .tasks import task as named

if TYPE_CHECKING:
    from ..nnunet import TrainedModel

CHECKPOINT = "checkpoint_final.pth"

_JSON = ("plans.json", "dataset.json")

_DATASET = re.compile(r"Dataset\d{3}_\w+")

_SPARE = 100_000_000
"""Bytes of a disk that are left free."""

_DENSEST = 20
"""Bytes that one byte of an archive may unpack to, on average; weights hardly shrink at all."""

_MOST_FILES = 10_000

_TEMPORARY = re.compile(r"\.seg-[0-9a-f]{6}")
"""A short name, as Windows allows a path 259 characters, and those of weights are long."""

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
)
"""What Python's own reader of archives raises at damaged ones."""


def weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights: `TOTALSEG_WEIGHTS_PATH`, below `TOTALSEG_HOME_DIR`, or its default.

    Nothing is created, and nothing of TotalSegmentator's is imported, as its own function for this loads PyTorch.
    """
    home = Path("/tmp") if str(Path.home()) == "/" else Path.home()  # as in containers  # nosec B108
    below = Path(os.environ.get("TOTALSEG_HOME_DIR", home / ".totalsegmentator"))
    return Path(os.environ.get("TOTALSEG_WEIGHTS_PATH", below / "nnunet" / "results"))


def is_installed(task: Task) -> bool:
    """Whether every network that a run of the task needs is on this computer, whole."""
    return all(is_whole(network) for network in task.all_networks())


def is_whole(network: Network) -> bool:
    """Whether the network's folder has all its files; their contents are checked when they are opened."""
    return _missing(network) is None


def missing_networks(tasks: Sequence[Task]) -> list[Network]:
    """What is not on this computer, each once: by its folder, as one archive may hold several trained folders."""
    networks = {network.dataset: network for task in tasks for network in task.all_networks() if not is_whole(network)}
    return list(networks.values())


def open_network(network: Network, task: str) -> "TrainedModel":
    """The network of a task, from the folder of weights.

    Raises:
        WeightsError: it is not there, or only partly; the text names the folder and the ways out.
        ModelError: it is of another version or damaged.
    """
    reason = _missing(network)
    if reason:
        raise WeightsError.of(task, f"{reason}: {ways_out(task)}.")
    from ..folder import open_folder

    return open_folder(weights_folder() / network.folder, network.folds)


def check_installed(task: Task) -> None:
    """
    Raises:
        WeightsError: a network of the task is not on this computer.
    """
    for network in task.all_networks():
        reason = _missing(network)
        if reason:
            owner = task.installed_with(network)
            raise WeightsError.of(owner, f"{reason}: {ways_out(owner)}.")


def ways_out(task: str) -> str:
    """What a user can do about weights that are not there."""
    return (
        f"download them with 'tuckerseg models install {task}', or bring the archive from another computer "
        "and use 'tuckerseg models import FILE.zip'"
    )


def import_archive(archive: Path) -> list[str]:
    """Unpack the trained folders in `archive` into the folder of weights; the names of those that are new.

    What is there whole already stays as it is; what was only partly there is replaced.

    Raises:
        ModelError: the archive is damaged, holds no trained nnU-Net, or paths that lead out of it.
        OutputError: the disk is full, or the folder cannot be written to.
    """
    target = weights_folder()
    with _opened(archive) as files, _beside(target) as temporary:
        _check_paths(files, archive)
        _check_space(files, temporary, archive)
        _extract(files, temporary, archive)
        return [dataset.name for dataset in _datasets(temporary, archive) if _moved(dataset, target / dataset.name)]


def remove(task: Task) -> int:
    """Remove the task's weights from the disk, but for networks that other tasks with weights here need; bytes freed.

    Raises:
        OutputError: they cannot be removed.
    """
    others = [known for known in map(named, task_names()) if known.name != task.name and is_installed(known)]
    needed = {network.dataset for other in others for network in other.all_networks()}
    folders = {weights_folder() / network.dataset for network in task.networks if network.dataset not in needed}
    freed = 0
    for folder in sorted(path for path in folders if path.is_dir()):
        freed += sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise OutputError(f"{folder} cannot be removed ({error.strerror}): close what uses it.") from error
    return freed


def _missing(network: Network) -> str | None:
    """Why the network cannot be opened; None where it can."""
    root = weights_folder()
    folder = root / network.folder
    if not (root / network.dataset).is_dir():
        others = sorted(path.name for path in root.glob(f"Dataset{network.number:03d}_*"))
        if others:
            return f"{root} holds network {network.number} in another version ({others[0]}, not {network.dataset})"
        return f"The weights {network.dataset} are not in {root}"
    if not folder.is_dir():
        return f"{root / network.dataset} has weights of another version (no {folder.name})"
    lacking = [name for name in (*_JSON, *_checkpoints(network, folder)) if not (folder / name).is_file()]
    return f"{folder} is incomplete (no {lacking[0]})" if lacking else None


def _checkpoints(network: Network, folder: Path) -> list[str]:
    folds = network.folds
    if folds is None:
        found = sorted(path.name for path in folder.glob("fold_*"))
        return [f"{fold}/{CHECKPOINT}" for fold in found or ["fold_0"]]
    return [f"fold_{fold}/{CHECKPOINT}" for fold in folds]


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        file = check_ordinary(archive).open("rb")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise ModelError(f"{archive} cannot be read ({reason}): check the name.") from error
    try:
        with file, zipfile.ZipFile(file) as files:
            yield files
    except _DAMAGED as error:
        raise ModelError(f"{archive} is damaged or no zip archive: download or copy it again.") from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A hidden folder on the same disk, gone afterwards; `target` is created only if the block ends well.

    One import at a time has such a folder, so that what a killed one left is known for what it is.
    """
    from filelock import FileLock  # 3D Slicer's own Python, which asks this file where weights lie, has none

    existing = next(path for path in (target, *target.parents) if path.is_dir())
    temporary, lock = existing / f".seg-{uuid4().hex[:6]}", existing / ".tuckerseg-import.lock"
    try:
        with FileLock(lock):
            for left in (path for path in existing.glob(".seg-*") if _TEMPORARY.fullmatch(path.name)):
                shutil.rmtree(left, ignore_errors=True)
            temporary.mkdir()
            yield temporary
    except OSError as error:
        raise OutputError(
            f"{existing} cannot be written to ({error.strerror}): free space or ask for access."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            lock.unlink()


def _check_paths(files: zipfile.ZipFile, archive: Path) -> None:
    for member in files.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        leads_out = path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts)
        if leads_out or stat.S_ISLNK(member.external_attr >> 16):
            raise ModelError(f"{archive} was refused: {member.filename} leads out of the folder it is unpacked in.")


def _check_space(files: zipfile.ZipFile, folder: Path, archive: Path) -> None:
    members = files.infolist()
    needed = sum(member.file_size for member in members)
    if len(members) > _MOST_FILES or needed > _DENSEST * archive.stat().st_size:
        raise ModelError(f"{archive} was refused: it unpacks to far more than weights are.")
    check_space(folder, needed)


def check_space(folder: Path, needed: int) -> None:
    """
    Raises:
        OutputError: the disk of `folder` has less than `needed` bytes to spare.
    """
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise OutputError(
            f"{folder} has {free / 1e9:.1f} GB free but the weights need {needed / 1e9:.1f} GB: free some space."
        )


def _extract(files: zipfile.ZipFile, folder: Path, archive: Path) -> None:
    try:
        files.extractall(folder)
    except OSError as error:
        if error.errno is None:  # bzip2 says so that data are damaged
            raise zipfile.BadZipFile(str(error)) from error
        raise
    except RuntimeError as error:  # encrypted
        raise ModelError(f"{archive} cannot be unpacked ({error}).") from error


def _datasets(folder: Path, archive: Path) -> list[Path]:
    """The unpacked folders that hold a trained nnU-Net."""
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and _DATASET.fullmatch(path.name)]
    if not found:
        raise ModelError(f"{archive} holds no weights of TotalSegmentator: its folders have other names.")
    for dataset in found:
        trained = list(dataset.glob("*__*__*"))
        if not trained or not all(_is_trained(path) for path in trained):
            raise ModelError(f"{archive} holds no whole nnU-Net in {dataset.name}: download or copy it again.")
    return found


def _is_trained(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _JSON) and any(folder.glob(f"fold_*/{CHECKPOINT}"))


def _moved(source: Path, target: Path) -> bool:
    """Whether a trained folder of `source` is new in `target`; those that are there whole stay."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        renamed(source, target)
        return True
    new = [trained for trained in source.glob("*__*__*") if not _is_trained(target / trained.name)]
    for trained in new:
        if (target / trained.name).exists():
            renamed(target / trained.name, source / f"replaced.{trained.name}")
        renamed(trained, target / trained.name)
    return bool(new)
