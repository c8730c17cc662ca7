"""The line below the slider says the gain first, what is unknown, what is poor, and what the first run costs."""

from typing import Any

import pytest
import slicerhost
from support.panel import FEW, PATIENCE, add_volume, part

from TuckerSegLib.inference.check.checked import Checked
from TuckerSegLib.segmentation.slider.measurements import Measurements, Setup
from TuckerSegLib.words import wording

pytestmark = pytest.mark.skipif(bool(slicerhost.missing_libraries()), reason=slicerhost.missing_libraries())


def measured(
    seconds: dict[float, float], agreement: dict[float, float], preparing: dict[float, float]
) -> tuple[Measurements, Setup]:
    kept = {"text": ""}
    known, setup = Measurements(lambda: kept["text"], lambda text: kept.update(text=text)), Setup("m")
    for factor, value in seconds.items():
        known.remember_time(setup, factor, value, 100.0)
    for factor, value in agreement.items():
        known.remember_agreement(setup, factor, value)
    for factor, value in preparing.items():
        known.remember_preparation(setup, factor, value)
    return known, setup


def test_gain_comes_first() -> None:
    known, setup = measured({1.0: 36.0, 0.5: 9.0}, {0.5: 0.981}, {0.5: 20.0})
    text, meaning = wording.gain(0.5, None, known.expected(setup, 0.5, 100.0))
    assert text == "About 9 s, 4 times faster than the original, agreement 0.98"
    assert meaning == "good"


def test_poor_is_said_and_coloured() -> None:
    known, setup = measured({1.0: 36.0, 0.3: 35.0}, {0.3: 0.003}, {})
    text, meaning = wording.gain(0.3, None, known.expected(setup, 0.3, 100.0))
    assert text == "About 35 s, as fast as the original, agreement 0.00: poor"
    assert meaning == "poor"
    said, meaning = wording.finished(26, 35.0, known.expected(setup, 0.3, None))
    assert (said, meaning) == ("26 structures in 35 s, agreement 0.00: poor", "poor")


def test_the_check_of_this_scan_goes_before_what_was_measured_on_others() -> None:
    known, setup = measured({}, {0.3: 0.99}, {})
    expected = known.expected(setup, 0.3, None)
    poor, good = Checked(0.62, 0.5, 0.7, 2, 9, 3.0), Checked(0.97, 0.95, 0.98, 2, 9, 3.0)
    assert wording.finished(26, 35.0, expected, poor) == ("26 structures in 35 s, agreement 0.62: poor", "poor")
    assert wording.finished(26, 35.0, expected, good) == ("26 structures in 35 s, agreement 0.97", "good")
    told = "Agreement with the original network 0.620 (0.500 to 0.700): it ran on 2 of 9 patches, which took 3 s"
    assert wording.checked(poor) == told


def test_one_structure_is_one() -> None:
    known, setup = measured({}, {}, {})
    assert wording.finished(1, 3.0, known.expected(setup, 1.0, None)) == ("1 structure in 3 s", "good")


def test_first_run_of_a_level_is_expected_to_cost_more() -> None:
    known, setup = measured({1.0: 36.0, 0.5: 9.0}, {}, {0.5: 20.0})
    assert known.expected(setup, 0.5, 100.0).preparing is None
    assert wording.gain(0.3, None, known.expected(setup, 0.3, 100.0))[0].endswith("; 20 s more the first time")
    known.forget_preparations()
    assert known.expected(setup, 0.5, 100.0).preparing == 20.0


def test_time_is_scaled_to_the_scan() -> None:
    known, setup = measured({1.0: 36.0, 0.5: 9.0}, {}, {})
    assert known.expected(setup, 0.5, 200.0).seconds == 18.0
    assert known.expected(setup, 0.5, 200.0).speedup == 4.0


def test_bar_moves_while_a_level_is_prepared(host: Any, panel: Any) -> None:
    advance = part("runs.run").Advance
    runs = panel.widget.panel.runs
    runs._on_progress(advance("start", 0.0, None))
    assert panel.ui.progressBar.maximum == 0  # Qt shows that something goes on
    runs._on_progress(advance("compress", 0.0, 20.0, 12, 60))
    assert panel.ui.progressBar.value == 200
    assert panel.ui.statusLabel.text == "Preparing this level, which happens once (12 of 60): 20 s left"
    runs._on_progress(advance("predict", 0.45, 5.0))
    assert panel.ui.progressBar.value == 450


def test_worker_ends_when_nobody_asks_it_anything(host: Any, panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    panel.logic.ask("ping", told.append)
    panel.logic._idle.look()
    assert panel.logic.client.running  # it is being asked something
    assert host.wait_until(lambda: bool(told), PATIENCE)
    host.process_events()
    panel.logic._idle.look()
    assert not panel.logic.client.running
    assert add_volume(FEW) is not None
