"""Label maps as viewers ask for them: NRRD or NIfTI for volumes, PNG for pictures."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from mednoisy.data.file_formats import NIFTI, is_picture
from mednoisy.data.image import right_angled
from mednoisy.inference.label_map_files import write_labels

PACKED, NRRD = ".nii.gz", ".nrrd"


def write_for_viewer(labels: np.ndarray, affine: np.ndarray, image: Path, wanted: str) -> Path:
    """Write (*spatial) uint8 as a temporary file, which whoever asked removes; its path.

    Args:
        affine: (4, 4), of the image.
        wanted: ending that the viewer asks for. A picture is always PNG; a volume is NIfTI where another format is
            wanted, or where its axes stand at no right angles, which ITK's NRRD cannot tell.
    """
    if is_picture(image):
        return _written(labels, affine, image, ".png")
    path = _written(labels, affine, image, wanted if wanted in NIFTI else PACKED)
    if not wanted.lower().endswith(NRRD) or not right_angled(np.asarray(affine)[:3, :3]):
        return path
    import SimpleITK as sitk

    target = _temporary(NRRD)
    sitk.WriteImage(sitk.ReadImage(str(path)), str(target), useCompression=True)
    path.unlink()
    return target


def _written(labels: np.ndarray, affine: np.ndarray, image: Path, ending: str) -> Path:
    path = _temporary(ending)
    write_labels(path, labels, affine, image)
    return path


def _temporary(ending: str) -> Path:
    handle, name = tempfile.mkstemp(suffix=ending)
    os.close(handle)
    return Path(name)
