"""Online pseudo-labels: Dice by hand, and who follows whom, when."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mednoisy.methods.online_labels import OnlineLabels, TeacherTraining
from tests.methods.planted import Planted, batch_of, pixels, sigmoid
from tests.methods.small import small_batch, small_network, step_at

TOLD, SEEN = (2, -1, 0.5, -3), (1, 1, -2, -1)


def linear_dice(probabilities, targets) -> float:
    overlap = sum(p * t for p, t in zip(probabilities, targets, strict=True))
    return 1 - 2 * overlap / (sum(probabilities) + sum(targets))


@pytest.mark.parametrize(("labels", "targets"), [("soft", [sigmoid(x) for x in TOLD]), ("hard", [1.0, 0.0, 1.0, 0.0])])
def test_four_pixels(labels, targets):
    """1 - 2 sum pt / (sum p + sum t) over the foreground, with probabilities or classes of the teacher as t."""
    method = OnlineLabels(Planted(), Planted(), labels=labels).train()
    terms = method(batch_of(pixels(SEEN), pixels(TOLD)), step_at())["student"]
    weight, value = terms["pseudo_dice"]
    assert weight == 0.3
    assert value.item() == pytest.approx(linear_dice([sigmoid(x) for x in SEEN], targets), rel=1e-5)
    labeled = [sigmoid(x) for x in (2, -1, 0.5, -3)]
    assert terms["dice"][0] == 1
    assert terms["dice"][1].item() == pytest.approx(linear_dice(labeled, (1, 0, 1, 1)), rel=1e-5)


def test_the_teacher_may_see_the_strong_view():
    """In the released code teacher and student see the same: equal networks then agree as far as Dice knows."""
    method = OnlineLabels(Planted(), Planted(), teacher_view="strong").train()
    value = method(batch_of(pixels(SEEN), pixels(TOLD)), step_at())["student"]["pseudo_dice"][1]
    same = [sigmoid(x) for x in SEEN]
    assert value.item() == pytest.approx(linear_dice(same, same), rel=1e-5)


def test_copies_start_equal_to_their_source():
    student, teacher = small_network(seed=1), small_network(seed=2)
    method = OnlineLabels(student, teacher)
    for source, copy in ((student, method.momentum.network), (teacher, method.teacher.network)):
        assert copy is not source
        assert all(torch.equal(*pair) for pair in zip(source.parameters(), copy.parameters(), strict=True))


@pytest.mark.parametrize("online", [True, False])
def test_who_moves_when(online):
    """Every third update the copy and, online, the teacher take .01 of the student."""
    method = OnlineLabels(Planted(1.0), Planted(5.0), online=online, every=3)
    with torch.no_grad():
        method.students["student"].encoder.scale.fill_(2.0)
    copies, teachers = [], []
    for number in range(6):
        method.after_update(step_at(number))
        copies.append(method.momentum.network.encoder.scale.item())
        teachers.append(method.teacher.network.encoder.scale.item())
    once, twice = 2 - 0.99, 2 - 0.99**2
    assert copies == pytest.approx([1, 1, once, once, once, twice])
    once, twice = 2 + 3 * 0.99, 2 + 3 * 0.99**2
    assert teachers == pytest.approx([5, 5, once, once, once, twice] if online else [5] * 6)


def test_every_update_by_default():
    method = OnlineLabels(Planted(1.0), Planted(5.0))
    for number in range(2):
        method.after_update(step_at(number))
    assert method.teacher.network.encoder.scale.item() == pytest.approx(1 + 4 * 0.99**2)
    assert method.students["student"].encoder.scale.item() == 1


def test_the_first_stage_hands_over_its_momentum_copy():
    """The given network becomes the copy: equal to the source at first, then .95 of itself and .05 of the student."""
    student, copy = Planted(1.0), Planted(7.0)
    method = TeacherTraining(student, copy)
    assert copy.encoder.scale.item() == 1
    with torch.no_grad():
        student.encoder.scale.fill_(2.0)
    method.after_update(step_at())
    assert copy.encoder.scale.item() == pytest.approx(1.05)
    assert OnlineLabels(Planted(3.0), copy).teacher.network.encoder.scale.item() == pytest.approx(1.05)
    assert not copy.encoder.scale.requires_grad


@pytest.mark.parametrize(("fresh", "start"), [(True, 1.0), (False, 5.0)])
def test_a_student_starts_with_its_own_weights_or_the_teachers(fresh, start):
    """And its momentum copy with it."""
    method = OnlineLabels(Planted(1.0), Planted(5.0), fresh=fresh)
    assert method.students["student"].encoder.scale.item() == start
    assert method.momentum.network.encoder.scale.item() == start
    assert method.teacher.network.encoder.scale.item() == 5.0


def test_a_checkpoint_of_the_first_stage_fills_the_copy():
    """What the engine hands over, the stage's best, reaches the network that the next stage is given."""
    first = TeacherTraining(Planted(1.0), Planted())
    state = TeacherTraining(Planted(4.0), Planted()).state_dict()
    copy = first.momentum.network
    first.load_state_dict(state)
    assert copy.encoder.scale.item() == 4


def test_the_momentum_copies_are_deployed():
    """They come first, as plain networks, so that the exported weights fit the bundle's network."""
    first = TeacherTraining(small_network(seed=1), small_network(seed=2))
    second = OnlineLabels(small_network(seed=3), small_network(seed=2))
    assert list(first.predictors()) == ["teacher", "student"]
    assert list(second.predictors()) == ["momentum", "student", "teacher"]
    wanted = small_network().state_dict().keys()
    assert next(iter(first.predictors().values())).state_dict().keys() == wanted
    assert next(iter(second.predictors().values())).state_dict().keys() == wanted


def test_an_object_missing_from_the_batch_costs_nothing():
    """Labels without foreground: the Dice of the labeled images is 0, as in the released code."""
    batch = small_batch()
    method = TeacherTraining(small_network())
    empty = method(type(batch)(batch.labeled, 0 * batch.labels, batch.unlabeled, batch.unlabeled_weak), step_at())
    assert empty["student"]["dice"][1].item() == 0
    assert method(batch, step_at())["student"]["dice"][1].item() > 0.2


def test_teacher_mode():
    """Batch norm's statistics of the teacher stay, or are those of what it labels."""
    for mode, moves in (("eval", False), ("train", True)):
        method = OnlineLabels(
            small_network(norm="batch", seed=1), small_network(norm="batch", seed=2), teacher_mode=mode
        )
        method.train()
        norm = method.teacher.network[1]
        assert isinstance(norm, nn.BatchNorm3d)
        method(small_batch(), step_at())
        assert bool(norm.running_mean.any()) == moves


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "firm"}, "labels is 'firm'; it must be 'soft' or 'hard'"),
        ({"teacher_view": "same"}, "teacher_view is 'same'; it must be 'weak' or 'strong'"),
        ({"every": 0}, "every is 0; it must be a whole number from 1 on"),
    ],
)
def test_unknown_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        OnlineLabels(small_network(), small_network(), **arguments)
