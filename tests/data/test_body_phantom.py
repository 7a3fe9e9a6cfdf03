"""Phantom bodies: the same for the same draw, all classes, and a hue that tells what the grey does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mednoisy.data.body_phantom import BODY_LABELS, CHROMA, HUES, body, grey_of
from mednoisy.data.counter_based_random import Draw
from mednoisy.data.datalist import Datalist
from mednoisy.data.image import LUMA
from mednoisy.data.images import read_image
from mednoisy.data.phantoms import make_dataset
from mednoisy.errors import UserError

CLASSES = len(BODY_LABELS)


def bodies(count: int, seed: int = 0, size: int = 64) -> list[tuple[np.ndarray, np.ndarray]]:
    return [body(Draw(seed, "bodies", number).generator(), size) for number in range(count)]


@pytest.fixture(scope="module")
def some() -> list[tuple[np.ndarray, np.ndarray]]:
    return bodies(40)


def recall_of_nearest_mean(features: list[np.ndarray], labels: list[np.ndarray]) -> float:
    """Mean over classes of the share of pixels whose nearest class mean is their own; means of the first half."""
    half = len(labels) // 2
    known, asked = (
        np.concatenate([each.reshape(each.shape[0] * each.shape[1], -1) for each in part])
        for part in (features[:half], features[half:])
    )
    of_known, of_asked = (np.concatenate([each.ravel() for each in part]) for part in (labels[:half], labels[half:]))
    means = np.stack([known[of_known == code].mean(axis=0) for code in range(CLASSES)])
    nearest = ((asked[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)
    return float(np.mean([(nearest[of_asked == code] == code).mean() for code in range(CLASSES)]))


def test_colour_tells_classes_of_single_pixels_and_grey_does_not(some):
    """By chance one in nine is right; grey is within 5 points of that, colour 40 points and more above grey."""
    images, labels = zip(*some, strict=True)
    grey = recall_of_nearest_mean([grey_of(image) for image in images], list(labels))
    colour = recall_of_nearest_mean([image.astype(float) for image in images], list(labels))
    assert abs(grey - 1 / CLASSES) < 0.05
    assert colour > grey + 0.4


def test_every_class_has_the_same_grey_on_average(some):
    """Of 256 levels, where a class varies by about 19."""
    images, labels = zip(*some, strict=True)
    grey, label = (np.concatenate([part.ravel() for part in parts]) for parts in (map(grey_of, images), labels))
    means = [grey[label == code].mean() for code in range(CLASSES)]
    assert max(means) - min(means) < 15


def test_hues_change_no_grey():
    assert np.allclose(CHROMA @ LUMA, 0)
    assert sorted(HUES) == list(range(1, CLASSES))


def test_grey_shows_where_surfaces_end(some):
    """Else nobody could colour a grey picture: it changes more across the outline of a body than elsewhere."""
    across, elsewhere = [], []
    for image, label in some:
        steps, outline = np.abs(np.diff(grey_of(image), axis=1)), np.diff((label > 0).astype(int), axis=1) != 0
        across.append(steps[outline].mean())
        elsewhere.append(steps[~outline].mean())
    assert np.mean(across) > 1.5 * np.mean(elsewhere)


def test_classes_are_all_there_and_bodies_differ(some):
    labels = [label for _, label in some]
    shares = [np.mean([(label == code).any() for label in labels]) for code in range(CLASSES)]
    assert min(shares) > 0.4
    covered = [(label > 0).mean() for label in labels]
    assert 0.1 < np.mean(covered) < 0.6
    assert len({label.tobytes() for label in labels}) == len(labels)


def test_a_draw_decides_all():
    (image, label), (again, label_again) = bodies(1)[0], bodies(1)[0]
    assert (image == again).all()
    assert (label == label_again).all()
    assert (image.shape, image.dtype, label.shape, label.dtype) == ((64, 64, 3), np.uint8, (64, 64), np.uint8)
    assert (bodies(1, seed=1)[0][0] != image).any()


def test_a_dataset_of_bodies(tmp_path):
    """Nine codes in a picture of greys, and the regions of skin."""
    path = make_dataset(tmp_path, "body", labeled=2, unlabeled=1, validation=1, test=1, size=48)
    datalist = Datalist.load(path)
    assert tuple(datalist.labels.values()) == BODY_LABELS
    assert datalist.regions["skin or not"] == {"not skin": (0, 1), "skin": (2, 3, 4, 5, 6, 7, 8)}
    assert len(datalist.regions["nine classes"]) == CLASSES
    case = datalist.cases("labeled")[1]
    _, label = body(Draw(0, "phantom/body/labeled", 1).generator(), 48)
    assert (read_image(case["label"], "label").array == label).all()


def test_what_is_uncertain_may_be_ignored(tmp_path):
    """The files stay the same: the datalist alone leaves their code out."""
    for name, ignored in (("nine", False), ("eight", True)):
        make_dataset(tmp_path / name, "body", labeled=1, unlabeled=0, test=1, size=48, ignore_uncertain=ignored)
    files = [(tmp_path / name / "labels" / "test_000.png").read_bytes() for name in ("nine", "eight")]
    assert files[0] == files[1]
    datalist = Datalist.load(tmp_path / "eight" / "datalist.json")
    assert (datalist.ignore, datalist.codes, datalist.as_source) == ((1,), (0, 2, 3, 4, 5, 6, 7, 8), True)
    assert list(datalist.labels.values()) == [name for name in BODY_LABELS if name != "uncertain"]
    assert datalist.regions["skin or not"] == {"not skin": (0,), "skin": (1, 2, 3, 4, 5, 6, 7)}
    assert json.loads((tmp_path / "eight" / "datalist.json").read_text())["label_files"] == "source"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "body", "size": 16}, r"E549 a body of 16 pixels .* Take a --size from 32 to 1024"),
        ({"kind": "lesion", "size": 64}, r"E549 a phantom of kind 'lesion' has one size"),
        ({"kind": "heart", "ignore_uncertain": True}, r"E549 nothing is uncertain in a phantom of kind 'heart'"),
    ],
)
def test_phantoms_that_cannot_be(arguments, message, tmp_path):
    with pytest.raises(UserError, match=message):
        make_dataset(tmp_path / "data", **arguments)
    assert not (tmp_path / "data").exists()
