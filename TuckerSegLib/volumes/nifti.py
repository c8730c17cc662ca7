"""NIfTI files, where ITK alone would not do.

Reading, ITK takes a missing end for zeros, NaN for 0 and a spacing of 0 for 1; writing, it says nothing of a full disk.
So the voxels go through nibabel. The position is still ITK's choice between qform and sform, as in 3D Slicer.

NIfTI's world is RAS millimetres and its arrays are (I, J, K), first axis fastest; here arrays are (K, J, I).
"""

# mypy: allow-untyped-calls

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ..errors import InputError
from .itk import DAMAGED, Labels, Voxels, geometry_of, open_grey_volume
from .volume import Geometry

_HEADER = 348


def read_nifti(path: Path) -> tuple[Voxels, Geometry]:
    """Voxels (K, J, I), scaled as the header says, and grid of a .nii or .nii.gz file.

    Raises:
        InputError: the file is no whole 3D grey image, its spacing is zero, or it has no orientation.
        RuntimeError, ValueError, EOFError, OSError, zlib.error: the file is damaged.
    """
    content = _content(path)
    _check_header(path, nibabel.Nifti1Header(content[:_HEADER], check=False))
    reader = open_grey_volume(path, "NiftiImageIO")
    try:
        voxels = np.asanyarray(nibabel.Nifti1Image.from_bytes(content).dataobj)
    except (HeaderDataError, ImageFileError, OSError) as error:
        raise ValueError("the header promises more than the file holds") from error
    native = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    return native.reshape(reader.GetSize(), order="F").T, geometry_of(reader)


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.decompress(content)  # to its end, where its checksum is
    if len(content) < _HEADER:
        raise InputError(f"{path} {DAMAGED}.")
    return content


def _check_header(path: Path, header: nibabel.Nifti1Header) -> None:
    if header["sizeof_hdr"] != _HEADER:
        raise InputError(f"{path} {DAMAGED}.")
    if header["dim"][0] >= 3 and not (header["pixdim"][1:4] > 0).all():
        raise InputError(f"{path} has a voxel spacing of zero or none: correct its header or export it again.")
    if not header["sform_code"] and not header["qform_code"]:
        raise InputError(f"{path} does not say which side is left (no qform or sform): export it again from DICOM.")


def write_nifti(labels: Labels, geometry: Geometry, path: Path) -> None:
    """Writes labels (K, J, I); qform and sform say the same, a sheared grid has only the sform.

    Raises:
        OSError: the file could not be written to its end.
    """
    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), geometry.ijk_to_ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(geometry.ijk_to_ras, code="scanner")
    image.set_qform(geometry.ijk_to_ras if _perpendicular(geometry) else None, code="scanner")
    nibabel.save(image, path)


def _perpendicular(geometry: Geometry) -> bool:
    directions = geometry.direction_lps
    return bool(np.allclose(directions.T @ directions, np.eye(3), atol=1e-4))
