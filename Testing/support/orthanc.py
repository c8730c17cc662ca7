"""A real archive for tests: Debian's Orthanc with its DICOMweb plug-in, on this computer alone."""

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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
    """The address of an empty archive in `folder`, which ends with the block; with `certificate` it speaks HTTPS.

    Not by itself, as Debian 12's Orthanc crashes at the first request then, but as in clinics, by a proxy before it.
    """
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
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([executable, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        _wait(process, f"http://localhost:{port}", folder / "log")
        with _encrypted(port, certificate) if certificate else nullcontext(f"http://localhost:{port}") as root:
            yield f"{root}/dicom-web"
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _encrypted(port: int, certificate: Path) -> Iterator[str]:
    """The address of a proxy that speaks TLS, and hands everything on to that port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_hand_on(reader, back), _hand_on(there, writer))

    own = _free_port()
    server = loop.run_until_complete(asyncio.start_server(serve, "localhost", own, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"https://localhost:{own}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _hand_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await source.read(65536):
            target.write(content)
            await target.drain()
    target.close()


def _plugin() -> Path | None:
    folders = (Path("/usr/share/orthanc/plugins"), Path("/usr/local/share/orthanc/plugins"))
    return next((folder / _PLUGIN for folder in folders if (folder / _PLUGIN).is_file()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", root: str, log: Path) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            answer = requests.get(f"{root}/system", auth=(USER, PASSWORD), timeout=5)
        except requests.RequestException:
            time.sleep(0.2)
        else:
            assert answer.ok, answer.status_code
            return
    raise AssertionError(f"Orthanc did not start: {log.read_text()[-2000:]}")
