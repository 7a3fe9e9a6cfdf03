"""Cross pseudo supervision: two networks, each taught by the other's labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.discrepancy import disagreement
from mednoisy.losses.segmentation import DiceKind, cross_entropy, most_probable
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Ramp, Weight, weight_at
from mednoisy.methods.supervised import supervised_terms
from mednoisy.networks.ensemble import MeanEnsemble, same_weights
from mednoisy.perturb.cutmix import DrawBoxes, cut_mix, inside


class CrossPseudoSupervision(Method):
    """Two networks of one structure and different initial weights learn each other's hard labels.

    For student i and the other one j: half Dice and half cross-entropy on labeled images, plus the weight times
    CE(p_i, argmax p_j) on unlabeled ones; no confidence threshold, no momentum. Both see the same images, and a
    student's labels come from the pass in which it learns. With `boxes` both first label the weak views, without
    gradient; then images and both sets of labels are mixed by the same boxes (CutMix), an image's partner being the
    one before it in the batch.

    Args:
        network_a, network_b: the students. The same object or equal weights would learn nothing from each other.
        weight: of the other's labels. Published in SSL4MIS: `StepRamp(zero_before=0)`; the default has its shape in
            shares of the stage. Published for natural images: a constant, 1.5 or 6.
        boxes: how CutMix boxes are drawn, such as `CutMixRule()`; None mixes nothing, as in SSL4MIS.
        joint_pass: see `forward_each`; published: True.
        dice: kind of Dice on labeled images, see `dice_loss`; published: "batch_squared".

    Raises:
        ValueError: both networks have the same weights.
        UserError: E122, in training, CutMix with one unlabeled image.

    Source: Chen et al. 2021, arXiv:2106.01226; the figures, and the restriction to unlabeled images, are those of
    the script of SSL4MIS.
    """

    def __init__(
        self,
        network_a: nn.Module,
        network_b: nn.Module,
        weight: Weight = Ramp(zero_before=0.0),  # noqa: B008, it is frozen
        boxes: DrawBoxes | None = None,
        joint_pass: bool = False,
        dice: DiceKind = "per_sample",
    ):
        super().__init__()
        if same_weights(network_a, network_b):
            raise ValueError("both networks have the same weights; cross pseudo supervision needs two that differ")
        self.students = nn.ModuleDict({"a": network_a, "b": network_b})
        self.weight, self.boxes, self.joint_pass, self.dice = weight, boxes, joint_pass, dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images, `cross` of the unlabeled ones; `disagreement` is a share."""
        images, labels = batch.unlabeled, {}
        if self.boxes is not None:
            shape = images.shape[2:]
            drawn = self.boxes(len(images), shape, step.draw.generator("boxes"))
            where = inside(drawn, shape, images.device)
            images = cut_mix(images, where)
            labels = {name: cut_mix(_labels(student, batch), where) for name, student in self.students.items()}
        outputs = {
            name: forward_each(student, batch.labeled, images, jointly=self.joint_pass)
            for name, student in self.students.items()
        }
        if self.boxes is None:
            labels = {name: most_probable(unlabeled) for name, (_, unlabeled) in outputs.items()}

        share = disagreement(outputs["a"][1], outputs["b"][1]).float().mean()
        weight = weight_at(self.weight, step)
        losses = {}
        for name, other in (("a", "b"), ("b", "a")):
            labeled, unlabeled = outputs[name]
            terms = supervised_terms(labeled, batch.labels, self.dice)
            terms["cross"] = (weight, cross_entropy(unlabeled, labels[other]))
            terms["disagreement"] = (0.0, share)
            losses[name] = terms
        return losses

    def predictors(self) -> dict[str, nn.Module]:
        """The first student, each of which the papers evaluate alone, the second, and their mean."""
        a, b = self.students.values()
        return {"a": a, "b": b, "mean": MeanEnsemble([a, b])}


def _labels(student: nn.Module, batch: Batch) -> Tensor:
    """A student's hard labels of the weak views."""
    with torch.no_grad():
        return most_probable(student(batch.unlabeled_weak))
