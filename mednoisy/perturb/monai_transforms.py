"""Looks and distortions as MONAI transforms, for the steps of a recipe."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import Compose, MapTransform, RandomizableTransform
from monai.utils import convert_to_tensor, ensure_tuple_rep
from torch import Tensor

from mednoisy.perturb.distortions import (
    equalised_locally,
    median_of_neighbours,
    motion_blurred,
    radially_distorted,
)
from mednoisy.perturb.strong_views import StrongView


def chosen(name: str, options: Mapping[str, Callable | None]) -> Callable:
    """The transform of that name; one that does nothing where it is None.

    Examples:
        >>> options = {"none": None, "doubled": lambda item: 2 * item}
        >>> chosen("none", options)(3), chosen("doubled", options)(3)
        (3, 6)
    """
    if name not in options:
        raise ValueError(f"there is no {name!r} here; choose from {', '.join(options)}")
    return options[name] or Compose([])


class RandViewd(RandomizableTransform, MapTransform):
    """Another look of one image (C, *spatial): jitter of colours and blur, drawn anew by `view` at each call.

    Args:
        keys: of the images; all get the same look.
        view: how likely and how far looks differ.

    Examples:
        >>> import torch
        >>> RandViewd("image", StrongView(jitter=0, blur=0))({"image": torch.arange(3.0)[None], "id": "A1"})
        {'image': tensor([[0., 1., 2.]]), 'id': 'A1'}
    """

    def __init__(self, keys: str | Sequence[str], view: StrongView):
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob=1.0)
        self.view = view

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with changed images."""
        item = dict(data)
        seed = int(self.R.randint(2**32, dtype=np.uint32))
        for key in self.key_iterator(item):
            item[key] = self.view(item[key][None], np.random.Generator(np.random.Philox(seed)))[0]
        return item


class _RandDistortiond(RandomizableTransform, MapTransform):
    """With probability `prob` the same drawn change of all images (C, *spatial) under `keys`; gives plain tensors."""

    def __init__(self, keys: str | Sequence[str], prob: float, allow_missing_keys: bool = False):
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with changed images."""
        item = dict(data)
        self.randomize(None)
        if self._do_transform:
            drawn = self.draw()
            for key in self.key_iterator(item):
                item[key] = self.apply(convert_to_tensor(item[key], track_meta=False), key, drawn)
        return item

    @abstractmethod
    def draw(self) -> Any:
        """How much is changed, from the random state `R`."""

    @abstractmethod
    def apply(self, image: Tensor, key: Hashable, drawn: Any) -> Tensor:
        """The changed image of a key."""


class RandRadialDistortiond(_RandDistortiond):
    """Pictures through lenses of strength U(`strength`), `mednoisy.perturb.distortions.radially_distorted`.

    Args:
        strength: lowest and highest; below -0.36 corners fold over.
        mode: of interpolation, one for all keys or one for each.

    Examples:
        >>> import torch
        >>> lens = RandRadialDistortiond("image", prob=1, strength=(-0.2, -0.2))
        >>> row = torch.tensor([[[-0.375, -0.125, 0.125, 0.375]]])
        >>> [round(place, 3) for place in lens({"image": row})["image"].flatten().tolist()]
        [-0.363, -0.125, 0.125, 0.363]
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        prob: float = 0.7,
        strength: tuple[float, float] = (-0.35, 1.0),
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ):
        super().__init__(keys, prob, allow_missing_keys)
        self.strength = strength
        self.modes = dict(zip(self.keys, ensure_tuple_rep(mode, len(self.keys)), strict=True))

    def draw(self) -> float:
        return self.R.uniform(*self.strength)

    def apply(self, image: Tensor, key: Hashable, drawn: Any) -> Tensor:
        return radially_distorted(image, drawn, mode=self.modes[key])


class RandMotionBlurd(_RandDistortiond):
    """Pictures of a moving camera, `mednoisy.perturb.distortions.motion_blurred`, in any direction alike.

    Args:
        lengths: odd numbers of pixels, of which one is drawn.

    Examples:
        >>> import torch
        >>> RandMotionBlurd("image", lengths=[1])({"image": torch.tensor([[[0.0, 3.0, 0.0]]])})  # it did not move
        {'image': tensor([[[0., 3., 0.]]])}
    """

    def __init__(self, keys: str | Sequence[str], prob: float = 1.0, lengths: Sequence[int] = (3, 5)):
        super().__init__(keys, prob)
        self.lengths = lengths

    def draw(self) -> tuple[int, float]:
        return int(self.R.choice(self.lengths)), self.R.uniform(0, math.pi)

    def apply(self, image: Tensor, key: Hashable, drawn: Any) -> Tensor:
        return motion_blurred(image, *drawn)


class RandLocalEqualisationd(_RandDistortiond):
    """Local contrast equalised up to a limit U(`clip`), `mednoisy.perturb.distortions.equalised_locally` (CLAHE).

    Examples:
        A row of four pixels has four tiles; the pixel of each is the brightest there.

        >>> import torch
        >>> RandLocalEqualisationd("image", prob=1, clip=(256, 256))({"image": torch.tensor([[[0.0, 1.0, 2.0, 10.0]]])})
        {'image': tensor([[[ 0., 10., 10., 10.]]])}
    """

    def __init__(self, keys: str | Sequence[str], prob: float = 0.7, clip: tuple[float, float] = (1.0, 4.0)):
        super().__init__(keys, prob)
        self.clip = clip

    def draw(self) -> float:
        return self.R.uniform(*self.clip)

    def apply(self, image: Tensor, key: Hashable, drawn: Any) -> Tensor:
        return equalised_locally(image, drawn)


class MedianOfNeighboursd(MapTransform):
    """Pictures of medians over 3x3 pixels, `mednoisy.perturb.distortions.median_of_neighbours`; gives plain tensors.

    Examples:
        >>> import torch
        >>> MedianOfNeighboursd("image")({"image": torch.tensor([[[1.0, 9.0, 1.0, 1.0]]])})
        {'image': tensor([[[1., 1., 1., 1.]]])}
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with changed images."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = median_of_neighbours(convert_to_tensor(item[key], track_meta=False))
        return item
