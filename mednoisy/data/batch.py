"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Crops of labeled and unlabeled cases; plain tensors, no metadata, no reference of unlabeled cases.

    Attributes:
        labeled: (L, C, *spatial), float32.
        labels: (L, *spatial), int64 class codes 0..K-1.
        unlabeled: (U, C, *spatial), as the students see it (strong view); U is 0 for supervised methods.
        unlabeled_weak: (U, C, *spatial), the same crops without intensity augmentation, voxel by voxel
            aligned with `unlabeled`: what a teacher labels. The same tensor where a recipe has no such step.
        labeled_ids, unlabeled_ids: case ids, for the log.
    """

    labeled: Tensor
    labels: Tensor
    unlabeled: Tensor
    unlabeled_weak: Tensor
    labeled_ids: list[str] = field(default_factory=list)
    unlabeled_ids: list[str] = field(default_factory=list)

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
