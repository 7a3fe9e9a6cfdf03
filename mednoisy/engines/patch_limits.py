"""What networks ask of a patch size: that it halves evenly, and that bf16 on a CPU has room."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from mednoisy.errors import UserError
from mednoisy.methods.method import Method

SMALLEST_BF16_MAP = 27  # voxels; below, bf16 3D convolutions on a CPU give NaN gradients now and then (torch 2.13)


def check_patch(patch_size: Sequence[int], method: Method) -> None:
    """Refuse a patch that a student (its attribute `divisor`) cannot halve down to its coarsest map.

    Raises:
        UserError: E112.
    """
    for name, student in method.students.items():
        divisor = _divisor(student)
        if any(side % divisor for side in patch_size):
            whole = [-(-side // divisor) * divisor for side in patch_size]
            raise UserError(
                "E112",
                f"patch size {list(patch_size)} is no multiple of {divisor}, as the network of student {name!r} needs",
                f"Use for example --set patch_size={whole}",
            )


def coarsest_map(patch_size: Sequence[int], method: Method) -> list[int]:
    """Size of the smallest feature map of all students, in voxels.

    Students tell it by their `divisor`, or by `output_stride` where any size will do; the patch where by neither.
    """
    stride = max(int(getattr(student, "output_stride", _divisor(student))) for student in method.students.values())
    return [-(-side // stride) for side in patch_size]


def bf16_is_safe(device_type: str, coarsest: Sequence[int]) -> bool:
    """Whether bf16 convolutions on a feature map of this size give finite gradients."""
    return device_type != "cpu" or len(coarsest) != 3 or math.prod(coarsest) >= SMALLEST_BF16_MAP


def _divisor(student: nn.Module) -> int:
    return int(getattr(student, "divisor", 1))
