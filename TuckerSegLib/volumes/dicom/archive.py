"""Series from an archive (PACS) and results back to it, over DICOMweb.

The archive's certificate is always checked, and images of patients go through no line that is not encrypted but to this
very computer. Names and passwords come from the environment or from the keyring of the user, and are written nowhere.
(DICOM PS3.18: QIDO-RS, WADO-RS, STOW-RS.) The package dicomweb-client speaks to the archive.
"""

# mypy: allow-untyped-calls

import ipaddress
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pydicom
import requests
from pydicom.datadict import tag_for_keyword
from requests.auth import AuthBase, HTTPBasicAuth

from ...errors import InputError, OutputError
from .headers import DAMAGE, is_dicom

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

USER, PASSWORD, TOKEN = "TUCKERSEG_PACS_USER", "TUCKERSEG_PACS_PASSWORD", "TUCKERSEG_PACS_TOKEN"
"""The variables of the environment that hold a name and a password, or a bearer token."""

CREDENTIALS = (USER, PASSWORD, TOKEN)

_ADVICE = f"set {USER} and {PASSWORD} or {TOKEN}, or keep them in the keyring under the archive's address"

_SECONDS_OF_SILENCE = 60

_REFUSED = (401, 403)

_UID = re.compile(r"[0-9.]{1,64}")

_TOLD_OF_A_SERIES = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")

_MOST_ANSWERED = 1000
"""Series that are asked for at once; archives have limits of their own, after which they are asked again."""


class ArchiveClosed(InputError):
    """The archive cannot be reached or does not let the user in, whatever is asked for."""


@dataclass(frozen=True)
class FoundSeries:
    """A series of an archive, by its UID, in the study of such a UID."""

    uid: str
    study: str
    modality: str
    instances: int


class _Bearer(AuthBase):
    """Puts a token into a request's header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Archive:
    """An archive that speaks DICOMweb.

    Args:
        url: where its services begin, such as https://pacs.example.org/dicom-web.
        certificates: a file of certificates to trust instead of the well-known ones, in PEM format.

    Raises:
        InputError: the address cannot be used, a package is missing, or there is no such file.
    """

    def __init__(self, url: str, certificates: Path | None = None) -> None:
        check_address(url)
        if find_spec("dicomweb_client") is None:
            raise InputError("An archive needs the package dicomweb-client: pip install 'tuckerseg[pacs]'.")
        if certificates and not certificates.is_file():
            raise InputError(f"There is no file {certificates} with certificates: check its name.")
        self._url = url
        self._certificates = certificates

    def pull(self, series: str, folder: Path) -> list[Path]:
        """Fetch all files of a series, by its UID, into an empty folder, as the archive has them.

        The files are called by their own UIDs.

        Raises:
            ArchiveClosed: the archive cannot be reached, or does not let the user in.
            InputError: it has no such series, or does not give it.
            OutputError: a file cannot be written.
        """
        if not _UID.fullmatch(series):
            raise InputError(f"{series} is no UID of a series: it has digits and points alone, such as 1.2.840.1.")
        with self._told(InputError, ArchiveClosed), self._client() as client:
            found = client.search_for_series(search_filters={"SeriesInstanceUID": series}, fields=["StudyInstanceUID"])
            studies = {str(one["0020000D"]["Value"][0]) for one in found if "0020000D" in one}
            if not studies:
                raise InputError(f"The archive has no series {series}: check its UID (Series Instance UID).")
            paths: list[Path] = []
            for study in sorted(studies):
                for dataset in client.iter_series(study, series, media_types=(("application/dicom", "*"),)):
                    if dataset.get("SeriesInstanceUID") != series:
                        raise InputError("The archive sent files of another series: ask whoever runs it.")
                    paths.append(folder / f"{_name_of(dataset, len(paths) + 1)}.dcm")
                    dataset.save_as(paths[-1], enforce_file_format=True, overwrite=False)
            return paths

    def find(self, filters: Mapping[str, str]) -> list[FoundSeries]:
        """The series whose attributes, by their keywords such as Modality, have these values, by their UIDs.

        Raises:
            ArchiveClosed: the archive cannot be reached, or does not let the user in.
            InputError: it does not know such an attribute, or there is none of that name.
        """
        for name in filters:
            if tag_for_keyword(name) is None:
                raise InputError(f"DICOM has no attribute {name}: name one as Modality, PatientID or StudyDate.")
        found: dict[str, FoundSeries] = {}
        with self._told(InputError, ArchiveClosed), self._client() as client:
            answers = client.search_for_series(
                search_filters=dict(filters), fields=_TOLD_OF_A_SERIES, limit=_MOST_ANSWERED, get_remaining=True
            )
            for answer in answers:
                told = pydicom.Dataset.from_json(answer)
                if _UID.fullmatch(str(told.SeriesInstanceUID)):
                    instances = int(told.get("NumberOfSeriesRelatedInstances") or 1)
                    one = FoundSeries(
                        str(told.SeriesInstanceUID), str(told.StudyInstanceUID), str(told.get("Modality")), instances
                    )
                    found[one.uid] = one
        return [found[uid] for uid in sorted(found)]

    def push(self, files: Sequence[Path]) -> None:
        """Store DICOM files in the archive, each as it is.

        Raises:
            InputError: one of them is no DICOM file; then none was stored.
            OutputError: the archive cannot be reached, does not let the user in, or does not take a file.
        """
        for file in files:
            if not file.is_file() or not is_dicom(file):
                raise InputError(f"{file} is no DICOM file: only those can be stored in an archive.")
        with self._told(OutputError), self._client() as client:
            for file in files:
                told = client.store_instances([pydicom.dcmread(file)])
                if told.get("FailedSOPSequence"):
                    reason = int(told.FailedSOPSequence[0].get("FailureReason") or 0)
                    raise OutputError(f"The archive did not take {file.name} (reason {reason:#06x} of DICOM PS3.18).")

    @contextmanager
    def _client(self) -> Iterator["DICOMwebClient"]:
        from dicomweb_client.api import DICOMwebClient

        with requests.Session() as session:
            if self._certificates:
                session.verify, session.trust_env = str(self._certificates), False  # whose certificates would win
            session.max_redirects = 0  # the one who answers may send the user's password and images anywhere
            session.auth = _credentials(self._url)
            client = DICOMwebClient(self._url, session, timeout=_SECONDS_OF_SILENCE, permissive_uid=True)
            client.set_http_retry_params(retry=False)
            yield client

    @contextmanager
    def _told(
        self, kind: type[InputError] | type[OutputError], closed: type[ArchiveClosed] | type[OutputError] = OutputError
    ) -> Iterator[None]:
        """What goes wrong on the way to the archive, without what it answers: that may name patients."""
        host = urlsplit(self._url).hostname
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
        try:
            yield
        except requests.exceptions.SSLError as error:
            advice = "name the file of your hospital's own with --certificates, if it has one."
            raise closed(f"The certificate of {host} was not accepted, so nothing was sent: {advice}") from error
        except requests.exceptions.TooManyRedirects as error:
            raise closed(f"{host} sends on to another address, which is not followed: give that one.") from error
        except requests.HTTPError as error:
            refused = error.response is not None and error.response.status_code in _REFUSED
            raise (closed if refused else kind)(_refusal(host, error.response)) from error
        except requests.ConnectionError as error:
            raise closed(f"{host} cannot be reached: check its address and the network.") from error
        except requests.RequestException as error:
            raise kind(f"{host} does not send what was asked for: try again, or ask whoever runs it.") from error
        except OSError as error:
            raise OutputError(f"What {host} sent cannot be written ({error.strerror}): free some space.") from error
        except DAMAGE as error:
            raise kind(f"{host} gives answers that are not DICOMweb: check the address.") from error


def _name_of(dataset: pydicom.Dataset, number: int) -> str:
    """Its UID, if that can be the name of a file."""
    uid = str(dataset.get("SOPInstanceUID") or "")
    return uid if _UID.fullmatch(uid) and uid.strip(".") else f"{number:06}"


def check_address(url: str) -> None:
    """
    Raises:
        InputError: this is no address, or one over which passwords or images could be seen.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url.split('@')[-1]} is no address of an archive: begin it with https://.")
    if parts.username or parts.password:
        raise InputError(f"Leave name and password out of the address, which others may see: {_ADVICE}.")
    if parts.scheme == "http" and not _is_this_computer(parts.hostname):
        raise InputError(f"Images of patients would reach {parts.hostname} unencrypted: give an address with https://.")


def _is_this_computer(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _credentials(url: str) -> AuthBase | None:
    """From the environment, else from the keyring, else none."""
    if token := os.environ.get(TOKEN):
        return _Bearer(token)
    if (user := os.environ.get(USER)) is not None:
        return HTTPBasicAuth(user, os.environ.get(PASSWORD, ""))
    kept: Any = None
    if find_spec("keyring") is not None:
        import keyring
        from keyring.errors import KeyringError

        with suppress(KeyringError):
            kept = keyring.get_credential(url, None)
    return HTTPBasicAuth(kept.username, kept.password) if kept else None


def _refusal(host: str | None, response: requests.Response | None) -> str:
    status = response.status_code if response is not None else 0
    if status in _REFUSED:
        return f"{host} does not let you in ({status}): {_ADVICE}."
    if status == requests.codes.not_found:
        return f"{host} has nothing at this address ({status}): check it, and the UID."
    return f"{host} could not do that ({status}): ask whoever runs the archive."
