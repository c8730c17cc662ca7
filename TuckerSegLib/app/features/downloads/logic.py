"""Results as files, made when they are asked for and gone once they were sent."""

import asyncio
import re
from pathlib import Path
from uuid import uuid4

from trame_server import Server

from ....errors import InputError, OutputError
from ....volumes.dicom.headers import is_dicom
from ....volumes.output import DICOM_SUFFIX, SEGMENTATION_SUFFIX
from ....volumes.statistics import statistics, write_statistics
from ..desk import Desk, Image
from ..feature import Feature
from .state import DownloadState

BUNDLE, TABLE = ".mrb", ".csv"


class DownloadLogic(Feature[DownloadState]):
    """`folder` is the user's own."""

    def __init__(self, server: Server, desk: Desk, folder: Path) -> None:
        super().__init__(server, DownloadState)
        self._desk, self._folder = desk, folder
        desk.on_change(self._refresh)

    def file_name(self, kind: str) -> str:
        """What the file is called for the user: after the image, in letters that every system takes."""
        image = self._desk.image
        stem = re.sub(r"(\.nii|\.nrrd|\.mha|\.mhd|\.nhdr)?(\.gz)?$", "", image.name if image else "") or "image"
        stem = re.sub(r"[^\w-]+", "_", stem.split("/")[-1]).strip("_")
        return f"{stem or 'image'}{'' if kind == BUNDLE else '_segmentation'}{kind}"

    async def make(self, kind: str) -> Path:
        """The file, which the caller removes.

        Raises:
            InputError: nothing was segmented yet, or no such file can be made of it.
            OutputError: it cannot be written.
        """
        found, image = self._desk.found, self._desk.image
        if found is None or image is None or kind not in self.data.kinds:
            raise InputError("There is nothing of this kind to download: segment the image first.")
        folder = self._folder / "downloads"
        folder.mkdir(exist_ok=True)
        path = folder / f"{uuid4().hex}{kind}"
        if kind == BUNDLE:
            if not self._desk.scene.save_bundle(str(path)):
                raise OutputError("The scene could not be written: see whether the disk is full.")
        elif kind == TABLE:
            measured = await asyncio.to_thread(statistics, image.volume, found.label_map)
            write_statistics([one for one in measured if one.n_voxels], path)
        else:
            source = image.source if kind == DICOM_SUFFIX else None
            await asyncio.to_thread(found.segmentation.save, path, False, source)
        return path

    def _refresh(self) -> None:
        kinds = [SEGMENTATION_SUFFIX, ".nii.gz", BUNDLE, TABLE]
        if self._desk.image and _is_dicom_series(self._desk.image):
            kinds.append(DICOM_SUFFIX)
        self.data.kinds = kinds if self._desk.found else []


def _is_dicom_series(image: Image) -> bool:
    return image.source is not None and (image.source.is_dir() or is_dicom(image.source))
