"""Labeled images pasted into unlabeled ones and the reverse: what BCP and SDCL have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.errors import UserError
from mednoisy.losses.segmentation import DiceKind, mixed_loss
from mednoisy.methods.method import forward_each
from mednoisy.perturb.copy_paste import Box, outside, paste

Pairing = Literal["same", "cross"]


@dataclass(frozen=True)
class Mixture:
    """Images with a foreign box, their labels, and how much the labels of either region are trusted.

    Attributes:
        images: (B, C, *S).
        labels: (B, *S), mixed as the images are, of the type of the batch's.
        outside: (*S), bool, true outside the box.
        outside_weight, inside_weight: 1 for real labels, less for pseudo-labels.
    """

    images: Tensor
    labels: Tensor
    outside: Tensor
    outside_weight: float
    inside_weight: float

    def loss(self, logits: Tensor, dice: DiceKind) -> tuple[Tensor, Tensor]:
        """The Dice and the cross-entropy term of a prediction, see `mixed_loss`."""
        return mixed_loss(logits, self.labels, self.outside, self.outside_weight, self.inside_weight, dice)

    def weights(self) -> Tensor:
        """The trust in each voxel's label, (*S), float32."""
        return self.inside_weight + (self.outside_weight - self.inside_weight) * self.outside.float()


def halves(tensor: Tensor, name: str = "labeled") -> tuple[Tensor, Tensor]:
    """The first and the second half of a batch, the papers' a and b.

    Raises:
        UserError: E120, see `check_halves`.
    """
    check_halves(len(tensor), name)
    first, second = tensor.chunk(2)
    return first, second


def check_halves(crops: int, name: str = "labeled") -> None:
    """Refuse a batch that is empty or whose number is odd (E120)."""
    if crops == 0 or crops % 2:
        cause = f"the {name} batch holds {crops} crops; copy-paste pairs its halves"
        raise UserError("E120", cause, f"Choose an even number of {name} crops per step")


def check_pairs(labeled: int, unlabeled: int) -> None:
    """Refuse numbers of crops that do not pair up.

    Raises:
        UserError: E121, they differ; E120, they are odd.
    """
    if labeled != unlabeled:
        cause = f"a step has {labeled} labeled and {unlabeled} unlabeled crops, which pair up"
        raise UserError("E121", cause, "Choose the same number of both")
    check_halves(labeled)


def bidirectional(
    batch: Batch, pseudo_labels: Tensor, box: Box, pairing: Pairing, pseudo_weight: float
) -> dict[str, Mixture]:
    """Two mixtures of a batch, by what lies outside the box: `labeled_outside` and `unlabeled_outside`.

    With a and b the halves of the labeled images X and the unlabeled images U, M the mask of the box:
    `same` is M Xa + (1 - M) Ua and M Ub + (1 - M) Xb (BCP on the left atrium; on ACDC with a and b exchanged);
    `cross` is M Xa + (1 - M) Ub and M Ua + (1 - M) Xb (BCP on the pancreas, SDCL everywhere).

    Args:
        batch: 2n labeled and 2n unlabeled crops.
        pseudo_labels: (2n, *S), int64, of the unlabeled crops.
        box: shared by the whole batch.
        pairing: which halves meet.
        pseudo_weight: trust in the pseudo-labels, .5 in both papers.

    Raises:
        UserError: E120 for an odd batch, E121 where labeled and unlabeled crops differ in number.
    """
    if pairing not in ("same", "cross"):
        raise ValueError(f"pairing is {pairing!r}; it must be 'same' or 'cross'")
    check_pairs(len(batch.labeled), len(batch.unlabeled))
    labeled = tuple(zip(halves(batch.labeled), halves(batch.labels), strict=True))
    pseudo_labels = pseudo_labels.to(batch.labels.dtype)  # of a mixture some labels may be ignored
    unlabeled = tuple(zip(halves(batch.unlabeled, "unlabeled"), halves(pseudo_labels, "unlabeled"), strict=True))
    inside_first, outside_second = unlabeled if pairing == "same" else unlabeled[::-1]
    mask = outside(batch.labels.shape[1:], box, batch.labels.device)

    def mix(background: tuple[Tensor, Tensor], patch: tuple[Tensor, Tensor], *weights: float) -> Mixture:
        images, labels = (paste(below, above, box) for below, above in zip(background, patch, strict=True))
        return Mixture(images, labels, mask, *weights)

    mixtures = {
        "labeled_outside": mix(labeled[0], inside_first, 1.0, pseudo_weight),
        "unlabeled_outside": mix(outside_second, labeled[1], pseudo_weight, 1.0),
    }
    # The order of the published passes, on which batch norm's running statistics depend.
    return mixtures if pairing == "same" else dict(reversed(mixtures.items()))


def label_halves(teacher: nn.Module, images: Tensor) -> Tensor:
    """The teacher's logits for images whose halves it sees as the papers do, without gradient."""
    with torch.no_grad():
        return torch.cat(forward_each(teacher, *halves(images, "unlabeled")))
