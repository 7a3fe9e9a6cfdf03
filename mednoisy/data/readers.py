"""MONAI adapter of `images.py`: a transform that loads cases and lets faults through.

MONAI's own LoadImaged swallows what a reader raises and tries the next reader, so that a damaged file ends
in a message about missing libraries. Hence a transform of our own instead of an `ImageReader`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from mednoisy.data.images import Image, case_name, check_image, check_pair, read_image


class LoadCased(MapTransform):
    """Load the files of a case as MetaTensors, channels first.

    `image` becomes (C, *spatial) float32, `label` (1, *spatial) uint8, each with `affine`, `spatial_shape` and
    `filename_or_obj`, as MONAI's inversion and saving need them. Faults are told with the item's `id`, or the
    image's file name where it has none (it then receives that `id`). A key that an item lacks is left out.

    Args:
        keys: which of `image` and `label` to load; other keys are loaded like images.
        codes: label codes; where given, labels are checked against them and against their image's grid.

    Raises:
        UserError: E201 to E209, see `images.py`.
    """

    def __init__(self, keys: Sequence[str] = ("image", "label"), codes: Collection[int] | None = None):
        super().__init__(keys, allow_missing_keys=True)
        self.codes = None if codes is None else frozenset(int(code) for code in codes)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its paths replaced by what the files hold."""
        item = dict(data)
        paths = {str(key): str(item[key]) for key in self.key_iterator(item)}
        case = str(item.get("id") or case_name(next(iter(paths.values()), "")))
        images = {
            key: read_image(path, "label" if key == "label" else "image", case=case) for key, path in paths.items()
        }
        for key, image in images.items():
            if key != "label":
                check_image(image, case=case)
        if self.codes is not None and "label" in images:
            check_pair(images.get("image", images["label"]), images["label"], self.codes, case=case)
        item.update({key: _meta_tensor(image, paths[key], is_label=key == "label") for key, image in images.items()})
        item["id"] = case
        return item


def _meta_tensor(image: Image, path: str, *, is_label: bool) -> MetaTensor:
    channels_last = image.array if image.array.ndim > len(image.spacing) else image.array[..., np.newaxis]
    array = np.ascontiguousarray(np.moveaxis(channels_last, -1, 0), dtype=np.uint8 if is_label else np.float32)
    affine = torch.as_tensor(image.affine, dtype=torch.float64)
    meta = {
        "filename_or_obj": path,
        "original_affine": affine.clone(),
        "spatial_shape": np.asarray(image.shape),
        "original_channel_dim": "no_channel" if image.array.ndim == len(image.spacing) else -1,
        "space": "RAS",
    }
    return MetaTensor(torch.from_numpy(array), affine=affine, meta=meta)
