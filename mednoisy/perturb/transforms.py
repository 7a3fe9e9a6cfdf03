"""Looks as MONAI transforms, for the intensity step of a recipe."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import MapTransform, RandomizableTransform

from mednoisy.perturb.views import StrongView


class RandViewd(RandomizableTransform, MapTransform):
    """Another look of one image (C, *spatial): jitter of colours and blur, drawn anew by `view` at each call.

    Args:
        keys: of the images; all get the same look.
        view: how likely and how far looks differ.
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
