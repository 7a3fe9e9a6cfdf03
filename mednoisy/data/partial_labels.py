"""Labels of crops that may hold `IGNORED`, told from labels that cannot by their type.

Labels are int64, the type of indices, and hold codes 0..K-1. Where some labeled case has voxels that nobody looked at,
all labels of a run are int16 and may hold `IGNORED`. The type stays as labels are cut, moved and mixed, and costs a run
without such voxels nothing; what takes codes for indices (one-hot, PyTorch's own cross-entropy) refuses int16, at once
and on any device, where a code out of range would be an assertion within a GPU or be learned as a class.
"""

from __future__ import annotations

from typing import overload

import torch
from torch import Tensor

from mednoisy.data.ignored_voxels import IGNORED

PARTIAL = torch.int16


@overload
def known_codes(labels: Tensor, where: None = None) -> tuple[Tensor, Tensor | None]: ...


@overload
def known_codes(labels: Tensor, where: Tensor) -> tuple[Tensor, Tensor]: ...


def known_codes(labels: Tensor, where: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Codes as indices, and the part of a region in which they are known.

    Args:
        labels: (B, *S), int64, or int16 with `IGNORED` among the codes.
        where: (*S) or (B, *S), bool; all voxels by default.

    Returns:
        (B, *S), int64, 0 where nothing is known; and `where` itself for int64, else (B, *S), bool.

    Raises:
        TypeError: labels of another type.

    Examples:
        >>> known_codes(torch.tensor([[2, IGNORED, 1]], dtype=PARTIAL), torch.tensor([True, True, False]))
        (tensor([[2, 0, 1]]), tensor([[ True, False, False]]))
    """
    if labels.dtype == torch.int64:
        return labels, where
    if labels.dtype != PARTIAL:
        raise TypeError(f"labels are {labels.dtype}; they must be torch.int64, or {PARTIAL} where some are ignored")
    known = labels != IGNORED
    return torch.where(known, labels, 0).long(), known if where is None else known & where
