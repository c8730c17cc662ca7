"""The whole benchmark: its gates, its rows in three formats, the programs beside it, and one run from end to end."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from support.trained_folders import make_folder
from typer.testing import CliRunner

from TuckerSegLib.cli.main import app
from TuckerSegLib.errors import InputError
from TuckerSegLib.evaluation.speed.in_turns import in_turns, rounds
from TuckerSegLib.evaluation.speed.runtimes.others import OTHERS, check_installed, installed_others
from TuckerSegLib.evaluation.whole.gates import gates
from TuckerSegLib.evaluation.whole.rows import Row
from TuckerSegLib.evaluation.whole.writing import FILES, as_csv, markdown, table
from TuckerSegLib.models.opening import open_model

ROWS = [
    Row("file to file", "nnU-Net", None, seconds=10.0, times_faster=1.0, peak_memory=2_000_000_000),
    Row("file to file", "TuckerSeg", 1.0, "fused", seconds=5.0, times_faster=2.0),
    Row("file to file", "TuckerSeg", 0.5, "fused", seconds=2.5, times_faster=4.0),
    Row("file to file", "TuckerSeg", 0.3, "fused", seconds=2.0, times_faster=5.0),
    Row("accuracy", "TuckerSeg", 1.0, dice=0.9, share=1.0, cases=2),
    Row("accuracy", "TuckerSeg", 0.5, dice=0.895, share=0.994, cases=2),
    Row("accuracy", "TuckerSeg", 0.3, dice=0.8, share=0.89, cases=2),
]

AROUND: dict[str, str | int | float] = {"date": "2026-01-01T00:00:00+00:00", "processor": "a | processor", "cores": 2}


def test_a_gate_names_the_fastest_level_that_keeps_so_much() -> None:
    at_99, at_999 = gates(ROWS)
    assert (at_99.factor, at_99.times_faster, at_99.reached) == (0.5, 4.0, 0.994)
    assert (at_999.factor, at_999.times_faster, at_999.reached) == (1.0, 2.0, 1.0)
    assert "factor 0.5" in str(at_99) and "the original network" in str(at_999)


def test_every_line_of_the_table_says_where_and_when_it_was_measured() -> None:
    lines = list(csv.DictReader(as_csv(ROWS, AROUND).splitlines()))
    assert len(lines) == len(ROWS)
    assert {(line["date"], line["processor"], line["cores"]) for line in lines} == {tuple(map(str, AROUND.values()))}
    assert [(line["passes_0.99"], line["passes_0.999"]) for line in lines[-3:]] == [
        ("True", "True"),
        ("True", "False"),
        ("False", "False"),
    ]
    assert lines[0]["passes_0.99"] == "" and float(lines[2]["times_faster"]) == 4.0


def test_a_part_shows_only_columns_that_say_something() -> None:
    assert "Dice" not in table(ROWS, "file to file")[0] and "Seconds" not in table(ROWS, "accuracy")[0]
    assert "| TuckerSeg | 0.5 | 0.895 | 2 | 99.4% | yes | no |" in markdown(ROWS, AROUND)


def test_rounds_end_when_the_time_is_over_but_the_first_is_whole() -> None:
    done: list[str] = []
    jobs = [("a", lambda: done.append("a")), ("b", lambda: done.append("b"))]
    in_turns(list(rounds(jobs, 3, until=0.0)))
    assert done == ["a", "b"]
    in_turns(list(rounds(jobs, 2)))
    assert done == ["a", "b"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_programs_run_the_very_network(name: str, tmp_path: Path) -> None:
    if name not in installed_others():
        pytest.skip(f"{name} is not installed")
    other = OTHERS[name](open_model(str(make_folder(tmp_path, patch_size=(16, 16, 16)))))
    assert other.prepare(1.0, "published", "auto", "cpu")["relative_difference"] < 1e-4
    assert other.run(1.0)["seconds"] > 0


def test_a_program_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="no program TensorRT"):
        check_installed(["TensorRT"])


@pytest.mark.slow
def test_the_whole_benchmark_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    folder = make_folder(tmp_path / "model", patch_size=(16, 16, 16), labels=2)
    voxels = np.random.default_rng(0).normal(0, 300, (24, 26, 28)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels), tmp_path / "ct.nii.gz")
    options = ["--model", str(folder), "--image", str(tmp_path / "ct.nii.gz"), "-f", "0.5", "--minutes", "0"]

    said = CliRunner().invoke(app, ["bench", *options, "-o", str(tmp_path / "out"), "--json"])

    assert said.exit_code == 0, (said.output, said.exception)
    rows = json.loads(said.stdout)["rows"]
    shown = {(row["part"], row["program"], row["factor"]) for row in rows}
    assert shown == {
        *(("one patch", program, None) for program in ("PyTorch", *installed_others())),
        ("file to file", "nnU-Net", None),
        *((part, "TuckerSeg", factor) for part in ("one patch", "file to file", "accuracy") for factor in (1.0, 0.5)),
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "bench.svg"}
    original = next(row for row in rows if row["part"] == "accuracy" and row["factor"] == 1)
    assert original["share"] == 1.0 and original["passed"] == [0.99, 0.999]
    assert all(row["runs"] == 1 for row in rows if row["part"] != "accuracy")
