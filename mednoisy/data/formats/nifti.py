"""NIfTI volumes, plain and packed by gzip.

A plain `.nii` has no checksum: a byte that was flipped among its voxels cannot be told.
"""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from mednoisy.data.formats.packed_streams import check_stream, read_voxels, unpacked_start
from mednoisy.data.formats.voxels import Voxels, contradiction, one_volume

SUFFIXES = (".nii", ".nii.gz")
UNORIENTED = b"orientation not stated"  # in the description, for its geometry cannot be stored without directions
UNITS = {1: 1000.0, 3: 0.001}  # metres and microns in millimetres; all other codes are taken for millimetres
VERSIONS = {348: (344, b"n+1\0", nibabel.Nifti1Header), 540: (4, b"n+2\0", nibabel.Nifti2Header)}
LENGTH = 544  # bytes, of the longer of the headers, and of what says whether more of it follows
AXES_AT_MOST = 7
VECTOR = 1007  # the intent of several values a voxel
CHANNELS = "channels"
FORMS_APART = 0.01  # of a voxel

logging.getLogger("nibabel.global").disabled = True  # it prints what it sets right in headers, and raises the rest


def read_nifti(path: Path, key: str) -> Voxels:
    """A NIfTI volume; its channels, where it is a vector of several values a voxel (intent 1007, after the time axis).

    Args:
        path: of the file.
        key: "channels" takes a fourth axis for channels, too, which else is time and refused.

    With both qform and sform code 0 the file states the size of its voxels, but neither place nor directions.
    """
    header, encoding = read_header(path), _encoding(path)
    shape, kind = header.get_data_shape(), header.get_data_dtype()
    array, axes = _volume(read_voxels(path, kind, shape, encoding, skip=_offset(header)), header, key == CHANNELS)
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    if (slope, intercept) != (1, 0):
        array = apply_read_scaling(array, np.float64(slope), np.float64(intercept)).astype(np.float32)
    millimetres = UNITS.get(int(header["xyzt_units"]) % 8, 1.0)  # the upper bits are the unit of time
    qform, sform = int(header["qform_code"]) > 0, int(header["sform_code"]) > 0
    return Voxels(
        array,
        np.diag([millimetres] * 3 + [1.0]) @ header.get_best_affine(),
        axes,
        oriented=(qform or sform) and header["descrip"].item() != UNORIENTED,
        placed=qform or sform,
        notes=_contradictions(header, axes, millimetres) if sform else (),
    )


def _volume(array: np.ndarray, header: nibabel.Nifti1Header, as_channels: bool) -> tuple[np.ndarray, int]:
    """(*spatial) or (*spatial, channels), and how many axes are spatial."""
    if array.ndim == 5 and array.shape[3] == 1 < array.shape[4] and int(header["intent_code"]) == VECTOR:
        return array[:, :, :, 0], 3
    if as_channels and array.ndim == 4 and array.shape[3] > 1:
        return array, 3
    array = one_volume(array)
    return array, array.ndim


def read_header(path: Path) -> nibabel.Nifti1Header:
    """The header of a NIfTI file, its sizes and offset checked.

    Raises:
        ValueError: with the cause; HeaderDataError.
    """
    encoding = _encoding(path)
    try:
        return _header(path, encoding)
    except (ValueError, HeaderDataError):
        if encoding != "raw":
            check_stream(path, encoding)  # damage is the cause, where there is some
        raise


def _encoding(path: Path) -> str:
    return "gzip" if path.name.lower().endswith(".gz") else "raw"


def _header(path: Path, encoding: str) -> nibabel.Nifti1Header:
    """The header, its sizes and offset checked."""
    if encoding == "raw":
        with open(path, "rb") as file:
            start = file.read(LENGTH)
    else:
        start = unpacked_start(path, encoding, LENGTH)
    for length, (place, magic, kind) in VERSIONS.items():
        orders = [order for order in "<>" if start[:4] == np.array(length, f"{order}i4").tobytes()]
        if orders:
            if len(start) < length:
                raise ValueError("truncated: it ends within its header")
            if start[place : place + 4] != magic:
                raise ValueError("no NIfTI of one file: its header lacks the mark of one")
            header = kind(start[:length], orders[0], check=False)
            _check_sizes(header)
            return kind(start[:length], orders[0], check=True)
    raise ValueError("truncated: it ends within its header" if len(start) < LENGTH else "no NIfTI header")


def _check_sizes(header: nibabel.Nifti1Header) -> None:
    """Refuse axes and sizes that cannot be, before anything is derived from them."""
    sizes = [int(size) for size in header["dim"]]
    if not 1 <= sizes[0] <= AXES_AT_MOST:
        raise ValueError(f"its header claims {sizes[0]} axes; NIfTI has 1 to {AXES_AT_MOST}")
    if min(sizes[1 : 1 + sizes[0]]) < 1:
        raise ValueError(f"its header claims a size of {'x'.join(map(str, sizes[1 : 1 + sizes[0]]))} voxels")
    _offset(header)


def _offset(header: nibabel.Nifti1Header) -> int:
    """Where the voxels begin; 0 stands for right after the header."""
    offset = float(header["vox_offset"])
    least = int(header.single_vox_offset)
    if offset == 0:
        return least
    if not np.isfinite(offset) or offset < least or offset != int(offset):
        raise ValueError(f"its header lets voxels begin at byte {offset:g}; {least} is the first that can be")
    return int(offset)


def _contradictions(header: nibabel.Nifti1Header, axes: int, millimetres: float) -> tuple[str, ...]:
    """What the sform, which is taken, contradicts: the size of voxels, and a qform of the same space."""
    matrix = header.get_sform()
    zooms = np.array(header.get_zooms()[:axes], dtype=np.float64)
    steps = np.linalg.norm(matrix[:3, : zooms.size], axis=0)
    notes = contradiction(zooms * millimetres, steps * millimetres, "pixdim", "sform")
    if notes or int(header["qform_code"]) != int(header["sform_code"]):
        return notes
    shape = (*header.get_data_shape(), 1, 1)[:3]
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], [1])).reshape(4, -1)
    apart = float(np.linalg.norm(((header.get_qform() - matrix) @ corners)[:3], axis=0).max())
    if not np.isfinite(apart) or apart <= FORMS_APART * steps.min():
        return ()
    return (
        f"contradicts itself: qform and sform of one space put a corner {apart * millimetres:.3g} mm apart, "
        "the sform was taken",
    )
