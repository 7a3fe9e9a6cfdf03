"""Training steps as one would write them from the papers, for comparison: fp32, contiguous, a pass a mixture.

The losses are the product's, so that both learn the same; what differs is how the step is carried out. Pseudo-labels
are cleaned up on the CPU, sample by sample, and the losses are read for the log in every step, as released codes do.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mednoisy.data.batch import Batch
from mednoisy.losses.discrepancy import disagreement, doubt_where_wrong, squared_gap_to_label
from mednoisy.losses.segmentation import DiceKind, mixed_loss
from mednoisy.methods.labeled_unlabeled_copy_paste import Mixture, Pairing, bidirectional
from mednoisy.perturb.copy_paste import Box
from mednoisy.pseudo.cleanup import harden, largest_components


class PlainCopyPaste:
    """BCP's self-training step with one student, SDCL's with two.

    Args:
        students: on their device.
        pairing: `same` in BCP, `cross` in SDCL.
        dice: kind of Dice.
    """

    def __init__(self, students: Mapping[str, nn.Module], pairing: Pairing, dice: DiceKind):
        self.students, self.pairing, self.dice = dict(students), pairing, dice
        self.teacher = copy.deepcopy(next(iter(students.values()))).requires_grad_(False).eval()
        self.optimisers = {name: torch.optim.Adam(net.parameters(), lr=1e-3) for name, net in students.items()}

    def step(self, batch: Batch, box: Box) -> dict[str, float]:
        """Learn from a batch; the loss of each student before it did."""
        with torch.no_grad():
            halves = [harden(self.teacher(half)) for half in batch.unlabeled.chunk(2)]
        cleaned = [largest_components(sample[None].cpu()).to(sample.device) for half in halves for sample in half]
        mixtures = bidirectional(batch, torch.cat(cleaned), box, self.pairing, pseudo_weight=0.5)
        outputs = {
            name: [student(mixture.images) for mixture in mixtures.values()] for name, student in self.students.items()
        }
        losses = {name: self._loss(list(mixtures.values()), outputs, name) for name in self.students}
        for name, loss in losses.items():
            self.optimisers[name].zero_grad()
            loss.backward()
            self.optimisers[name].step()
        student = next(iter(self.students.values()))
        for mine, theirs in zip(self.teacher.parameters(), student.parameters(), strict=True):
            mine.mul_(0.99).add_(theirs.detach(), alpha=0.01)
        return {name: loss.item() for name, loss in losses.items()}

    def _loss(self, mixtures: list[Mixture], outputs: Mapping[str, list[Tensor]], name: str) -> Tensor:
        terms = []
        for place, mixture in enumerate(mixtures):
            logits = outputs[name][place]
            weights = mixture.outside_weight, mixture.inside_weight
            dice, entropy = mixed_loss(logits, mixture.labels, mixture.outside, *weights, self.dice)
            terms += [0.5 * dice, 0.5 * entropy]
            if len(outputs) == 2:
                differ = disagreement(*(of[place].detach() for of in outputs.values()))
                terms += [
                    0.5 * squared_gap_to_label(logits, mixture.labels, differ, mixture.weights()),
                    0.05 * doubt_where_wrong(logits, mixture.labels, differ, mixture.weights()),
                ]
        return torch.stack(terms).sum()
