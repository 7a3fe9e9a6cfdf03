"""Every method, by class and by overlay, on the published networks: any classes, 2D and 3D, any patch they halve."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from mednoisy.composition import compose, known
from mednoisy.data.batch import Batch
from mednoisy.engines.stages import Stage
from mednoisy.engines.student_optimisers import StudentOptimisers
from mednoisy.methods.bcp import BCP
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.cps import CrossPseudoSupervision
from mednoisy.methods.fixmatch import FixMatch
from mednoisy.methods.mean_teacher import MeanTeacher
from mednoisy.methods.method import Method
from mednoisy.methods.online_labels import OnlineLabels, TeacherTraining
from mednoisy.methods.sdcl import SDCL
from mednoisy.methods.supervised import Supervised, SupervisedEnsemble
from mednoisy.methods.ua_mt import UncertaintyAwareMeanTeacher
from mednoisy.methods.unimatch import UniMatch
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb.copy_paste import BoxRule
from mednoisy.perturb.cutmix import CutMixRule
from tests.methods.small import step_at


class Setting(NamedTuple):
    """`network` is a first student, its twin or its momentum copy; `partner` is a student of another structure."""

    classes: int
    channels: int
    patch: tuple[int, ...]
    network: partial
    partner: partial


SETTINGS = {  # no patch is a square or a cube, or has the published size
    "2d_four_classes": Setting(
        *(4, 3, (24, 40)),
        partial(UNet, 2, 3, 4, widths=(4, 6, 8, 8), dropout=(0.05, 0.1, 0.2, 0.3)),
        partial(ResUNet, 2, 3, 4, widths=(4, 6, 8, 8), blocks=(1, 1, 1), stem_kernel=3),
    ),
    "2d_no_dropout": Setting(
        *(2, 1, (16, 8)),
        partial(ResUNet, 2, 1, 2, widths=(4, 6, 8), blocks=(1, 1), stem_kernel=3),
        partial(UNet, 2, 1, 2, widths=(4, 6, 8), dropout=(0, 0, 0)),
    ),
    "3d_three_classes": Setting(
        *(3, 1, (12, 16, 12)),
        partial(VNet, 3, 1, 3, width=3, convolutions=(1, 1, 2)),
        partial(ResVNet, 3, 1, 3, width=3, blocks=(1, 1), convolutions=(1, 1), stem_kernel=3),
    ),
    "3d_batch_norm": Setting(
        *(2, 2, (16, 12, 12)),
        partial(VNet, 3, 2, 2, width=3, norm="batch", convolutions=(1, 1, 2)),
        partial(ResVNet, 3, 2, 2, width=3, norm="batch", blocks=(1, 1), convolutions=(1, 1), stem_kernel=3),
    ),
}
ALWAYS = CutMixRule(probability=1.0)
PUBLISHED = {"teacher_mode": "train", "box": BoxRule(last_included=False)}
# Of a network a, its twin b and a partner p; those of the overlays are found below.
CLASSES = {
    "supervised": lambda a, b, p: Supervised(a),
    "supervised_pair": lambda a, b, p: SupervisedEnsemble({"a": a, "b": p}),
    "copy_paste": lambda a, b, p: SupervisedCopyPaste({"a": a, "b": p}),
    "copy_paste_per_region": lambda a, b, p: SupervisedCopyPaste({"a": a}, both_directions=False, loss="per_region"),
    "mean_teacher": lambda a, b, p: MeanTeacher(a, weight=0.1),
    "ua_mt": lambda a, b, p: UncertaintyAwareMeanTeacher(a, weight=0.1, passes=2),
    "ua_mt_published": lambda a, b, p: UncertaintyAwareMeanTeacher(
        a, passes=2, ssl4mis_constants=True, teacher_mode="train", teacher_buffers=False, dice="batch_squared"
    ),
    "cps": lambda a, b, p: CrossPseudoSupervision(a, b, weight=0.1),
    "cps_cutmix": lambda a, b, p: CrossPseudoSupervision(a, p, weight=1.5, boxes=ALWAYS),
    "fixmatch": lambda a, b, p: FixMatch(a, threshold=0.5, boxes=ALWAYS),
    "fixmatch_ce": lambda a, b, p: FixMatch(a, threshold=0.5, unlabeled_loss="ce", boxes=None),
    "unimatch": lambda a, b, p: UniMatch(a, threshold=0.5, boxes=ALWAYS),
    "unimatch_at_95": lambda a, b, p: UniMatch(a),
    "teacher_training": lambda a, b, p: TeacherTraining(a, copy=b),
    "online_labels": lambda a, b, p: OnlineLabels(a, b),
    "hard_labels": lambda a, b, p: OnlineLabels(a, b, labels="hard", dice="per_sample", teacher_mode="train"),
    "bcp": lambda a, b, p: BCP(a),
    "bcp_published": lambda a, b, p: BCP(a, **PUBLISHED),
    "sdcl": lambda a, b, p: SDCL(a, p),
    "sdcl_two_teachers": lambda a, b, p: SDCL(a, p, teachers="each", dice="batch_squared"),
    "sdcl_published": lambda a, b, p: SDCL(a, p, **PUBLISHED),
}
LABELED_ONLY = {
    "supervised",
    "supervised_pair",
    "copy_paste",
    "copy_paste_per_region",
    "teacher_training",
}  # of CLASSES
DRAWS_NOTHING = {"supervised", "supervised_pair", "cps", "teacher_training", "online_labels", "hard_labels"}
DRAWS_NOTHING |= {"unimatch_at_95"}  # of a network that is nowhere so sure


def config_of(network: partial) -> dict[str, Any]:
    """What stands in a configuration for a network of `SETTINGS`."""
    arguments = dict(zip(("spatial_dims", "in_channels", "num_classes"), network.args, strict=True))
    return {"_target_": f"{network.func.__module__}.{network.func.__qualname__}", **arguments, **network.keywords}


def stages_of(overlay: str, setting: str) -> list[Stage]:
    """The stages of an overlay that comes with the package, on the networks of a setting."""
    parser = ConfigParser()
    parser.read_config([str(path) for path in compose("phantom", overlay).config_files])
    parser["network_def"] = config_of(SETTINGS[setting].network)
    if not isinstance(parser["partner_def"], str):  # else it is a twin of network_def
        parser["partner_def"] = config_of(SETTINGS[setting].partner)
    for key in ("patch_size", "stride"):
        parser[key] = list(SETTINGS[setting].patch)
    return parser.get_parsed_content("stages")


def overlays_stages() -> dict[str, tuple[str, int]]:
    """OVERLAY/STAGE to overlay and place of the stage, for every overlay; stages of equal methods once."""
    stages: dict[str, tuple[str, int]] = {}
    for overlay in known("method"):
        if overlay == "colorization":
            continue  # of pictures in colour alone, tests/methods/test_colorization.py
        seen = set()
        for place, stage in enumerate(stages_of(overlay, "3d_three_classes")):
            kind = type(stage.method())
            if kind not in seen:
                stages[f"{overlay}/{stage.name}"] = overlay, place
            seen.add(kind)
    return stages


OVERLAYS = overlays_stages()


@pytest.fixture(params=SETTINGS)
def setting(request) -> str:
    return request.param


@pytest.fixture(params=[*CLASSES, *OVERLAYS])
def name(request) -> str:
    return request.param


def made(name: str, setting: str) -> Method:
    """A method in training, its networks filled from a seed."""
    of = SETTINGS[setting]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if name in CLASSES:
            return CLASSES[name](of.network(), of.network(), of.partner()).train()
        overlay, place = OVERLAYS[name]
        return stages_of(overlay, setting)[place].method().train()


def batch_at(setting: str, number: int = 0, crops: int = 4) -> Batch:
    """Noise; labels have every class, and the weak view is not the strong one."""
    of, generator = SETTINGS[setting], torch.Generator().manual_seed(number)
    labeled, unlabeled, weak = torch.randn(3, crops, of.channels, *of.patch, generator=generator)
    return Batch(labeled, torch.randint(0, of.classes, (crops, *of.patch), generator=generator), unlabeled, weak)


def two_steps(method: Method, setting: str) -> list[float]:
    """Train as the engine does; the total of each student at each step."""
    updates = StudentOptimisers(method, partial(torch.optim.SGD, lr=0.05, momentum=0.9))
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


def test_losses_are_finite_in_any_precision(name, setting):
    """Scalars in float32, one set for each student."""
    method, batch = made(name, setting), batch_at(setting)
    for precise in (True, False):
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            losses = method(batch, step_at())
        assert list(losses) == list(method.students)
        for terms in losses.values():
            assert torch.isfinite(terms.total())
            assert all(value.dtype == torch.float32 and value.shape == () for _, value in terms.values())


def test_two_steps_train_every_student(name, setting):
    """Each student and whatever follows it moves, and the same two steps again are equal bit for bit."""
    method, again = made(name, setting), made(name, setting)
    followers = {key: m for key, m in method.named_modules() if hasattr(m, "follow")}
    networks = {**method.students, **followers}
    before = {key: weights(network) for key, network in networks.items()}
    assert two_steps(method, setting) == two_steps(again, setting)
    still = {"teacher"} if name.startswith("offline_labels/") else set()  # no more moved once it labels
    for key, network in networks.items():
        assert torch.isfinite(weights(network)).all(), key
        assert torch.equal(weights(network), before[key]) == (key in still), key
    for key, value in method.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_every_predictor_answers_on_any_patch(name, setting):
    """(B, C, *patch) becomes logits (B, K, *patch), also of a patch twice as long, with finite values."""
    of, method = SETTINGS[setting], made(name, setting)
    two_steps(method, setting)
    method.eval()
    for shape in (of.patch, (2 * of.patch[0], *of.patch[1:])):
        image = torch.randn(2, of.channels, *shape, generator=torch.Generator().manual_seed(9))
        for key, predictor in method.predictors().items():
            with torch.no_grad():
                logits = predictor(image)
            assert logits.shape == (2, of.classes, *shape), key
            assert torch.isfinite(logits).all(), key


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
    """Without dropout layers equal steps are equal, whatever the global generator did; of classes another is not."""
    method, batch = made(name, "2d_no_dropout"), batch_at("2d_no_dropout")

    def totals(number: int) -> list[float]:
        return [terms.total().item() for terms in method(batch, step_at(number)).values()]

    first = totals(7)
    torch.rand(3)
    assert totals(7) == first
    if name in CLASSES:
        assert (totals(8) == first) == (name in DRAWS_NOTHING)


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
    if name in CLASSES:
        labeled_only = name in LABELED_ONLY
    else:
        overlay, place = OVERLAYS[name]
        labeled_only = stages_of(overlay, "3d_three_classes")[place].unlabeled == 0
    assert (max(images.max() for images in seen["student"]) > 900) != labeled_only


@pytest.mark.parametrize("setting", ["2d_four_classes", "3d_batch_norm"])
@pytest.mark.parametrize(
    "method", [MeanTeacher, UncertaintyAwareMeanTeacher, CrossPseudoSupervision, FixMatch, UniMatch, OnlineLabels]
)
@pytest.mark.parametrize("joint_pass", [True, False])
def test_unlabeled_images_shift_no_statistics_of_labeled_ones(method, setting, joint_pass):
    """In one pass batch norm mixes them, and with few labels a network learns to tell them apart by that."""
    networks = [SETTINGS[setting].network() for _ in range(2)]
    two = method in (CrossPseudoSupervision, OnlineLabels)

    def labeled_terms(scale: float) -> list[float]:
        batch = batch_at(setting)
        batch = replace(batch, unlabeled=batch.unlabeled * scale, unlabeled_weak=batch.unlabeled_weak * scale)
        made = method(*deepcopy(networks if two else networks[:1]), joint_pass=joint_pass).train()
        terms = next(iter(made(batch, step_at()).values()))
        return [terms[name][1].item() for name in ("dice", "ce") if name in terms]

    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
    assert (labeled_terms(1.0) != labeled_terms(9.0)) is joint_pass
