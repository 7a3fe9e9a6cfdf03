"""Which pseudo-labels of a round are good enough to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from mednoisy.pseudo.cleanup import largest_components

PUBLISHED_AREA = 34 / 256**2


@dataclass(frozen=True)
class SelectionRules:
    """What is done to a pseudo-label, and what drops its case.

    Attributes:
        minimum_area: least share of the image that is foreground, 0..1; 0 also keeps empty ones. The default is the
            published rule: fewer than 34 pixels of 256 x 256 are dropped.
        minimum_confidence: least mean probability of the most probable class over the foreground, 0..1.
        largest_component: whether to keep the largest connected piece of each class alone.

    Raises:
        ValueError: a share outside 0..1.

    Source: Dzieniszewska et al. 2024, whose released code drops masks that sum to less than 100 over three channels.

    Examples:
        >>> rules = SelectionRules(minimum_area=0.01, minimum_confidence=0.8, largest_component=True)
        >>> rules.dropped_by(area=0.001, confidence=0.9), rules.dropped_by(area=0.2, confidence=0.7)
        ('area', 'confidence')
        >>> rules.cleaned(np.array([[1, 0, 1, 1]], np.uint8))
        array([[0, 0, 1, 1]], dtype=uint8)
    """

    minimum_area: float = PUBLISHED_AREA
    minimum_confidence: float = 0.0
    largest_component: bool = False

    def __post_init__(self) -> None:
        for name in ("minimum_area", "minimum_confidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, from 0 to 1")

    def cleaned(self, labels: np.ndarray) -> np.ndarray:
        """Class codes (*spatial), two or three axes, uint8, as the rules leave them."""
        if not self.largest_component:
            return labels
        return largest_components(torch.from_numpy(labels)[None])[0].numpy()

    def dropped_by(self, area: float, confidence: float) -> Literal["", "area", "confidence"]:
        """The first rule that drops a case of this area and confidence; empty where it is kept."""
        if area < self.minimum_area:
            return "area"
        return "confidence" if confidence < self.minimum_confidence else ""
