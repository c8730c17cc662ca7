"""`tuckerseg` as a person or a program calls it."""

# mypy: allow-untyped-calls

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import SimpleITK as sitk  # noqa: N813
from pytest import CaptureFixture, MonkeyPatch, TempPathFactory, approx, fixture, mark, raises
from support.paths import ROOT
from support.trained_folders import make_folder

from TuckerSegLib.cli.main import main


@fixture(scope="module")
def workplace(tmp_path_factory: TempPathFactory) -> Path:
    """A folder with an image `ct.nii.gz` and a model in `model`; the cache is in it too."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "model").symlink_to(make_folder(folder / "made"))
    write_image(folder / "ct.nii.gz", np.random.default_rng(0).normal(0, 300, (20, 22, 24)).astype(np.int16))
    return folder


def write_image(path: Path, array: np.ndarray[Any, Any]) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 2.0))
    sitk.WriteImage(image, str(path))


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@fixture
def run(workplace: Path, monkeypatch: MonkeyPatch, capfd: CaptureFixture[str]) -> Run:
    """`tuckerseg ARGUMENTS` in this process: starting Python and importing PyTorch anew takes seconds each time."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("TUCKERSEG_CACHE", str(workplace / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["tuckerseg", *arguments])
        capfd.readouterr()
        with raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call


def test_segment_writes_what_it_says_it_wrote(run: Run, workplace: Path) -> None:
    asked = ("--model", "model", "--factor", "0.5", "--engine", "torch", "--json")
    first = run("segment", "ct.nii.gz", "out.nii.gz", *asked)
    again = run("segment", "ct.nii.gz", "again.nii.gz", *asked, "--in-process")
    assert first.returncode == 0, first.stderr
    said, said_again = json.loads(first.stdout), json.loads(again.stdout)
    assert (said["cache"], said_again["cache"]) == ("miss", "hit")
    assert (said["engine"], said["policy"]["factor"]) == ("torch", 0.5)
    assert (
        set(said["seconds"]) == {"load", "preprocess", "predict", "check", "postprocess"}
        and said["peak_memory_bytes"] > 1e7
    )
    image, out, twice = (sitk.ReadImage(str(workplace / f"{n}.nii.gz")) for n in ("ct", "out", "again"))
    assert out.GetSize() == image.GetSize() and out.GetSpacing() == image.GetSpacing()
    labels = sitk.GetArrayFromImage(out)
    assert np.array_equal(labels, sitk.GetArrayFromImage(twice))
    counted = {int(label): int((labels == label).sum()) for label in np.unique(labels) if label}
    assert {entry["label"]: entry["voxels"] for entry in said["labels"]} == counted and counted
    assert all(entry["millilitres"] == approx(entry["voxels"] * 2 / 1000) for entry in said["labels"])


def test_a_compressed_file_segments_like_the_level_it_holds(run: Run, workplace: Path) -> None:
    made = run("compress", "--model", "model", "--factor", "0.5", "--output", "small.tuckerseg", "--json")
    assert made.returncode == 0, made.stderr
    report = json.loads(made.stdout)
    assert report["parameters"] < report["parameters_before"] and report["multiply_adds"] > 0
    here = ("--engine", "torch", "--in-process")
    run("segment", "ct.nii.gz", "level.nrrd", "--model", "model", "--factor", "0.5", "--exact-ranks", *here)
    shared = run("segment", "ct.nii.gz", "shared.nrrd", "--model", "small.tuckerseg", *here)
    assert shared.returncode == 0, shared.stderr
    level, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(workplace / n))) for n in ("level.nrrd", "shared.nrrd"))
    assert np.array_equal(level, other)


def test_a_poor_result_is_warned_of_and_a_promise_is_kept(run: Run) -> None:
    asked = ("--model", "model", "--factor", "0.05", "--engine", "torch", "--json", "--in-process")
    poor = run("segment", "ct.nii.gz", "poor.nii.gz", *asked)
    told = json.loads(poor.stdout)
    assert told["agreement"]["poor"] and told["agreement"]["expected"] < 0.9
    assert "may be wrong" in poor.stderr and "may be wrong" in told["warnings"][0]
    kept = json.loads(run("segment", "ct.nii.gz", "kept.nii.gz", *asked, "--at-least", "0.95").stdout)
    assert kept["agreement"]["low"] >= 0.95 and not kept["warnings"]
    assert kept["agreement"]["patches_of_the_original"] > told["agreement"]["patches_of_the_original"]
    refused = run("segment", "ct.nii.gz", "no.nii.gz", *asked, "--at-least", "1.5")
    assert refused.returncode == 2 and "choose one up to 1" in refused.stderr


def test_levels_lists_the_nine_published_ones(run: Run) -> None:
    levels = json.loads(run("levels", "--model", "model", "--json").stdout)["levels"]
    assert [level["factor"] for level in levels] == [1.0, 0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
    assert levels[0]["parameters_removed"] == 0
    for level in levels:
        assert level["parameters_removed"] == 1 - level["parameters"] / levels[0]["parameters"]
    assert "Parameters" in run("levels", "--model", "model").stdout


def test_the_cache_is_listed_limited_and_cleared(run: Run, workplace: Path) -> None:
    run("segment", "ct.nii.gz", "out.nii.gz", "--model", "model", "--factor", "0.4", "--exact-ranks", "--in-process")
    assert json.loads(run("cache", "path", "--json").stdout)["folder"] == str(workplace / "cache")
    listed = json.loads(run("cache", "list", "--json").stdout)["entries"]
    assert 0.4 in [entry["policy"]["factor"] for entry in listed]
    assert json.loads(run("cache", "limit", "2GB", "--json").stdout) == {"limit": 2_000_000_000}
    assert json.loads(run("cache", "clear", "--json").stdout)["freed"] > 0
    assert json.loads(run("cache", "list", "--json").stdout)["entries"] == []


BAD = {
    "an image that is not there": (["none.nii.gz", "out.nii.gz", "--model", "model"], "none.nii.gz"),
    "an empty file": (["empty.nii.gz", "out.nii.gz", "--model", "model"], "empty.nii.gz"),
    "a cut-off file": (["cut.nii.gz", "out.nii.gz", "--model", "model"], "cut.nii.gz"),
    "a text file": (["text.nii.gz", "out.nii.gz", "--model", "model"], "text.nii.gz"),
    "a 2D image": (["flat.nrrd", "out.nii.gz", "--model", "model"], "2D"),
    "a 4D image": (["four.nii.gz", "out.nii.gz", "--model", "model"], "4"),
    "an RGB image": (["rgb.nrrd", "out.nii.gz", "--model", "model"], "values a voxel"),
    "NaN voxels": (["nan.nrrd", "out.nii.gz", "--model", "model"], "NaN"),
    "a factor above 1": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--factor", "1.5"], "outside"),
    "a factor of 0": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--factor", "0"], "outside"),
    "no such model": (["ct.nii.gz", "out.nii.gz", "--model", "nowhere"], "nowhere"),
    "a folder without plans": (["ct.nii.gz", "out.nii.gz", "--model", "no_plans"], "plans.json"),
    "a folder without the checkpoint": (["ct.nii.gz", "out.nii.gz", "--model", "no_weights"], "checkpoint_final.pth"),
    "a checkpoint that is none": (["ct.nii.gz", "out.nii.gz", "--model", "bad_weights"], "checkpoint_final.pth"),
    "a fold that is not there": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--fold", "7"], "fold_7"),
    "one channel too many": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--channel", "ct.nii.gz"], "channel"),
    "no such device": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--device", "abacus"], "abacus"),
    "no such engine": (["ct.nii.gz", "out.nii.gz", "--model", "model", "--engine", "steam"], "steam"),
    "no such output folder": (["ct.nii.gz", "nowhere/out.nii.gz", "--model", "model"], "nowhere"),
    "the image's own name": (["ct.nii.gz", "ct.nii.gz", "--model", "model"], "would overwrite the image ct.nii.gz"),
    "the image's folder": (["ct.nii.gz", ".", "--suffix", ".nii.gz", "--model", "model"], "would overwrite the image"),
    "an unknown output format": (["ct.nii.gz", "out.jpg", "--model", "model"], "out.jpg"),
    "several images, no folder": (["ct.nii.gz", "other.nrrd", "out.nii.gz", "--model", "model"], "out.nii.gz"),
    "two images of one name": (["ct.nii.gz", "ct.nrrd", "folder", "--model", "model"], "ct.nrrd"),
}


@fixture(scope="module")
def bad_inputs(workplace: Path) -> None:
    (workplace / "empty.nii.gz").write_bytes(b"")
    (workplace / "cut.nii.gz").write_bytes((workplace / "ct.nii.gz").read_bytes()[:2000])
    (workplace / "text.nii.gz").write_text("no image")
    write_image_of(workplace / "flat.nrrd", np.zeros((9, 9), np.int16))
    write_image_of(workplace / "four.nii.gz", np.zeros((3, 4, 5, 6), np.int16))
    write_image_of(workplace / "rgb.nrrd", np.zeros((4, 5, 6, 3), np.uint8), vector=True)
    write_image_of(workplace / "nan.nrrd", np.full((4, 5, 6), np.nan, np.float32))
    for name, missing in (("no_plans", "plans.json"), ("no_weights", "fold_0/checkpoint_final.pth")):
        copy_model(workplace, name)
        (workplace / name / missing).unlink()
    copy_model(workplace, "bad_weights")
    (workplace / "bad_weights" / "fold_0" / "checkpoint_final.pth").write_bytes(b"no checkpoint")


def write_image_of(path: Path, array: np.ndarray[Any, Any], vector: bool = False) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))


def copy_model(workplace: Path, name: str) -> None:
    shutil.copytree(workplace / "model", workplace / name)


@mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(
    run: Run, workplace: Path, bad_inputs: None, case: str
) -> None:
    arguments, named = BAD[case]
    (workplace / "out.nii.gz").write_bytes(b"what was here before")
    before = {path.name for path in workplace.iterdir()}
    done = run("segment", *arguments, "--json", "--in-process")
    assert done.returncode == 2
    assert done.stdout == "" and named in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in workplace.iterdir()} - {"cache"} == before - {"cache"}
    assert (workplace / "out.nii.gz").read_bytes() == b"what was here before"


def test_several_scans_go_into_a_folder_and_a_bad_one_is_told(run: Run, workplace: Path, bad_inputs: None) -> None:
    shutil.copy(workplace / "ct.nii.gz", workplace / "second.nii.gz")
    scans = ("ct.nii.gz", "nan.nrrd", "second.nii.gz")
    done = run("segment", *scans, "cohort", "--model", "model", "--factor", "0.5", "--suffix", ".nii.gz", "--json")
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode == 2 and len(errors) == 1 and "nan.nrrd" in errors[0], done.stderr
    said = json.loads(done.stdout)
    assert [Path(one["output"]).name for one in said["segmentations"]] == ["ct.nii.gz", "second.nii.gz"]
    assert said["segmentations"][1]["cache"] == "hit" and [one["input"] for one in said["failed"]] == ["nan.nrrd"]
    first, second = (sitk.ReadImage(str(workplace / one["output"])) for one in said["segmentations"])
    assert np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(second))
    assert sorted(path.name for path in (workplace / "cohort").iterdir()) == ["ct.nii.gz", "second.nii.gz"]


def test_the_example_in_the_readme_runs(run: Run, workplace: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    written = sitk.ReadImage(str(workplace / "ct.seg.nrrd"))
    assert written.GetSize() == sitk.ReadImage(str(workplace / "ct.nii.gz")).GetSize()


def test_what_the_worker_refuses_is_one_line(run: Run) -> None:
    refused = run("segment", "ct.nii.gz", "refused.nii.gz", "--model", "model", "--factor", "1.5", "--json")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "outside" in refused.stderr


@mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_or_a_closed_terminal_ends_the_run_and_its_worker_and_writes_nothing(
    workplace: Path, number: str
) -> None:
    if not (workplace / "slow").exists():
        make_folder(workplace / "slow", features=(16, 16, 32), patch_size=(32, 32, 32))
    write_image(workplace / "large.nrrd", np.random.default_rng(0).normal(0, 300, (256, 256, 256)).astype(np.int16))
    slow = next((workplace / "slow").rglob("plans.json")).parent
    command = [*COMMAND, "segment", "large.nrrd", "large.nii.gz", "--model", str(slow), "--engine", "torch"]
    running = subprocess.Popen(
        command,
        cwd=workplace,
        env=environment(workplace),
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, and so would what these tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (workers := psutil.Process(running.pid).children()) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    before = set(workplace.iterdir())
    running.send_signal(getattr(signal, number))
    said = running.communicate(timeout=60)[1]
    assert set(workplace.iterdir()) == before
    assert (running.returncode, said) == (130, "Cancelled: nothing was written.\n")
    assert not (workplace / "large.nii.gz").exists()
    assert workers and not psutil.wait_procs(workers, timeout=20)[1]


COMMAND = [sys.executable, "-c", "from TuckerSegLib.cli.main import main; main()"]


def environment(workplace: Path) -> dict[str, str]:
    return {**os.environ, "TUCKERSEG_CACHE": str(workplace / "cache"), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def test_the_command_line_stands_alone(workplace: Path) -> None:
    def call(*arguments: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=workplace,
            env=environment(workplace),
            capture_output=True,
            text=True,
            timeout=600,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    shown = call("--help").stdout
    assert all(name in shown for name in ("segment", "levels", "compress", "models", "cache", "demo"))
    assert "not a medical device" in shown
    segmented = call("segment", "ct.nii.gz", "alone.seg.nrrd", "--model", "model", "--factor", "0.5", "--json")
    assert segmented.returncode == 0 and json.loads(segmented.stdout)["output"] == "alone.seg.nrrd"
    refused = call("segment", "none.nii.gz", "out.nii.gz")
    assert refused.returncode == 2 and refused.stdout == "" and refused.stderr.count("\n") == 1
