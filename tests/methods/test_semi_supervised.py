"""Teachers, predictors and limiting cases of mean teacher, BCP and SDCL; test_methods_everywhere has the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mednoisy.data.batch import Batch
from mednoisy.methods.bcp import BCP
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.method import Method
from mednoisy.methods.sdcl import SDCL
from mednoisy.methods.supervised import Supervised
from tests.methods.small import gradients, small_batch, small_network, step_at

METHODS = {
    "mean_teacher": lambda: MeanTeacher(small_network(), weight=0.1),
    "bcp": lambda: BCP(small_network()),
    "sdcl": lambda: SDCL(small_network(seed=1), small_network(seed=2)),
    "sdcl_each": lambda: SDCL(small_network(seed=1), small_network(seed=2), teachers="each"),
}


def made(name: str) -> tuple[Method, Batch]:
    return METHODS[name]().train(), small_batch()


@pytest.mark.parametrize("name", METHODS)
def test_teachers_follow(name):
    """After an update the teacher is .99 of itself and .01 of the student (a warm start: t = 1000)."""
    method, batch = made(name)
    method(batch, step_at(0))
    with torch.no_grad():
        for student in method.students.values():
            student[0].bias.fill_(1.0)
    teachers = [m for m in method.modules() if hasattr(m, "follow")]
    expected = [0.99 * teacher.network[0].bias + 0.01 for teacher in teachers]
    method.after_update(step_at(1000, 2000))
    for teacher, bias in zip(teachers, expected, strict=True):
        torch.testing.assert_close(teacher.network[0].bias, bias)


def test_order_of_predictors():
    """The first is deployed; a teacher is called teacher."""
    assert list(made("mean_teacher")[0].predictors()) == ["student", "teacher"]
    assert list(made("bcp")[0].predictors()) == ["student", "teacher"]
    assert list(made("sdcl")[0].predictors()) == ["mean", "a", "b", "teacher"]
    assert list(made("sdcl_each")[0].predictors()) == ["mean", "a", "b", "teacher"]


def test_mean_teacher_without_consistency_is_supervised():
    """With weight 0 the gradients are those of supervised learning, though the term is still logged."""
    batch, network = small_batch(), small_network()
    method, plain = MeanTeacher(network, weight=0.0), Supervised(network)
    assert method(batch, step_at())["student"]["agree"][1] > 0
    for mine, theirs in zip(
        gradients(method, "student", batch, step_at()), gradients(plain, "student", batch, step_at()), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_sdcl_without_corrections_is_bcp():
    """With weights 0 student a learns what BCP's student learns."""
    batch, a, b = small_batch(), small_network(seed=1), small_network(seed=2)
    sdcl, bcp = SDCL(a, b, gap_weight=0.0, doubt_weight=0.0), BCP(a, pairing="cross")
    for mine, theirs in zip(
        gradients(sdcl, "a", batch, step_at()), gradients(bcp, "student", batch, step_at()), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_equal_students_have_nothing_to_correct():
    """Without disagreement both corrections are 0 and the share is 0."""
    method = SDCL(small_network(), small_network())
    for terms in method(small_batch(), step_at()).values():
        corrections = [value.item() for key, (_, value) in terms.items() if key.startswith(("gap", "doubt"))]
        assert corrections == [0.0] * 4
        assert terms["disagreement"][1].item() == 0


def test_students_that_disagree_are_corrected():
    """Unlike students disagree on a share between 0 and 1, one figure for both, and all corrections act."""
    method, batch = made("sdcl")
    terms = method(batch, step_at())
    assert 0 < terms["a"]["disagreement"][1].item() < 1
    assert terms["a"]["disagreement"][1] is terms["b"]["disagreement"][1]
    assert all(terms[student][f"doubt_{kind}_outside"][1] > 0 for student in "ab" for kind in ("labeled", "unlabeled"))


def test_pseudo_labels_of_no_weight_teach_nothing():
    """With pseudo weight 0 the pseudo-labels do not reach the gradient."""
    method = BCP(small_network(), pseudo_weight=0.0, teacher_mode="train")
    batch: Batch = small_batch()
    first = gradients(method, "student", batch, step_at())
    second = gradients(method, "student", replace(batch, unlabeled_weak=-batch.unlabeled_weak), step_at())
    for mine, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_mean_teacher_agrees_with_itself():
    """Without noise and on the same view, student and teacher are equal: the consistency is 0, not of logits."""
    network, batch = small_network(), small_batch()
    same = replace(batch, unlabeled_weak=batch.unlabeled)
    weight, gap = MeanTeacher(network, weight=0.1, noise=0.0).train()(same, step_at())["student"]["agree"]
    assert weight == 0.1
    assert gap.item() == pytest.approx(0, abs=1e-12)


def test_mean_teacher_by_hand():
    """The term is the mean squared difference of probabilities of student and teacher, in 0..1."""
    network, batch = small_network(), small_batch()
    method = MeanTeacher(network, weight=0.1, noise=0.0).train()
    gap = method(batch, step_at())["student"]["agree"][1]
    student, teacher = (network(view).softmax(dim=1) for view in (batch.unlabeled, batch.unlabeled_weak))
    assert gap.item() == pytest.approx((student - teacher).square().mean().item(), rel=1e-5)
