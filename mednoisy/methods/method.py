"""The contract between a method and the engine that trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw


@dataclass(frozen=True)
class Step:
    """Where a stage stands.

    Attributes:
        number: steps of this stage done so far, from 0.
        length: steps of the whole stage.
        draw: the method's own randomness in this step (box positions, noise).
    """

    number: int
    length: int
    draw: Draw


class Terms(dict[str, tuple[float, Tensor]]):
    """Named loss terms with their weights: `Terms(dice=(0.5, tensor), agree=(ramp, tensor))`.

    A term of weight 0 is logged and takes no part in the total (so it may be an observation, such as the
    share of voxels in disagreement).
    """

    def total(self) -> Tensor:
        """The weighted sum, a scalar."""
        return torch.stack([weight * value for weight, value in self.values() if weight != 0]).sum()


class Method(nn.Module):
    """Base of all methods. A method knows no loader, device, file or log.

    Attributes:
        students: the networks that are trained; the engine gives each an optimiser of its own.
    """

    students: nn.ModuleDict

    def check_crops(self, labeled: int, unlabeled: int) -> None:
        """Refuse numbers of labeled and unlabeled crops a step that the method cannot learn from (`UserError`).

        Called before the first step of the first stage.
        """

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """The loss terms of each student, by its name in `students`.

        The engine runs one backward per student, from `terms.total()` into that student's parameters
        only, so terms of different students may share parts of a graph without leaking.
        """
        raise NotImplementedError

    def after_update(self, step: Step) -> None:
        """Called once after all students were updated, e.g. to move a momentum teacher."""

    def optimiser(self, student: str) -> Callable[..., Optimizer] | None:
        """What makes the optimiser of a student's parameters where that is the method's business; None: the stage's."""
        return None

    def predictors(self) -> dict[str, nn.Module]:
        """What is validated, compared and (the first) deployed; each maps images to logits.

        A `MeanEnsemble` of other predictors costs no further forward pass. Call a momentum teacher
        `teacher`: its predictions on unlabeled cases are scored as pseudo-labels.
        """
        raise NotImplementedError

    def forward(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """`losses`, so that the whole method can be wrapped for several processes."""
        return self.losses(batch, step)


def mixes_samples(network: nn.Module) -> bool:
    """Whether the samples of one pass change one another's outputs: batch norm in training."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in network.modules())


def forward_each(network: nn.Module, *inputs: Tensor, jointly: bool = False) -> tuple[Tensor, ...]:
    """The outputs of `network` for each input, from one pass over all of them where that changes nothing.

    Args:
        network: maps images (B, C, *S) to logits (B, K, *S).
        inputs: images (B_i, C, *S), alike in all axes but the first.
        jointly: one pass in any case; right for inputs of one kind, such as two views of unlabeled images. With batch
            norm labeled images would take part of their statistics from unlabeled ones, which a network learns to
            exploit: with few labels it sets the unlabeled apart from the labeled and fails on everything else
            (docs/results/acdc.md).

    Returns:
        One tensor of logits (B_i, K, *S) for each input, in their order.
    """
    if mixes_samples(network) and not jointly:
        return tuple(network(images) for images in inputs)
    return _together(network, *inputs)


def _together(network: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The outputs of `network` for each input, from one pass; batch norm takes its statistics from all of them."""
    return network(torch.cat(inputs)).split([len(images) for images in inputs])
