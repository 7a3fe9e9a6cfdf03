"""Online pseudo-labels: a teacher labels while it follows the student that it teaches."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.errors import check_whole
from mednoisy.losses.segmentation import DiceKind, dice_loss, full_precision, soft_dice_loss
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Weight, weight_at
from mednoisy.pseudo.cleanup import harden
from mednoisy.pseudo.momentum_teacher import MomentumTeacher


class TeacherTraining(Method):
    """A network learns from labeled images while a momentum copy of it follows: the first stage.

    Loss: Dice alone. The copy, which starts equal to the network, is deployed and handed over.

    Args:
        network: the student, which becomes the plain teacher.
        copy: a network of the same structure that becomes the copy; it is how the next stage gets at it.
        decay: of the copy, .95 as published.
        every: updates between two moves of the copy. Published: once an epoch.
        dice: see `dice_loss`; published: "foreground_linear" in the code, a Tversky loss in the paper.

    Source: Pham Van et al. 2022, arXiv:2209.14599.
    """

    def __init__(
        self,
        network: nn.Module,
        copy: nn.Module | None = None,
        decay: float = 0.95,
        every: int = 1,
        dice: DiceKind = "foreground_linear",
    ):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.momentum = MomentumTeacher(network, decay, into=copy)
        check_whole("every", every, least=1)
        self.every, self.dice = every, dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Term `dice` of the labeled images."""
        loss = dice_loss(self.students["student"](batch.labeled), batch.labels, self.dice)
        return {"student": Terms(dice=(1.0, loss))}

    def after_update(self, step: Step) -> None:
        """The copy follows, when it is its turn."""
        if (step.number + 1) % self.every == 0:
            self.momentum.follow(self.students["student"], step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The momentum copy, which the paper takes as teacher, and the network."""
        return {"teacher": self.momentum.network, "student": self.students["student"]}


class OnlineLabels(Method):
    """A student learns the labels that a teacher gives while the teacher moves towards the student.

    L = D(labeled) + `weight` D(unlabeled), D a Dice loss, the target of the second the teacher's probabilities for the
    weak view. After the update the teacher and a momentum copy of the student follow it. The copy, which starts equal
    to the student, is deployed.

    Args:
        network: the student, with initial weights of its own; of the teacher's structure if online or not `fresh`.
        teacher: trained by `TeacherTraining`; its momentum copy in the published best variant. It is copied.
        weight: beta of the paper.
        online: False keeps the teacher as it is.
        labels: "soft" probabilities, as published, or "hard" classes.
        teacher_view: what the teacher labels; "strong" is the student's own view, as in the released code against the
            paper's text.
        decay: of the copy and, online, of the teacher.
        every: updates between two moves of both. Published: once an epoch.
        teacher_mode: see `MomentumTeacher`; published: "train".
        joint_pass: see `forward_each`; published: True.
        fresh: the student keeps its initial weights, as published, where they are those of ImageNet for teacher and
            student. False: it starts with the teacher's. A teacher that follows a student from other initial weights
            soon segments nothing (docs/explanation/decisions.md).
        dice: see `dice_loss`; the default is the published one for a single foreground class.

    Source: Pham Van et al. 2022, arXiv:2209.14599, and its released code. There the momentum copies start with random
    decoders of their own.
    """

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module,
        weight: Weight = 0.3,
        online: bool = True,
        labels: Literal["soft", "hard"] = "soft",
        teacher_view: Literal["weak", "strong"] = "weak",
        decay: float = 0.99,
        every: int = 1,
        teacher_mode: Literal["eval", "train"] = "eval",
        joint_pass: bool = False,
        fresh: bool = True,
        dice: DiceKind = "foreground_linear",
    ):
        super().__init__()
        if labels not in ("soft", "hard"):
            raise ValueError(f"labels is {labels!r}; it must be 'soft' or 'hard'")
        if teacher_view not in ("weak", "strong"):
            raise ValueError(f"teacher_view is {teacher_view!r}; it must be 'weak' or 'strong'")
        if not fresh:
            network.load_state_dict(teacher.state_dict())
        self.students = nn.ModuleDict({"student": network})
        self.teacher = MomentumTeacher(teacher, decay, mode=teacher_mode)
        self.momentum = MomentumTeacher(network, decay)
        self.weight, self.online, self.labels, self.teacher_view = weight, online, labels, teacher_view
        check_whole("every", every, least=1)
        self.every, self.joint_pass, self.dice = every, joint_pass, dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` of the labeled and `pseudo_dice` of the unlabeled images."""
        seen = batch.unlabeled_weak if self.teacher_view == "weak" else batch.unlabeled
        teacher_logits = self.teacher(seen)
        student = self.students["student"]
        labeled, unlabeled = forward_each(student, batch.labeled, batch.unlabeled, jointly=self.joint_pass)
        terms = Terms(dice=(1.0, dice_loss(labeled, batch.labels, self.dice)))
        terms["pseudo_dice"] = (weight_at(self.weight, step), self._gap(unlabeled, teacher_logits))
        return {"student": terms}

    def after_update(self, step: Step) -> None:
        """The copy follows and, online, the teacher, when it is their turn."""
        if (step.number + 1) % self.every:
            return
        self.momentum.follow(self.students["student"], step.number)
        if self.online:
            self.teacher.follow(self.students["student"], step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The student's momentum copy, which the paper deploys, the student, and the teacher."""
        student = self.students["student"]
        return {"momentum": self.momentum.network, "student": student, "teacher": self.teacher}

    def _gap(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if self.labels == "hard":
            return dice_loss(logits, harden(teacher_logits), self.dice)
        return soft_dice_loss(logits, full_precision(teacher_logits).softmax(dim=1), self.dice)
