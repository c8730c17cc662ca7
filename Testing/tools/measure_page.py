"""Measures on this computer what the page in a browser promises, and takes its picture for Resources/Screenshots.

Needs Chromium. The load is printed with the seconds: those of a computer that has other things to do say nothing.
"""

import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

from support.browser import browser  # noqa: E402

from TuckerSegLib.volumes.volume import Geometry, LabelMap, Volume  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "browser.png"
PATIENCE = 600_000
VIEW = (466, 375)
SHAPE = (300, 512, 512)
BALLS = (4, 5, 5)
"""Structures along each axis of the large volume."""

PROGRAM = "from TuckerSegLib.cli.main import main; main()"

DRAWN = "[...document.querySelectorAll('.layout-grid-item img')].filter((one) => one.naturalWidth > 50).length === 4"

SCROLL = """async (seconds) => {
  const slider = document.querySelector("input[aria-label='Axial slice']");
  let seen = 0;
  const picture = document.querySelector(".layout-grid-item img");
  new MutationObserver(() => seen++).observe(picture, { attributes: true, attributeFilter: ["src"] });
  const begun = performance.now(), step = Number(slider.step) || 1;
  for (let number = 0; performance.now() - begun < seconds * 1000; number++) {
    slider.value = Number(slider.value) + (Math.floor(number / 40) % 2 ? -step : step);
    slider.dispatchEvent(new Event("input"));
    await new Promise((done) => setTimeout(done, 25));
  }
  return seen / seconds;
}"""


def main() -> None:
    if sys.argv[1:] == ["large"]:
        asyncio.run(measure_large())
        return
    with tempfile.TemporaryDirectory() as folder:
        measure_page(folder)
    subprocess.run([sys.executable, __file__, "large"], check=True, stderr=subprocess.DEVNULL)
    print("processes that wanted a core meanwhile:", *(f"{one:.1f}" for one in os.getloadavg()))


def measure_page(folder: str) -> None:
    """First views with the phantom made and at hand, slices in a second, memory beside the worker."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        for phantom in ("made", "at hand"):
            begun = time.monotonic()
            process, address = start(folder)
            page = chromium.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            page.goto(address)
            page.wait_for_selector("#segment:not([disabled])", timeout=PATIENCE)
            page.wait_for_function(DRAWN, timeout=PATIENCE)
            print(f"from the command to all views, phantom {phantom}: {time.monotonic() - begun:.1f} s", flush=True)
            if phantom == "at hand":
                page.hover("input[aria-label='Axial slice']")  # a view that nobody points at is drawn less often
                print(f"slices in a second: {page.evaluate(SCROLL, 5.0):.0f}", flush=True)
                take_picture(page)
                print(f"memory beside the worker, with the phantom segmented: {memory(process):.2f} GB", flush=True)
            process.terminate()
            process.wait()
        chromium.close()


def start(folder: str) -> tuple["subprocess.Popen[str]", str]:
    """The application as users start it, with a cache of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "app", "--port", "0", "--no-browser"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TUCKERSEG_CACHE": folder},
    )
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"http://\S+", line):
            return process, found[0]
    raise RuntimeError("The application did not start.")


def take_picture(page: Any) -> None:
    page.click("#segment")
    page.wait_for_selector("[data-structure]", timeout=PATIENCE)
    time.sleep(20)  # surfaces and intensities come after the list
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shown.quantize(256, Image.Quantize.MEDIANCUT, 8, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def memory(process: "subprocess.Popen[str]") -> float:
    """Gigabytes of the server and its viewer."""
    server = psutil.Process(process.pid)
    children = [one for one in server.children(recursive=True) if "worker.server" not in " ".join(one.cmdline())]
    return sum(float(one.memory_info().rss) for one in (server, *children)) / 1e9


async def measure_large() -> None:
    """A hundred structures in a large volume, from the result to the views, in a viewer without a browser."""
    from trame.app import get_server
    from trame_slicer import module

    from TuckerSegLib.app.viewer.scene import Scene
    from TuckerSegLib.app.viewer.surfaces import surfaces

    server = get_server(client_type="vue3")
    server.enable_module(module)
    scene, (volume, label_map) = Scene(server), large()
    scene.show_volume(volume, "large", (-160.0, 240.0))
    views = scene.views()
    for view in views:
        view.render_window().SetSize(*VIEW)
        view.render_window().Render()
    begun = time.monotonic()
    node = scene.show_label_map(label_map, None, ())
    for view in views[:3]:
        view.render_window().Render()
    print(f"segments of a large volume in the slices: {time.monotonic() - begun:.1f} s after the result", flush=True)
    scene.add_surfaces(node, await asyncio.to_thread(surfaces, label_map))
    views[-1].render_window().Render()
    print(f"and in 3D: {time.monotonic() - begun:.1f} s after the result", flush=True)
    print(f"memory of that viewer: {psutil.Process().memory_info().rss / 1e9:.2f} GB", flush=True)
    os._exit(0)  # VTK's windows are of no use any more


def large() -> tuple[Volume, LabelMap]:
    """A volume of 512 x 512 x 300 with a hundred balls, and their labels."""
    geometry = Geometry(SHAPE, np.diag([-0.8, -0.8, 1.0, 1.0]))
    labels = np.zeros(SHAPE, np.uint8)
    size = [side // count for side, count in zip(SHAPE, BALLS, strict=True)]
    axes = np.ogrid[tuple(slice(-1, 1, complex(0, side)) for side in size)]
    ball = sum(axis**2 for axis in axes) <= 0.95
    for number, corner in enumerate(np.ndindex(*BALLS), start=1):
        place = tuple(slice(c * s, (c + 1) * s) for c, s in zip(corner, size, strict=True))
        labels[place][ball] = number
    voxels = np.where(labels > 0, np.int16(60), np.int16(-900))[np.newaxis]
    names = {number: f"structure_{number}" for number in range(1, 1 + int(labels.max()))}
    return Volume(voxels, geometry), LabelMap(labels, geometry, names)


if __name__ == "__main__":
    main()
