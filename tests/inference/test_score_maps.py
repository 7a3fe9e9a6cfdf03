from __future__ import annotations

import pytest
import torch

from mednoisy.inference import score_maps
from mednoisy.inference.score_maps import ScoreMaps
from mednoisy.inference.windows import coverage, window_boxes

SHAPE, PATCH, STRIDE = (7, 5), (4, 3), (2, 2)


def filled(maps: ScoreMaps, device: str = "cpu") -> torch.Tensor:
    """The mean over windows whose scores are 1 for class 0 and their number for class 1."""
    for number, box in enumerate(window_boxes(SHAPE, PATCH, STRIDE)):
        scores = torch.stack([torch.ones(PATCH), torch.full(PATCH, float(number))])[None].to(device)
        maps.add([scores], [(0, slice(None), *box)])
    return maps.mean([coverage(*axis) for axis in zip(SHAPE, PATCH, STRIDE, strict=True)])[0]


def test_the_mean_is_over_the_windows_on_a_voxel():
    found = filled(ScoreMaps(1, SHAPE, PATCH, torch.device("cpu")))
    assert (found[0, 0] == 1).all()
    # Windows 0 and 1 are side by side, 2 and 3 two rows below, 4 and 5 at the end, one further.
    assert found[0, 1, :, 0].tolist() == [0, 0, 1, 2, 3, 3, 4]
    assert found[0, 1, 0].tolist() == [0, 0, 0.5, 1, 1]


def test_sums_are_kept_where_they_fit(monkeypatch):
    """As on a GPU with too little memory left for a map: asked once, for the bytes of all maps."""
    asked: list[tuple[int, int]] = []

    def elsewhere(device: torch.device, needed: int, free: int) -> torch.device:
        asked.append((needed, free))
        return torch.device("cpu")

    monkeypatch.setattr(score_maps, "accumulator_device", elsewhere)
    monkeypatch.setattr(score_maps, "free_memory", lambda device: 99)
    found = filled(ScoreMaps(1, SHAPE, PATCH, torch.device("cuda")))
    assert asked == [(2 * 7 * 5 * 4, 99)]
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, filled(ScoreMaps(1, SHAPE, PATCH, torch.device("cpu"))))


def test_scores_of_another_size_than_their_window_are_refused():
    maps = ScoreMaps(1, SHAPE, PATCH, torch.device("cpu"))
    with pytest.raises(ValueError, match=r"scores are \(2, 3\) on windows of \(4, 3\)"):
        maps.add([torch.zeros(1, 2, 2, 3)], [(0, slice(None), slice(0, 4), slice(0, 3))])
