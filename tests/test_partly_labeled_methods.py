"""Every method on partly labeled images: what nobody looked at is in no loss, whatever a method mixes or adds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.partial_labels import PARTIAL
from mednoisy.engines.student_optimisers import StudentOptimisers
from mednoisy.methods.method import Method
from tests.methods.small import step_at
from tests.test_methods_everywhere import CLASSES, LABELED_ONLY, OVERLAYS, batch_at, made, stages_of, weights

MARK = 40.0  # intensity of ignored voxels of labeled images, by which they are found in mixtures


@pytest.fixture(params=["2d_four_classes", "3d_batch_norm"])
def setting(request) -> str:
    return request.param


PRETEXTS = {
    name for name, (overlay, _) in OVERLAYS.items() if overlay in ("restoration", "masked_autoencoding", "contrastive")
}


@pytest.fixture(params=[name for name in (*CLASSES, *OVERLAYS) if name not in PRETEXTS])  # these read no label
def name(request) -> str:
    return request.param


def partly(batch: Batch, known: int = 3) -> Batch:
    """The batch after the last of `known` in every 4 rows was ignored, and marked in the images."""
    labels, images = batch.labels.to(PARTIAL), batch.labeled.clone()
    rows = torch.arange(labels.shape[1]) % 4 >= known
    labels[:, rows], images[:, :, rows] = IGNORED, MARK
    return replace(batch, labels=labels, labeled=images)


def learns_from_labels_alone(name: str, setting: str) -> bool:
    if name in CLASSES:
        return name in LABELED_ONLY
    overlay, place = OVERLAYS[name]
    return stages_of(overlay, setting)[place].unlabeled == 0


def outputs_of(method: Method, student: str, batch: Batch) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """A student's total loss, and inputs and outputs of each of its passes, which keep their gradients."""
    passes: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            output.retain_grad()
            passes.append((inputs[0], output))

    handle = method.students[student].register_forward_hook(note)
    try:
        total = method(batch, step_at(50))[student].total()
    finally:
        handle.remove()
    return total, passes


def test_ignored_voxels_get_no_gradient(name, setting):
    """Wherever a voxel that nobody looked at ends up, its prediction is nobody's business; that of others is."""
    method, batch = made(name, setting), partly(batch_at(setting))
    for student in method.students:
        total, passes = outputs_of(method, student, batch)
        total.backward(inputs=[output for _, output in passes], retain_graph=True)
        found, learned = 0, 0.0
        for images, output in passes:
            if output.grad is None:
                continue
            ignored = (images > MARK / 2).any(dim=1, keepdim=True)
            gradient = output.grad[: len(images)]  # behind them, predictions of changed features of unlabeled images
            found += int(ignored.sum())
            learned += float(gradient.abs().sum())
            assert gradient.masked_select(ignored).abs().sum() == 0
        assert found > 0
        assert learned > 0


def test_labels_without_a_known_voxel_cost_nothing(name, setting):
    """Losses stay finite; what learns from labels alone learns nothing."""
    method, batch = made(name, setting), partly(batch_at(setting), known=0)
    for student in method.students:
        total, _ = outputs_of(method, student, batch)
        parameters = list(method.students[student].parameters())
        gradients = torch.autograd.grad(total, parameters, retain_graph=True)
        assert torch.isfinite(total)
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        if learns_from_labels_alone(name, setting):
            assert total.item() == 0
            assert all((gradient == 0).all() for gradient in gradients)


def test_labels_that_could_be_partial_and_are_not(name, setting):
    """The same losses as of labels that cannot, but for rounding."""
    batch = batch_at(setting)
    plain = made(name, setting)
    possible = made(name, setting)
    torch.manual_seed(0)  # of dropout
    wanted = plain(batch, step_at(50))
    torch.manual_seed(0)
    found = possible(replace(batch, labels=batch.labels.to(PARTIAL)), step_at(50))
    for student, terms in wanted.items():
        for term, (weight, value) in terms.items():
            assert found[student][term][0] == weight
            torch.testing.assert_close(found[student][term][1], value, atol=1e-5, rtol=1e-5)


def test_partly_labeled_images_train_every_student(name):
    """Two updates as the engine makes them, finite and the same again bit for bit."""
    setting, after = "3d_three_classes", []
    for _ in range(2):
        method = made(name, setting)
        before = {student: weights(network) for student, network in method.students.items()}
        updates = StudentOptimisers(method, partial(torch.optim.SGD, lr=0.05, momentum=0.9))
        for number in range(2):
            torch.manual_seed(number)
            step = step_at(number, 2)
            losses = method(partly(batch_at(setting, number)), step)
            totals = {student: terms.total() for student, terms in losses.items()}
            updates.backward(totals)
            assert updates.any_not_finite(totals).item() == 0
            updates.apply(totals)
            method.after_update(step)
        after.append({student: weights(network) for student, network in method.students.items()})
        assert all(not torch.equal(after[-1][student], before[student]) for student in before)
    assert all(torch.equal(after[0][student], after[1][student]) for student in after[0])
