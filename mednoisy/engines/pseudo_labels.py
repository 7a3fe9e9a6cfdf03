"""What a round of pseudo-labels is: who labels, by which rules, and how the labels join the labeled cases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.transforms import Compose
from torch import nn

from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.pseudo.selection_rules import SelectionRules


@dataclass(frozen=True)
class Teacher:
    """Who labels a round.

    Attributes:
        source: the stage before, or the folder of a finished run.
        predictor: name of what is deployed there.
        network: maps images to logits.
        step: of its checkpoint.
        preprocessing, inferer: how it is shown an image, as in `predict_case`.
        labels: name of each class code that it knows.
    """

    source: str
    predictor: str
    network: nn.Module
    step: int
    preprocessing: Compose
    inferer: SlidingWindow
    labels: Mapping[int, str]

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of the network's weights and buffers."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in self.network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class PseudoLabels:
    """How a round labels the unlabeled cases, and which of them its student sees.

    The deployed predictor of the stage before, as handed over, labels each case on the grid of its file; files, filter
    and figures are those of `RoundFiles`, in RUN/rounds/STAGE. Interrupted, a round keeps what its own teacher has
    labeled; the files of any other teacher or rules are thrown away.

    Attributes:
        preprocessing, inferer: how the stage before is shown an image, as in `predict_case`.
        rules: which labels are kept.
        ratio: how many pseudo-labeled cases come with one labeled case at most; labeled ones are repeated to hold it.
            None: all as they are, each once an epoch, as in the published lists.
        page: (folder, name of the run): writes `page.html` of the finished round, its pictures and figures, there.
        teacher: makes the teacher, in place of the stage before.

    Source: Dzieniszewska et al. 2024. The released code holds no generating script; the most probable class is ours.
    """

    preprocessing: Compose
    inferer: SlidingWindow
    rules: SelectionRules = field(default_factory=SelectionRules)
    ratio: float | None = None
    page: Callable[[Path, str], Any] | None = None
    teacher: Callable[[], Teacher] | None = None

    def __post_init__(self) -> None:
        if self.ratio is not None and not self.ratio > 0:
            raise ValueError(f"ratio is {self.ratio}; it must be above 0, or None")
