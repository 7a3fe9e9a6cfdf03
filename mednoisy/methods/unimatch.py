"""UniMatch: the weak view labels two strong views and a view with dropped features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.errors import UserError
from mednoisy.losses.consistency import ConfidentLoss
from mednoisy.losses.segmentation import DiceKind
from mednoisy.methods.fixmatch import LabeledView, halved
from mednoisy.methods.method import Method, Step, Terms, forward_each, mixes_samples
from mednoisy.methods.ramp_up import Weight, weight_at
from mednoisy.methods.supervised import supervised_terms
from mednoisy.perturb.cutmix import CutMixRule, DrawBoxes
from mednoisy.perturb.strong_views import StrongView, drop_channels


class UniMatch(Method):
    """FixMatch with two strong views, and a third stream whose feature channels are dropped.

    A pass over weak views, in which the decoder also gets their feature maps with channels dropped at random, gives
    the labels and the perturbed prediction; labeled images share it where that changes nothing. One pass over both
    strong views, each with a look and boxes of its own. All three learn the weak view's labels where they are sure:
    L = (L_x + `strong_weight` (L_s1 + L_s2) + `feature_weight` L_fp) / 2.

    Labels, views and CutMix partners are as in `FixMatch`: an image's partner is the one before it in the batch,
    where the released code has an independent loader. It also perturbs the features of labeled images and throws
    these predictions away, which here touches nothing but a batch norm's statistics.

    Args:
        network: the student; its submodule `encoder` returns a list of feature maps, as those of
            `mednoisy.networks` do.
        strong_weight: of each strong view.
        feature_weight: of the stream with dropped features.
        feature_dropout: probability with which a channel is dropped.
        threshold, unlabeled_loss, view, boxes, joint_pass, dice: see `FixMatch`.

    Raises:
        UserError: E123, the network gives no access to its features; E122, in training, CutMix with one unlabeled
            image.

    Source: Yang et al. 2023, arXiv:2208.09910; the figures are those of its medical code.
    """

    def __init__(
        self,
        network: nn.Module,
        strong_weight: Weight = 0.25,
        feature_weight: Weight = 0.5,
        feature_dropout: float = 0.5,
        threshold: float = 0.95,
        unlabeled_loss: ConfidentLoss = "batch_squared",
        view: StrongView = StrongView(),  # noqa: B008, it is frozen
        boxes: DrawBoxes | None = CutMixRule(),  # noqa: B008, it is frozen
        joint_pass: bool = False,
        dice: DiceKind = "per_sample",
    ):
        super().__init__()
        if not isinstance(getattr(network, "encoder", None), nn.Module):
            raise no_features(network)
        self.students = nn.ModuleDict({"student": network})
        self.strong_weight, self.feature_weight, self.feature_dropout = strong_weight, feature_weight, feature_dropout
        self.threshold, self.unlabeled_loss = threshold, unlabeled_loss
        self.view, self.boxes, self.joint_pass, self.dice = view, boxes, joint_pass, dice

    def losses(self, batch: Batch, step: Step) -> dict[str, Terms]:
        """Terms `dice` and `ce` of the labeled images, `strong_1`, `strong_2`, `features`; `confident` is a share."""
        student = self.students["student"]
        generator = step.draw.torch_generator("features", batch.unlabeled_weak.device)
        apart = mixes_samples(student) and not self.joint_pass
        labeled, weak, dropped = with_changed_features(
            student,
            batch.labeled[:0] if apart else batch.labeled,
            batch.unlabeled_weak,
            lambda maps: drop_channels(maps, generator, self.feature_dropout),
        )
        if apart:
            labeled = student(batch.labeled)
        pseudo_labeled = LabeledView.by(weak, self.threshold, batch.unlabeled)
        views = [pseudo_labeled.strong_view(self.view, self.boxes, step.draw, f"strong_{number}") for number in (1, 2)]
        strong_weight = weight_at(self.strong_weight, step) / 2

        terms = halved(supervised_terms(labeled, batch.labels, self.dice))
        outputs = forward_each(student, *(view.images for view in views), jointly=True)  # as published: both unlabeled
        for number, (view, logits) in enumerate(zip(views, outputs, strict=True), start=1):
            terms[f"strong_{number}"] = (strong_weight, view.loss(logits, self.unlabeled_loss))
        terms["features"] = (
            weight_at(self.feature_weight, step) / 2,
            pseudo_labeled.loss(dropped, self.unlabeled_loss),
        )
        terms["confident"] = (0.0, pseudo_labeled.confident.float().mean())
        return {"student": terms}

    def predictors(self) -> dict[str, nn.Module]:
        """The student."""
        return {"student": self.students["student"]}


def with_changed_features(
    network: nn.Module, plain: Tensor, doubled: Tensor, change: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs for `plain` and `doubled` images, and for `doubled` with every feature map changed, from one pass.

    The encoder runs once; what follows it gets the changed maps as further samples.

    Args:
        network: with a submodule `encoder` that returns a list of maps (B, C, *S).
        change: maps to maps of the same shape.

    Raises:
        UserError: E123, the encoder returns something else or is not run.
    """

    def append_changed(encoder: nn.Module, inputs: tuple, maps: list[Tensor]) -> list[Tensor]:
        if not isinstance(maps, (list, tuple)):
            raise no_features(network)
        return [torch.cat([each, change(each[len(plain) :])]) for each in maps]

    encoder = network.encoder
    assert isinstance(encoder, nn.Module)
    hook = encoder.register_forward_hook(append_changed)
    try:
        outputs = network(torch.cat([plain, doubled]))
    finally:
        hook.remove()
    sizes = [len(plain), len(doubled), len(doubled)]
    if len(outputs) != sum(sizes):
        raise no_features(network)
    first, second, third = outputs.split(sizes)
    return first, second, third


def no_features(network: nn.Module) -> UserError:
    """E123, to be raised: the network's features cannot be reached."""
    return UserError(
        "E123",
        f"UniMatch drops feature channels, but {type(network).__name__} has no `encoder` that returns a list of maps",
        "Take a network that has one, such as VNet, ResVNet, UNet or ResUNet of mednoisy.networks, or method fixmatch",
    )
