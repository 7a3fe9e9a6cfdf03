"""Volumes as lists of slices, for networks in 2D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import IGNORED


class Slices(Dataset):
    """The slices of cached volumes, each a case of its own; views, so no memory beside the volumes'.

    An item is as one of `CachedCases` without the last axis; `id` is the volume's with the slice's number from 0
    behind it: "patient001_frame01/7". A slice whose label is `IGNORED` throughout is left out.

    Args:
        cases: volumes (C, X, Y, Z), cut along the last axis, which `OrientedSlicesd` puts there.
    """

    def __init__(self, cases: CachedCases):
        self.cases = cases
        self.places = [(volume, number) for volume in range(len(cases)) for number in _slices_of(cases[volume])]

    @property
    def items(self) -> list[dict[str, Any]]:
        """The volumes, as `CachedCases` has them."""
        return self.cases.items

    @property
    def partly_labeled(self) -> bool:
        """See `CachedCases.partly_labeled`."""
        return self.cases.partly_labeled

    @property
    def nbytes(self) -> int:
        """Bytes of RAM that the volumes take."""
        return self.cases.nbytes

    def partly_looked_at(self) -> Slices:
        """The slices in which `IGNORED` stands, also throughout, each once."""
        fewer = Slices(self.cases.partly_looked_at())
        fewer.places = [
            (volume, int(number))
            for volume in range(len(fewer.cases))
            for number in (fewer.cases[volume]["label"] == IGNORED).flatten(0, -2).any(dim=0).nonzero()
        ]
        return fewer

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


def _slices_of(case: Mapping[str, Any]) -> list[int]:
    """Numbers of the slices that somebody looked at; of a case without label, of all."""
    if "label" not in case:
        return list(range(case["image"].shape[-1]))
    looked_at = (case["label"] != IGNORED).flatten(0, -2).any(dim=0)
    return [int(number) for number in looked_at.nonzero()]
