"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

Drawn: TypeAlias = tuple[np.ndarray | None, ...]  # numbers of each augmentation of a chain, None where it does nothing


@dataclass(frozen=True)
class Augmentations:
    """What was drawn for each crop of a batch and is still to be done, as numbers.

    Attributes:
        spatial: changes of geometry of labeled, then unlabeled crops; empty tuples where there are none.
        intensity: changes of intensity, likewise.
    """

    spatial: list[Drawn]
    intensity: list[Drawn]


@dataclass(frozen=True)
class Batch:
    """Crops of labeled and unlabeled cases; plain tensors, no metadata, no reference of unlabeled cases.

    A loader gives crops as they are cut, with `drawn`; `TrainingStream.augmented` applies it where the tensors are.

    Attributes:
        labeled: (L, C, *spatial), float32.
        labels: (L, *spatial), class codes 0..K-1; int64, or int16 where some labeled case has voxels that nobody looked
            at, which are `IGNORED` (`partial_labels.py`); in the cases' own type until `drawn` is applied.
        unlabeled: (U, C, *spatial), as the students see it (strong view); U is 0 for supervised methods.
        unlabeled_weak: (U, C, *spatial), the same crops without intensity augmentation, voxel by voxel
            aligned with `unlabeled`: what a teacher labels. The same tensor where a recipe has no such step.
        labeled_ids, unlabeled_ids: case ids, for the log.
        drawn: what is still to be done to the crops; None where nothing is.
    """

    labeled: Tensor
    labels: Tensor
    unlabeled: Tensor
    unlabeled_weak: Tensor
    labeled_ids: list[str] = field(default_factory=list)
    unlabeled_ids: list[str] = field(default_factory=list)
    drawn: Augmentations | None = None

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """The batch on `device`; images also in `memory_format`."""
        shared = self.unlabeled_weak is self.unlabeled

        def image(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True, memory_format=memory_format)

        unlabeled = image(self.unlabeled)
        return replace(
            self,
            labeled=image(self.labeled),
            labels=self.labels.to(device, non_blocking=True),
            unlabeled=unlabeled,
            unlabeled_weak=unlabeled if shared else image(self.unlabeled_weak),
        )

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for an asynchronous copy (called by torch's loader)."""
        shared = self.unlabeled_weak is self.unlabeled
        unlabeled = self.unlabeled.pin_memory()
        return replace(
            self,
            labeled=self.labeled.pin_memory(),
            labels=self.labels.pin_memory(),
            unlabeled=unlabeled,
            unlabeled_weak=unlabeled if shared else self.unlabeled_weak.pin_memory(),
        )
