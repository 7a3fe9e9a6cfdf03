"""Dice and cross-entropy as the semi-supervised literature defines them, whole or within a region.

Labels are int64, or int16 that may hold `IGNORED` (`partial_labels.py`): such voxels are in no region.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mednoisy.data.partial_labels import known_codes

DiceKind = Literal["per_sample", "batch_squared", "batch_squared_present", "foreground_squared", "foreground_linear"]
_NO_VOXEL = 1e-16  # added to counts of voxels, so that an empty region gives 0
_SMOOTH, _SMOOTH_WITHIN = 1e-5, 1e-10  # s of `batch_squared` over whole images, and within a region


def full_precision(logits: Tensor) -> Tensor:
    """`logits` in float32 at least, since under autocast they arrive in bfloat16.

    Examples:
        >>> full_precision(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return logits if logits.dtype == torch.float64 else logits.float()


def most_probable(logits: Tensor) -> Tensor:
    """The class of the largest logit, the first of equals: (B, K, *S) to (B, *S), int64, without gradient.

    Examples:
        >>> most_probable(torch.tensor([[[0.0, 1.0], [2.0, 1.0]]]))  # two classes, two voxels
        tensor([[1, 0]])
    """
    return logits.detach().max(dim=1).indices  # the same as argmax, which is up to 20 times slower on a CPU


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """(B, *S) class codes as (B, K, *S) zeros and ones, in the shape and dtype of `like`.

    Examples:
        >>> one_hot(torch.tensor([[1, 0, 0]]), like=torch.empty(1, 2, 3))
        tensor([[[0., 1., 1.],
                 [1., 0., 0.]]])
    """
    if labels.shape != (len(like), *like.shape[2:]):
        raise ValueError(f"labels are {tuple(labels.shape)}; logits {tuple(like.shape)} need one code per voxel")
    return torch.zeros_like(like).scatter_(1, labels.unsqueeze(1), 1)


def check_dice(kind: object) -> None:
    """Refuse what is no kind of Dice.

    Raises:
        ValueError: with the known ones.

    Examples:
        >>> check_dice("per_sample")
    """
    if kind not in get_args(DiceKind):
        raise ValueError(f"unknown kind of Dice {kind!r}; known: {', '.join(get_args(DiceKind))}")


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    dice: DiceKind = "per_sample",
    where: Tensor | None = None,
    smooth: float | None = None,
) -> Tensor:
    """One minus the soft Dice of one of the published kinds.

    `per_sample` (D1, BCP and SDCL in 3D): for each sample and class `(2 sum py + s)/(sum p + sum y + s)` with
    s = 1e-5, mean over samples and all classes; a class absent from label and region costs nothing.
    `batch_squared` (D2): sums over the whole batch, squares in the denominator, mean over all classes; s = 1e-10
    with `where` (BCP and SDCL in 2D), 1e-5 without (SSL4MIS). An absent class costs nearly 1.
    `batch_squared_present`: the same over the classes that occur in the region only (not published).
    `foreground_squared` (D3, UA-MT): `batch_squared` with s = 1e-5 without the background.
    `foreground_linear` (D4, segmentation_models_pytorch for one class): sums over the whole batch, no squares, s = 0,
    mean over the foreground classes; one that the target lacks costs 0.

    Args:
        logits: (B, K, *S), any number of spatial axes.
        labels: (B, *S), codes 0..K-1, int64, or int16 with `IGNORED` among them.
        dice: the kind.
        where: (*S) or (B, *S), the region that counts; all voxels by default, but for ignored ones.
        smooth: s of `batch_squared` and `batch_squared_present`, in place of the one above.

    Returns:
        A scalar; 0 for an empty region.

    Examples:
        One of four voxels is predicted as background by mistake: Dice 2/3 of the background, 4/5 of the foreground.

        >>> labels = torch.tensor([[0, 1, 1, 1]])
        >>> logits = 50 * one_hot(torch.tensor([[0, 0, 1, 1]]), like=torch.empty(1, 2, 4))
        >>> round(dice_loss(logits, labels).item(), 4)  # 1 - (2/3 + 4/5) / 2
        0.2667
        >>> round(dice_loss(logits, labels, "foreground_linear").item(), 4)  # 1 - 4/5
        0.2
    """
    probabilities = F.softmax(full_precision(logits), dim=1)
    if smooth is None:
        smooth = _SMOOTH if where is None else _SMOOTH_WITHIN
    codes, counted = known_codes(labels, where)
    return _dice(probabilities, one_hot(codes, probabilities), dice, counted, smooth)


def soft_dice_loss(logits: Tensor, target_probabilities: Tensor, dice: DiceKind = "per_sample") -> Tensor:
    """`dice_loss` whose target is a prediction, such as a teacher's; equal to it where that is certain.

    With linear denominators the loss is least for a certain answer, not for the target itself.

    Args:
        logits: (B, K, *S).
        target_probabilities: (B, K, *S); no gradient flows into them.
        dice: the kind.

    Returns:
        A scalar.

    Examples:
        >>> undecided, certain = torch.zeros(1, 2, 2), torch.eye(2)[None]
        >>> round(soft_dice_loss(undecided, certain).item(), 4)  # 1 - 2 * 0.5 / (1 + 1), for both classes
        0.5
    """
    if target_probabilities.shape != logits.shape:
        raise ValueError(f"the target is {tuple(target_probabilities.shape)}; logits are {tuple(logits.shape)}")
    return _dice(F.softmax(full_precision(logits), dim=1), target_probabilities.detach(), dice, None, _SMOOTH)


def cross_entropy(logits: Tensor, labels: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the voxels of a region, in nats; 0 for an empty one.

    Args:
        logits: (B, K, *S).
        labels: (B, *S), as for `dice_loss`.
        where: (*S) or (B, *S), the region that counts; all voxels by default, but for ignored ones.

    Examples:
        >>> round(cross_entropy(torch.zeros(1, 2, 3), torch.tensor([[0, 1, 1]])).item(), 4)  # undecided: ln 2
        0.6931
    """
    codes, counted = known_codes(labels, where)
    per_voxel = F.cross_entropy(full_precision(logits), codes, reduction="none")
    return per_voxel.mean() if counted is None else _mean_where(per_voxel, counted)


def mixed_loss(
    logits: Tensor,
    labels: Tensor,
    outside: Tensor,
    outside_weight: float,
    inside_weight: float,
    dice: DiceKind = "per_sample",
) -> tuple[Tensor, Tensor]:
    """Dice and cross-entropy of a mixture, each region's own figure times its weight.

    Both are `outside_weight * L(outside) + inside_weight * L(inside)`; the published loss is half their sum.
    The weights stand outside the means, so a small region counts as much as a large one.

    Args:
        logits: (B, K, *S), of the mixed images.
        labels: (B, *S), as for `dice_loss`, mixed as the images are.
        outside: (*S) or (B, *S), bool, true outside the box.
        outside_weight: 1 where the labels outside are real, less (published .5) where they are pseudo-labels.
        inside_weight: the same for the box.
        dice: kind of Dice, see `dice_loss`.

    Returns:
        The Dice term and the cross-entropy term, scalars.

    Source: Bai et al. 2023 (BCP), eq. 5 to 7; the released code's constants.

    Examples:
        Undecided in both halves, and the labels of the inner half count half: 1.5 times 2/3 and 1.5 times ln 2.

        >>> outside = torch.tensor([True, True, False, False])
        >>> terms = mixed_loss(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 1]]), outside, 1.0, 0.5)
        >>> [round(term.item(), 4) for term in terms]
        [1.0, 1.0397]
    """
    log_probabilities = F.log_softmax(full_precision(logits), dim=1)
    probabilities = log_probabilities.exp()
    codes, counted_outside = known_codes(labels, outside)
    _, counted_inside = known_codes(labels, ~outside)
    target = one_hot(codes, probabilities)
    per_voxel = -log_probabilities.gather(1, codes.unsqueeze(1)).squeeze(1)
    regions = ((outside_weight, counted_outside), (inside_weight, counted_inside))
    dice_terms = [weight * _dice(probabilities, target, dice, where, _SMOOTH_WITHIN) for weight, where in regions]
    entropy_terms = [weight * _mean_where(per_voxel, where) for weight, where in regions]
    return torch.stack(dice_terms).sum(), torch.stack(entropy_terms).sum()


def _dice(probabilities: Tensor, target: Tensor, dice: DiceKind, where: Tensor | None, smooth: float) -> Tensor:
    if where is not None:
        # The mask is 0 or 1, its own square, so one product serves linear and squared sums alike.
        inside = _per_sample(where, probabilities[:, 0]).unsqueeze(1)
        probabilities, target = probabilities * inside, target * inside
    if dice == "per_sample":
        return _dice_per_sample(probabilities, target)
    if dice == "foreground_squared":
        return _dice_per_class(probabilities[:, 1:], target[:, 1:], smooth=1e-5).mean()
    if dice == "foreground_linear":
        return _dice_linear(probabilities[:, 1:], target[:, 1:])
    check_dice(dice)
    per_class = _dice_per_class(probabilities, target, smooth)
    if dice == "batch_squared":
        return per_class.mean()
    present = target.transpose(0, 1).flatten(1).any(dim=1)
    return (per_class * present).sum() / present.sum().clamp(min=1)


def _dice_per_sample(probabilities: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    intersection = (probabilities * target).flatten(2).sum(2)
    total = probabilities.flatten(2).sum(2) + target.flatten(2).sum(2)
    return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()


def _dice_per_class(probabilities: Tensor, target: Tensor, smooth: float) -> Tensor:
    total = _over_batch(probabilities.square()) + _over_batch(target.square())
    return 1 - (2 * _over_batch(probabilities * target) + smooth) / (total + smooth)


def _dice_linear(probabilities: Tensor, target: Tensor) -> Tensor:
    of_target = _over_batch(target)
    total = (_over_batch(probabilities) + of_target).clamp(min=1e-7)
    return ((1 - 2 * _over_batch(probabilities * target) / total) * (of_target > 0)).mean()


def _over_batch(values: Tensor) -> Tensor:
    """(B, K, *S) summed to (K,)."""
    return values.flatten(2).sum(dim=(0, 2))


def _mean_where(per_voxel: Tensor, where: Tensor) -> Tensor:
    inside = _per_sample(where, per_voxel)
    return (per_voxel * inside).sum() / (inside.sum() + _NO_VOXEL)


def _per_sample(where: Tensor, like: Tensor) -> Tensor:
    """The region as (B, *S) numbers in the shape of `like`; one that all samples share is not copied."""
    return where.to(like.dtype).expand_as(like)
