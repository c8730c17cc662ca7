"""Which images a folder of sent files holds."""

from collections.abc import Iterator
from pathlib import Path

from ....errors import InputError
from ....volumes.dicom.series import series_of, volumes_in

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


def candidates(folder: Path) -> dict[str, Path]:
    """What `read_volume` takes, by what it is called for the user.

    Raises:
        InputError: there is nothing that could be an image.
    """
    found = dict(_found(folder))
    if not found:
        kinds = ", ".join(_SUFFIXES)
        raise InputError(f"No image was found in what was sent: send a {kinds} file or a folder of DICOM files.")
    return found


def _found(folder: Path) -> Iterator[tuple[str, Path]]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    images = [file for file in files if file.name.lower().endswith(_SUFFIXES)]
    yield from ((str(file.relative_to(folder)), file) for file in images)
    if images:
        return
    for place in sorted({file.parent for file in files}):
        for number, path in enumerate(_volumes(place), start=1):
            where = place.relative_to(folder)
            yield f"{number}. {_described(path)}" + (f" in {where}" if where.parts else ""), path


def _volumes(place: Path) -> list[Path]:
    try:
        return volumes_in(place)
    except (InputError, OSError):  # other files lie there, or none that can be read
        return []


def _described(path: Path) -> str:
    """Modality and number of slices; what forms no volume is refused once it is chosen."""
    try:
        return str(series_of(path)[0])
    except (InputError, OSError):
        return path.name
