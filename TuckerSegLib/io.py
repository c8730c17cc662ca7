"""Image files in, label maps out; nothing is resampled.

Files and ITK place voxels in LPS millimetres, except NIfTI, which ITK turns from RAS to LPS; `Geometry` keeps RAS.
ITK's indices are (i, j, k), its arrays as NumPy (K, J, I).
"""

# mypy: allow-untyped-calls

import errno
import gzip
import math
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
import slicerio

from .dicom import read_dicom
from .errors import InputError
from .output import SEGMENTATION_SUFFIX, check_output, output_suffix, whole_file
from .terminology import style
from .volume import RAS_TO_LPS, Geometry, LabelMap, Volume

__all__ = ["check_output", "read_volume", "write_segmentation"]

_READERS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
_ITK_COMPLAINTS = {
    "Zero-valued spacing": "has a voxel spacing of zero: correct its header or export it again",
    "determinant is 0": "has singular axis directions: correct its header or export it again",
    "orthonormal": "has axes that are singular or not perpendicular: correct its header or resample it",
}
_DAMAGED = "is damaged, cut off or not an image: copy or export it again"
_SAME_GRID = 1e-3
_COMPRESSION = 3
"""zlib's level: label maps hardly shrink further above it, and take far longer."""
_CHUNK = 1 << 20
_NIFTI_HEADER = 348
_stderr_lock = threading.Lock()


def read_volume(paths: Sequence[Path]) -> Volume:
    """The image in `paths`, one file or DICOM folder a channel, in the order the network wants them.

    Reads .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd and folders with one DICOM series; left-handed grids keep their
    handedness. Of a NIfTI's two positions the one 3D Slicer takes is taken (the scanner's, before aligned ones).

    Returns:
        Volume with voxels (C, K, J, I) in the files' own scalar type and units.

    Raises:
        InputError: a file is missing, damaged or no 3D grey image, or the channels lie on different grids.
    """
    paths = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not paths:
        raise InputError("No image was given: name one file or DICOM folder a channel.")
    images = [_read_image(path) for path in paths]
    geometries = [_geometry(image) for image in images]
    for path, geometry in zip(paths, geometries, strict=True):
        _check_same_grid(paths[0], geometries[0], path, geometry)
    return Volume(np.stack([sitk.GetArrayFromImage(image) for image in images]), geometries[0])


def _read_image(path: Path) -> sitk.Image:
    """One 3D grey image from a file or a DICOM folder."""
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist: check the name.")
        image = _quietly_read(path)
    except (RuntimeError, EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} {_complaint(error)}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check that you may open it.") from error
    _check_grey_volume(path, image.GetDimension(), image.GetNumberOfComponentsPerPixel())
    if min(image.GetSize()) < 2:
        raise InputError(f"{path} is a single slice: choose a volume with several.")
    return image


def _quietly_read(path: Path) -> sitk.Image:
    with _silent_itk():
        return read_dicom(path) if path.is_dir() else _read_file(path)


def _read_file(path: Path) -> sitk.Image:
    suffix = next((suffix for suffix in _READERS if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"{path} is of an unknown kind: use {', '.join(_READERS)} or a DICOM folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: copy or export it again.")
    if _READERS[suffix] == "NiftiImageIO":
        _check_nifti(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[suffix])
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    _check_grey_volume(path, reader.GetDimension(), reader.GetNumberOfComponents())
    image: sitk.Image = reader.Execute()
    return image


def _check_grey_volume(path: Path, dimension: int, components: int) -> None:
    if dimension != 3:
        raise InputError(f"{path} is a {dimension}D image: choose one 3D volume.")
    if components != 1:
        raise InputError(f"{path} has {components} values a voxel (a colour image?): convert it to grey.")


def _complaint(error: Exception) -> str:
    text = str(error)
    return next((advice for phrase, advice in _ITK_COMPLAINTS.items() if phrase in text), _DAMAGED)


def _check_nifti(path: Path) -> None:
    """What ITK passes over in a NIfTI file: a missing end, a spacing of zero, no orientation at all.

    Raises:
        InputError: any of these.
        EOFError, gzip.BadGzipFile, zlib.error: the compressed data is damaged.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        block = file.read(_NIFTI_HEADER)
        size = len(block) + sum(len(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))
    if len(block) < _NIFTI_HEADER:
        raise InputError(f"{path} {_DAMAGED}.")
    header = nibabel.Nifti1Header(block, check=False)
    rank = int(header["dim"][0])
    voxels = math.prod(map(int, header["dim"][1 : rank + 1]))
    if not 1 <= rank <= 7 or size < float(header["vox_offset"]) + voxels * int(header["bitpix"]) / 8:
        raise InputError(f"{path} {_DAMAGED}.")
    if rank >= 3 and not (header["pixdim"][1:4] > 0).all():
        raise InputError(f"{path} has a voxel spacing of zero or none: correct its header or export it again.")
    if not header["sform_code"] and not header["qform_code"]:
        raise InputError(f"{path} does not say which side is left (no qform or sform): export it again from DICOM.")


@contextmanager
def _silent_itk() -> Iterator[None]:
    """Keeps ITK's and its libraries' own messages, some of which go straight to stderr, from the user."""
    with _stderr_lock:
        shown = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.GlobalWarningDisplayOff()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
            sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _geometry(image: sitk.Image) -> Geometry:
    i, j, k = image.GetSize()
    return Geometry.from_lps((k, j, i), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def _check_same_grid(first_path: Path, first: Geometry, path: Path, other: Geometry) -> None:
    if first.shape != other.shape or not np.allclose(first.ijk_to_ras, other.ijk_to_ras, rtol=0, atol=_SAME_GRID):
        raise InputError(f"{path} does not lie on the same grid as {first_path}: resample one to the other.")


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
    labels = _smallest(label_map.labels)
    with whole_file(path) as temporary:
        if suffix == SEGMENTATION_SUFFIX:
            _write_segments(LabelMap(labels, label_map.geometry, label_map.names), temporary, standard_names)
        elif suffix in (".nii.gz", ".nii"):
            _write_nifti(labels, label_map.geometry, temporary)
        else:
            _write_itk(labels, label_map.geometry, temporary)


def _smallest(labels: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.unsignedinteger]:
    return labels.astype(np.min_scalar_type(labels.max()), copy=False)


def _write_segments(label_map: LabelMap, path: Path, standard_names: bool) -> None:
    i, j, k = label_map.labels.shape[::-1]
    extent = [0, i - 1, 0, j - 1, 0, k - 1]
    segments = [_segment(label, label_map, standard_names) for label in label_map.voxel_counts()]
    segmentation = {
        "voxels": label_map.labels.transpose(2, 1, 0),  # slicerio wants (I, J, K)
        "ijkToLPS": RAS_TO_LPS @ label_map.geometry.ijk_to_ras,
        "containedRepresentationNames": ["Binary labelmap"],
        "segments": [{**segment, "extent": extent} for segment in segments],
    }
    slicerio.write_segmentation(str(path), segmentation, compression_level=_COMPRESSION)


def _segment(label: int, label_map: LabelMap, standard_names: bool) -> dict[str, object]:
    structure = style(label_map.names.get(label, f"label_{label}"))
    segment: dict[str, object] = {
        "id": structure.name,
        "name": structure.label if standard_names else structure.name,
        "nameAutoGenerated": False,
        "color": structure.color,
        "colorAutoGenerated": False,
        "labelValue": label,
        "layer": 0,
    }
    if structure.terminology:
        segment["terminology"] = slicerio.terminology_entry_from_string(structure.terminology)
    return segment


def _write_nifti(labels: npt.NDArray[np.unsignedinteger], geometry: Geometry, path: Path) -> None:
    # Not through ITK: it says nothing when the disk is full, and cannot store axes that are not perpendicular.
    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), geometry.ijk_to_ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(geometry.ijk_to_ras, code="scanner")
    image.set_qform(geometry.ijk_to_ras if _perpendicular(geometry) else None, code="scanner")
    nibabel.save(image, path)


def _perpendicular(geometry: Geometry) -> bool:
    directions = geometry.direction_lps
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-4))


def _write_itk(labels: npt.NDArray[np.unsignedinteger], geometry: Geometry, path: Path) -> None:
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin_lps)
    image.SetDirection(geometry.direction_lps.ravel().tolist())
    try:
        with _silent_itk():
            sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=_COMPRESSION)
    except RuntimeError as error:  # ITK does not say why
        raise OSError(errno.EIO, "perhaps the disk is full") from error
