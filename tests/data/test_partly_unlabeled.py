"""Cases that somebody looked at in part are drawn without labels, too; streams without such cases stay as they are."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from mednoisy.data.cached_cases import CachedCases
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.stream_loader import StreamLoader
from mednoisy.data.training_stream import TrainingStream
from mednoisy.data.volume_slices import Slices
from mednoisy.errors import UserError

SHAPE, PATCH = (6, 6, 4), (4, 4, 4)


def cases(first: int, count: int, known: dict[int, int] | None = None) -> CachedCases:
    """Volumes filled with their number; labeled where `known` tells how many slices of each somebody looked at."""

    def load(case):
        item = {"id": f"p{case['number']}", "image": MetaTensor(torch.full((1, *SHAPE), float(case["number"])))}
        if known is not None:
            label = torch.ones(1, *SHAPE)
            label[..., known.get(case["number"], SHAPE[2]) :] = IGNORED
            item["label"] = label
        return item

    return CachedCases([{"number": number} for number in range(first, first + count)], load)


def stream(known: dict[int, int], unlabeled: int = 3, *, sliced: bool = False, partly: bool = True) -> TrainingStream:
    """Four labeled cases, p0 to p3, and unlabeled ones, p10 and so on."""
    sections = (cases(0, 4, known), cases(10, unlabeled))
    with_labels, without = (Slices(each) for each in sections) if sliced else sections
    patch = PATCH[:2] if sliced else PATCH
    return TrainingStream(with_labels, without, patch, partly_unlabeled=partly)  # type: ignore[arg-type]


def drawn(of: TrainingStream, steps: int = 30, labeled: int = 2, unlabeled: int = 2) -> list[tuple]:
    """Ids, images and labels of some steps."""
    batches = [of.batch("stage", step, labeled, unlabeled) for step in range(steps)]
    return [
        (one.labeled_ids, one.labeled.tolist(), one.labels.tolist(), one.unlabeled_ids, one.unlabeled.tolist())
        for one in batches
    ]


@pytest.mark.parametrize("sliced", [False, True])
def test_where_all_is_looked_at_nothing_changes(sliced):
    assert drawn(stream({}, sliced=sliced)) == drawn(stream({}, sliced=sliced, partly=False))


@pytest.mark.parametrize("sliced", [False, True])
def test_labeled_draws_do_not_change(sliced):
    known = {1: 2, 2: 1}
    both = drawn(stream(known, sliced=sliced)), drawn(stream(known, sliced=sliced, partly=False))
    assert [one[:3] for one in both[0]] == [one[:3] for one in both[1]]
    assert [one[3:] for one in both[0]] != [one[3:] for one in both[1]]


def test_a_case_that_is_labeled_in_part_is_drawn_as_often_as_an_unlabeled_one():
    some = stream({1: 2, 2: 0})
    ids = [name for one in drawn(some, 20) for name in one[3]]
    assert {name: ids.count(name) for name in ids} == dict.fromkeys(("p1", "p2", "p10", "p11", "p12"), 8)
    assert all(
        image[0][0][0][0] == float(name[1:]) for one in drawn(some) for name, image in zip(*one[3:], strict=True)
    )
    assert "label" not in some.unlabeled[4]  # type: ignore[index]
    assert some.summary.startswith("4 labeled and 3 unlabeled cases (2 of the labeled ones are drawn without")


def test_of_volumes_in_slices_those_are_drawn_that_nobody_looked_at_in_whole():
    some = stream({1: 2, 3: 3}, sliced=True)
    assert some.unlabeled is not None
    found = [some.unlabeled[number]["id"] for number in range(len(some.unlabeled))]
    assert found == [f"p{case}/{number}" for case in (10, 11, 12) for number in range(4)] + ["p1/2", "p1/3", "p3/3"]
    assert {*("p1/2", "p1/3", "p3/3")} <= {name for one in drawn(some, 8) for name in one[3]}
    assert not {"p1/2", "p1/3"} & {name for one in drawn(some, 20) for name in one[0]}


def test_cases_labeled_in_part_alone_are_enough_for_a_method_that_wants_unlabeled_ones():
    with pytest.raises(UserError, match="E220 a step draws 2 unlabeled crops from different cases, section 'unl"):
        stream({1: 2, 2: 2}, 0, partly=False).check(2, 2)
    some = stream({1: 2, 2: 2}, 0)
    some.check(2, 2)
    assert {name for one in drawn(some) for name in one[3]} == {"p1", "p2"}
    with pytest.raises(
        UserError, match=r"E220 a step draws 3 crops from .*, unlabeled or labeled in part, and there are 2"
    ):
        some.check(2, 3)


def test_a_pretext_sees_each_case_once_and_repeated_cases_count_once():
    some = stream({1: 2})
    images = StreamLoader(some).with_all_images().stream.unlabeled
    assert images is not None
    assert sorted(images[number]["id"] for number in range(len(images))) == [
        "p0",
        "p1",
        "p10",
        "p11",
        "p12",
        "p2",
        "p3",
    ]
    assert len(cases(0, 2, {1: 1}).extended([], 3).partly_looked_at()) == 1
