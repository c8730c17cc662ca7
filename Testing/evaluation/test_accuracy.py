"""How alike label maps are, whether a difference is one, and the study that puts both into a table."""

# mypy: allow-untyped-calls

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from pytest import CaptureFixture, MonkeyPatch, approx, fixture, mark, raises
from support.preparing import prepared_model
from support.trained_folders import make_folder
from typer.testing import CliRunner

from TuckerSegLib.cli.main import app, main
from TuckerSegLib.decomposition.policies import Energy, Relative
from TuckerSegLib.errors import InputError
from TuckerSegLib.evaluation.accuracy import cases, study
from TuckerSegLib.evaluation.accuracy.cases import cases_in
from TuckerSegLib.evaluation.accuracy.scores import scores
from TuckerSegLib.evaluation.accuracy.statistics import differences, holm, smallest_p
from TuckerSegLib.evaluation.accuracy.surfaces import surface_distances
from TuckerSegLib.models.cache import Cache
from TuckerSegLib.models.compressed import compressed, save
from TuckerSegLib.models.folder import open_folder
from TuckerSegLib.models.nnunet import TrainedModel
from TuckerSegLib.segmentation.one_model import run
from TuckerSegLib.segmentation.slider import agreement
from TuckerSegLib.volumes.dice import dice, mean_dice
from TuckerSegLib.volumes.files import write_segmentation
from TuckerSegLib.volumes.phantoms import seeds
from TuckerSegLib.volumes.volume import Geometry, LabelMap

GRID = Geometry.from_lps((40, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))


def ball(
    radius: float, centre: tuple[float, float, float] = (20, 20, 20), spacing: float = 1.0
) -> npt.NDArray[np.bool_]:
    axes = np.ogrid[:40, :40, :40]
    squares = sum((spacing * (axis - middle)) ** 2 for axis, middle in zip(axes, centre, strict=True))
    return np.asarray(squares <= radius**2)


def label_map(*masks: npt.NDArray[np.bool_]) -> LabelMap:
    labels = np.zeros((40, 40, 40), np.uint8)
    for label, mask in enumerate(masks, start=1):
        labels[mask] = label
    return LabelMap(labels, GRID)


def test_equal_masks_have_no_distance() -> None:
    found = surface_distances(ball(8), ball(8), (1, 1, 1))
    assert found.agreement(0) == 1 and found.hausdorff95() == 0


@mark.parametrize("gap", [2, 4, 6])
def test_concentric_spheres_are_as_far_apart_as_their_radii(gap: int) -> None:
    found = surface_distances(ball(9), ball(9 + gap), (1, 1, 1))
    assert found.hausdorff95() == approx(gap, abs=0.8)
    assert found.agreement(gap + 1) == 1 and found.agreement(gap - 1) == 0


@mark.parametrize("spacing", [(2.0, 1.0, 1.0), (1.0, 1.0, 3.0)])
def test_a_shift_is_measured_in_millimetres(spacing: tuple[float, float, float]) -> None:
    for axis, size in enumerate(spacing):
        moved = np.roll(ball(8), 2, axis)
        assert surface_distances(ball(8), moved, spacing).hausdorff95() <= 2 * size
        assert surface_distances(ball(8), moved, spacing).agreement(2 * size) == 1


def test_a_plane_is_exactly_as_far_as_it_was_moved() -> None:
    one, other = (np.zeros((30, 5, 5), bool) for _ in range(2))
    one[10:15], other[13:18] = True, True
    found = surface_distances(one, other, (1.5, 1, 1))
    assert max(found.there.max(), found.back.max()) == approx(4.5)


def test_a_missing_structure_scores_nothing() -> None:
    (score,) = scores(label_map(ball(8)), label_map())
    assert (score.dice, score.surface_dice, score.hausdorff95, score.volume) == (0, 0, None, 0)
    assert score.reference_volume == approx(ball(8).sum() / 1000)


def test_what_the_truth_does_not_show_is_not_scored() -> None:
    assert [s.label for s in scores(label_map(ball(8)), label_map(ball(8), ball(3, (5, 5, 5))))] == [1]


def test_dice_is_twice_the_overlap_over_both() -> None:
    one, other = label_map(ball(8)), label_map(np.roll(ball(8), 3, 0))
    both = 2 * (ball(8) & np.roll(ball(8), 3, 0)).sum() / (2 * ball(8).sum())
    assert dice(one.labels, other.labels) == {1: approx(both)} and mean_dice(one.labels, other.labels) == approx(both)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holms_correction_only_raises_and_keeps_the_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= c <= min(1, p * len(values)) + 1e-12 for p, c in zip(values, corrected, strict=True))
    assert np.all(np.diff(np.array(corrected)[np.argsort(values)]) >= 0)


def test_holms_correction_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == approx([0.03, 0.06, 0.06, 0.02])


def test_a_difference_is_seen_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(0.8, 0.9, 20)
    found = differences(
        {"worse": before.tolist(), "same": before.tolist(), "noise": before.tolist()},
        {
            "worse": (before - rng.uniform(0.01, 0.1, 20)).tolist(),
            "same": before.tolist(),
            "noise": (before + rng.normal(0, 0.01, 20)).tolist(),
        },
    )
    assert found["worse"].corrected < 0.01 and found["worse"].effect == -1 and found["worse"].mean < 0
    assert found["same"].p == 1 and found["same"].effect == 0
    assert found["noise"].corrected > 0.05


def test_few_cases_cannot_show_much() -> None:
    values = [0.5] * 6
    found = differences({"a": values}, {"a": [0.1, 0.2, 0.3, 0.15, 0.25, 0.35]})
    assert found["a"].p == approx(smallest_p(6)) == approx(1 / 32)


def test_the_command_measures_each_level_on_each_case(
    tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]
) -> None:
    model = make_folder(tmp_path / "made", spacing=(4, 4, 4))
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        image = LabelMap(rng.integers(0, 200, (24, 24, 24)).astype(np.uint8), _grid(24))
        truth = LabelMap((image.labels > 100).astype(np.uint8) + 1, _grid(24))
        write_segmentation(image, tmp_path / "images" / f"case{number}_0000.nii.gz")
        write_segmentation(truth, tmp_path / "labels" / f"case{number}.nii.gz")
    folders = ["--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]
    policies = [word for name in ("relative", "budget+data", "8-bit", "l1", "cp") for word in ("-p", name)]
    policies += ["-f", "0.5", "--calibrate", str(tmp_path / "images"), "--html", str(tmp_path / "page.html")]
    policies += ["--plot", str(tmp_path / "plot.svg")]
    arguments = ["evaluate", "-m", str(model), *folders, *policies, "-o", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr("sys.argv", ["tuckerseg", *arguments])
    capfd.readouterr()
    with raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = json.loads(capfd.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "results.json").read_text())
    results = printed["results"]
    asked = [("original", 1), ("relative", 0.5), ("budget+data", 0.5), ("8-bit", 1), ("l1", 0.5), ("cp", 0.5)]
    assert [(r["policy"], r["factor"]) for r in results] == asked
    assert results[3]["bytes"] < 0.5 * results[0]["bytes"] and results[3]["parameters"] == results[0]["parameters"]
    assert results[0]["agreement"] == 1 and results[0]["classes_without_evidence_of_difference"] == 2
    assert all(0 <= r["mean_dice"] <= 1 and r["classes"] == 2 for r in results)
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert len(rows) == 6 * 2 * 2 and {row["structure"] for row in rows} == {"structure_1", "structure_2"}
    mean = np.mean([float(row["dice"]) for row in rows if row["policy"] == "relative"])
    assert mean == approx(results[1]["mean_dice"]) and not math.isnan(mean)
    page = (tmp_path / "page.html").read_text()
    assert "http" not in page and f"{results[1]['mean_dice']:.3f}" in page and "no evidence of a difference" in page
    plot = (tmp_path / "plot.svg").read_text()
    assert all(f"<!-- {name} -->" in plot for name in ("relative", "budget+data", "8-bit", "l1", "cp", "parameters"))
    monkeypatch.setattr(study, "run", None)
    with raises(SystemExit) as ended:
        main()
    assert not ended.value.code and json.loads(capfd.readouterr().out) == printed, "a run goes on where it ended"


@fixture
def phantoms_and_model(tmp_path: Path, monkeypatch: MonkeyPatch) -> tuple[list[str], TrainedModel]:
    """What `evaluate` is called with, for a small model on one phantom."""
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    folder = make_folder(tmp_path / "made", spacing=(12, 12, 12))
    output = ["-o", str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]
    return ["-m", str(folder), "--phantoms", "7", *output], open_folder(folder)


def evaluate(arguments: list[str]) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["evaluate", *arguments, "--json"], catch_exceptions=False)
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


def test_without_label_maps_the_original_is_what_levels_are_compared_with(
    tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    model = make_folder(tmp_path / "made", spacing=(4, 4, 4))
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 200, (24, 24, 24)).astype(np.uint8)
    write_segmentation(LabelMap(noise, _grid(24)), tmp_path / "images" / "case.nii.gz")
    asked = ["-m", str(model), "--images", str(tmp_path / "images"), "-p", "relative", "-f", "0.3"]
    original, level = evaluate([*asked, "-o", str(tmp_path / "out")])
    assert original["mean_dice"] == original["mean_surface_dice"] == original["agreement"] == 1
    assert level["mean_dice"] == approx(level["agreement"]) and level["agreement"] < 1


def write_trained(path: Path, level: TrainedModel, scale: float) -> Path:
    """A file of the level's settings, with other weights."""
    weights = [{name: scale * tensor for name, tensor in fold.items()} for fold in level.load_weights()]
    save(replace(level, load_weights=lambda: weights), path)
    return path


def test_a_network_that_was_compressed_or_trained_before_has_a_row_of_its_own(
    phantoms_and_model: tuple[list[str], TrainedModel], tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    arguments, model = phantoms_and_model
    policy = Relative(0.5, minimum=2)
    level = compressed(model, policy)
    file = write_trained(tmp_path / "distilled.tuckerseg", level, 1.0)

    original, row = evaluate([*arguments, "--trained", str(file)])

    assert (row["policy"], row["factor"]) == ("distilled", 0.5)
    assert row["settings"].items() >= policy.settings.items()
    assert row["parameters"] == level.compression.report["parameters"] < original["parameters"]  # type: ignore[union-attr]
    image = cases.phantoms(7, 7)[0].load()[0]
    whole, small = (run(prepared_model(one, tmp_path), image).label_map.labels for one in (model, level))
    expected = mean_dice(whole, small)
    assert row["agreement"] == approx(expected)
    assert "distilled" in (tmp_path / "page.html").read_text()


def test_a_trained_file_that_was_trained_further_is_measured_again(
    phantoms_and_model: tuple[list[str], TrainedModel], tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    arguments, model = phantoms_and_model
    level = compressed(model, Relative(0.5))
    file = write_trained(tmp_path / "distilled.tuckerseg", level, 1.0)
    (_, before) = evaluate([*arguments, "--trained", str(file)])
    write_trained(file, level, -1.0)
    (_, after) = evaluate([*arguments, "--trained", str(file)])
    assert after["mean_dice"] != before["mean_dice"]
    write_trained(file, level, 1.0)
    monkeypatch.setattr(study, "run", None)
    assert evaluate([*arguments, "--trained", str(file)])[1] == before, "what was measured first is kept as well"


def test_a_network_without_a_factor_has_none_in_its_row(
    phantoms_and_model: tuple[list[str], TrainedModel], tmp_path: Path
) -> None:
    arguments, model = phantoms_and_model
    file = write_trained(tmp_path / "by energy.tuckerseg", compressed(model, Energy(0.5)), 1.0)
    assert evaluate([*arguments, "--trained", str(file)])[1]["factor"] is None


def test_the_agreement_that_was_expected_is_shown_beside_the_one_that_was_found(
    phantoms_and_model: tuple[list[str], TrainedModel],
    tmp_path: Path,
    monkeypatch: MonkeyPatch,
) -> None:
    monkeypatch.setattr(seeds, "AGREEMENT", range(8, 9))
    arguments, model = phantoms_and_model
    policies = [*arguments, "-p", "relative", "-f", "0.5", "-f", "0.9", "-p", "8-bit"]
    assert all(row["expected_agreement"] is None for row in evaluate(policies))
    original, *rows = evaluate([*policies, "--expected"])
    assert original["expected_agreement"] == 1
    cache = Cache(tmp_path / "cache")
    for row in rows[:2]:
        told = agreement.Expectations(model, cache).known(Relative(row["factor"]).settings)
        assert told is not None and row["expected_agreement"] == told.agreement, "what the slider shows"
    errors = [abs(row["expected_agreement"] - row["agreement"]) for row in rows]
    whole = json.loads((tmp_path / "out" / "results.json").read_text())
    assert whole["expected_agreement_error"] == approx(np.mean(errors))
    shown = CliRunner().invoke(app, ["evaluate", *policies, "--expected"]).stdout
    assert f"Expected agreement is {np.mean(errors):.3f} off on average, over 3 networks" in shown
    assert f"is {np.mean(errors):.3f} off on average" in (tmp_path / "page.html").read_text()
    with raises(InputError, match="expected from phantoms 8 to 8: evaluate on others"):
        evaluate([*arguments, "--phantoms", "7-9", "--expected"])


def test_a_network_of_another_model_is_refused(
    phantoms_and_model: tuple[list[str], TrainedModel], tmp_path: Path
) -> None:
    arguments, model = phantoms_and_model
    other = open_folder(make_folder(tmp_path / "other", seed=1))
    strange = write_trained(tmp_path / "strange.tuckerseg", compressed(other, Relative(0.5)), 1.0)
    with raises(InputError, match=r"strange\.tuckerseg was not made from .*: name a \.tuckerseg file that was\."):
        evaluate([*arguments, "--trained", str(strange)])
    twin = write_trained(tmp_path / "relative.tuckerseg", compressed(model, Relative(0.5)), 1.0)
    with raises(InputError, match="There are two networks called relative"):
        evaluate([*arguments, "-p", "relative", "--trained", str(twin)])


def _grid(size: int) -> Geometry:
    return Geometry.from_lps((size, size, size), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0), np.eye(3))


def test_an_image_without_its_label_map_is_said(tmp_path: Path) -> None:
    (tmp_path / "one_0000.nii.gz").touch()
    (tmp_path / "labels").mkdir()
    with raises(InputError, match=r"There is no label map .*one\.nii\.gz"):
        cases_in(tmp_path, tmp_path / "labels")
    with raises(InputError, match="is not a folder"):
        cases_in(tmp_path / "missing", tmp_path / "labels")
    with raises(InputError, match="There is no image"):
        cases_in(tmp_path / "labels", tmp_path / "labels")


@mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name what to evaluate on"),
        (["--phantoms", "five"], "written like 3000-3005"),
        (["--phantoms", "5-3"], "run backwards"),
        (["--phantoms", "3", "--images", "x"], "Name what to evaluate on"),
        (["--phantoms", "3", "--plot", "plot.jpeg"], "end it in .png or .svg"),
        (["--phantoms", "3", "--html", "missing/page.html"], "The folder missing does not exist"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tuckerseg", "evaluate", "-o", str(tmp_path), *arguments])
    with raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and sentence in capfd.readouterr().err
