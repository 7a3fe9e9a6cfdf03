"""Five steps of the authors' code, in float64, repeated by our own method classes.

Numbers depend on every loss, mask, pseudo-label, optimiser step and teacher update before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mednoisy.methods.bcp
import mednoisy.methods.sdcl
from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.methods.bcp import BCP
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.method import Method, Step, Terms
from mednoisy.methods.sdcl import SDCL
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.perturb.copy_paste import Box
from tests.reference import arrays_of, checksums, fill_by_rule, used_rows

LOSSES, CHECKSUMS = {"rtol": 1e-8, "atol": 0}, {"rtol": 1e-6, "atol": 1e-12}


@dataclass
class GivenBoxes:
    """Stands for a box rule: the boxes of the reference in their order."""

    rows: np.ndarray
    drawn: int = 0

    def __call__(self, shape, generator) -> Box:
        starts, stops = self.rows[self.drawn].reshape(2, -1)
        self.drawn += 1
        return tuple(slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))


@dataclass
class Run:
    """A method, its optimisers, and what was seen of it."""

    method: Method
    optimisers: dict[str, torch.optim.Optimizer]
    terms: list[dict[str, Terms]] = field(default_factory=list)

    def step(self, batch: Batch) -> None:
        step = Step(len(self.terms), 5, Draw(0, "method", len(self.terms)))
        terms = self.method(batch, step)
        for name, student in self.method.students.items():
            self.optimisers[name].zero_grad()
            terms[name].total().backward(inputs=list(student.parameters()))
        for optimiser in self.optimisers.values():
            optimiser.step()
        self.method.after_update(step)
        self.terms.append(terms)

    def values(self, student: str, term: str) -> np.ndarray:
        return np.array([terms[student][term][1].item() for terms in self.terms])

    def totals(self, student: str) -> np.ndarray:
        return np.array([terms[student].total().item() for terms in self.terms])


def run_of(method: Method, optimiser: str = "adam") -> Run:
    make = {
        "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
        "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4),
    }[optimiser]
    return Run(method.train(), {name: make(student.parameters()) for name, student in method.students.items()})


def filled(network: nn.Module, keys, device: str) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    fill_by_rule(network, keys)
    return network.double().to(device)


def batch_of(figures, device: str) -> Batch:
    def images(of: str) -> Tensor:
        return torch.from_numpy(np.concatenate([figures[f"image_{of}_a"], figures[f"image_{of}_b"]])).double() / 32

    labels = torch.from_numpy(np.concatenate([figures["label_labeled_a"], figures["label_labeled_b"]])).long()
    unlabeled = images("unlabeled")
    return Batch(images("labeled"), labels, unlabeled, unlabeled).to(torch.device(device))


@pytest.fixture
def recorded(monkeypatch) -> list[tuple[Tensor, Tensor]]:
    """The (teacher's logits, pseudo-labels) of each step."""
    seen: list[tuple[Tensor, Tensor]] = []
    for module in (mednoisy.methods.bcp, mednoisy.methods.sdcl):
        original = module.pseudo_labels

        def record(logits, connectivity, original=original):
            seen.append((logits, original(logits, connectivity)))
            return seen[-1][1]

        monkeypatch.setattr(module, "pseudo_labels", record)
    return seen


def check_teacher(figures, recorded, steps: int) -> None:
    for part, name in enumerate("ab"):
        sums = [logits.chunk(2)[part].abs().sum().item() for logits, _ in recorded]
        np.testing.assert_allclose(sums, figures[f"f64_self_teacher_logits_{name}_abs_sum"][:steps], **LOSSES)
    labels = torch.stack([torch.stack(labels.chunk(2)) for _, labels in recorded]).cpu().numpy()
    if "f64_self_pseudo_labels" in figures:
        expected = figures["f64_self_pseudo_labels"][:steps]
    else:
        shape = (5, *labels.shape[2:])
        packed = [np.unpackbits(figures[f"f64_self_pseudo_label_{name}"])[: np.prod(shape)] for name in "ab"]
        expected = np.stack([bits.reshape(shape) for bits in packed], axis=1)[:steps]
    np.testing.assert_array_equal(labels, expected)


def check_checksums(figures, stage: str, **networks: nn.Module) -> None:
    for name, network in networks.items():
        rows = used_rows(figures[f"{stage}_{name}_keys"])
        np.testing.assert_allclose(checksums(network), figures[f"f64_{stage}_{name}_checksum"][rows], **CHECKSUMS)


def check_sdcl(figures, run: Run, steps: int) -> None:
    for student, name in (("a", "net1"), ("b", "net2")):
        for short, kind in (("l", "unlabeled_outside"), ("u", "labeled_outside")):
            ours = {part: run.values(student, f"{part}_{kind}") for part in ("dice", "ce", "gap", "doubt")}
            found = {"mse": ours["gap"], "kl": ours["doubt"], "dice": ours["dice"], "ce": ours["ce"]}
            found["mix"] = (ours["dice"] + ours["ce"]) / 2
            for term, values in found.items():
                key = f"f64_self_{name}_{term}_{short}"
                if key in figures:
                    np.testing.assert_allclose(values, figures[key][:steps], **LOSSES, err_msg=key)
        np.testing.assert_allclose(run.totals(student), figures[f"f64_self_{name}_total"][:steps], **LOSSES)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("sdcl_la", 2),
        pytest.param("sdcl_la", 5, marks=pytest.mark.slow),
        pytest.param("sdcl_pancreas", 5, marks=pytest.mark.slow),
    ],
)
def test_sdcl_in_3d(golden, device, recorded, name, steps):
    """Students, teacher and pseudo-labels follow the reference on left atrium and pancreas."""
    figures = arrays_of(golden(f"trajectory_{name}.npz"))
    constants = {"sdcl_la": {}, "sdcl_pancreas": {"gap_weight": 0.3, "doubt_weight": 0.1, "connectivity": 18}}[name]
    method = SDCL(
        filled(VNet(), figures["self_net1_keys"], device),
        filled(ResVNet(), figures["self_net2_keys"], device),
        teacher_mode="train",
        teacher_buffers=False,
        box=GivenBoxes(figures["boxes"]),
        **constants,
    )
    run = run_of(method)
    for _ in range(steps):
        run.step(batch_of(figures, device))
    check_sdcl(figures, run, steps)
    check_teacher(figures, recorded, steps)
    shares = figures["f64_self_discrepancy_voxels_l_u"][:steps].sum(1) / (4 * 32**3)
    np.testing.assert_allclose(run.values("a", "disagreement"), shares, rtol=1e-6)
    if steps == 5:
        teacher = method.teachers["a"].network
        check_checksums(figures, "self", net1=method.students["a"], net2=method.students["b"], teacher=teacher)


def test_sdcl_in_2d(golden, device, recorded):
    """Five steps with four classes, batch norm and averaged buffers."""
    figures = arrays_of(golden("trajectory_sdcl_acdc.npz"))
    method = SDCL(
        filled(UNet(), figures["self_net1_keys"], device),
        filled(ResUNet(), figures["self_net2_keys"], device),
        dice="batch_squared",
        teacher_mode="train",
        box=GivenBoxes(figures["boxes"]),
    )
    run = run_of(method)
    for _ in range(5):
        run.step(batch_of(figures, device))
    check_sdcl(figures, run, 5)
    check_teacher(figures, recorded, 5)
    teacher = method.teachers["a"].network
    check_checksums(figures, "self", net1=method.students["a"], net2=method.students["b"], teacher=teacher)


@pytest.mark.parametrize("steps", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_bcp_in_3d(golden, device, recorded, steps):
    """Batch norm, whose buffers the teacher keeps for itself."""
    figures = arrays_of(golden("trajectory_bcp_la.npz"))
    network = filled(VNet(norm="batch"), figures["self_net_keys"], device)
    method = BCP(network, teacher_mode="train", teacher_buffers=False, box=GivenBoxes(figures["boxes"]))
    run = run_of(method, "sgd")
    for _ in range(steps):
        run.step(batch_of(figures, device))
    for short, kind in (("l", "labeled_outside"), ("u", "unlabeled_outside")):
        mix = (run.values("student", f"dice_{kind}") + run.values("student", f"ce_{kind}")) / 2
        np.testing.assert_allclose(mix, figures[f"f64_self_mix_{short}"][:steps], **LOSSES)
    np.testing.assert_allclose(run.totals("student"), figures["f64_self_total"][:steps], **LOSSES)
    check_teacher(figures, recorded, steps)
    if steps == 5:
        check_checksums(figures, "self", net=network, teacher=method.teacher.network)


def pretrained(figures, device: str, networks: dict[str, nn.Module], optimiser: str = "adam", **options) -> Run:
    method = SupervisedCopyPaste(networks, both_directions=False, box=GivenBoxes(figures["boxes"]), **options)
    run = run_of(method, optimiser)
    run.step(batch_of(figures, device))
    return run


def two_students(figures, device: str, first: nn.Module, second: nn.Module) -> dict[str, nn.Module]:
    return {
        "net1": filled(first, figures["pretrain_net1_keys"], device),
        "net2": filled(second, figures["pretrain_net2_keys"], device),
    }


def test_pretraining_of_sdcl_in_3d(golden, device):
    """One step on the mixed label: losses, gradients, weights and the logits after it."""
    figures = arrays_of(golden("trajectory_sdcl_la.npz"))
    networks = two_students(figures, device, VNet(), ResVNet())
    run = pretrained(figures, device, networks)
    for name in networks:
        for term in ("ce", "dice"):
            np.testing.assert_allclose(run.values(name, term), figures[f"f64_pretrain_{name}_{term}"], **LOSSES)
        np.testing.assert_allclose(run.totals(name), figures[f"f64_pretrain_{name}_total"], **LOSSES)
        gradients = figures[f"f64_pretrain_{name}_gradient_abs_sum"]
        ours = [parameter.grad.abs().sum().item() for parameter in networks[name].parameters()]
        np.testing.assert_allclose(ours, gradients[~np.isnan(gradients)], rtol=1e-8, atol=1e-10)
    check_checksums(figures, "pretrain", **networks)


def test_pretraining_of_sdcl_in_2d(golden, device):
    """One step per region, both with weight 1."""
    figures = arrays_of(golden("trajectory_sdcl_acdc.npz"))
    networks = two_students(figures, device, UNet(), ResUNet())
    run = pretrained(figures, device, networks, loss="per_region", dice="batch_squared")
    for name in networks:
        ours = [run.values(name, "dice")[0], run.values(name, "ce")[0], run.totals(name)[0]]
        np.testing.assert_allclose(ours, figures[f"f64_pretrain_{name}_dice_ce_total"], **LOSSES)
    check_checksums(figures, "pretrain", **networks)


def test_pretraining_of_bcp(golden, device):
    """One step of one student with batch norm."""
    figures = arrays_of(golden("trajectory_bcp_la.npz"))
    network = filled(VNet(norm="batch"), figures["pretrain_net_keys"], device)
    run = pretrained(figures, device, {"student": network}, optimiser="sgd")
    ours = [run.values("student", "ce")[0], run.values("student", "dice")[0], run.totals("student")[0]]
    np.testing.assert_allclose(ours, figures["f64_pretrain_ce_dice_total"], **LOSSES)
    check_checksums(figures, "pretrain", net=network)
