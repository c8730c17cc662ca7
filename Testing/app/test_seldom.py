"""What a user of the page does now and then: a DICOM folder, *Measure*, *Fit*; and a disk that is full."""

# mypy: allow-untyped-calls

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.browser import PATIENCE, Running, download, missing, move_slider, send_files, start, stop, wait_until_drawn
from support.dicom_series import write_series

from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry

pytest.importorskip("highdicom")
from highdicom.seg import segread

pytestmark = pytest.mark.slow

OBLIQUE = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])


def until_status(page: Any, words: str) -> None:
    page.wait_for_function(
        "(words) => document.querySelector('#status')?.textContent.includes(words)", arg=words, timeout=PATIENCE
    )


def test_every_position_is_measured_on_the_open_image(page: Any) -> None:
    page.click("#measure")
    until_status(page, "Every position was measured on this image.")
    assert page.locator("svg circle").count() == 9
    assert not page.locator("#measure").count()


def test_all_positions_are_improved_and_then_to_be_measured_again(page: Any) -> None:
    page.get_by_label("Minutes of training").fill("1")
    page.click("#improve")
    page.wait_for_selector("#cancel", timeout=PATIENCE)
    until_status(page, "All positions were improved for 1 min")
    page.wait_for_selector("#measure", timeout=PATIENCE)


def test_a_level_that_is_fitted_to_the_scan_is_segmented(page: Any) -> None:
    move_slider(page, "Home")
    move_slider(page, "ArrowRight", 4)
    page.get_by_label("Fit to this scan").check()
    page.click("#segment")
    until_status(page, "structure")
    assert page.locator("[data-structure]").count()
    page.get_by_label("Fit to this scan").uncheck()


def test_of_a_dicom_folder_a_series_is_chosen_and_its_segmentation_comes_back(
    page: Any, application: Running, tmp_path: Path
) -> None:
    voxels = read_volume([application.image]).voxels[0].astype(np.int16)
    geometry = Geometry.from_lps(voxels.shape, (1.2, 1.5, 2.0), (-30.0, 20.0, 5.0), OBLIQUE)
    folder = tmp_path / "study"
    write_series(folder, geometry, "1.2.3.1", "Thorax", voxels=voxels)
    write_series(folder, geometry, "1.2.3.2", "Localizer", slices=(0, 1, 2), voxels=voxels)
    send_files(page, "Open a DICOM folder", folder)
    offered = page.get_by_label("Images that were sent").locator(".v-list-item")
    offered.nth(1).wait_for(timeout=PATIENCE)
    assert offered.count() == 2
    page.get_by_label("Images that were sent").get_by_text(f"{len(voxels)} slices").click()
    page.wait_for_function("document.querySelector('#image-title').textContent.includes('slices')", timeout=PATIENCE)
    assert page.get_by_text("1.2 x 1.5 x 2 mm").count() == 1
    move_slider(page, "Home")
    page.click("#segment")
    page.wait_for_selector("[data-structure]", timeout=PATIENCE)
    labels = read_volume([download(page, ".nii.gz", tmp_path)])
    stored = segread(download(page, ".dcm", tmp_path)).get_volume(combine_segments=True).array
    assert sizes(stored) == sizes(labels.voxels)


def sizes(labels: np.ndarray[Any, Any]) -> list[int]:
    """Voxels of each structure, in no order."""
    return sorted(np.unique(labels[labels > 0], return_counts=True)[1].tolist())


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An application whose temporary folder has 4 MB, and which takes 20 MB at once."""
    if missing():
        pytest.skip(missing())
    folder = tmp_path_factory.mktemp("narrow")
    disk = folder / "temporary"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only the administrator can make a small disk")
    try:
        running = start(folder, "--most", "0.02")
        yield running
        stop(running)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.fixture(scope="module")
def narrow_page(narrow: Running, chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.goto(narrow.address)
    opened.wait_for_selector("#segment:not([disabled])", timeout=PATIENCE)
    wait_until_drawn(opened)
    yield opened
    context.close()


@pytest.mark.parametrize(
    ("side", "sentence"), [(300, "More than 20.0 MB at once cannot be sent"), (190, "disk is full")]
)
def test_what_is_too_large_is_said_and_the_session_goes_on(
    narrow_page: Any, narrow: Running, tmp_path: Path, side: int, sentence: str
) -> None:
    large = tmp_path / "large.nii"
    large.write_bytes(b"\0" * (side**3))
    send_files(narrow_page, "Open a file", large)
    narrow_page.wait_for_selector(f"[role=alert]:has-text('{sentence}')", timeout=PATIENCE)
    assert "small.nii.gz" in narrow_page.text_content("#image-title")
    send_files(narrow_page, "Open a file", narrow.image)
    narrow_page.wait_for_selector("[role=alert]", state="detached", timeout=PATIENCE)
    narrow_page.locator(".v-select", has_text="Model").click()
    narrow_page.get_by_role("option", name="Dataset900").click()
    narrow_page.click("#segment")
    narrow_page.wait_for_selector("[data-structure]", timeout=PATIENCE)
    assert "Traceback" not in narrow.log()
