"""The application, started as users start it, and the browser that its tests can use."""

# mypy: allow-untyped-calls

import ctypes
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from scipy.ndimage import gaussian_filter
from support.trained_folders import make_folder

STRUCTURES = ("liver", "spleen", "kidney_left", "kidney_right")

PATIENCE = 240_000
"""Milliseconds that a run may take on a computer that has other things to do."""

AXIAL, VOLUME, CORONAL, SAGITTAL = 0, 2, 1, 3
"""The views, in the order of the page's elements."""

Picture = npt.NDArray[np.float64]

_PROGRAM = "from TuckerSegLib.cli.main import main; main()"

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing() -> str:
    """Why there is no browser to test with; empty where there is one."""
    if any(find_spec(name) is None for name in ("trame_slicer", "aiohttp", "playwright", "slicer")):
        return "the application's packages are not installed: pip install 'tuckerseg[app,dev]'"
    if not any(map(shutil.which, _BROWSERS)):
        return "no Chromium is installed: sudo apt install chromium"
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return "the libraries that draw are not installed: sudo apt install libegl1 libgl1 libgl1-mesa-dri"
    return ""


@dataclass
class Running:
    """An application that runs, where, and what it wrote."""

    address: str
    process: "subprocess.Popen[str]"
    folders: Path
    image: Path

    def log(self) -> str:
        """What all its viewers wrote."""
        files = sorted(self.folders.glob("tuckerseg-*/viewer.log"))
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def start(folder: Path, *options: str) -> Running:
    """On a port that is free, with a small image and model, and with a cache and temporary folders of its own."""
    folders, models, image = folder / "temporary", folder / "models", folder / "small.nii.gz"
    folders.mkdir(parents=True, exist_ok=True)
    make_folder(models, features=(16, 32), patch_size=(32, 32, 32), labels=STRUCTURES)
    write_image(image)
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "app", "--port", "0", "--no-browser", str(image), *options],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "TUCKERSEG_CACHE": str(folder / "cache"),
            "TMPDIR": str(folders),
            "nnUNet_results": str(models),
        },
    )
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"http://\S+", line):
            return Running(found[0], process, folders, image)
    raise AssertionError("the application did not start")


def write_image(path: Path, side: int = 56) -> None:
    """Smooth noise in Hounsfield units, which makes a network of random weights find something."""
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 3000, (side, side + 8, side - 8)), 3).astype(np.int16)
    image = sitk.GetImageFromArray(noise)
    image.SetSpacing((1.5, 1.5, 1.5))
    sitk.WriteImage(image, str(path))


def stop(running: Running) -> None:
    running.process.terminate()
    running.process.wait(60)


def browser() -> str:
    """The program of a browser that is there already."""
    return next(filter(None, map(shutil.which, _BROWSERS)))


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE / 1000) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def picture(page: Any, view: int = AXIAL) -> Picture:
    """What a view shows once it no longer changes, without what lies over it."""
    element, before = page.locator(".layout-grid-item").nth(view), None
    for _ in range(240):
        time.sleep(0.2)
        found = np.asarray(Image.open(io.BytesIO(element.screenshot())).convert("RGB"), float)[40:-40]
        if before is not None and before.shape == found.shape and np.abs(before - found).mean() < 0.2:
            return found
        before = found
    raise AssertionError("the view goes on changing")


def wait_until_drawn(page: Any) -> None:
    """Until the slice views show an image, as what belongs beside the views is ready before it is drawn."""
    for view in (AXIAL, CORONAL, SAGITTAL):
        wait_for(lambda view=view: bool(picture(page, view).std() > 10))  # type: ignore[misc]


def move_slider(page: Any, key: str, times: int = 1) -> None:
    page.focus("#level")
    for _ in range(times):
        page.keyboard.press(key)


def send_files(page: Any, button: str, *paths: Path) -> None:
    """Files or a folder, by the button that asks for them."""
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name=button).click()
    chosen.value.set_files([str(path) for path in paths])


def download(page: Any, kind: str, folder: Path) -> Path:
    """The result as a file of this kind, called as the page calls it."""
    with page.expect_download(timeout=PATIENCE) as found:
        page.locator("a.download", has_text=kind).click()
    path = folder / str(found.value.suggested_filename)
    found.value.save_as(path)
    return path


class Seen:
    """What a page asked for and complained of."""

    def __init__(self, page: Any) -> None:
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("response", lambda answer: self._note(answer.status, answer.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def _note(self, status: int, address: str) -> None:
        if status >= 400:
            self.complaints.append(f"{status} {address}")
