"""SDCL: two students under one teacher correct themselves where they disagree, its self-training stage."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.discrepancy import disagreement, doubt_where_wrong, squared_gap_to_label
from mednoisy.losses.segmentation import DiceKind
from mednoisy.methods.labeled_unlabeled_copy_paste import (
    Mixture,
    Pairing,
    bidirectional,
    check_pairs,
    label_halves,
)
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Weight, weight_at
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.perturb.copy_paste import BoxRule, DrawBox
from mednoisy.pseudo.cleanup import Connectivity, pseudo_labels
from mednoisy.pseudo.momentum_teacher import MomentumTeacher


class SDCL(Method):
    """Two unlike students learn from BCP's mixtures and mend themselves where they disagree.

    The stage before it is `SupervisedCopyPaste` with the same two networks. To BCP's loss each student adds, over
    the voxels where the students' classes differ, the squared gap to the label, and over those of them that it
    gets wrong the divergence from doubt.

    Args:
        network_a, network_b: students of different structure, the first named is the one the teacher follows.
        gap_weight: gamma of the paper, constant or a function of the step; .3 on the pancreas.
        doubt_weight: mu of the paper; .1 on the pancreas.
        pseudo_weight: trust in pseudo-labels.
        pairing: see `bidirectional`.
        dice: kind of Dice, see `dice_loss`. Published: "per_sample" in 3D, "batch_squared" on ACDC.
        connectivity: see `largest_components`. Published: 26 ("full") on the left atrium, 18 on the pancreas,
            8 ("full") on ACDC. None leaves every component.
        teachers: "one" follows student a, as published; "each" gives every student a teacher of its own and takes
            pseudo-labels from the mean of their probabilities.
        decay, teacher_mode, teacher_buffers: see `MomentumTeacher`. Published: "train" everywhere, buffers only on
            ACDC.
        box: how a box is drawn. Published: `BoxRule(last_included=False)`, on the left atrium with
            `drawn_for=(112, 112, 80)`.

    Raises:
        UserError: E120 and E121, in training, where labeled and unlabeled batch are odd or differ in size.

    Source: Song and Wang 2024, section 2; the figures are those of the released left atrium code.
    """

    def __init__(
        self,
        network_a: nn.Module,
        network_b: nn.Module,
        gap_weight: Weight = 0.5,
        doubt_weight: Weight = 0.05,
        pseudo_weight: Weight = 0.5,
        pairing: Pairing = "cross",
        dice: DiceKind = "per_sample",
        connectivity: Connectivity | None = "full",
        teachers: Literal["one", "each"] = "one",
        decay: float = 0.99,
        teacher_mode: Literal["eval", "train"] = "eval",
        teacher_buffers: bool = True,
        box: DrawBox = BoxRule(),  # noqa: B008, it is frozen
    ):
        super().__init__()
        if teachers not in ("one", "each"):
            raise ValueError(f"teachers is {teachers!r}; it must be 'one' or 'each'")
        self.students = nn.ModuleDict({"a": network_a, "b": network_b})
        followed = {"a": network_a} if teachers == "one" else {"a": network_a, "b": network_b}
        self.teachers = nn.ModuleDict(
            {
                name: MomentumTeacher(network, decay, buffers=teacher_buffers, mode=teacher_mode)
                for name, network in followed.items()
            }
        )
        self.gap_weight, self.doubt_weight, self.pseudo_weight = gap_weight, doubt_weight, pseudo_weight
        self.pairing, self.dice, self.connectivity, self.box = pairing, dice, connectivity, box

    def check_crops(self, labeled: int, unlabeled: int) -> None:
        """As many labeled crops as unlabeled ones (E121), an even number (E120)."""
        check_pairs(labeled, unlabeled)

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Per student and mixture the terms `dice_*`, `ce_*`, `gap_*`, `doubt_*`; `disagreement` is a share, 0..1."""
        labels = pseudo_labels(label_halves(self._teacher(), batch.unlabeled_weak), self.connectivity)
        box = self.box(batch.labels.shape[1:], step.draw.generator("box"))
        mixtures = bidirectional(batch, labels, box, self.pairing, weight_at(self.pseudo_weight, step))
        images = [mixture.images for mixture in mixtures.values()]
        predictions = [forward_each(student, *images) for student in self.students.values()]
        where = [disagreement(*pair) for pair in zip(*predictions, strict=True)]
        share = torch.stack(where).float().mean()

        terms = {name: Terms(disagreement=(0.0, share)) for name in self.students}
        for name, logits in zip(terms, predictions, strict=True):
            for (kind, mixture), prediction, differ in zip(mixtures.items(), logits, where, strict=True):
                terms[name] |= self._terms(kind, mixture, prediction, differ, step)
        return terms

    def after_update(self, step: Step) -> None:
        """Each teacher follows its student."""
        for teacher, student in self._followed():
            teacher.follow(student, step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The mean of both students, which the paper reports, each student, and the teacher."""
        a, b = self.students.values()
        return {"mean": MeanEnsemble([a, b]), "a": a, "b": b, "teacher": self._teacher()}

    def _followed(self) -> list[tuple[MomentumTeacher, nn.Module]]:
        return [(cast(MomentumTeacher, teacher), self.students[name]) for name, teacher in self.teachers.items()]

    def _teacher(self) -> nn.Module:
        teachers = list(self.teachers.values())
        return teachers[0] if len(teachers) == 1 else MeanEnsemble(teachers)

    def _terms(self, kind: str, mixture: Mixture, logits: Tensor, differ: Tensor, step: Step) -> Terms:
        dice, ce = mixture.loss(logits, self.dice)
        trust = mixture.weights()
        gap = squared_gap_to_label(logits, mixture.labels, differ, trust)
        doubt = doubt_where_wrong(logits, mixture.labels, differ, trust)
        return Terms(
            {
                f"dice_{kind}": (0.5, dice),
                f"ce_{kind}": (0.5, ce),
                f"gap_{kind}": (weight_at(self.gap_weight, step), gap),
                f"doubt_{kind}": (weight_at(self.doubt_weight, step), doubt),
            }
        )
