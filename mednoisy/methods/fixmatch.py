"""FixMatch for segmentation: the weak view labels a strong view of the same image wherever it is sure."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.losses.consistency import ConfidentLoss, confident_loss
from mednoisy.losses.segmentation import DiceKind
from mednoisy.methods.method import Method, Step, Terms, forward_each
from mednoisy.methods.ramp_up import Weight, weight_at
from mednoisy.methods.supervised import supervised_terms
from mednoisy.perturb.cutmix import CutMixRule, DrawBoxes, cut_mix, inside
from mednoisy.perturb.strong_views import StrongView
from mednoisy.pseudo.confidence import labels_with_confidence


class FixMatch(Method):
    """A network's hard labels of weak views teach it strong views, in voxels where it is sure of them.

    The prediction for the weak views, in training mode, gives the label y = argmax p and the confidence
    q = max p of each voxel, without gradient; one pass over the strong views learns y where q >= `threshold`.
    L = (L_x + `weight` L_s) / 2 with L_x half Dice and half cross-entropy on labeled images.

    A strong view is what the recipe makes of the crop, then `view`, then perhaps a box of another image (CutMix), in
    which label and confidence are the other's too. The other image is the one before it in the batch and is labeled
    in the same pass; the released code draws it from an independent loader and labels it in evaluation mode.

    Args:
        network: the student.
        weight: of L_s.
        threshold: smallest confidence that counts.
        unlabeled_loss: L_s, see `confident_loss`: a kind of Dice (published for ACDC: "batch_squared") or "ce"
            (published for natural images).
        view: how a strong view is made.
        boxes: how CutMix boxes are drawn; None mixes nothing.
        joint_pass: see `forward_each`; published: True.
        dice: kind of Dice on labeled images, see `dice_loss`; published: "batch_squared".

    Raises:
        UserError: E122, in training, CutMix with one unlabeled image.

    Source: Sohn et al. 2020, arXiv:2001.07685, as the baseline of UniMatch (Yang et al. 2023, arXiv:2208.09910).
    """

    def __init__(
        self,
        network: nn.Module,
        weight: Weight = 1.0,
        threshold: float = 0.95,
        unlabeled_loss: ConfidentLoss = "batch_squared",
        view: StrongView = StrongView(),  # noqa: B008, it is frozen
        boxes: DrawBoxes | None = CutMixRule(),  # noqa: B008, it is frozen
        joint_pass: bool = False,
        dice: DiceKind = "per_sample",
    ):
        super().__init__()
        self.students = nn.ModuleDict({"student": network})
        self.weight, self.threshold, self.unlabeled_loss = weight, threshold, unlabeled_loss
        self.view, self.boxes, self.joint_pass, self.dice = view, boxes, joint_pass, dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images, `strong` of the unlabeled ones; `confident` is a share, 0..1."""
        student = self.students["student"]
        labeled, weak = forward_each(student, batch.labeled, batch.unlabeled_weak, jointly=self.joint_pass)
        pseudo_labeled = LabeledView.by(weak, self.threshold, batch.unlabeled)
        strong = pseudo_labeled.strong_view(self.view, self.boxes, step.draw, "strong")
        terms = halved(supervised_terms(labeled, batch.labels, self.dice))
        terms["strong"] = (weight_at(self.weight, step) / 2, strong.loss(student(strong.images), self.unlabeled_loss))
        terms["confident"] = (0.0, pseudo_labeled.confident.float().mean())
        return {"student": terms}

    def predictors(self) -> dict[str, nn.Module]:
        """The student."""
        return {"student": self.students["student"]}


@dataclass(frozen=True)
class LabeledView:
    """Images with the labels that they are to be learned with.

    Attributes:
        images: (B, C, *S).
        labels: (B, *S), int64.
        confident: (B, *S), bool, where the labels count.
    """

    images: Tensor
    labels: Tensor
    confident: Tensor

    @classmethod
    def by(cls, weak_logits: Tensor, threshold: float, images: Tensor) -> LabeledView:
        """`images` labeled by the prediction (B, K, *S) for their weak views, where its probability is high enough."""
        labels, confidence = labels_with_confidence(weak_logits)
        return cls(images, labels, confidence >= threshold)

    def strong_view(self, view: StrongView, boxes: DrawBoxes | None, draw: Draw, name: str) -> LabeledView:
        """A view of its own for each `name`, with boxes of the images before, labels and all."""
        images = view(self.images, draw.generator(f"{name}/view"))
        if boxes is None:
            return LabeledView(images, self.labels, self.confident)
        shape = images.shape[2:]
        where = inside(boxes(len(images), shape, draw.generator(f"{name}/boxes")), shape, images.device)
        return LabeledView(*(cut_mix(values, where) for values in (images, self.labels, self.confident)))

    def loss(self, logits: Tensor, kind: ConfidentLoss) -> Tensor:
        """See `confident_loss`."""
        return confident_loss(logits, self.labels, self.confident, kind)


def halved(terms: Terms) -> Terms:
    """The same terms at half their weights."""
    return Terms({name: (weight / 2, value) for name, (weight, value) in terms.items()})
