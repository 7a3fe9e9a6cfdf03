"""UA-MT: a mean teacher that is heard only where it is sure."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.consistency import squared_gap
from mednoisy.losses.segmentation import DiceKind, full_precision
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Ramp, Weight, sigmoid_ramp, weight_at
from mednoisy.methods.supervised import supervised_terms
from mednoisy.perturb.gaussian_noise import clipped_noise
from mednoisy.pseudo.confidence import dropout_on, predictive_entropy
from mednoisy.pseudo.momentum_teacher import MomentumTeacher


class UncertaintyAwareMeanTeacher(Method):
    """A mean teacher whose target counts only in voxels where its Monte-Carlo entropy is low.

    The teacher labels the weak view under noise, once for the target t and `passes` times with dropout for the mean
    probability m; u = -sum_c m_c ln(m_c + 1e-6) is compared with a limit that rises through the stage,
    H = (`limit_from` + (`limit_to` - `limit_from`) r) ln K with r the sigmoid ramp, M = [u < H]. The student s learns
    half Dice and half cross-entropy on labeled images, plus the weight times
    sum(M sum_c (s_c - t_c)^2) / (K sum(M) + 1e-16).

    Args:
        network: the student. Without dropout layers, u comes from the noise alone.
        weight: of the consistency term. Published: `StepRamp(stairs=40, zero_before=0)`, in 2D with 200 stairs; the
            default has its shape in shares of the stage.
        passes: Monte-Carlo passes of the teacher.
        limit_from, limit_to: of the entropy, as shares of ln K.
        ssl4mis_constants: ln 2 and the divisor 2 whatever K, as in SSL4MIS' 2D script for four classes; the same for
            two classes.
        decay, warm_start: see `MeanTeacher`.
        teacher_mode: "eval" switches on dropout alone, and in the Monte-Carlo passes alone; "train" is published:
            dropout and the batch's statistics in all passes.
        teacher_buffers: see `MomentumTeacher`; published: False.
        joint_pass: see `forward_each`; published: True.
        noise, noise_limit: standard deviation and largest value of the noise, drawn anew for each pass.
        dice: kind of Dice on labeled images, see `dice_loss`; published: "foreground_squared", in 2D "batch_squared".

    Source: Yu et al. 2019, arXiv:1907.07034, equations 2 to 4, and the released code that applies consistency to
    unlabeled images.
    """

    def __init__(
        self,
        network: nn.Module,
        weight: Weight = Ramp(zero_before=0.0),  # noqa: B008, it is frozen
        passes: int = 8,
        limit_from: float = 0.75,
        limit_to: float = 1.0,
        ssl4mis_constants: bool = False,
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
        if passes < 1:
            raise ValueError(f"passes is {passes}; the entropy needs 1 or more")
        self.students = nn.ModuleDict({"student": network})
        self.teacher = MomentumTeacher(network, decay, warm_start, teacher_buffers, teacher_mode)
        self.weight, self.passes, self.joint_pass, self.dice = weight, passes, joint_pass, dice
        self.limit_from, self.limit_to, self.ssl4mis_constants = limit_from, limit_to, ssl4mis_constants
        self.noise, self.noise_limit = noise, noise_limit

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images, `agree` of the unlabeled ones; `certain` is a share, 0..1."""
        weak = batch.unlabeled_weak
        generator = step.draw.torch_generator("noise", weak.device)
        target = self._teach(weak, generator)
        mean = torch.zeros_like(target)
        with dropout_on(self.teacher):
            for _ in range(self.passes):
                mean += self._teach(weak, generator) / self.passes
        classes = 2 if self.ssl4mis_constants else target.shape[1]
        certain = predictive_entropy(mean) < self.entropy_limit(step, classes)

        student = self.students["student"]
        labeled, unlabeled = forward_each(student, batch.labeled, batch.unlabeled, jointly=self.joint_pass)
        terms = supervised_terms(labeled, batch.labels, self.dice)
        gap = squared_gap(unlabeled, target, certain) * (target.shape[1] / classes)
        terms["agree"] = (weight_at(self.weight, step), gap)
        terms["certain"] = (0.0, certain.float().mean())
        return {"student": terms}

    def entropy_limit(self, step: Step, classes: int) -> float:
        """The entropy in nats below which a voxel counts in this step."""
        risen = sigmoid_ramp(step.number, step.length)
        return (self.limit_from + (self.limit_to - self.limit_from) * risen) * math.log(classes)

    def after_update(self, step: Step) -> None:
        """The teacher follows."""
        self.teacher.follow(self.students["student"], step.number)

    def predictors(self) -> dict[str, nn.Module]:
        """The student, which the paper evaluates, and the teacher."""
        return {"student": self.students["student"], "teacher": self.teacher}

    def _teach(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The teacher's probabilities under fresh noise, without gradient."""
        noisy = images + clipped_noise(images, generator, self.noise, self.noise_limit)
        return full_precision(self.teacher(noisy)).softmax(dim=1)
