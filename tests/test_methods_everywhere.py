"""Every method on the published networks: any number of classes, 2D and 3D, any patch that the network halves."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.draws import Draw
from mednoisy.engines.updates import Updates
from mednoisy.methods.bcp import BCP
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.method import Method, Step
from mednoisy.methods.sdcl import SDCL
from mednoisy.methods.supervised import Supervised
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb.copy_paste import BoxRule

# name: classes, channels, patch, and both students; no patch is a cube or has the published size
SETTINGS = {
    "2d_four_classes": (
        *(4, 3, (24, 40)),
        partial(UNet, 2, 3, 4, widths=(4, 6, 8, 8), dropout=(0.05, 0.1, 0.2, 0.3)),
        partial(ResUNet, 2, 3, 4, widths=(4, 6, 8, 8), blocks=(1, 1, 1), stem_kernel=3),
    ),
    "3d_three_classes": (
        *(3, 1, (8, 16, 12)),
        partial(VNet, 3, 1, 3, width=3, convolutions=(1, 1, 2)),
        partial(ResVNet, 3, 1, 3, width=3, blocks=(1, 1), convolutions=(1, 1), stem_kernel=3),
    ),
    "3d_batch_norm": (
        *(2, 2, (16, 8, 4)),
        partial(VNet, 3, 2, 2, width=3, norm="batch", convolutions=(1, 1, 2)),
        partial(ResVNet, 3, 2, 2, width=3, norm="batch", blocks=(1, 1), convolutions=(1, 1), stem_kernel=3),
    ),
}
PUBLISHED = {"teacher_mode": "train", "box": BoxRule(last_included=False)}
METHODS = {
    "supervised": lambda a, b: Supervised(a),
    "copy_paste": lambda a, b: SupervisedCopyPaste({"a": a, "b": b}),
    "copy_paste_per_region": lambda a, b: SupervisedCopyPaste({"a": a}, both_directions=False, loss="per_region"),
    "mean_teacher": lambda a, b: MeanTeacher(a, weight=0.1),
    "bcp": lambda a, b: BCP(a),
    "bcp_published": lambda a, b: BCP(a, **PUBLISHED),
    "sdcl": lambda a, b: SDCL(a, b),
    "sdcl_two_teachers": lambda a, b: SDCL(a, b, teachers="each", dice="batch_squared"),
    "sdcl_published": lambda a, b: SDCL(a, b, **PUBLISHED),
}


@pytest.fixture(params=SETTINGS)
def setting(request) -> str:
    return request.param


@pytest.fixture(params=METHODS)
def name(request) -> str:
    return request.param


def made(name: str, setting: str) -> Method:
    """A method in training, its networks filled from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return METHODS[name](*(network() for network in SETTINGS[setting][3:])).train()


def batch_at(setting: str, number: int, crops: int = 4) -> Batch:
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
            step = Step(number, 2, Draw(0, "method", number))
            of_students = {student: terms.total() for student, terms in method(batch_at(setting, number), step).items()}
            updates.backward(of_students)
            assert updates.any_not_finite(of_students).item() == 0
            updates.apply(of_students)
            method.after_update(step)
        totals += [total.item() for total in of_students.values()]
    return totals


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_two_steps_train_every_student(name, setting):
    """Losses and gradients are finite, each student and whatever follows it moves."""
    method = made(name, setting)
    moving = {**method.students, **{key: m for key, m in method.named_modules() if hasattr(m, "follow")}}
    before = {key: weights(network) for key, network in moving.items()}
    two_steps(method, setting)
    for key, network in moving.items():
        assert torch.isfinite(weights(network)).all(), key
        assert not torch.equal(weights(network), before[key]), key


def test_every_predictor_answers_on_any_patch(name, setting):
    """(B, C, *patch) becomes logits (B, K, *patch), also of a patch twice as long, with finite values."""
    classes, channels, patch = SETTINGS[setting][:3]
    method = made(name, setting)
    two_steps(method, setting)
    method.eval()
    for shape in (patch, (2 * patch[0], *patch[1:])):
        image = torch.randn(2, channels, *shape, generator=torch.Generator().manual_seed(9))
        for key, predictor in method.predictors().items():
            with torch.no_grad():
                logits = predictor(image)
            assert logits.shape == (2, classes, *shape), key
            assert torch.isfinite(logits).all(), key


def test_the_same_two_steps_twice(name, setting):
    """Networks, draws and batches decide everything: losses and weights are equal bit for bit."""
    first, second = made(name, setting), made(name, setting)
    assert two_steps(first, setting) == two_steps(second, setting)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
