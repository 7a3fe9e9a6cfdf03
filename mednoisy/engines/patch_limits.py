"""What networks ask of a patch size: that it halves evenly."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from torch import nn

from mednoisy.errors import UserError
from mednoisy.methods.method import Method
from mednoisy.networks.bf16_limits import along_axes, divisor_of, stride_of

INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def check_patch(patch_size: Sequence[int], method: Method) -> None:
    """Refuse a patch that a student (its attribute `divisor`) cannot halve down to its coarsest map, or to one voxel.

    Instance norm has nothing to normalise in a single voxel, and refuses it in training.

    Raises:
        UserError: E112.
    """
    for name, student in method.students.items():
        divisors, strides = along_axes(divisor_of(student), patch_size), along_axes(stride_of(student), patch_size)
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
