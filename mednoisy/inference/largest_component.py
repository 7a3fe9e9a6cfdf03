"""The clean-up of final label maps: of each class the largest component."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from mednoisy.pseudo.cleanup import Connectivity, Neighbours, largest_components


def kept_largest(labels: Tensor, neighbours: Connectivity | None, classes: Collection[int] | None = None) -> Tensor:
    """Label map (*spatial) in which classes but 0 have their largest component alone, and 0 in place of the rest.

    Args:
        labels: whole numbers 0..255.
        neighbours: that make one component, 6, 18 or 26 in 3D; None returns `labels` as they are.
        classes: of which this holds; None for all.
    """
    if neighbours is None:
        return labels
    if classes is None:
        return largest_components(labels[None], neighbours)[0]
    chosen = torch.isin(labels, torch.tensor(sorted(classes), dtype=labels.dtype, device=labels.device))
    cleaned = largest_components(torch.where(chosen, labels, 0)[None], neighbours)[0]
    return torch.where(chosen, cleaned, labels)


class KeepLargestd(MapTransform):
    """What `predict_case` does with `keep_largest`, for a bundle's `inference.yaml`.

    Args:
        keys: of label maps (1, *spatial), on the grid of the image's file.
        neighbours: as of `kept_largest`.
    """

    def __init__(self, keys: str, neighbours: Neighbours | None):
        super().__init__(keys)
        self.neighbours = neighbours

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its label maps cleaned."""
        item = dict(data)
        for key in self.key_iterator(item):
            labels = item[key]
            kept = kept_largest(torch.as_tensor(labels)[0].to(torch.uint8), self.neighbours)[None]
            if isinstance(labels, MetaTensor):
                kept = MetaTensor(torch.as_tensor(kept)).copy_meta_from(labels)
            item[key] = kept
        return item
