"""Image files in, label maps out; nothing is resampled.

`Geometry` is RAS millimetres and arrays are (K, J, I); what a format has instead is said where it is read.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import slicerio

from ..errors import InputError
from .dicom import read_dicom
from .itk import COMPRESSION, Labels, Voxels, complaint, read_itk, silent_itk, write_itk
from .nifti import read_nifti, write_nifti
from .output import SEGMENTATION_SUFFIX, check_output, output_suffix, whole_file
from .terminology import style
from .volume import RAS_TO_LPS, Geometry, LabelMap, Volume

__all__ = ["check_output", "read_volume", "write_segmentation"]

_READERS: dict[str, Callable[[Path], tuple[Voxels, Geometry]]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".nrrd": partial(read_itk, image_io="NrrdImageIO"),
    ".nhdr": partial(read_itk, image_io="NrrdImageIO"),
    ".mha": partial(read_itk, image_io="MetaImageIO"),
    ".mhd": partial(read_itk, image_io="MetaImageIO"),
}


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
    channels, geometries = zip(*map(_read_channel, paths), strict=True)
    for path, geometry in zip(paths, geometries, strict=True):
        _check_same_grid(paths[0], geometries[0], path, geometry)
    return Volume(np.stack(channels), geometries[0])


def _read_channel(path: Path) -> tuple[Voxels, Geometry]:
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist: check the name.")
        with silent_itk():
            return read_dicom(path) if path.is_dir() else _read_file(path)
    except (RuntimeError, ValueError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path} cannot be read ({error.strerror}): check that you may open it.") from error
        raise InputError(f"{path} {complaint(error)}.") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory: crop or resample it, or close other programs.") from error


def _read_file(path: Path) -> tuple[Voxels, Geometry]:
    suffix = next((suffix for suffix in _READERS if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise InputError(f"{path} is of an unknown kind: use {', '.join(_READERS)} or a DICOM folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: copy or export it again.")
    return _READERS[suffix](path)


def _check_same_grid(first_path: Path, first: Geometry, path: Path, other: Geometry) -> None:
    if not first.is_same_grid(other):
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
            write_nifti(labels, label_map.geometry, temporary)
        else:
            write_itk(labels, label_map.geometry, temporary)


def _smallest(labels: Labels) -> Labels:
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
    slicerio.write_segmentation(str(path), segmentation, compression_level=COMPRESSION)


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
        segment["tags"] = {"TerminologyEntry": structure.terminology}
    return segment
