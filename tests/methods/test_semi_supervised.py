"""What mean teacher, BCP and SDCL have in common, and their limiting cases."""

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
    "mean_teacher": lambda **of: MeanTeacher(small_network(**of), weight=0.1),
    "bcp": lambda **of: BCP(small_network(**of)),
    "sdcl": lambda **of: SDCL(small_network(seed=1, **of), small_network(seed=2, **of)),
    "sdcl_each": lambda **of: SDCL(small_network(seed=1, **of), small_network(seed=2, **of), teachers="each"),
}
CASES = [(2, (8, 7, 6), "instance"), (3, (8, 8, 8), "batch"), (4, (12, 9), "batch")]


def made(name: str, classes: int = 2, spatial: tuple[int, ...] = (8, 7, 6), norm: str = "instance"):
    method: Method = METHODS[name](classes=classes, spatial_dims=len(spatial), norm=norm)
    return method.train(), small_batch(classes, spatial)


@pytest.fixture(params=METHODS)
def name(request) -> str:
    return request.param


@pytest.mark.parametrize(("classes", "spatial", "norm"), CASES)
def test_any_classes_dimensions_and_norm(name, classes, spatial, norm):
    """A step runs, also in bfloat16, with finite losses, and every predictor maps images to logits."""
    method, batch = made(name, classes, spatial, norm)
    for precise in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            losses = method(batch, step_at())
        for terms in losses.values():
            assert torch.isfinite(terms.total())
            assert all(value.dtype == torch.float32 and value.shape == () for _, value in terms.values())
    method.eval()
    for predictor in method.predictors().values():
        assert predictor(batch.unlabeled).shape == (4, classes, *spatial)


def test_one_backward_reaches_one_student(name):
    """A student's total fills its own gradients, all of them, and those of nothing else."""
    method, batch = made(name)
    losses = method(batch, step_at())
    for student in losses:
        method.zero_grad()
        losses[student].total().backward(inputs=list(method.students[student].parameters()), retain_graph=True)
        for key, parameter in method.named_parameters():
            assert (parameter.grad is not None) == key.startswith(f"students.{student}."), key


def test_the_total_depends_on_one_student_alone(name):
    """No term of a student has a path to another network, so no backward could leak."""
    method, batch = made(name)
    for student, terms in method(batch, step_at()).items():
        others = [p for key, p in method.named_parameters() if p.requires_grad and f".{student}." not in key]
        if others:
            found = torch.autograd.grad(terms.total(), others, allow_unused=True, retain_graph=True)
            assert all(gradient is None for gradient in found)


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


def test_only_the_weak_view_is_labeled(name):
    """The teacher sees the weak view, the students the strong one."""
    method, batch = made(name)
    seen: dict[str, list[torch.Tensor]] = {"teacher": [], "student": []}
    for module in method.modules():
        if hasattr(module, "follow"):
            module.network.register_forward_pre_hook(lambda _, inputs: seen["teacher"].append(inputs[0]))
    for student in method.students.values():
        student.register_forward_pre_hook(lambda _, inputs: seen["student"].append(inputs[0]))
    far = replace(batch, unlabeled=batch.unlabeled + 1000, unlabeled_weak=batch.unlabeled_weak - 1000)
    method(far, step_at())
    assert all(images.max() < 0 for images in seen["teacher"])
    assert all(images.min() > -100 and images.max() > 900 for images in seen["student"])


def test_equal_steps_are_equal(name):
    """The draw alone decides: the same step gives the same losses, whatever the global generator did."""
    method, batch = made(name)
    first = {key: terms.total().item() for key, terms in method(batch, step_at(7)).items()}
    torch.rand(3)
    assert first == {key: terms.total().item() for key, terms in method(batch, step_at(7)).items()}


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
