"""Label maps as MONAI Label's server writes them for viewers; without that server nothing is changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.transforms import MapTransform

from mednoisy.data.file_formats import is_picture

REQUEST = "image_path"  # an entry that the server adds to what it infers
PICTURE = 3  # axes of the label map of one: its channel, and two


class ForViewersd(MapTransform):
    """Label maps (1, *spatial) as the server's writer wants them: 8 bits and, of a picture, (columns, rows).

    The writer transposes whatever it is given, and keeps the channel of a picture as an axis: a label map of 256 x 192
    would become a picture of 1 x 192. So the channel goes, the axes are exchanged, and the image's `spatial_shape` says
    so, or the label map would be resized to the old one. Pictures are answered as PNG, unless the request names a
    format: a JPEG would change codes. The last transform of a bundle's `postprocessing`.

    Args:
        keys: of the label maps, on the grid of the image's file.
        image: key of the image, a MetaTensor that `LoadCased` made.
    """

    def __init__(self, keys: str, image: str = "image"):
        super().__init__(keys)
        self.image = image

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item; as it is where no server asks."""
        item = dict(data)
        if REQUEST not in item:
            return item
        image = item[self.image]
        source = Path(image.meta["filename_or_obj"])
        for key in self.key_iterator(item):
            codes = item[key].to(torch.uint8)
            if len(codes.shape) > PICTURE:
                item[key] = codes
                continue
            item[key] = torch.as_tensor(codes)[0].T.contiguous()
            image.meta["spatial_shape"] = tuple(item[key].shape)
            if is_picture(source) and source.suffix.lower() != ".png":
                item["result_extension"] = item.get("result_extension") or ".png"
        return item
