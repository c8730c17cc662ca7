"""Opens images: reading goes on in a thread, so that the page stays alive."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from trame_server import Server

from ....errors import InputError, TuckerSegError
from ....volumes.files import read_volume
from ....volumes.volume import Volume
from ..desk import Desk, Image
from ..feature import Feature
from .candidates import candidates
from .sample import Sample
from .state import ImageState
from .uploads import Uploads

SOFT_TISSUE = (-160.0, 240.0)
"""The window in which CT is shown at first, in Hounsfield units."""


class ImageLogic(Feature[ImageState]):
    """`opened` is awaited once another image is shown."""

    def __init__(self, server: Server, desk: Desk, uploads: Uploads, sample: Sample) -> None:
        super().__init__(server, ImageState)
        self._desk, self._uploads, self._sample = desk, uploads, sample
        self._batch = ""
        self._choices: dict[str, Path] = {}
        self._attempts = 0
        self.opened: Callable[[], Awaitable[None]] | None = None
        self.allowed: Callable[[], bool] = lambda: True
        server.trigger("upload_begins")(self.upload_begins)
        server.trigger("upload_goes_on")(self.upload_goes_on)
        server.trigger("upload_ends")(self.later(self.upload_ends))

    async def show_phantom(self) -> None:
        """The CT of a phantom that the sample model never saw, made on the spot."""
        await self._open("Making the phantom CT", lambda: (self._sample.volume(), "Phantom CT", None))

    async def show_file(self, path: Path) -> None:
        """A file or DICOM folder of this computer."""
        await self._open(f"Reading {path.name}", lambda: (read_volume([path]), path.name, path))

    async def upload_begins(self, files: int, size: int) -> None:
        self.data.error = ""
        try:
            self._uploads.check_size(int(size))
        except InputError as error:
            self._fail(error)
            return
        self.data.busy = f"Sending {'1 file' if files == 1 else f'{int(files)} files'}"
        self.data.sent = 0.0

    async def upload_goes_on(self, sent: int, total: int) -> None:
        self.data.sent = 100.0 * sent / total if total else 100.0

    async def upload_ends(self, batch: str, failure: str) -> None:
        """All files are here, or `failure` says why not."""
        self.data.busy, self.data.sent = "", 0.0
        if failure:
            self._uploads.remove(batch)
            self.data.error = self.data.error or failure[:500]
            return
        self._uploads.remove(self._batch)
        self._batch = batch
        try:
            self.data.busy = "Looking through the files"
            self.flush()
            self._choices = await asyncio.to_thread(candidates, self._uploads.folder_of(batch))
        except (TuckerSegError, OSError) as error:
            self._fail(error)
            return
        self.data.busy = ""
        self.data.choices = list(self._choices)
        self.data.choosing = len(self._choices) > 1
        self.flush()
        if len(self._choices) == 1:
            await self.choose(next(iter(self._choices)))

    async def choose(self, title: str) -> None:
        """One of the images that were sent together."""
        self.data.choosing = False
        path = self._choices.get(title)
        if path is not None:
            await self._open(f"Reading {title}", lambda: (read_volume([path]), title, path))

    async def _open(self, doing: str, read: Callable[[], tuple[Volume, str, Path | None]]) -> None:
        if not self.allowed():
            self.data.error = "A segmentation is running: wait for it or cancel it, then open another image."
            return
        self._attempts += 1
        attempt = self._attempts
        self.data.busy, self.data.error = doing, ""
        self.flush()
        try:
            volume, name, source = await asyncio.to_thread(read)
        except (TuckerSegError, OSError, MemoryError) as error:
            self._fail(error)
            return
        if attempt == self._attempts and self.allowed():
            self._show(Image(volume, name, source))
        self.data.busy = ""
        self.flush()
        if self.opened:
            await self.opened()

    def _show(self, image: Image) -> None:
        self._desk.scene.show_volume(image.volume, image.name, first_window(image.volume))
        self._desk.open(image)
        self.data.title, self.data.details = image.name, described(image.volume)
        self._desk.tell()

    def _fail(self, error: BaseException) -> None:
        self.data.busy = ""
        self.data.error = without_folder(str(error)) or "The image does not fit into memory: crop or resample it."
        self.flush()


def described(volume: Volume) -> str:
    """`201 x 160 x 150 voxels of 2.1 x 2.1 x 3 mm`."""
    size = " x ".join(str(count) for count in volume.geometry.shape[::-1])
    spacing = " x ".join(f"{mm:.3g}" for mm in volume.geometry.spacing)
    channels = len(volume.voxels)
    return f"{size} voxels of {spacing} mm" + (f", {channels} channels" if channels > 1 else "")


def first_window(volume: Volume) -> tuple[float, float]:
    """Soft tissue where the values look like a CT's, else what all but the extreme values span."""
    sample = volume.voxels[0].ravel()[:: max(1, volume.voxels[0].size // 200_000)].astype(np.float32)
    low, high = (float(value) for value in np.percentile(sample, (1, 99.5)))
    is_ct = low < -500 and high > 100
    return SOFT_TISSUE if is_ct else (low, max(high, low + 1))


def without_folder(sentence: str) -> str:
    """An error's sentence without the folder of the sent files, which means nothing to their sender."""
    words = sentence.split(" ")
    return " ".join(Path(word).name if "/uploads/" in word else word for word in words)
