"""Volumes as lists of slices, for networks in 2D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from mednoisy.data.cached_cases import CachedCases


class Slices(Dataset):
    """The slices of cached volumes, each a case of its own; views, so no memory beside the volumes'.

    An item is as one of `CachedCases` without the last axis; `id` is the volume's with the slice's number from 0
    behind it: "patient001_frame01/7".

    Args:
        cases: volumes (C, X, Y, Z), cut along the last axis, which `OrientedSlicesd` puts there.
    """

    def __init__(self, cases: CachedCases):
        self.cases = cases
        self.places = [
            (volume, number) for volume in range(len(cases)) for number in range(cases[volume]["image"].shape[-1])
        ]

    @property
    def items(self) -> list[dict[str, Any]]:
        """The volumes, as `CachedCases` has them."""
        return self.cases.items

    @property
    def nbytes(self) -> int:
        """Bytes of RAM that the volumes take."""
        return self.cases.nbytes

    def extended(self, data: Sequence[Mapping[str, Any]], repeats: int = 1) -> Slices:
        """The slices of `CachedCases.extended`."""
        return Slices(self.cases.extended(data, repeats))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        volume, number = self.places[index]
        case = self.cases[volume]
        item = {"id": f"{case['id']}/{number}", "image": case["image"][..., number], "spacing": case["spacing"][:-1]}
        if "label" in case:
            item["label"] = case["label"][..., number]
        return item
