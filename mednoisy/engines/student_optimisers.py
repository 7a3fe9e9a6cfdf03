"""One backward and one optimiser step per student, into its own parameters only, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from mednoisy.methods.method import Method


class StudentOptimisers:
    """The optimisers of a method's students, and what it takes to leave a step out without a trace.

    Args:
        method: on its device already.
        optimiser: makes an optimiser of one student's parameters, where the method has none of its own; the fused kind
            is taken where there is one.
    """

    def __init__(self, method: Method, optimiser: Callable[..., Optimizer]):
        self.parameters = {
            name: [parameter for parameter in student.parameters() if parameter.requires_grad]
            for name, student in method.students.items()
        }
        self.optimisers = {
            name: _fused(method.optimiser(name) or optimiser, parameters)
            for name, parameters in self.parameters.items()
        }
        self._buffers = list(method.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]

    @property
    def learning_rate(self) -> float:
        """Of the first student."""
        return next(iter(self.optimisers.values())).param_groups[0]["lr"]

    def remember_buffers(self) -> None:
        """Call before a step's networks run: batch norm's statistics are lost to a batch that is not finite."""
        if self._buffers:
            torch._foreach_copy_(self._before, self._buffers)

    def restore_buffers(self) -> None:
        """Bring back what `remember_buffers` saw."""
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._before)

    def forget_gradients(self) -> None:
        """Call before a step's networks run, so that the memory of the last step's gradients is free."""
        for name in self.parameters:
            self._forget(name)

    def backward(self, totals: dict[str, Tensor]) -> None:
        """Gradients of each student from its own total alone."""
        for name, total in totals.items():
            self._forget(name)
            # Students may share parts of a graph, so it is kept until the last of them.
            total.backward(inputs=self.parameters[name], retain_graph=name != next(reversed(totals)))

    def _forget(self, name: str) -> None:
        for parameter in self.parameters[name]:
            parameter.grad = None

    def any_not_finite(self, totals: dict[str, Tensor]) -> Tensor:
        """1 if a total or a gradient is NaN or infinite, else 0; a float scalar that stays on the device."""
        gradients = [p.grad for name in totals for p in self.parameters[name] if p.grad is not None]
        values = torch.stack([*torch._foreach_norm(gradients), *(total.detach() for total in totals.values())])
        return (~torch.isfinite(values).all()).float()

    def set_rates(self, factor: float) -> None:
        """Let all optimisers learn at `factor` times their rate."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def apply(self, names: Iterable[str]) -> None:
        """An optimiser step of the students `names`."""
        for name in names:
            self.optimisers[name].step()

    def state_dict(self) -> dict[str, dict]:
        return {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}

    def load_moments(self, states: dict[str, dict]) -> None:
        """Go on with the moments of students of the same names; rates and decay stay those of the configuration."""
        for name in states.keys() & self.optimisers.keys():
            groups = self.optimisers[name].state_dict()["param_groups"]
            self.optimisers[name].load_state_dict({"state": states[name]["state"], "param_groups": groups})


def _fused(make: Callable[..., Any], parameters: list[Parameter]) -> Optimizer:
    optimiser = make(parameters)
    defaults = optimiser.defaults
    if "fused" in defaults and defaults["fused"] is None and not defaults.get("foreach"):
        optimiser = make(parameters, fused=True)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser


def memory_format(dimensions: int, channels_last: bool) -> torch.memory_format:
    """The format of images with `dimensions` axes, batch and channels included."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last_3d if dimensions == 5 else torch.channels_last


def to_format(module: nn.Module, dimensions: int, channels_last: bool) -> None:
    """Bring the weights of `module` into the memory format of its images, in place."""
    module.to(memory_format=memory_format(dimensions, channels_last))  # type: ignore[call-overload]
