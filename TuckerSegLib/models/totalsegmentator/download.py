"""Fetching TotalSegmentator's weights from its own servers, and only when a user asked for it.

Nothing is sent but the request itself, and, for licensed tasks, the licence number as TotalSegmentator sends it. A
download that breaks off is resumed where it stopped, now or when it is asked for again.
"""

# mypy: allow-untyped-calls

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from filelock import FileLock

from ...errors import ModelError, OutputError
from ...progress import Progress
from .tasks import LICENCE_PAGE, Network, Task, version
from .weights import check_space, import_archive, is_whole, missing_networks, weights_folder

LICENCE_SERVER = "https://backend.totalsegmentator.com:443/"

_ATTEMPTS = 5

_SECONDS_BETWEEN_ATTEMPTS = 2.0

_SECONDS_OF_SILENCE = 60

_CHUNK = 1 << 17

_LARGEST = 20_000_000_000
"""Bytes of an archive; the largest of TotalSegmentator's takes a tenth of that."""

_REDIRECTS = 10

_SENT_AGAIN = (307, 308)
"""Redirections after which the same is asked of the other place, with all that was sent; after others, only for it."""

_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

_REFUSED = {
    requests.exceptions.SSLError: "{} cannot be fetched, as the server's certificate was refused: check the clock of "
    "this computer, and whether the network lets encrypted connections through.",
    requests.exceptions.ProxyError: "{} cannot be fetched, as the network's proxy refused: check its settings.",
}

_TOO_LARGE = "{} sends more than weights can be: try again later."

_ASK = "try again later, or ask TotalSegmentator's authors"


@dataclass(frozen=True)
class Source:
    """What to ask a server for; `content` is sent to nobody else."""

    url: str
    method: str = "GET"
    content: dict[str, str] | None = field(default=None, repr=False)


def install(task: Task, licence_number: str | None = None, progress: Progress | None = None) -> list[str]:
    """Fetch what a run of the task needs and is not here; the names of the folders that are new.

    `progress` is told of the stage "download", in bytes of each archive where the server says how many there are.

    Raises:
        Cancelled: `progress` was cancelled; what was fetched is kept.
        ModelError: a server cannot be reached, refuses the licence number or has no such weights, or what it sent is
            damaged. What was fetched of a download that broke off is kept.
        OutputError: the disk is full, or the folder of weights cannot be written to.
    """
    installed: list[str] = []
    progress, missing = progress or Progress(), missing_networks([task])
    for index, network in enumerate(missing):
        source = _source(network, licence_number)
        installed += _fetched_and_unpacked(network, source, progress.part(index, len(missing)))
    if licence_number and task.licensed:
        _remember(licence_number)
    return installed


def _source(network: Network, licence_number: str | None) -> Source:
    if network.url:
        return Source(network.url)
    if network.licence_name is None:
        raise ModelError(f"The weights {network.dataset} were never released: they can only be imported.")
    from totalsegmentator.config import get_license_number

    number = licence_number or get_license_number()
    if not number:
        raise ModelError(
            f"{network.dataset} needs a licence number: get one at {LICENCE_PAGE} and give it along "
            "(in the shell: --license-number NUMBER)."
        )
    content = {"license_number": number, "task": network.licence_name, "version": version()}
    return Source(f"{LICENCE_SERVER}download_weights", "POST", content)


def _fetched_and_unpacked(network: Network, source: Source, progress: Progress) -> list[str]:
    folder = weights_folder()
    part = folder / f".{network.dataset}.zip.part"
    lock = part.with_suffix(".lock")
    try:
        with _folder_for(folder), FileLock(lock):
            fetch(source, part, progress)
            try:
                new = import_archive(part)
            except ModelError as error:
                _forget(part)
                raise ModelError(f"What {source.url} sent is damaged or holds no nnU-Net: try again later.") from error
            _forget(part)
    finally:
        lock.unlink(missing_ok=True)
    progress.finish()
    if not is_whole(network):
        raise ModelError(f"What {source.url} sent holds no {network.folder}: these are weights of another version.")
    return new


@contextmanager
def _folder_for(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to ({error.strerror}): free space or ask for access.") from error


def fetch(source: Source, part: Path, progress: Progress) -> None:
    """Fetch into `part`, going on from what is there; it is kept when this fails.

    Raises:
        ModelError: the server cannot be reached, breaks off again and again, or refuses.
        OutputError: the disk has too little space.
        Cancelled: `progress` was cancelled.
    """
    progress.stage("download")
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        try:
            if _fetch_rest(source, part, progress):
                return
        except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise ModelError(_REFUSED[type(error)].format(source.url)) from error
        except _BROKEN as error:
            broken: Exception | None = error
        except requests.RequestException as error:
            raise ModelError(f"{source.url} cannot be fetched ({type(error).__name__}): try again later.") from error
        else:
            broken = None
    here = part.stat().st_size if part.exists() else 0
    raise ModelError(
        f"{source.url} could not be fetched ({here / 1e6:.1f} MB are here): check the network and try again "
        "to go on from there, or bring the archive from another computer and import it."
    ) from broken


def _fetch_rest(source: Source, part: Path, progress: Progress) -> bool:
    """Whether the file is whole now."""
    here, mark = _state(part)
    headers = {"Accept-Encoding": "identity"}
    if here and mark:
        headers |= {"Range": f"bytes={here}-", "If-Range": mark}
    with _answer(source, headers) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            _forget(part)
            return False
        _check(answer, source)
        here = _start(answer, source, here if "Range" in headers else None)
        total = here + _length(answer)
        if total > _LARGEST:
            raise ModelError(_TOO_LARGE.format(source.url))
        check_space(part.parent, 2 * (total - here) + here)  # once as the archive, once unpacked
        _mark(part).write_text(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        return _kept(answer, source, part, here, total, progress)


def _kept(answer: Any, source: Source, part: Path, here: int, total: int, progress: Progress) -> bool:
    """Write what comes; whether that is all of the `total` bytes, which are 0 where the server does not say."""
    with part.open("ab" if here else "wb") as file:
        for chunk in answer.iter_content(_CHUNK):
            progress.check()
            if total:
                progress.step(here, total)
            here += len(chunk)
            if here > (total or _LARGEST):
                file.close()
                _forget(part)
                raise ModelError(_TOO_LARGE.format(source.url))
            if not total:
                check_space(part.parent, len(chunk))
            file.write(chunk)
    return here >= total


@contextmanager
def _answer(source: Source, headers: dict[str, str]) -> Iterator[Any]:
    """What the server answers, or the one that it sends to; what is secret goes to no other."""
    url, method, content = source.url, source.method, source.content
    for _ in range(_REDIRECTS):
        with requests.request(
            method, url, json=content, headers=headers, stream=True, timeout=_SECONDS_OF_SILENCE, allow_redirects=False
        ) as answer:
            if not answer.is_redirect:
                yield answer
                return
            before, url = url, urljoin(url, answer.headers["Location"])
            if answer.status_code not in _SENT_AGAIN:
                method, content = "GET", None
            _check_redirect(source, before, url, content is not None)
    raise ModelError(f"{source.url} cannot be fetched (it sends from place to place): try again later.")


def _check_redirect(source: Source, before: str, url: str, secret: bool) -> None:
    old, new = urlsplit(before), urlsplit(url)
    if new.scheme != "https" and old.scheme != new.scheme:
        raise ModelError(f"{source.url} cannot be fetched (it sends to {new.hostname} without encryption): {_ASK}.")
    if secret and (old.scheme, old.hostname, old.port) != (new.scheme, new.hostname, new.port):
        raise ModelError(f"{source.url} wants the licence number sent to {new.hostname}, which was not done: {_ASK}.")


def _start(answer: Any, source: Source, asked: int | None) -> int:
    """The place in the file at which the server's answer begins.

    Raises:
        ModelError: it is not the one that was asked for.
    """
    if answer.status_code != requests.codes.partial_content:
        return 0
    if asked is None or not answer.headers.get("Content-Range", "").startswith(f"bytes {asked}-"):
        raise ModelError(f"{source.url} sent a part that nobody asked for: try again later.")
    return asked


def _length(answer: Any) -> int:
    """Bytes that the server promises to send; 0 where it does not say."""
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdecimal() else 0


def _check(answer: Any, source: Source) -> None:
    if answer.ok:
        return
    try:
        status = answer.json().get("status")
    except (ValueError, AttributeError):
        status = None
    if status == "invalid_license" or (source.content and answer.status_code in (401, 403)):
        raise ModelError("TotalSegmentator's server refused the licence number: check it, or ask for a new one.")
    gone = answer.status_code in (404, 410)
    advice = "it may be at another place by now, update TotalSegmentator" if gone else "try again later"
    raise ModelError(f"{source.url} cannot be fetched (the server answered {answer.status_code}): {advice}.")


def _state(part: Path) -> tuple[int, str]:
    """Bytes that are here, and the mark by which the server knows whether they are of the same file."""
    mark = _mark(part)
    return (part.stat().st_size if part.exists() else 0), (mark.read_text() if mark.exists() else "")


def _mark(part: Path) -> Path:
    return part.with_suffix(".mark")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _remember(licence_number: str) -> None:
    """Where TotalSegmentator looks for it. Where its settings did not exist, its usage statistics stay switched off."""
    from totalsegmentator import config

    new = config.get_config() is None
    config.get_totalseg_dir().mkdir(parents=True, exist_ok=True)
    config.setup_totalseg()
    if new:
        config.set_config_key("send_usage_stats", False)
    config.set_license_number(licence_number, skip_validation=True)
