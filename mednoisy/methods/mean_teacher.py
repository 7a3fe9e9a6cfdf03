"""Mean teacher: a student agrees with its own running average."""

from __future__ import annotations

from typing import Literal

from torch import nn

from mednoisy.data.batch import Batch
from mednoisy.losses.consistency import squared_gap
from mednoisy.losses.segmentation import DiceKind, full_precision
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Ramp, Weight, weight_at
from mednoisy.methods.supervised import supervised_terms
from mednoisy.perturb.gaussian_noise import clipped_noise
from mednoisy.pseudo.momentum_teacher import MomentumTeacher


class MeanTeacher(Method):
    """A student's predictions on unlabeled images agree with those of its running average under other noise.

    The student sees labeled and unlabeled images; the teacher sees the unlabeled ones in the weak view with clipped
    Gaussian noise. Loss: half Dice and half cross-entropy on labeled images, plus the
    weight times the mean squared difference of probabilities on unlabeled ones.

    Args:
        network: the student.
        weight: of the consistency term, constant or a function of the step. Published: `StepRamp()`; the default
            has its shape in shares of the stage.
        decay: of the teacher.
        warm_start: first update copies the student, then min(1 - 1/(t + 1), decay), as published.
        teacher_mode, teacher_buffers: see `MomentumTeacher`; published: "train" and False.
        joint_pass: see `forward_each`; published: True.
        noise, noise_limit: standard deviation and largest value of the noise.
        dice: kind of Dice on labeled images, see `dice_loss`; published: "batch_squared".

    Source: Tarvainen and Valpola 2017; the figures are those of the 2D script of SSL4MIS.
    """

    def __init__(
        self,
        network: nn.Module,
        weight: Weight = Ramp(),  # noqa: B008, it is frozen
        decay: float = 0.99,
        warm_start: bool = True,
        teacher_mode: Literal["eval", "train"] = "eval",
        teacher_buffers: bool = True,
        joint_pass: bool = False,
        noise: float = 0.1,
        noise_limit: float = 0.2,
        dice: DiceKind = "per_sample",
    ):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.teacher = MomentumTeacher(network, decay, warm_start, teacher_buffers, teacher_mode)
        self.weight, self.joint_pass, self.dice = weight, joint_pass, dice
        self.noise, self.noise_limit = noise, noise_limit

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images, `agree` of the unlabeled ones."""
        student = self.students["student"]
        weak = batch.unlabeled_weak
        generator = step.draw.torch_generator("noise", weak.device)
        noisy = weak + clipped_noise(weak, generator, self.noise, self.noise_limit)
        target = full_precision(self.teacher(noisy)).softmax(dim=1)
        labeled, unlabeled = forward_each(student, batch.labeled, batch.unlabeled, jointly=self.joint_pass)
        terms = supervised_terms(labeled, batch.labels, self.dice)
        terms["agree"] = (weight_at(self.weight, step), squared_gap(unlabeled, target))
        return {"student": terms}

    def after_update(self, step: Step) -> None:
        """The teacher follows."""
        self.teacher.follow(self.students["student"], step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The student, which the published script evaluates, and the teacher."""
        return {"student": self.students["student"], "teacher": self.teacher}
