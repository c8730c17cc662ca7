"""What a user does in the browser, from the first look to the last download, in the order in which it is done."""

# mypy: allow-untyped-calls

import os
import re
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support.browser import (
    AXIAL,
    CORONAL,
    PATIENCE,
    SAGITTAL,
    STRUCTURES,
    VOLUME,
    Picture,
    Running,
    download,
    move_slider,
    picture,
    send_files,
    wait_for,
)

from TuckerSegLib.volumes.files import read_volume


def differ(one: Picture, other: Picture) -> bool:
    return one.shape != other.shape or bool(np.abs(one - other).mean() > 0.5)


def colourful(found: Picture) -> bool:
    """Whether there is more than grey in it."""
    return bool((found.max(axis=2) - found.min(axis=2) > 40).mean() > 0.002)


def segment(page: Any) -> None:
    page.click("#segment")
    page.wait_for_selector("#cancel", timeout=PATIENCE)
    page.wait_for_selector("#segment", timeout=PATIENCE)


def test_the_image_is_shown(page: Any) -> None:
    assert "small.nii.gz" in page.text_content("#image-title")
    for view in (AXIAL, CORONAL, SAGITTAL):
        found = picture(page, view)
        assert found.std() > 10
        assert not colourful(found)


def test_slices_follow_the_keyboard(page: Any) -> None:
    before = picture(page)
    page.get_by_label("Axial slice").focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    wait_for(lambda: differ(before, picture(page)))


def test_the_slider_says_what_each_position_costs(page: Any) -> None:
    assert "the original network" in page.text_content("#gain")
    move_slider(page, "ArrowRight", 3)
    told = "document.querySelector('#level').getAttribute('aria-valuetext').startsWith('factor 0.5, ')"
    page.wait_for_function(told, timeout=PATIENCE)
    assert "agreement" in page.text_content("#gain")
    move_slider(page, "Home")


def test_segmenting_puts_structures_into_list_and_views(page: Any) -> None:
    before, before_3d = picture(page), picture(page, VOLUME)
    page.click("#segment")
    page.wait_for_selector("#cancel", timeout=PATIENCE)
    page.wait_for_function("/\\d+ %/.test(document.querySelector('#status')?.textContent)", timeout=PATIENCE)
    page.wait_for_selector("[data-structure]", timeout=PATIENCE)
    assert re.search(r"\d structures? in ", page.text_content("#status"))
    rows = page.locator("[data-structure]")
    names = [rows.nth(index).get_attribute("data-structure") for index in range(rows.count())]
    assert names and set(names) <= set(STRUCTURES)
    assert re.search(r"\d", rows.nth(0).locator(".number").nth(0).text_content())
    wait_for(lambda: colourful(after := picture(page)) and differ(before, after))
    wait_for(lambda: not page.is_checked("input[aria-label='Volume in 3D']"))
    wait_for(lambda: colourful(shown := picture(page, VOLUME)) and differ(before_3d, shown))


def test_structures_are_hidden_and_shown(page: Any) -> None:
    from playwright.sync_api import expect

    shown = picture(page)
    page.click("#toggle-all")
    wait_for(lambda: not colourful(picture(page)))
    page.click("#toggle-all")
    wait_for(lambda: not differ(shown, picture(page)))
    name = page.locator("[data-structure]").nth(0).get_attribute("data-structure")
    box = page.locator(f"[data-structure={name}] input")
    box.click()  # which the page shows once the server has heard of it
    expect(box).not_to_be_checked(timeout=PATIENCE)
    box.click()
    expect(box).to_be_checked(timeout=PATIENCE)


def test_a_download_is_what_was_found(page: Any, tmp_path: Path) -> None:
    sizes = {}
    for kind in (".seg.nrrd", ".nii.gz", ".csv"):
        path = download(page, kind, tmp_path)
        sizes[kind] = path.stat().st_size
        if kind == ".nii.gz":
            labels = read_volume([path]).voxels
            assert path.name == "small_segmentation.nii.gz"
            assert len(np.unique(labels)) > 1
    assert min(sizes.values()) > 20


def test_a_cancelled_run_changes_nothing(page: Any) -> None:
    rows = page.locator("[data-structure]").count()
    move_slider(page, "End")
    page.click("#segment")
    page.click("#cancel", timeout=PATIENCE)
    page.wait_for_function("document.querySelector('#status').textContent.startsWith('Cancelled')", timeout=PATIENCE)
    assert page.locator("[data-structure]").count() == rows
    move_slider(page, "Home")


def test_two_positions_are_compared_side_by_side(page: Any) -> None:
    page.click("#compare")
    page.wait_for_selector("[data-compared]", timeout=PATIENCE)
    assert page.locator(".layout-grid-item").count() == 4
    rows = page.locator("[data-compared]")
    values = [float(rows.nth(index).locator(".number").nth(0).text_content()) for index in range(rows.count())]
    assert values == sorted(values)
    mean = float(page.text_content("#compared").split()[-1])
    assert mean == pytest.approx(sum(values) / len(values), abs=0.002)
    left = picture(page, 0)
    page.get_by_label("Axial slice").nth(0).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait_for(lambda: differ(left, picture(page, 0)))
    sliders = [float(page.get_by_label("Axial slice").nth(index).input_value()) for index in (0, 1)]
    wait_for(lambda: abs(sliders[0] - float(page.get_by_label("Axial slice").nth(1).input_value())) < 0.01, 20)
    rows.nth(0).locator("button").click()
    page.click("#layout-four")


@pytest.mark.slow
def test_the_scene_is_a_bundle(page: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(download(page, ".mrb", tmp_path)) as bundle:
        names = bundle.namelist()
    assert any(name.endswith(".mrml") for name in names)
    assert any(name.endswith(".seg.nrrd") for name in names)


@pytest.mark.slow
def test_a_second_window_and_a_reload_find_the_run_going_on(page: Any, application: Running) -> None:
    move_slider(page, "Home")
    page.click("#segment")
    page.wait_for_selector("#cancel", timeout=PATIENCE)
    second = page.context.new_page()
    second.goto(application.address)
    second.wait_for_selector(".tucker-panel", timeout=PATIENCE)
    page.reload()
    for window in (page, second):
        window.wait_for_selector("#segment", timeout=PATIENCE)
        window.wait_for_function(
            "/structures? in/.test(document.querySelector('#status')?.textContent)", timeout=PATIENCE
        )
    second.close()


@pytest.mark.slow
def test_what_is_no_image_is_said_and_the_session_goes_on(page: Any, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"this is no image")
    send_files(page, "Open a file", damaged)
    page.wait_for_selector("[role=alert]:has-text('damaged')", timeout=PATIENCE)
    assert "/uploads/" not in page.locator("[role=alert]").first.text_content()
    assert "small.nii.gz" in page.text_content("#image-title")


@pytest.mark.slow
def test_a_file_that_is_sent_takes_the_place_of_the_image(page: Any, application: Running, tmp_path: Path) -> None:
    other = tmp_path / "other.nii.gz"
    other.write_bytes(application.image.read_bytes())
    send_files(page, "Open a file", other)
    page.wait_for_function("document.querySelector('#image-title').textContent.includes('other')", timeout=PATIENCE)
    assert page.locator("[data-structure]").count() == 0
    assert not page.locator("[role=alert]").count()


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_replaced(page: Any, application: Running) -> None:
    move_slider(page, "ArrowRight", 4)
    page.click("#segment")
    page.wait_for_selector("#cancel", timeout=PATIENCE)
    os.kill(workers(application)[0], signal.SIGKILL)
    page.wait_for_selector("#status.text-error", timeout=PATIENCE)
    assert "try again" in page.text_content("#status")
    move_slider(page, "Home")
    segment(page)
    page.wait_for_selector("[data-structure]", timeout=PATIENCE)


@pytest.mark.slow
def test_keys_alone_do_what_the_mouse_does(page: Any) -> None:
    page.keyboard.press("Escape")
    page.locator("body").press("2")
    page.wait_for_function("document.querySelectorAll('.layout-grid-item').length === 1", timeout=PATIENCE)
    page.locator("body").press("1")
    page.wait_for_function("document.querySelectorAll('.layout-grid-item').length === 4", timeout=PATIENCE)


@pytest.mark.slow
def test_light_and_dark(page: Any) -> None:
    before = page.locator(".v-application").get_attribute("class")
    page.click("#theme")
    page.wait_for_function(f"document.querySelector('.v-application').className !== {before!r}", timeout=PATIENCE)
    page.click("#theme")


@pytest.mark.slow
def test_every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        """() => Array.from(document.querySelectorAll('.tucker-panel input, .tucker-panel button, .tucker-views input'))
        .filter((one) => one.offsetParent && !one.labels?.length && !one.getAttribute('aria-label')
          && !one.getAttribute('title') && !one.textContent.trim() && !one.getAttribute('aria-labelledby'))
        .map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


@pytest.mark.slow
def test_everything_comes_from_the_application(page: Any, application: Running) -> None:
    own = application.address.split("/")[2]
    elsewhere = {address for address in page.seen.addresses if address.split("/")[2] != own}
    assert {address for address in elsewhere if not address.startswith(("data:", "blob:"))} == set()


@pytest.mark.slow
def test_nothing_was_complained_of(page: Any, application: Running) -> None:
    assert page.seen.complaints == []
    assert "Traceback" not in application.log()


def workers(application: Running) -> list[int]:
    """The processes that segment."""
    children = psutil.Process(application.process.pid).children(recursive=True)
    return [child.pid for child in children if any("worker.server" in part for part in child.cmdline())]
