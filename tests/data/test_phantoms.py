from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Datalist
from mednoisy.data.image_pairs import check_pair
from mednoisy.data.images import read_image
from mednoisy.data.phantoms import KINDS, make_dataset
from mednoisy.errors import UserError


def draws(kind, count, seed=0):
    return [KINDS[kind](Draw(seed, "test", n).generator()) for n in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_draw_decides_everything(kind):
    first, again, other = (draws(kind, 2, seed) for seed in (0, 0, 1))
    for (a, la), (b, lb), (c, _) in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(la, lb)
        assert not np.array_equal(a, c)
    assert not np.array_equal(first[0][0], first[1][0])


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("atrium", 0.012, 0.08), ("lesion", 0.02, 0.4), ("polyp", 0.02, 0.3)]
)
def test_sizes_vary_and_the_object_is_one_piece(kind, low, high):
    sizes = []
    for _, mask in draws(kind, 12):
        parts, count = label(mask)
        sizes.append(mask.mean())
        assert low < sizes[-1] < high
        assert max(np.bincount(parts.ravel())[1 : count + 1]) > 0.97 * mask.sum()
    assert max(sizes) > 1.5 * min(sizes)


def test_the_heart_is_built_like_one():
    """The left ventricle lies in its wall, the right one outside; it ends above the apex, and sizes differ."""
    shapes = set()
    for image, labels in draws("heart", 6):
        shapes.add(image.shape)
        assert image.shape == labels.shape
        assert 1 <= image.min() < image.max()
        assert set(np.unique(labels)) == {0, 1, 2, 3}
        around = binary_dilation(labels == 3, np.ones((3, 3, 1), bool)) & (labels != 3)
        assert (labels[around] == 2).all()
        assert max(np.flatnonzero((labels == 1).any((0, 1)))) < max(np.flatnonzero((labels == 3).any((0, 1))))
        assert image[labels == 3].mean() > 1.5 * image[labels == 2].mean()
    assert len(shapes) > 3


def test_the_atrium_is_hard():
    """No threshold finds it: neighbours and muscle are as bright, and contrast differs from case to case."""
    best, contrasts = [], []
    for image, mask in draws("atrium", 12):
        thresholds = np.quantile(image, np.linspace(0.5, 0.99, 40))
        dice = [2 * (mask & (image > t)).sum() / (mask.sum() + (image > t).sum()) for t in thresholds]
        best.append(max(dice))
        body = binary_erosion(mask, iterations=2)
        around = binary_dilation(mask, iterations=4) & ~binary_dilation(mask, iterations=2)
        contrasts.append(image[body].mean() / image[around].mean())
        assert image.min() >= 1
    assert np.mean(best) < 0.65
    assert max(contrasts) > 1.3 * min(contrasts)


@pytest.mark.slow
def test_an_atrium_takes_little_time():
    start = time.perf_counter()
    draws("atrium", 10)
    assert time.perf_counter() - start < 5  # .05 s each on an idle core


@pytest.mark.parametrize(
    ("kind", "shape", "channels"), [("atrium", (48, 48, 32), 1), ("heart", None, 1), ("lesion", (96, 96), 3)]
)
def test_a_dataset_is_complete_and_reproducible(tmp_path, kind, shape, channels):
    datalists = [
        Datalist.load(make_dataset(tmp_path / name, kind, labeled=1, unlabeled=2, validation=1, test=1, seed=5))
        for name in ("a", "b")
    ]
    assert {name: len(cases) for name, cases in datalists[0].sections.items()} == {
        "labeled": 1,
        "unlabeled": 2,
        "validation": 1,
        "test": 1,
        "hidden": 2,
    }
    assert len(datalists[0].channels) == channels
    assert all("label" not in case for case in datalists[0].cases("unlabeled"))
    for section in ("labeled", "validation", "test", "hidden"):
        for first, second in zip(*[datalist.cases(section) for datalist in datalists], strict=True):
            image, mask = read_image(first["image"]), read_image(first["label"])
            check_pair(image, mask, datalists[0].labels)
            assert image.shape == (shape or mask.shape)
            np.testing.assert_array_equal(image.array, read_image(second["image"]).array)


def test_a_case_does_not_depend_on_how_many_there_are(tmp_path):
    few, many = (
        Datalist.load(make_dataset(tmp_path / str(count), labeled=count, unlabeled=0, test=1)) for count in (1, 2)
    )
    for section in ("labeled", "test"):
        first, second = (read_image(datalist.cases(section)[0]["image"]).array for datalist in (few, many))
        np.testing.assert_array_equal(first, second)


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E218 unknown kind of phantom 'atrum'. Did you mean 'atrium'"):
        make_dataset(tmp_path, "atrum")
