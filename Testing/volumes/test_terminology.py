import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from support.paths import ROOT

from TuckerSegLib.volumes import terminology
from TuckerSegLib.volumes.terminology import SegmentStyle, style

installed = pytest.mark.skipif(not importlib.util.find_spec("totalsegmentator"), reason="totalsegmentator is absent")


@pytest.fixture(scope="module")
def total() -> list[str]:
    """The structures of TotalSegmentator's `total` task."""
    from totalsegmentator.map_to_binary import class_map

    return list(class_map["total"].values())


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminology, "find_spec", lambda name: None)
    monkeypatch.setattr(terminology, "_named", [])
    monkeypatch.setattr(terminology, "_known_styles", terminology._known_styles.__wrapped__)


@installed
def test_a_known_structure_has_its_standard_name_and_snomed_codes() -> None:
    kidney = style("kidney_left")
    assert (kidney.name, kidney.label) == ("kidney_left", "left kidney")
    assert kidney.terminology == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney"
        "~SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^"
    )


@installed
@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("spleen", "spleen"),
        ("rib_right_7", "right seventh rib"),
        ("vertebrae_T4", "T4 vertebra"),
        ("kidney_cyst_left", "cyst of left kidney"),
        ("lung_covid_infiltrate", "COVID-19 infiltrate of lung"),
    ],
)
def test_standard_names_read_as_words(name: str, label: str) -> None:
    assert style(name).label == label


@installed
def test_every_structure_of_total_has_codes_and_its_own_name(total: list[str]) -> None:
    assert len(total) == 117
    assert all(style(name).terminology.count("~") == 6 for name in total)
    assert len({style(name).label for name in total}) == len(total)


@installed
def test_no_two_structures_of_total_look_alike(total: list[str]) -> None:
    colors = np.array([style(name).color for name in total]) * 255
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)[np.triu_indices(len(total), 1)]
    assert distances.min() >= 20


@installed
def test_the_table_is_read_without_importing_totalsegmentator() -> None:
    program = (
        "import sys; from TuckerSegLib.volumes.terminology import style; style('liver'); "
        "assert not {'totalsegmentator', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_an_unknown_structure_has_a_fixed_colour_and_no_code() -> None:
    color = (0.25452056901191844, 0.7819607843137255, 0.6212563437139561)
    assert style("left_thumb") == SegmentStyle("left_thumb", "left thumb", color, "")
    assert style("left_thumb").color != style("right_thumb").color


@pytest.mark.usefixtures("not_installed")
def test_without_totalsegmentator_every_name_still_gets_a_colour() -> None:
    liver, spleen = style("liver"), style("spleen")
    assert liver.terminology == "" and liver.label == "liver"
    assert liver.color != spleen.color
    assert all(0 <= part <= 1 for part in (*liver.color, *spleen.color))
