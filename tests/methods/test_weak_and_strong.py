"""What UA-MT, cross pseudo supervision, FixMatch, UniMatch and online pseudo-labels have in common."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.engines.updates import Updates
from mednoisy.methods.cps import CrossPseudoSupervision
from mednoisy.methods.fixmatch import FixMatch
from mednoisy.methods.method import Method
from mednoisy.methods.online_labels import OnlineLabels, TeacherTraining
from mednoisy.methods.ua_mt import UncertaintyAwareMeanTeacher
from mednoisy.methods.unimatch import UniMatch
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb.cutmix import CutMixRule
from tests.methods.small import step_at

ALWAYS = CutMixRule(probability=1.0)
METHODS = {
    "ua_mt": lambda a, b: UncertaintyAwareMeanTeacher(a, weight=0.1, passes=2),
    "ua_mt_published": lambda a, b: UncertaintyAwareMeanTeacher(
        a, passes=2, ssl4mis_constants=True, teacher_mode="train", teacher_buffers=False, dice="batch_squared"
    ),
    "cps": lambda a, b: CrossPseudoSupervision(a, b, weight=0.1),
    "cps_cutmix": lambda a, b: CrossPseudoSupervision(a, b, weight=1.5, boxes=ALWAYS),
    "fixmatch": lambda a, b: FixMatch(a, threshold=0.5, boxes=ALWAYS),
    "fixmatch_ce": lambda a, b: FixMatch(a, threshold=0.5, unlabeled_loss="ce", boxes=None),
    "unimatch": lambda a, b: UniMatch(a, threshold=0.5, boxes=ALWAYS),
    "unimatch_at_95": lambda a, b: UniMatch(a),
    "teacher_training": lambda a, b: TeacherTraining(a, copy=b),
    "online_labels": lambda a, b: OnlineLabels(a, b),
    "hard_labels": lambda a, b: OnlineLabels(a, b, labels="hard", dice="per_sample", teacher_mode="train"),
}
# name: classes, channels, patch, network
SETTINGS = {
    "2d_four_classes": (
        *(4, 3, (24, 40)),
        partial(UNet, 2, 3, 4, widths=(4, 6, 8, 8), dropout=(0.05, 0.1, 0.2, 0.3)),
    ),
    "2d_residual": (2, 1, (16, 8), partial(ResUNet, 2, 1, 2, widths=(4, 6, 8), blocks=(1, 1), stem_kernel=3)),
    "3d_three_classes": (3, 1, (8, 16, 12), partial(VNet, 3, 1, 3, width=3, convolutions=(1, 1, 2))),
    "3d_batch_norm": (
        *(2, 2, (16, 8, 4)),
        partial(ResVNet, 3, 2, 2, width=3, norm="batch", blocks=(1, 1), convolutions=(1, 1), stem_kernel=3),
    ),
}


@pytest.fixture(params=SETTINGS)
def setting(request) -> str:
    return request.param


@pytest.fixture(params=METHODS)
def name(request) -> str:
    return request.param


def made(name: str, setting: str) -> Method:
    """A method in training, its two networks of one structure filled from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = SETTINGS[setting][3]
        return METHODS[name](network(), network()).train()


def batch_at(setting: str, number: int = 0, crops: int = 2) -> Batch:
    """Noise; labels have every class, and the weak view is not the strong one."""
    classes, channels, patch = SETTINGS[setting][:3]
    generator = torch.Generator().manual_seed(number)
    labeled, unlabeled, weak = torch.randn(3, crops, channels, *patch, generator=generator)
    return Batch(labeled, torch.randint(0, classes, (crops, *patch), generator=generator), unlabeled, weak)


def two_steps(method: Method, setting: str) -> list[float]:
    """Train as the engine does; the total of each student at each step."""
    updates = Updates(method, partial(torch.optim.SGD, lr=0.05, momentum=0.9))
    totals = []
    for number in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(number)  # of dropout
            step = step_at(number, 2)
            of_students = {student: terms.total() for student, terms in method(batch_at(setting, number), step).items()}
            updates.backward(of_students)
            assert updates.any_not_finite(of_students).item() == 0
            updates.apply(of_students)
            method.after_update(step)
        totals += [total.item() for total in of_students.values()]
    return totals


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_any_classes_dimensions_and_norm(name, setting):
    """A step runs, also in bfloat16, with finite losses in float32, and predictors map images to logits."""
    method, batch = made(name, setting), batch_at(setting)
    for precise in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            losses = method(batch, step_at())
        assert list(losses) == list(method.students)
        for terms in losses.values():
            assert torch.isfinite(terms.total())
            assert all(value.dtype == torch.float32 and value.shape == () for _, value in terms.values())
    method.eval()
    classes, _, patch = SETTINGS[setting][:3]
    for predictor in method.predictors().values():
        assert predictor(batch.unlabeled).shape == (2, classes, *patch)


def test_two_steps_train_every_student(name, setting):
    """Each student and whatever follows it moves, and the same two steps again are equal bit for bit."""
    method, again = made(name, setting), made(name, setting)
    moving = {**method.students, **{key: m for key, m in method.named_modules() if hasattr(m, "follow")}}
    before = {key: weights(network) for key, network in moving.items()}
    assert two_steps(method, setting) == two_steps(again, setting)
    for key, network in moving.items():
        assert torch.isfinite(weights(network)).all(), key
        assert not torch.equal(weights(network), before[key]), key
    for key, value in method.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_no_loss_reaches_another_network(name):
    """A student's total has gradients for all of its own parameters, and no path to any other that learns."""
    method = made(name, "3d_three_classes")
    for student, terms in method(batch_at("3d_three_classes"), step_at()).items():
        own = list(method.students[student].parameters())
        found = torch.autograd.grad(terms.total(), own, retain_graph=True, allow_unused=True)
        assert all(gradient is not None for gradient in found)
        others = [p for key, p in method.named_parameters() if p.requires_grad and f"students.{student}." not in key]
        if others:
            found = torch.autograd.grad(terms.total(), others, allow_unused=True, retain_graph=True)
            assert all(gradient is None for gradient in found)
    teachers = [m for m in method.modules() if hasattr(m, "follow")]
    assert not any(parameter.requires_grad for teacher in teachers for parameter in teacher.parameters())


def test_the_draw_alone_decides(name):
    """Without dropout layers equal steps are equal, whatever the global generator did; another number is not."""
    method, batch = made(name, "2d_residual"), batch_at("2d_residual")

    def totals(number: int) -> list[float]:
        return [terms.total().item() for terms in method(batch, step_at(number)).values()]

    first = totals(7)
    torch.rand(3)
    assert totals(7) == first
    draws_nothing = name in ("cps", "teacher_training", "online_labels", "hard_labels")
    assert (totals(8) == first) == draws_nothing


def test_labels_come_from_the_weak_view(name):
    """A teacher sees the weak view alone, and students are taught on the strong one."""
    method, batch = made(name, "3d_three_classes"), batch_at("3d_three_classes")
    seen: dict[str, list[Tensor]] = {"teacher": [], "student": []}
    for module in method.modules():
        if hasattr(module, "follow"):
            module.network.register_forward_pre_hook(lambda _, inputs: seen["teacher"].append(inputs[0]))
    for student in method.students.values():
        student.register_forward_pre_hook(lambda _, inputs: seen["student"].append(inputs[0]))
    far = replace(batch, unlabeled=batch.unlabeled + 1000, unlabeled_weak=batch.unlabeled_weak - 1000)
    method(far, step_at())
    assert all(images.max() < 0 for images in seen["teacher"])
    if name != "teacher_training":
        assert max(images.max() for images in seen["student"]) > 900
