"""`tuckerseg cohort`: a sentence for whatever is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest import CaptureFixture, MonkeyPatch

from TuckerSegLib.cli.main import main
from TuckerSegLib.cohorts.packages import check_packages, difference
from TuckerSegLib.errors import InputError

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: MonkeyPatch, capsys: CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tuckerseg", "cohort", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return call


BAD = {
    "two queueing systems": (["run", "scans", "results", "--slurm", "--pbs"], "choose --slurm or --pbs"),
    "no workers": (["run", "scans", "results", "--workers", "0"], "segment nothing"),
    "a cluster and jobs": (["run", "a", "b", "--sge", "--scheduler", "tcp://node1:8786"], "leave out --scheduler"),
    "no cohort": (["status", "nowhere"], "holds no cohort"),
    "nothing to report": (["report", "nowhere"], "holds no cohort"),
    "nothing to try again": (["retry", "nowhere"], "holds no cohort"),
    "no size": (["plan", "nowhere", "--scans", "10", "--memory", "much"], "much is no size"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_cannot_be_is_one_sentence(run: Run, tmp_path: Path, monkeypatch: MonkeyPatch, bad: str) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[bad]
    code, said = run(*arguments)
    assert code == 2 and words in said and said.count("\n") == 1 and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match=r"pip install 'tuckerseg\[cohort\]'"):
        check_packages(("no_such_package",))


def test_versions_that_differ_are_told() -> None:
    ours = {"python": "3.11.7", "torch": "2.13.0"}
    assert difference(ours, dict(ours)) == ""
    assert difference(ours, {"python": "3.11.7", "torch": "2.9.0"}) == "torch 2.9.0 instead of 2.13.0"
    assert difference(ours, {"python": "3.11.7"}) == "torch none instead of 2.13.0"
