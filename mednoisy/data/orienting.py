"""Volumes brought to one order of axes, and back; what their files say of their grid is kept beside them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils.enums import MetaKeys, TraceKeys

from mednoisy.data.axis_order import AxisOrder, coarsest_axis, ends_of, order_towards
from mednoisy.data.training_data import AS_READ, as_read
from mednoisy.errors import UserError


class Orientedd(MapTransform, InvertibleTransform):
    """Turn volumes so that their axes run towards the ends that an orientation names, whichever way they are stored.

    Voxels change places and nothing else, so `Invertd` brings scores back exactly. All keys are turned as `image` is.
    A volume whose file states no orientation (`Image.oriented`) stays as it is stored. One that lies so already is not
    copied. `image` then carries `AS_READ` among its metadata: see `training_data.as_read`.

    MONAI's Orientationd would turn files that state no orientation by a convention of their format.

    Args:
        keys: of MetaTensors (C, X, Y, Z) that `LoadCased` made, of which an item may lack some.
        orientation: such as "RAS": the first axis runs to the patient's right, the second to the front, the third to
            the top. None: as stored.

    Raises:
        ValueError: the orientation is none.
    """

    def __init__(self, keys: str | Sequence[str], orientation: str | None = "RAS"):
        super().__init__(keys, allow_missing_keys=True)
        if orientation is not None:
            ends_of(orientation)
        self.orientation = orientation

    def order(self, image: MetaTensor, case: str | None = None) -> AxisOrder:
        """How a volume is turned."""
        if self.orientation is None or not image.meta.get("oriented", False):
            return AxisOrder()
        return order_towards(np.asarray(image.affine, dtype=np.float64), self.orientation)

    def check(self, item: Mapping[Hashable, Any]) -> None:
        """Refuse, without any work, what the call would refuse of an item as `LoadCased` gives it."""
        self.order(self._leading(item), item.get("id"))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its volumes turned."""
        item: dict[Any, Any] = dict(data)
        order = self.order(self._leading(item), item.get("id"))
        if not order.unchanged:
            item |= {key: self._turned(item[key], order) for key in self.key_iterator(item)}
        if "image" in item:
            item["image"].meta[AS_READ] = as_read(item["image"], turned=self.orientation is not None)
        return item

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its volumes as they were stored."""
        item: dict[Any, Any] = dict(data)
        for key in self.key_iterator(item):
            if was_last(self, item[key]):
                item[key] = self._stored(item[key])
        return item

    def _leading(self, item: Mapping[Any, Any]) -> MetaTensor:
        """The volume that decides for all."""
        leading = item["image"] if "image" in item else next(item[key] for key in self.key_iterator(item))
        if not isinstance(leading, MetaTensor) or leading.ndim != 4:
            raise ValueError(f"a volume is {tuple(leading.shape)}; it must be a MetaTensor (C, X, Y, Z)")
        return leading

    def _turned(self, volume: MetaTensor, order: AxisOrder) -> MetaTensor:
        affine = np.asarray(volume.affine, dtype=np.float64)
        against = [axis + 1 for axis, is_so in enumerate(order.reversed) if is_so]
        array = volume.as_tensor().permute(0, *(axis + 1 for axis in order.axes)).flip(against).contiguous()
        turned = placed(array, order.affine(affine, volume.shape[1:]), volume)
        kept = {"axes": list(order.axes), "reversed": list(order.reversed), "affine": volume.affine.clone()}
        self.push_transform(turned, orig_size=tuple(volume.shape[1:]), extra_info=kept)
        return turned

    def _stored(self, volume: MetaTensor) -> MetaTensor:
        kept = self.pop_transform(volume)[TraceKeys.EXTRA_INFO]
        order = AxisOrder(tuple(int(axis) for axis in kept["axes"]), tuple(bool(is_so) for is_so in kept["reversed"]))
        against = [axis + 1 for axis, is_so in enumerate(order.reversed) if is_so]
        array = volume.as_tensor().flip(against).permute(0, *(axis + 1 for axis in order.back)).contiguous()
        return placed(array, kept["affine"], volume)


class OrientedSlicesd(Orientedd):
    """As `Orientedd`, then with the axis along which slices are cut behind the two of their plane.

    Args:
        keys, orientation: as there.
        slices: 0, 1 or 2, the axis of the turned volume along which slices are cut; None: that of the coarsest voxels.

    Raises:
        ValueError: there is no such axis.
        UserError: from the call: E250, no axis has coarser voxels than the others, or their size is not known.
    """

    def __init__(self, keys: str | Sequence[str], orientation: str | None = "RAS", slices: int | None = None):
        super().__init__(keys, orientation)
        if slices not in (None, 0, 1, 2) or isinstance(slices, bool):
            raise ValueError(f"slices is {slices!r}; it must be 0, 1 or 2, the axis along which they are cut, or null")
        self.slices = slices

    def order(self, image: MetaTensor, case: str | None = None) -> AxisOrder:
        """How a volume is turned, its slices last."""
        order = super().order(image, case)
        if self.slices is not None:
            return order.with_last(self.slices)
        spacing = [float(image.pixdim[axis]) for axis in order.axes]
        coarsest = coarsest_axis(spacing) if image.meta.get("located", True) else None
        if coarsest is None:
            raise self._not_known(image, spacing, case)
        return order.with_last(coarsest)

    def _not_known(self, image: MetaTensor, spacing: Sequence[float], case: str | None) -> UserError:
        path = image.meta.get("filename_or_obj", "the image")
        found = f"those of {path} are {'x'.join(f'{step:.4g}' for step in spacing)} mm"
        if not image.meta.get("located", True):
            found = f"{path} does not state how large they are"
        turned = self.orientation is not None and image.meta.get("oriented", False)
        axes = f"an axis of {self.orientation}" if turned else "an axis as stored"
        cause = f"slices are cut along the axis of the coarsest voxels, and {found}"
        cure = f"Say along which: --set slices=0, 1 or 2, {axes} (predict: --slices)"
        return UserError("E250", cause, cure, case=case)


def was_last(transform: InvertibleTransform, volume: MetaTensor) -> bool:
    """Whether the last thing done to a volume is this transform's: it does nothing, and notes nothing, where it can."""
    done = volume.applied_operations
    return bool(done) and done[-1].get(TraceKeys.CLASS_NAME) == type(transform).__name__


def placed(array: torch.Tensor, affine: Any, like: MetaTensor) -> MetaTensor:
    """An array with an affine of its own and all else that is known of another one."""
    affine = torch.as_tensor(np.asarray(affine), dtype=torch.float64)
    meta = {name: value for name, value in like.meta.items() if name != MetaKeys.AFFINE}
    return MetaTensor(array, affine=affine, meta=meta, applied_operations=list(like.applied_operations))
