"""Farthest first without a pass for each centre names what passes name."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.active.distances import FarthestFirst, farthest_by_passes, squared_distances


def rows_of(kind: str) -> np.ndarray:
    generator = np.random.default_rng(0)
    if kind == "noise":
        return generator.normal(size=(3000, 32)).astype(np.float32)
    if kind == "groups":  # many rows nearly as far as the farthest
        return (np.repeat(generator.normal(size=(30, 8)), 100, axis=0) + generator.normal(0, 1e-3, (3000, 8))).astype(
            "f4"
        )
    if kind == "far from the origin":  # where float32 has few digits left for differences
        return (1000 + generator.normal(size=(3000, 8))).astype(np.float32)
    return np.stack(np.meshgrid(*[np.arange(10.0)] * 3), -1).reshape(-1, 3).astype(np.float32)  # ties throughout


@pytest.mark.parametrize("kind", ["noise", "groups", "far from the origin", "ties"])
@pytest.mark.parametrize("candidates", [16, 256, 10_000])
def test_the_same_rows_as_by_passes(kind, candidates):
    rows = rows_of(kind)
    search, found = FarthestFirst(rows, rows[:2], candidates), []
    near = squared_distances(rows, rows[:2]).min(axis=1)
    for _ in range(60):
        row, distance = search.farthest()
        assert distance == pytest.approx(np.sqrt(near.max()), rel=1e-6)
        search.take(row)
        found.append(row)
        near = np.minimum(near, ((rows - rows[row].astype(float)) ** 2).sum(axis=1))
    if kind != "ties":  # where any of the farthest is right, and which one is first depends on the last digit
        assert found == farthest_by_passes(rows, rows[:2], 60)


def test_what_is_left_out_is_never_named():
    rows = rows_of("noise")
    search = FarthestFirst(rows, rows[:1], 16)
    left_out = []
    for _ in range(40):
        row, _ = search.farthest()
        search.leave_out(row)
        left_out.append(row)
    assert len(set(left_out)) == 40
    far = np.argsort(-squared_distances(rows, rows[:1])[:, 0])
    assert left_out == far[:40].tolist()


def test_memory_mapped_features_serve(tmp_path):
    rows = rows_of("noise")
    np.save(tmp_path / "features.npy", rows)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    assert FarthestFirst(mapped, mapped[:2], 64).farthest() == FarthestFirst(rows, rows[:2], 64).farthest()


def test_squared_distances_of_a_triangle():
    distances = squared_distances(np.array([[0, 0], [3, 4]]), np.array([[3, 0], [0, 0]]))
    np.testing.assert_allclose(distances, [[9, 0], [16, 25]])
