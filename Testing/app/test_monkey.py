"""A monkey at the page: twenty random actions, the same for the same seed, leave no error in page or log."""

# mypy: allow-untyped-calls

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.browser import PATIENCE, Running

SEEDS = (1, 2, 3)


def actions(page: Any, chance: random.Random) -> dict[str, Callable[[], Any]]:
    """What a user can do at any moment, by name."""

    def press(selector: str, *keys: str) -> None:
        page.locator(selector).first.focus()
        for _ in range(chance.randint(1, 4)):
            page.keyboard.press(chance.choice(keys))

    def click(selector: str) -> None:
        found = page.locator(f"{selector}:visible:not([disabled])")
        if found.count():
            found.nth(chance.randrange(found.count())).click(timeout=5000, force=True, no_wait_after=True)

    def over(view: int, what: Callable[[], Any]) -> None:
        box = page.locator(".layout-grid-item").nth(view).bounding_box()
        if box:
            page.mouse.move(box["x"] + box["width"] * chance.random(), box["y"] + box["height"] * chance.random())
            what()

    def drag() -> None:
        page.mouse.down()
        page.mouse.move(chance.randint(360, 1200), chance.randint(60, 780), steps=4)
        page.mouse.up()

    return {
        "slider": lambda: press("#level", "ArrowLeft", "ArrowRight", "Home", "End"),
        "slices": lambda: press("input[aria-label='Axial slice']", "ArrowLeft", "ArrowRight"),
        "segment": lambda: click("#segment"),
        "cancel": lambda: click("#cancel"),
        "structure": lambda: click("[data-structure] input"),
        "fly": lambda: click("[data-structure] .fly"),
        "all": lambda: click("#toggle-all"),
        "compare": lambda: click("#compare"),
        "difference": lambda: click("[data-compared] .fly"),
        "layout": lambda: click(f"#layout-{chance.choice(['four', 'axial', '3d', 'compared'])}"),
        "theme": lambda: click("#theme"),
        "opacity": lambda: press("#opacity", "ArrowLeft", "ArrowRight"),
        "wheel": lambda: over(0, lambda: page.mouse.wheel(0, chance.choice([-100, 100]))),
        "drag": lambda: over(0, drag),
        "keys": lambda: page.keyboard.press(chance.choice(["s", "v", "1", "2", "3", "4", "Escape", "Tab"])),
        "reload": page.reload,
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_random_actions_leave_no_error(page: Any, application: Running, seed: int) -> None:
    chance = random.Random(seed)
    done = []
    for _ in range(20):
        page.wait_for_selector("#segment, #cancel", timeout=PATIENCE)
        known = actions(page, chance)
        name = chance.choice([one for one in known if page.locator("[data-structure]").count() or one != "structure"])
        done.append(name)
        if name not in ("slices",) or page.locator("input[aria-label='Axial slice']:visible").count():
            known[name]()
        time.sleep(0.3)
    page.wait_for_selector("#segment", timeout=PATIENCE)
    assert page.seen.complaints == [], done
    assert "Traceback" not in application.log(), done
    assert not page.locator("#connection-lost").count(), done
