"""Files that a user sends: into a private folder, never more than agreed, and gone once they were read."""

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ....errors import InputError, OutputError, is_full_disk

_MOST_FILES = 50_000

_LONGEST_PATH = 1000


@dataclass
class _Batch:
    folder: Path
    size: int = 0
    files: int = 0
    names: dict[str, Path] = field(default_factory=dict)


class Uploads:
    """`folder` is the user's own, `most_bytes` what one batch of files may take."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder / "uploads", most_bytes
        self._batches: dict[str, _Batch] = {}

    async def take(self, number: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        """One file of the batch called `number`, with its path in what the user chose.

        Raises:
            InputError: the names are none, or the batch is larger than it may be; it is gone then.
            OutputError: the disk is full.
        """
        path = self._place(number, name)
        batch = self._batches[number]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                async for piece in pieces:
                    batch.size += len(piece)
                    if batch.size > self._most:
                        self.remove(number)
                        raise self._too_large()
                    file.write(piece)
        except OSError as error:
            self.remove(number)
            if is_full_disk(error):
                raise OutputError("The disk is full: free some space and send the files again.") from error
            raise InputError(
                f"{PurePosixPath(name).name} could not be kept ({error.strerror}): send it again."
            ) from error

    def folder_of(self, number: str) -> Path:
        """Where the batch lies.

        Raises:
            InputError: there is no such batch.
        """
        if number not in self._batches:
            raise InputError("Nothing was sent: choose files again.")
        return self._batches[number].folder

    def remove(self, number: str) -> None:
        """Forget a batch with its files."""
        batch = self._batches.pop(number, None)
        if batch is not None:
            shutil.rmtree(batch.folder, ignore_errors=True)

    def _too_large(self) -> InputError:
        limit = f"{self._most / 1e9:.1f} GB" if self._most >= 1e8 else f"{self._most / 1e6:.1f} MB"
        return InputError(f"More than {limit} at once cannot be sent: choose fewer or cropped files.")

    def check_size(self, total: int) -> None:
        """
        Raises:
            InputError: `total` bytes are more than a batch may have.
        """
        if total > self._most:
            raise self._too_large()

    def _place(self, number: str, name: str) -> Path:
        parts = PurePosixPath(name).parts
        strange = any(part in ("..", "/", "") or "\\" in part or ":" in part or "\0" in part for part in parts)
        if not re.fullmatch(r"\d{1,60}", number) or not parts or strange or len(name) > _LONGEST_PATH:
            raise InputError("The file has a name that cannot be used here: rename it and send it again.")
        batch = self._batches.setdefault(number, _Batch(self._folder / number))
        batch.files += 1
        if batch.files > _MOST_FILES:
            raise InputError(f"More than {_MOST_FILES} files cannot be sent at once: choose one series.")
        return batch.folder.joinpath(*parts)
