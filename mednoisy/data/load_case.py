"""MONAI adapter of `images.py`: a transform that loads cases and lets faults through.

MONAI's own LoadImaged swallows what a reader raises and tries the next reader, so that a damaged file ends
in a message about missing libraries. Hence a transform of our own instead of an `ImageReader`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform

from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.image_pairs import check_pair, pair_notes
from mednoisy.data.images import Image, case_name, check_image, read_image
from mednoisy.data.label_maps import ignored_codes, read_reference, stored_codes
from mednoisy.data.orienting import Orientedd
from mednoisy.errors import UserError
from mednoisy.notices import tell_each

SPACED = "Store it with its spacing, or take its grid as it is (--set spacing=null, slice by slice plane_spacing=null)"
GREYS_OF_16_BITS = 257  # each stands for one of 8 bits: 65535 / 255


class LoadCased(MapTransform):
    """Load the files of a case as MetaTensors, channels first.

    `image`, a file or a folder that holds one DICOM series, becomes (C, *spatial) float32, `label` (1, *spatial) uint8
    with every code that the item tells to `ignore` ("254 255") as `IGNORED`, each with `affine`, `spatial_shape` and
    `filename_or_obj`, as MONAI's inversion and saving need them. Faults are told with the item's `id`, or the
    image's file name where it has none (it then receives that `id`). A key that an item lacks is left out.

    Pictures, (3, rows, columns) or (1, rows, columns), keep the values of their file; as labels they are read by
    `label_maps.py` (white is code 1, soft edges are cut).

    Args:
        keys: which of `image` and `label` to load; other keys are loaded like images.
        codes: label codes; where given, labels are checked against them and against their image's grid.
        axes: how many spatial axes an image must have, 2 or 3; None for any. A volume of one slice has two where
            two are wanted.
        channels: how many an image must have; None for as many as its file has. For 3, 16 bits come on the scale of
            8, as fractions, and one grey becomes three equal channels; for 1, three equal channels become one.
        located: whether an image's file must state how large its voxels are.

    What a header contradicts, or what image and label do not say of their places, is told once a kind.

    Raises:
        UserError: E201 to E209, E240 and E259, see `images.py`; E225 other channels or numbers, and E227 other axes,
            than wanted; E228 no size of voxels, where one is wanted; E223 and E224, see `label_maps.py`.
    """

    def __init__(
        self,
        keys: Sequence[str] = ("image", "label"),
        codes: Collection[int] | None = None,
        axes: int | None = None,
        channels: int | None = None,
        located: bool = False,
    ):
        super().__init__(keys, allow_missing_keys=True)
        self.codes = None if codes is None else frozenset(int(code) for code in codes)
        self.axes, self.channels, self.located = axes, channels, located

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its paths replaced by what the files hold."""
        item = dict(data)
        paths = {str(key): str(item[key]) for key in self.key_iterator(item)}
        case = str(item.get("id") or case_name(next(iter(paths.values()), "")))
        images = {
            key: read_reference(path, self.codes, ignore=ignored_codes(item), stored=stored_codes(item), case=case)
            if key == "label"
            else self._image(path, case)
            for key, path in paths.items()
        }
        for key, image in images.items():
            if key != "label":
                check_image(image, case=case)
            tell_each([f"{key} {note}" for note in image.notes], case)
        if "label" in images:
            tell_each(
                [
                    f"image and label {note}"
                    for note in pair_notes(images.get("image", images["label"]), images["label"])
                ],
                case,
            )
            if self.axes == 2:
                images["label"] = images["label"].as_slice()
        if self.codes is not None and "label" in images:
            codes = self.codes | {IGNORED} if ignored_codes(item) else self.codes  # others are refused on reading
            images["label"] = check_pair(images.get("image", images["label"]), images["label"], codes, case=case)
        item.update({key: _meta_tensor(image, paths[key], is_label=key == "label") for key, image in images.items()})
        item["id"] = case
        return item

    def _image(self, path: str, case: str) -> Image:
        image = read_image(path, "image", channels=self.channels not in (None, 1), case=case)
        if self.axes == 2:
            image = image.as_slice()
        array, axes = image.array, len(image.spacing)
        if self.axes not in (None, axes):
            wanted = "Give pictures" if self.axes == 2 else "Give volumes"
            cause = f"{path} has {axes} axes ({'x'.join(map(str, image.shape))}), wanted {self.axes}"
            raise UserError("E227", cause, f"{wanted}, or take a bundle for images of {axes} axes", case=case)
        if self.located and not image.located:
            cause = f"{path} does not state how large its voxels are, which one spacing for all volumes needs"
            raise UserError("E228", cause, SPACED, case=case)
        channels = array.shape[-1] if array.ndim > axes else 1
        if self.channels == 3 and channels in (1, 3):
            array = _on_8_bits(array, path, case)
            return replace(image, array=array if channels == 3 else np.repeat(array[..., np.newaxis], 3, axis=-1))
        if self.channels in (None, channels):
            return image
        if (self.channels, channels) == (1, 3) and (array == array[..., :1]).all():
            return replace(image, array=array[..., 0])
        cause = f"{path} has {channels} channels, wanted {self.channels}"
        raise UserError("E225", cause, "Convert the file, or take a bundle for images of such channels", case=case)


def check_chain(preprocessing: object) -> None:
    """Refuse what is no chain of transforms.

    Raises:
        ValueError: naming it, which the command line tells as E107.
    """
    if not isinstance(preprocessing, Compose) or not all(callable(step) for step in preprocessing.transforms):
        shown = getattr(preprocessing, "transforms", preprocessing)
        raise ValueError(f"preprocessing is {shown!r:.200}; it must be a Compose of transforms")


class CheckingReader(LoadCased):
    """Reads as `LoadCased`, and refuses what later steps would, without their work: slices along an unknown axis."""

    def __init__(self, reader: LoadCased, codes: Collection[int], turns: Sequence[Orientedd] = ()):
        super().__init__(codes=codes, axes=reader.axes, channels=reader.channels, located=reader.located)
        self.turns = turns

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """As `LoadCased`."""
        item = super().__call__(data)
        for step in self.turns:
            step.check(item)
        return item


def checking_reader(preprocessing: Compose, codes: Collection[int]) -> CheckingReader:
    """Reads image and label and refuses what `preprocessing` would refuse: other axes or channels, other codes."""
    readers = [step for step in preprocessing.transforms if isinstance(step, LoadCased)]
    turns = [step for step in preprocessing.transforms if isinstance(step, Orientedd)]
    return CheckingReader(readers[0] if readers else LoadCased(), codes, turns)


def _on_8_bits(array: np.ndarray, path: str, case: str) -> np.ndarray:
    """Greys or colours from 0 to 255; 16 bits become fractions."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return array / np.float32(GREYS_OF_16_BITS)
    cause = f"{path} holds {array.dtype}, whose black and white are not known"
    raise UserError("E225", cause, "Store pictures with 8 or 16 bits a channel", case=case)


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
        "located": image.located,
        "oriented": image.oriented,
    }
    return MetaTensor(torch.from_numpy(array), affine=affine, meta=meta)
