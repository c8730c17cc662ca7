"""`tuckerseg pacs` against a real archive, and what it refuses before anything is sent."""

# mypy: allow-untyped-calls

import json
import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from support.dicom_series import write_series
from support.orthanc import PASSWORD, USER, orthanc, program
from support.trained_folders import make_folder

from TuckerSegLib.cli.main import main
from TuckerSegLib.errors import InputError, OutputError
from TuckerSegLib.volumes.dicom.archive import Archive
from TuckerSegLib.volumes.files import read_volume
from TuckerSegLib.volumes.volume import Geometry

pytest.importorskip("dicomweb_client")

SERIES = "1.2.3"

NEEDS_ORTHANC = pytest.mark.skipif(program() is None, reason="orthanc and orthanc-dicomweb (Debian) are not installed")


def tuckerseg(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["tuckerseg", "pacs", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_PACS_USER", USER)
    monkeypatch.setenv("TUCKERSEG_PACS_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory, url: str) -> list[Path]:
    """The files of a series that the archive has."""
    voxels = np.random.default_rng(0).normal(0, 300, (20, 22, 24)).astype(np.int16)
    grid = Geometry(voxels.shape, np.diag([1.0, 1.0, 2.0, 1.0]))
    files = write_series(tmp_path_factory.mktemp("ct"), grid, uid=SERIES, voxels=voxels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUCKERSEG_PACS_USER", USER)
        patch.setenv("TUCKERSEG_PACS_PASSWORD", PASSWORD)
        Archive(url).push(files)
    return files


# Against a real archive


@NEEDS_ORTHANC
@pytest.mark.slow
@pytest.mark.usefixtures("credentials")
def test_a_series_comes_back_as_it_was_stored(
    tmp_path: Path, url: str, series: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tuckerseg(monkeypatch, "pull", url, SERIES, str(tmp_path / "ct")) == 0
    before, after = read_volume([series[0].parent]), read_volume([tmp_path / "ct"])
    np.testing.assert_array_equal(before.voxels, after.voxels)
    np.testing.assert_array_equal(before.geometry.ijk_to_ras, after.geometry.ijk_to_ras)
    assert [path.name for path in tmp_path.iterdir()] == ["ct"]
    assert tuckerseg(monkeypatch, "pull", url, SERIES, str(tmp_path / "ct")) == 2  # it is there already


@NEEDS_ORTHANC
@pytest.mark.slow
@pytest.mark.usefixtures("credentials", "series")
def test_a_series_is_segmented_and_the_results_are_new_series_of_its_study(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    monkeypatch.setenv("TUCKERSEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    model = make_folder(tmp_path / "model")
    keep = tmp_path / "results"
    arguments = ["--rtstruct", "--report", "--keep", str(keep), "-m", str(model), "--json"]
    assert tuckerseg(monkeypatch, "segment", url, SERIES, *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["labels"] and told["output"] == str(keep)
    stored = {pydicom.dcmread(path).Modality: pydicom.dcmread(path) for path in keep.iterdir()}
    assert set(stored) == {"SEG", "RTSTRUCT", "SR"}
    for modality, dataset in stored.items():
        back = tmp_path / modality
        assert tuckerseg(monkeypatch, "pull", url, dataset.SeriesInstanceUID, str(back)) == 0
        (file,) = back.iterdir()
        assert pydicom.dcmread(file).StudyInstanceUID == dataset.StudyInstanceUID == "1.2"
    left = [path for path in (tmp_path / "temporary").rglob("*") if path.is_file()]
    assert left == []


@NEEDS_ORTHANC
@pytest.mark.slow
@pytest.mark.usefixtures("series")
def test_without_the_right_password_nothing_is_given_and_none_is_told(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError, match=r"does not let you in \(401\): set TUCKERSEG_PACS_USER"):
        Archive(url).pull(SERIES, tmp_path)
    monkeypatch.setenv("TUCKERSEG_PACS_USER", USER)
    monkeypatch.setenv("TUCKERSEG_PACS_PASSWORD", "wrong secret")
    with pytest.raises(InputError, match="does not let you in") as caught:
        Archive(url).pull(SERIES, tmp_path)
    assert "wrong secret" not in str(caught.value) + caplog.text
    assert not list(tmp_path.iterdir())


@NEEDS_ORTHANC
@pytest.mark.slow
@pytest.mark.usefixtures("credentials")
def test_a_series_that_is_not_there(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"has no series 1\.2\.99"):
        Archive(url).pull("1.2.99", tmp_path)


@NEEDS_ORTHANC
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.usefixtures("credentials")
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    key, certificate, both = tmp_path / "key.pem", tmp_path / "certificate.pem", tmp_path / "both.pem"
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made = ["openssl", *request.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    with orthanc(tmp_path, both) as url:
        assert url.startswith("https://")
        with pytest.raises(InputError, match=r"certificate of localhost was not accepted.*--certificates"):
            Archive(url).pull(SERIES, tmp_path)
        with pytest.raises(InputError, match="has no series"):
            Archive(url, certificate).pull(SERIES, tmp_path)


# What is refused before anything is sent


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://pacs.example.org/dicom-web", "unencrypted: give an address with https"),
        ("http://192.0.2.1:8042/dicom-web", "unencrypted"),
        ("http://localhost.example.org/", "unencrypted"),
        ("https://user:secret@pacs.example.org/dicom-web", "Leave name and password out"),
        ("pacs.example.org", "is no address"),
        ("ftp://pacs.example.org", "is no address"),
    ],
)
def test_addresses_that_are_not_safe(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Archive(url)
    assert "secret" not in str(caught.value)


def test_an_archive_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERSEG_PACS_TOKEN", "secret")
    with pytest.raises(InputError, match="localhost cannot be reached") as caught:
        Archive("http://localhost:9/dicom-web").pull(SERIES, tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("series", ["", "../instances", "Thorax", "1.2?x=1"])
def test_what_is_no_uid_is_not_asked_for(tmp_path: Path, series: str) -> None:
    with pytest.raises(InputError, match="is no UID of a series"):
        Archive("http://localhost:9/").pull(series, tmp_path)


def test_only_dicom_files_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("Not DICOM.")
    with pytest.raises(InputError, match=r"notes\.txt is no DICOM file"):
        Archive("http://localhost:9/").push([tmp_path / "notes.txt"])
    (dicom,) = write_series(tmp_path / "ct", Geometry((1, 5, 6), np.eye(4)), voxels=np.zeros((1, 5, 6), np.int16))
    monkeypatch.setenv("TUCKERSEG_PACS_TOKEN", "secret")
    with pytest.raises(OutputError, match="cannot be reached"):
        Archive("http://localhost:9/").push([dicom])
    assert tuckerseg(monkeypatch, "push", "http://localhost:9/", str(tmp_path / "notes.txt")) == 2
