"""A cohort of the series that an archive finds: fetched one by one, and nothing of them kept."""

# mypy: allow-untyped-calls

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import one_core_each, small_model
from support.dicom_series import write_series
from support.orthanc import PASSWORD, USER, orthanc, program

import TuckerSegLib as tuckerseg  # noqa: N813
from TuckerSegLib.cli.main import main
from TuckerSegLib.cohorts.clusters import Where
from TuckerSegLib.cohorts.cohort import Cohort, cohort_in
from TuckerSegLib.cohorts.manifest import DONE
from TuckerSegLib.cohorts.report.page import write_report
from TuckerSegLib.cohorts.running import run
from TuckerSegLib.cohorts.scans.archived import Query
from TuckerSegLib.cohorts.scans.inputs import find_scans, inputs_of
from TuckerSegLib.errors import InputError, WorkerError
from TuckerSegLib.segmentation.request import Request
from TuckerSegLib.volumes.dicom.archive import Archive
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry

pytest.importorskip("dicomweb_client")

NEEDS_ORTHANC = pytest.mark.skipif(program() is None, reason="orthanc and orthanc-dicomweb (Debian) are not installed")

COUNT = 3


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A name and a password, and a folder for what is there for a while."""
    with one_core_each(tmp_path_factory.mktemp("cache")) as patch:
        patch.setenv("TUCKERSEG_PACS_USER", USER)
        patch.setenv("TUCKERSEG_PACS_PASSWORD", PASSWORD)
        temporary = tmp_path_factory.mktemp("temporary")
        patch.setenv("TMPDIR", str(temporary))
        yield temporary


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of three CTs, by their UIDs."""
    folders = {}
    for number in range(COUNT):
        voxels = np.random.default_rng(number).normal(0, 300, (18 + number, 20, 22)).astype(np.int16)
        uid = f"1.2.{number + 3}"
        folders[uid] = tmp_path_factory.mktemp("ct")
        write_series(folders[uid], Geometry(voxels.shape, np.diag([1.5, 1.5, 1.5, 1.0])), uid=uid, voxels=voxels)
    return folders


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, environment: Path, stored: dict[str, Path]) -> Iterator[str]:
    """An archive that has them."""
    with orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        for folder in stored.values():
            Archive(found).push(sorted(folder.iterdir()))
        yield found


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, url: str) -> Cohort:
    folder = tmp_path_factory.mktemp("cohort")
    request = Request(str(small_model(folder / "model")), 0.5, engine="torch", exact_ranks=True)
    return Cohort(inputs_of(f"{url}?Modality=CT"), folder / "results", request)


@NEEDS_ORTHANC
@pytest.mark.slow
def test_every_series_that_is_found_is_segmented_and_none_is_kept(
    cohort: Cohort, stored: dict[str, Path], environment: Path
) -> None:
    records = {record["id"]: record for record in run(cohort, Where(workers=2))}
    assert {uid: record["event"] for uid, record in records.items()} == dict.fromkeys(stored, DONE)
    client = tuckerseg.Client()
    for uid, folder in stored.items():
        alone = client.segment(read_volume([folder]), cohort.request).wait().label_map.labels
        assert np.array_equal(read_volume([cohort.places.result(uid, ".seg.nrrd")]).voxels[0], alone)
        assert records[uid]["seconds"]["fetch"] > 0 and records[uid]["columns"]["modality"] == "CT"
    client.close()
    assert not [path for path in environment.rglob("*.dcm")]


@NEEDS_ORTHANC
@pytest.mark.slow
def test_the_same_query_goes_on_with_what_is_new(cohort: Cohort, url: str, tmp_path: Path) -> None:
    assert list(run(cohort, Where(workers=1))) == []
    assert cohort_in(cohort.results).inputs == cohort.inputs
    voxels = np.random.default_rng(9).normal(0, 300, (18, 20, 22)).astype(np.int16)
    new = write_series(tmp_path / "new", Geometry(voxels.shape, np.eye(4)), uid="1.2.9", voxels=voxels)
    Archive(url).push(new)
    assert [(one["id"], one["event"]) for one in run(cohort, Where(workers=1))] == [("1.2.9", DONE)]
    assert write_report(cohort).is_file()


@NEEDS_ORTHANC
@pytest.mark.slow
def test_what_an_archive_does_not_give_is_one_sentence(
    cohort: Cohort, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = replace(cohort, inputs=Query.of(f"{url}?Modality=MR"), results=tmp_path / "results")
    with pytest.raises(InputError, match="no series of images for"):
        list(run(nothing))
    monkeypatch.setenv("TUCKERSEG_PACS_PASSWORD", "wrong secret")
    with pytest.raises(InputError, match="does not let you in") as caught:
        list(run(replace(cohort, results=tmp_path / "others")))
    assert "wrong secret" not in str(caught.value)


@NEEDS_ORTHANC
@pytest.mark.slow
def test_an_archive_that_closes_stops_the_run_and_blames_no_scan(
    tmp_path: Path, stored: dict[str, Path], cohort: Cohort
) -> None:
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as url:
        for folder in stored.values():
            Archive(url).push(sorted(folder.iterdir()))
        here = replace(cohort, inputs=Query.of(f"{url}?Modality=CT"), results=tmp_path / "results")
        records = run(here, Where(workers=1))
        first = next(records)
    with pytest.raises(WorkerError, match=r"cannot be reached.*the same command goes on"):
        list(records)
    assert first["event"] == DONE
    assert len(list((tmp_path / "results").rglob("*.seg.nrrd"))) < COUNT


def test_a_query_is_an_address_with_filters(tmp_path: Path) -> None:
    query = inputs_of("https://pacs.example.org/dicom-web?StudyDate=20240101-20240131&Modality=CT")
    assert isinstance(query, Query) and query.url == "https://pacs.example.org/dicom-web"
    assert query.filters == (("Modality", "CT"), ("StudyDate", "20240101-20240131"))
    assert inputs_of(str(query)) == query and Cohort(query, tmp_path).settings("")["inputs"] == str(query)


BAD = {
    "no filters": ("https://pacs.example.org/dicom-web", r"Say which series of pacs\.example\.org are meant"),
    "an attribute that there is not": ("https://pacs.example.org/d?Modalty=CT", "DICOM has no attribute Modalty"),
    "a line that others read": ("http://pacs.example.org/d?Modality=CT", "unencrypted"),
    "a password": ("https://me:secret@pacs.example.org/d?Modality=CT", "Leave name and password out"),
    "no archive": ("http://localhost:9/d?Modality=CT", "localhost cannot be reached"),
    "another protocol": ("ftp://pacs.example.org/?Modality=CT", "is no address of an archive"),
}


@pytest.mark.parametrize("bad", BAD)
def test_queries_that_cannot_be_asked_are_one_sentence(tmp_path: Path, bad: str) -> None:
    text, sentence = BAD[bad]
    with pytest.raises(InputError, match=sentence) as caught:
        find_scans(inputs_of(text), tmp_path)
    assert "secret" not in str(caught.value)


def test_the_command_takes_a_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv", ["tuckerseg", "cohort", "run", "http://localhost:9/d?Modality=CT", str(tmp_path / "r")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "localhost cannot be reached" in capsys.readouterr().err
