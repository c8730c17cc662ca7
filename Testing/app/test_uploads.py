"""What users send stays in their folder, is bounded, and is gone when it was read or refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("trame_server", reason="the application's packages are not installed: pip install 'tuckerseg[app]'")

from support.dicom_series import STRAIGHT, write_series

from TuckerSegLib.app.features.image.candidates import candidates
from TuckerSegLib.app.features.image.uploads import Uploads
from TuckerSegLib.errors import InputError


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


def send(uploads: Uploads, name: str, *content: bytes, batch: str = "1") -> None:
    asyncio.run(uploads.take(batch, name, pieces(*content)))


def test_files_keep_their_folders(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    send(uploads, "scan/a.dcm", b"1", b"2")
    assert (uploads.folder_of("1") / "scan" / "a.dcm").read_bytes() == b"12"
    uploads.remove("1")
    assert not list((tmp_path / "uploads").iterdir())


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "", "c:\\a", "a\0b", "x" * 2000])
def test_names_do_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        send(Uploads(tmp_path, 100), name, b"1")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_batches_are_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        send(Uploads(tmp_path, 100), "a", b"1", batch="../1")


def test_more_than_agreed_is_refused_and_removed(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, 100)
    send(uploads, "a.nii", b"x" * 60)
    with pytest.raises(InputError, match="cannot be sent"):
        send(uploads, "b.nii", b"x" * 30, b"x" * 30)
    assert not list((tmp_path / "uploads").rglob("*.nii"))
    with pytest.raises(InputError, match="cannot be sent"):
        uploads.check_size(101)


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="No image was found"):
        candidates(tmp_path)


def test_each_series_of_a_folder_can_be_chosen(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"series{number}"
        folder.mkdir()
        write_series(folder, STRAIGHT, uid=f"1.2.{number}")
    found = candidates(tmp_path)
    assert len(set(found.values())) == 2
