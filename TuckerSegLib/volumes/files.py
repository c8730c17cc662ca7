"""Image files in, label maps out; nothing is resampled unless that is asked for.

`Geometry` is RAS millimetres and arrays are (K, J, I); what a format has instead is said where it is read.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nrrd import NRRDError

from ..errors import InputError, OutputError
from .dicom.headers import is_dicom
from .dicom.results.segmentation import check_dicom_output
from .dicom.series import read_dicom
from .formats.contents import DAMAGED, Labels, Voxels, regular_file
from .formats.metaimage import read_metaimage, write_metaimage
from .formats.nifti import read_nifti, write_nifti
from .formats.nrrd import read_nrrd, write_nrrd
from .output import (
    DICOM_SUFFIX,
    SEGMENTATION_SUFFIX,
    check_images_stay,
    check_writable,
    output_suffix,
    whole_file,
)
from .segments import segment_fields
from .volume import Geometry, LabelMap, Volume

_READERS: dict[str, Callable[[Path], tuple[Voxels, Geometry]]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
}

_DAMAGE = (RuntimeError, ValueError, LookupError, EOFError, zlib.error, ImageFileError, HeaderDataError, NRRDError)
"""What readers raise at content that no writer makes."""


def read_volume(paths: Sequence[Path], straighten: bool = False) -> Volume:
    """The image in `paths`, one file or DICOM folder a channel, in the order the network wants them.

    Reads .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, folders with one DICOM series, and any file of a series for the whole
    of it; left-handed grids keep their handedness. Of a NIfTI's two positions the one 3D Slicer takes is taken (the
    scanner's, before aligned ones).

    Args:
        paths: one a channel.
        straighten: resample DICOM series that are tilted or unevenly spaced, which are refused otherwise.

    Returns:
        Volume with voxels (C, K, J, I) in the files' own scalar type and units.

    Raises:
        InputError: a file is missing, damaged or no 3D grey image, or the channels lie on different grids.
    """
    paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not paths:
        raise InputError("No image was given: name one file or DICOM folder a channel.")
    channels = [_read_channel(path, straighten) for path in paths]
    for path, channel in zip(paths, channels, strict=True):
        _check_same_grid(paths[0], channels[0].geometry, path, channel.geometry)
    if len(channels) == 1:
        return channels[0]
    return Volume(np.concatenate([channel.voxels for channel in channels]), channels[0].geometry)


def _read_channel(path: Path, straighten: bool) -> Volume:
    with _told_of(path), np.errstate(all="ignore"):  # numbers that are none are refused where a geometry is made
        if not path.exists():
            raise InputError(f"{path} does not exist: check the name.")
        reader = None if path.is_dir() else _reader_of(regular_file(path))
        voxels, geometry = reader(path) if reader else read_dicom(path, straighten)
        return Volume(voxels[np.newaxis], geometry)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Whatever is wrong with the image at `path`, in one sentence that names it."""
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory: crop or resample it, or close other programs.") from error
    except _DAMAGE as error:
        raise InputError(f"{path} {DAMAGED}.") from error
    except OSError as error:
        if error.errno is None:
            raise InputError(f"{path} {DAMAGED}.") from error
        raise InputError(f"{path} cannot be read ({error.strerror}): check that you may open it.") from error


def _reader_of(path: Path) -> Callable[[Path], tuple[Voxels, Geometry]] | None:
    """The format of the file's suffix; none where the file is DICOM, whatever its name."""
    suffix = next((suffix for suffix in _READERS if path.name.lower().endswith(suffix)), None)
    if suffix is not None:
        return _READERS[suffix]
    if is_dicom(path):
        return None
    raise InputError(f"{path} is of an unknown kind: use {', '.join(_READERS)} or a DICOM folder.")


def _check_same_grid(first_path: Path, first: Geometry, path: Path, other: Geometry) -> None:
    if not first.is_same_grid(other):
        raise InputError(f"{path} does not lie on the same grid as {first_path}: resample one to the other.")


def check_output(path: Path, images: Sequence[Path] = (), straighten: bool = False) -> None:
    """Whether a result can be written to `path`, to be asked before a long run.

    Args:
        path: the result's file.
        images: files and DICOM folders that the run reads, none of which the result may take the place of.
        straighten: whether they are resampled where they are crooked.

    Raises:
        OutputError: the suffix is unknown, the folder is missing or cannot be written to, or an image is in the place.
        InputError: a DICOM segmentation was wanted of a series that forms no volume.
    """
    path = Path(path)
    check_writable(path)
    check_images_stay(path, images)
    if path.suffix.lower() == DICOM_SUFFIX:
        check_dicom_output(images, straighten)
    else:
        output_suffix(path)


def write_segmentation(label_map: LabelMap, path: Path, standard_names: bool = False) -> None:
    """Writes `label_map` to `path`: whole, or not at all and what was there before stays.

    `.seg.nrrd` is 3D Slicer's segmentation, a segment a label that occurs, with names, colours and SNOMED CT codes;
    `.nii.gz`, `.nii`, `.nrrd` and `.mha` are plain label maps in the smallest unsigned type that holds the labels.

    Args:
        label_map: labels (K, J, I) on their grid.
        path: the file to write, in a folder that exists.
        standard_names: name segments in words (`left kidney`), not as the network does (`kidney_left`).

    Raises:
        OutputError: the place cannot be written to, or the disk is full.
    """
    path = Path(path)
    suffix = output_suffix(path)
    labels, geometry = _smallest(label_map.labels), label_map.geometry
    with whole_file(path) as temporary:
        if suffix == SEGMENTATION_SUFFIX:
            write_nrrd(labels, geometry, temporary, segment_fields(label_map, standard_names))
        elif suffix == ".nrrd":
            write_nrrd(labels, geometry, temporary)
        elif suffix == ".mha":
            write_metaimage(labels, geometry, temporary)
        else:
            write_nifti(labels, geometry, temporary)


def write_image(image: Volume, path: Path) -> None:
    """Writes the one channel of `image` to a `.nrrd`, `.nii.gz` or `.nii` file: whole, or not at all.

    Raises:
        OutputError: the file has another suffix, or the place cannot be written to.
        ValueError: there are several channels.
    """
    (voxels,) = image.voxels
    suffix = output_suffix(path)
    if suffix not in (".nrrd", ".nii.gz", ".nii"):
        raise OutputError(f"{path} has no suffix that an image is written as: end it in .nrrd or .nii.gz.")
    with whole_file(path) as temporary:
        (write_nrrd if suffix == ".nrrd" else write_nifti)(voxels, image.geometry, temporary)


def _smallest(labels: Labels) -> Labels:
    return labels.astype(np.min_scalar_type(labels.max()), copy=False)
