"""Largest connected components where the labels are, on a GPU: a union of neighbours that the host never waits for."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 256  # voxels of a program
_SHARED_AXES = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}  # neighbours -> along how many axes a neighbour may differ at once
_LOW_WORD = (1 << 32) - 1


def largest_on_gpu(codes: Tensor, neighbours: int) -> Tensor:
    """For each sample and class but 0, the largest connected component; the rest becomes 0.

    Of components of equal size the one met first in C order stays.

    Args:
        codes: (B, *S), uint8, two or three spatial axes, fewer than 2**31 voxels.
        neighbours: of a voxel: 4 or 8 in 2D, 6, 18 or 26 in 3D.

    Source: union by the lower index with atomic minima, Playne and Hawick 2018 (IEEE TPDS 29), sections 3 and 4.

    Examples:
        >>> largest_on_gpu(torch.tensor([[[1, 0, 2, 2, 0, 1, 1]]], dtype=torch.uint8), neighbours=8)
        tensor([[[0, 0, 2, 2, 0, 1, 1]]], dtype=torch.uint8)
    """
    sides = (1,) * (4 - codes.ndim) + tuple(codes.shape[1:])
    flat, count = codes.contiguous().view(-1), codes.numel()
    parents = torch.arange(count, dtype=torch.int32, device=codes.device)
    roots, sizes = torch.empty_like(parents), torch.zeros_like(parents)
    best = torch.full((len(codes) * 256,), -1, dtype=torch.int64, device=codes.device)  # by sample and class
    grid = (triton.cdiv(count, _BLOCK),)
    _unite_neighbours[grid](flat, parents, count, *sides, _SHARED_AXES[neighbours], _BLOCK)
    _find_roots[grid](flat, parents, roots, sizes, count, _BLOCK)
    voxels = max(count // max(len(codes), 1), 1)
    _elect[grid](flat, roots, sizes, best, count, voxels, _BLOCK)
    sample = torch.arange(len(codes), device=codes.device).view(-1, *(1,) * (codes.ndim - 1))
    elected = _LOW_WORD - (best & _LOW_WORD)
    keep = roots.view_as(codes) == elected[sample * 256 + codes.long()]
    return torch.where(keep, codes, 0)  # background elects nobody


@triton.jit
def _root(parents, node):  # type: ignore[no-untyped-def]
    """The lowest voxel that each of a block's nodes leads to; parents only ever get lower, so the walk ends."""
    above = tl.load(parents + node)
    while tl.max((above != node).to(tl.int32), axis=0) > 0:
        node = above
        above = tl.load(parents + node)
    return node


@triton.jit
def _unite(parents, first, second, active):  # type: ignore[no-untyped-def]
    """Bring pairs of nodes under one root; a root that another program moved meanwhile is followed and tried again."""
    while tl.max(active.to(tl.int32), axis=0) > 0:
        first = _root(parents, first)
        second = _root(parents, second)
        low = tl.minimum(first, second)
        high = tl.maximum(first, second)
        active = active & (low != high)
        before = tl.atomic_min(parents + high, low, mask=active)
        active = active & (before != high)
        first = tl.where(active, before, low)
        second = low


@triton.jit
def _unite_neighbours(codes, parents, count, width, height, depth, shared_axes: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Unite each voxel with those of its neighbours that come before it in C order and have its class."""
    index = tl.program_id(0) * block + tl.arange(0, block)
    code = tl.load(codes + index, mask=index < count, other=0)
    for step in tl.static_range(13):
        dx, dy, dz = step // 9 - 1, step // 3 % 3 - 1, step % 3 - 1
        _unite_along(codes, parents, index, code, width, height, depth, dx, dy, dz, shared_axes)


@triton.jit
def _unite_along(  # type: ignore[no-untyped-def]
    codes,
    parents,
    index,
    code,
    width,
    height,
    depth,
    dx: tl.constexpr,
    dy: tl.constexpr,
    dz: tl.constexpr,
    shared_axes: tl.constexpr,
):
    """Unite each voxel with one neighbour, unless that shares too few axes with it."""
    if dx * dx + dy * dy + dz * dz <= shared_axes:
        x = index // (depth * height) % width + dx
        y = index // depth % height + dy
        z = index % depth + dz
        there = (code != 0) & (x >= 0) & (y >= 0) & (y < height) & (z >= 0) & (z < depth)
        neighbour = tl.where(there, index + (dx * height + dy) * depth + dz, 0)
        same = there & (tl.load(codes + neighbour, mask=there, other=0) == code)
        _unite(parents, tl.where(same, index, 0), tl.where(same, neighbour, 0), same)


@triton.jit
def _find_roots(codes, parents, roots, sizes, count, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Note the root of each voxel, and how many voxels of foreground each root has."""
    index = tl.program_id(0) * block + tl.arange(0, block)
    inside = index < count
    root = _root(parents, tl.where(inside, index, 0))
    tl.store(roots + index, root, mask=inside)
    foreground = inside & (tl.load(codes + index, mask=inside, other=0) != 0)
    tl.atomic_add(sizes + root, 1, mask=foreground)


@triton.jit
def _elect(codes, roots, sizes, best, count, voxels, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Keep by sample and class the highest of (size, earliness) in one number, so that any order gives the same."""
    index = tl.program_id(0) * block + tl.arange(0, block)
    inside = index < count
    code = tl.load(codes + index, mask=inside, other=0)
    is_root = inside & (code != 0) & (tl.load(roots + index, mask=inside, other=-1) == index)
    size = tl.load(sizes + index, mask=is_root, other=0)
    rank = size.to(tl.int64) * 4294967296 + (4294967295 - index.to(tl.int64))
    group = index // voxels * 256 + code.to(tl.int32)
    tl.atomic_max(best + group, rank, mask=is_root)
