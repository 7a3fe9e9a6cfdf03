"""BCP: bidirectional copy-paste between labeled and unlabeled images, its self-training stage."""

from __future__ import annotations

from typing import Literal

from torch import nn

from mednoisy.data.batch import Batch
from mednoisy.losses.segmentation import DiceKind
from mednoisy.methods.labeled_unlabeled_copy_paste import Pairing, bidirectional, check_pairs, label_halves
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Weight, weight_at
from mednoisy.perturb.copy_paste import BoxRule, DrawBox
from mednoisy.pseudo.cleanup import Connectivity, pseudo_labels
from mednoisy.pseudo.momentum_teacher import MomentumTeacher


class BCP(Method):
    """Labeled and unlabeled images exchange a box; a momentum teacher labels the unlabeled part.

    The stage before it is `SupervisedCopyPaste`. The teacher labels the weak view, keeps the largest component
    of each class, and mixtures take the strong view. Loss: for both mixtures half Dice and half cross-entropy per
    region, the pseudo-labeled region times `pseudo_weight`.

    Args:
        network: the student.
        pairing: which halves of the batch meet, see `bidirectional`. Published: "same" on the left atrium and
            ACDC, "cross" on the pancreas.
        pseudo_weight: alpha of the paper, constant or a function of the step.
        dice: kind of Dice, see `dice_loss`. Published: "per_sample" in 3D, "batch_squared" on ACDC.
        connectivity: of components, see `largest_components`. Published: 26 ("full") on the left atrium, 18 on the
            pancreas, 8 ("full") on ACDC. None leaves every component.
        decay, teacher_mode, teacher_buffers: see `MomentumTeacher`. Published: "train" everywhere, buffers only on
            ACDC.
        box: how a box is drawn. Published: `BoxRule(last_included=False)`, on the left atrium with
            `drawn_for=(112, 112, 80)`.

    Raises:
        UserError: E120 and E121, in training, where labeled and unlabeled batch are odd or differ in size.

    Source: Bai et al. 2023, section 3; the figures are those of the released code.
    """

    def __init__(
        self,
        network: nn.Module,
        pairing: Pairing = "same",
        pseudo_weight: Weight = 0.5,
        dice: DiceKind = "per_sample",
        connectivity: Connectivity | None = "full",
        decay: float = 0.99,
        teacher_mode: Literal["eval", "train"] = "eval",
        teacher_buffers: bool = True,
        box: DrawBox = BoxRule(),  # noqa: B008, it is frozen
    ):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.teacher = MomentumTeacher(network, decay, buffers=teacher_buffers, mode=teacher_mode)
        self.pairing, self.pseudo_weight, self.dice = pairing, pseudo_weight, dice
        self.connectivity, self.box = connectivity, box

    def check_crops(self, labeled: int, unlabeled: int) -> None:
        """As many labeled crops as unlabeled ones (E121), an even number (E120)."""
        check_pairs(labeled, unlabeled)

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice_*` and `ce_*` of the mixtures `labeled_outside` and `unlabeled_outside`."""
        student = self.students["student"]
        labels = pseudo_labels(label_halves(self.teacher, batch.unlabeled_weak), self.connectivity)
        box = self.box(batch.labels.shape[1:], step.draw.generator("box"))
        mixtures = bidirectional(batch, labels, box, self.pairing, weight_at(self.pseudo_weight, step))
        predictions = forward_each(student, *(mixture.images for mixture in mixtures.values()))
        terms = Terms()
        for (name, mixture), logits in zip(mixtures.items(), predictions, strict=True):
            dice, ce = mixture.loss(logits, self.dice)
            terms |= {f"dice_{name}": (0.5, dice), f"ce_{name}": (0.5, ce)}
        return {"student": terms}

    def after_update(self, step: Step) -> None:
        """The teacher follows."""
        self.teacher.follow(self.students["student"], step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The student, which the papers evaluate, and the teacher."""
        return {"student": self.students["student"], "teacher": self.teacher}
