"""Label maps as files of the kind that the image came in: pictures as PNG, all else as NIfTI."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, SaveImaged

from mednoisy.data.file_formats import NIFTI, is_picture
from mednoisy.data.images import case_name, write_nifti, write_nifti_like, write_picture
from mednoisy.errors import UserError


def label_file(folder: Path | str, case: str, image: Path | str) -> Path:
    """Where the label map of a case belongs: `folder/CASE.png` if its image is a picture, else `folder/CASE.nii.gz`."""
    return Path(folder) / f"{case}{'.png' if is_picture(Path(image)) else '.nii.gz'}"


def write_labels(
    path: Path,
    labels: np.ndarray,
    affine: np.ndarray,
    source: Path | str | None = None,
    codes: Sequence[int] = (),
) -> None:
    """Write class codes (*spatial), uint8, whole or not at all: they are the same numbers in every file of a run.

    Args:
        codes: the source's code of each class, which is written in its place; none where these are the class codes.
        affine: (4, 4), to RAS millimetres; of use where the header of `source` is not.
        source: the image's file. Of a NIfTI file the header is kept (qform, sform, their codes, units, an axis of
            length one), so that every program puts both in one place.
    """
    if len(codes):
        labels = np.asarray(codes, np.min_scalar_type(max(codes)))[labels]
    if is_picture(path):
        write_picture(path, labels)
    elif source is not None and str(source).lower().endswith(NIFTI):
        write_nifti_like(path, labels, source)
    else:
        write_nifti(path, labels, affine)


def write_grey(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write (*spatial) uint8 as it is, whole or not at all: 8 bits a voxel, whatever values occur."""
    if is_picture(path):
        write_picture(path, values)
    else:
        write_nifti(path, values, affine)


class SaveLabelsd(SaveImaged):
    """Save label maps (1, *spatial) under the names of their images; for a bundle's `inference.yaml`.

    A `SaveImaged` in name alone: MONAI Label leaves out what is one, for it writes and returns results itself.

    Args:
        keys: of the label maps, on the grid of the image's file.
        output_dir: folder.
        image: key of the image, a MetaTensor that `LoadCased` made.
        codes: as for `write_labels`.

    Raises:
        UserError: from the call: E207, another image had the same file.
    """

    def __init__(self, keys: str, output_dir: Path | str, image: str = "image", codes: Sequence[int] = ()):
        MapTransform.__init__(self, keys)
        self.output_dir, self.image, self.codes = Path(output_dir), image, tuple(codes)
        self._sources: dict[tuple[Path, Hashable], str] = {}  # of what was written

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item as it is."""
        item = dict(data)
        meta = item[self.image].meta
        source = meta["filename_or_obj"]
        for key in self.key_iterator(item):
            labels = torch.as_tensor(item[key])[0].cpu().numpy().astype(np.uint8)
            path = label_file(self.output_dir, case_name(source), source)
            if (before := self._sources.setdefault((path, key), str(source))) != str(source):
                cause = f"{before} and {source} would both be {path.name}"
                raise UserError("E207", cause, "Rename one, or use two folders", case=case_name(source))
            write_labels(path, labels, np.asarray(meta["original_affine"], dtype=np.float64), source, self.codes)
        return item
