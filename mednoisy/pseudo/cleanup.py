"""From a teacher's prediction to a pseudo-label: decide, then keep the largest piece of each class."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import cc3d
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mednoisy.losses.segmentation import full_precision, most_probable

Neighbours = Literal[4, 6, 8, 18, 26]
Connectivity = Neighbours | Literal["full"]
_TRITON = find_spec("triton") is not None  # comes with torch for CUDA on Linux
_MOST_VOXELS = 2**31  # of a batch that is numbered in 32 bits
_KNOWN: dict[int, tuple[Neighbours, ...]] = {2: (4, 8), 3: (6, 18, 26)}  # by number of spatial axes, the last is full


def harden(logits: Tensor) -> Tensor:
    """The class of each voxel: foreground probability >= .5 for two classes, else the most probable.

    A tie of two classes is foreground, as in the released codes of BCP and SDCL.

    Args:
        logits: (B, K, *S), K >= 2.

    Returns:
        (B, *S), int64, without gradient.

    Examples:
        >>> harden(torch.tensor([[[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]]]))
        tensor([[0, 1, 1]])
    """
    if logits.shape[1] > 2:
        return most_probable(logits)
    return (F.softmax(full_precision(logits.detach()), dim=1)[:, 1] >= 0.5).long()


def largest_components(labels: Tensor, connectivity: Connectivity = "full") -> Tensor:
    """For each sample and class but 0, the largest connected component; the rest becomes background.

    Of components of equal size the one met first in C order stays. A missing class stays missing.
    On a GPU with Triton the host is not waited for; labels on any other device travel to the CPU and back.

    Args:
        labels: (B, *S), whole numbers 0..255, two or three spatial axes.
        connectivity: neighbours of a voxel: 4 or 8 in 2D, 6, 18 or 26 in 3D; "full" means 8 or 26.

    Examples:
        >>> largest_components(torch.tensor([[[1, 0, 2, 2, 0, 1, 1]]]))
        tensor([[[0, 0, 2, 2, 0, 1, 1]]])
    """
    axes = labels.ndim - 1
    if axes not in _KNOWN:
        raise ValueError(f"labels have {axes} spatial axes; components are found in two or three")
    neighbours = _KNOWN[axes][-1] if connectivity == "full" else connectivity
    check_neighbours(neighbours, axes)
    if labels.is_cuda and _TRITON and labels.numel() < _MOST_VOXELS:
        from mednoisy.pseudo.components_on_gpu import largest_on_gpu

        return largest_on_gpu(labels.detach().to(torch.uint8), neighbours).to(labels.dtype)
    codes = labels.detach().to("cpu", torch.uint8).contiguous().numpy()
    kept = np.stack([_largest(sample, neighbours) for sample in codes]) if len(codes) else codes
    return torch.from_numpy(kept).to(labels.device, non_blocking=True).to(labels.dtype)


def check_neighbours(neighbours: Connectivity, axes: int) -> None:
    """Refuse numbers of neighbours that a voxel of so many axes does not have.

    Raises:
        ValueError: naming those that it has.

    Examples:
        >>> check_neighbours(26, axes=3)
    """
    if neighbours != "full" and neighbours not in _KNOWN[axes]:
        known = ", ".join(map(str, _KNOWN[axes]))
        raise ValueError(f"connectivity is {neighbours!r}; in {axes}D it is one of {known} or 'full'")


def pseudo_labels(logits: Tensor, connectivity: Connectivity | None = "full") -> Tensor:
    """Hard labels from a teacher's logits, cleaned up.

    Args:
        logits: (B, K, *S), K >= 2, two or three spatial axes.
        connectivity: see `largest_components`; None leaves every component.

    Returns:
        (B, *S), int64.

    Source: BCP (Bai et al. 2023) and SDCL (Song and Wang 2024): 26 neighbours on the left atrium, 18 on the
    pancreas, 8 per class and slice on ACDC.

    Examples:
        >>> logits = torch.zeros(1, 2, 1, 5)
        >>> logits[0, 1, 0] = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
        >>> pseudo_labels(logits), pseudo_labels(logits, connectivity=None)
        (tensor([[[0, 0, 1, 1, 0]]]), tensor([[[1, 0, 1, 1, 0]]]))
    """
    labels = harden(logits)
    return labels if connectivity is None else largest_components(labels, connectivity)


def _largest(codes: np.ndarray, neighbours: Neighbours) -> np.ndarray:
    """`largest_components` of one sample, (*S) uint8."""
    components, count = cc3d.connected_components(codes, connectivity=neighbours, return_N=True)
    flat = components.ravel()
    sizes = np.bincount(flat, minlength=count + 1)
    code_of = np.zeros(count + 1, dtype=codes.dtype)
    code_of[flat] = codes.ravel()
    keep = np.zeros(count + 1, dtype=codes.dtype)
    for code in np.unique(code_of[1:]):
        candidates = np.where(code_of == code, sizes, 0)
        candidates[0] = 0
        keep[candidates.argmax()] = code  # components are numbered in C order, so the first of equals wins
    return keep[components]
