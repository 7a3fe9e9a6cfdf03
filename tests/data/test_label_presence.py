from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.label_presence import absent_labels
from mednoisy.data.volume_slices import Slices


def cached(*codes: list[int]) -> CachedCases:
    """Cases whose labels hold these codes, called c0, c1 and so on."""

    def load(case: dict) -> dict:
        label = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
        for code in codes[int(case["id"][1:])]:
            label[0, code % 4, code // 4, 1] = code
        return {**case, "image": MetaTensor(torch.rand(1, 4, 4, 3)), "label": label}

    return CachedCases([{"id": f"c{n}"} for n in range(len(codes))], load)


@pytest.mark.parametrize("sliced", [False, True])
def test_what_labeled_cases_never_show_is_told(sliced):
    """A slice without the class is no case without it."""
    names = {0: "background", 1: "atrium", 2: "wall", 3: "vein"}

    def lines(*codes: list[int]) -> list[str]:
        cases = cached(*codes)
        return absent_labels(Slices(cases) if sliced else cases, names)

    assert lines([1, 2], [3]) == []
    assert lines([1], [3, 1]) == ["no labeled case holds code 2 (wall), so it cannot be learned"]
    assert lines([1, 2, 3], [], [0]) == ["the label is empty throughout in 2 labeled cases: c1, c2"]
    assert len(lines([], [])) == 4
