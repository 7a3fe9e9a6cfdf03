"""What networks ask of a patch size: that it halves evenly, and that bf16 on a CPU has room."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from torch import nn

from mednoisy.errors import UserError
from mednoisy.methods.method import Method

INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
SMALLEST_BF16_MAP = 27  # voxels; below, bf16 3D convolutions on a CPU give NaN gradients now and then (torch 2.13)


def check_patch(patch_size: Sequence[int], method: Method) -> None:
    """Refuse a patch that a student (its attribute `divisor`) cannot halve down to its coarsest map, or to one voxel.

    Instance norm has nothing to normalise in a single voxel, and refuses it in training.

    Raises:
        UserError: E112.
    """
    for name, student in method.students.items():
        divisors, strides = _along_axes(_divisor(student), patch_size), _along_axes(_stride(student), patch_size)
        whole = [-(-side // divisor) * divisor for side, divisor in zip(patch_size, divisors, strict=True)]
        enough = whole
        one_voxel = all(side <= stride for side, stride in zip(whole, strides, strict=True)) and any(
            isinstance(part, INSTANCE_NORMS) for part in student.modules()
        )
        if one_voxel:
            enough = [2 * stride for stride in strides]
        why = None
        if whole != list(patch_size):
            multiple = divisors[0] if len(set(divisors)) == 1 else divisors
            why = f"is no multiple of {multiple}, as the network of student {name!r} needs"
        elif one_voxel:
            why = f"leaves the instance norm of student {name!r} one voxel in its coarsest map, where it needs two"
        if why is not None:
            words = shlex.join(["--set", f"patch_size=[{','.join(map(str, enough))}]"])  # one word for any shell
            cure = f"Use for example {words}"
            raise UserError("E112", f"patch size {list(patch_size)} {why}", cure)


def coarsest_map(patch_size: Sequence[int], method: Method) -> list[int]:
    """Size of the smallest feature map of all students, in voxels.

    Students tell it by their `divisor`, or by `output_stride` where any size will do; the patch where by neither.
    """
    strides = [_along_axes(_stride(student), patch_size) for student in method.students.values()]
    return [-(-side // max(along)) for side, *along in zip(patch_size, *strides, strict=True)]


def bf16_is_safe(device_type: str, coarsest: Sequence[int]) -> bool:
    """Whether bf16 convolutions on a feature map of this size give finite gradients."""
    return device_type != "cpu" or len(coarsest) != 3 or math.prod(coarsest) >= SMALLEST_BF16_MAP


def _stride(student: nn.Module) -> Any:
    return getattr(student, "output_stride", _divisor(student))


def _divisor(student: nn.Module) -> Any:
    return getattr(student, "divisor", 1)


def _along_axes(number: Any, patch_size: Sequence[int]) -> list[int]:
    """What a network says of its axes, one for all or one each, as one each."""
    return [int(number)] * len(patch_size) if isinstance(number, int) else [int(each) for each in number]
