"""Labeled images pasted into each other: the fair baseline of BCP and the pre-training of BCP and SDCL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.segmentation import DiceKind, mixed_loss
from mednoisy.methods.labeled_unlabeled_copy_paste import check_halves, halves
from mednoisy.methods.method import Method, Step, Terms
from mednoisy.methods.supervised import supervised_terms
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.perturb.copy_paste import Box, BoxRule, DrawBox, outside, paste


class SupervisedCopyPaste(Method):
    """Networks learn, each for itself, from labeled images with a box of another labeled image.

    With a and b the halves of the labeled batch, inputs are M a + (1 - M) b and M b + (1 - M) a.

    Args:
        networks: one student or several by name. Published: {"student": ...} in BCP, {"a": ..., "b": ...} in SDCL.
        both_directions: False takes the first input only, as published; the batch then yields half as many images.
        loss: "mixed_label" scores the mixture as one image (published in 3D), "per_region" adds the losses of
            outside and box, each with weight 1 (published on ACDC).
        dice: kind of Dice, see `dice_loss`; published: "per_sample" in 3D, "batch_squared" on ACDC.
        box: how a box is drawn; published: `BoxRule(last_included=False)`.

    Raises:
        UserError: E120, in training, where the labeled batch is odd.

    Source: the pre-training of Bai et al. 2023 (BCP) and Song and Wang 2024 (SDCL).
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        both_directions: bool = True,
        loss: Literal["mixed_label", "per_region"] = "mixed_label",
        dice: DiceKind = "per_sample",
        box: DrawBox = BoxRule(),  # noqa: B008, it is frozen
    ):
        super().__init__()
        if loss not in ("mixed_label", "per_region"):
            raise ValueError(f"loss is {loss!r}; it must be 'mixed_label' or 'per_region'")
        self.students = nn.ModuleDict(networks)
        self.both_directions, self.loss, self.dice, self.box = both_directions, loss, dice, box

    def check_crops(self, labeled: int, unlabeled: int) -> None:
        """An even number of labeled crops (E120)."""
        check_halves(labeled)

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of each student."""
        box = self.box(batch.labels.shape[1:], step.draw.generator("box"))
        images, labels = self._mix(batch.labeled, box), self._mix(batch.labels, box)
        return {name: self._terms(student(images), labels, box) for name, student in self.students.items()}

    def predictors(self) -> dict[str, nn.Module]:
        """The student, or the mean of several and then each of them."""
        students = dict(self.students.items())
        return students if len(students) == 1 else {"mean": MeanEnsemble(list(students.values())), **students}

    def _mix(self, values: Tensor, box: Box) -> Tensor:
        a, b = halves(values)
        return torch.cat([paste(a, b, box), paste(b, a, box)]) if self.both_directions else paste(a, b, box)

    def _terms(self, logits: Tensor, labels: Tensor, box: Box) -> Terms:
        if self.loss == "mixed_label":
            return supervised_terms(logits, labels, self.dice)
        dice, ce = mixed_loss(logits, labels, outside(labels.shape[1:], box, labels.device), 1.0, 1.0, self.dice)
        return Terms(dice=(0.5, dice), ce=(0.5, ce))
