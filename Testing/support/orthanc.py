"""A real archive for tests: Debian's Orthanc with its DICOMweb plug-in, on this computer alone."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

USER, PASSWORD = "radiologist", "correct horse"

_PLUGIN = "libOrthancDicomWeb.so"

_SECONDS_TO_START = 60.0


def program() -> str | None:
    """Where Orthanc is, if its plug-in is there, too."""
    found = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return found if found and _plugin() else None


@contextmanager
def orthanc(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """The address of an empty archive in `folder`, which ends with the block; with `certificate` it speaks HTTPS."""
    executable = program()
    assert executable
    port = _free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(_plugin())],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "SslEnabled": certificate is not None,
        "SslCertificate": str(certificate or ""),
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([executable, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        root = f"{'https' if certificate else 'http'}://localhost:{port}"
        _wait(process, root, certificate, folder / "log")
        yield f"{root}/dicom-web"
    finally:
        process.terminate()
        process.wait(30)


def _plugin() -> Path | None:
    folders = (Path("/usr/share/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))
    return next((folder / _PLUGIN for folder in folders if (folder / _PLUGIN).is_file()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", root: str, certificate: Path | None, log: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            answer = requests.get(f"{root}/system", auth=(USER, PASSWORD), timeout=5, verify=str(certificate or ""))
        except requests.RequestException:
            time.sleep(0.2)
        else:
            assert answer.ok, answer.status_code
            return
    raise AssertionError(f"Orthanc did not start: {log.read_text()[-2000:]}")
