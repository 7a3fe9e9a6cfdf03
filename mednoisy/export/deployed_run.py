"""A finished run as an export needs it: its configuration, and the network that it deploys."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose
from torch import Tensor, nn

from mednoisy.composition import of_run
from mednoisy.composition.config_errors import telling_values
from mednoisy.composition.config_files import Config
from mednoisy.engines.run_folder import folds_of
from mednoisy.evaluation.read_finished_run import read_finished_run
from mednoisy.evaluation.summary_file import RunSummary
from mednoisy.inference.sliding_window import SlidingWindow
from mednoisy.networks.nnunet import PACKAGE, NNUNet
from mednoisy.runs.early_checks import check_predicts
from mednoisy.runs.predict_with_run import deployed_networks, source_codes


@dataclass(frozen=True)
class DeployedRun:
    """A run's deployed network on the CPU, at its best checkpoint, in evaluation mode, and what belongs to it.

    Attributes:
        folder: of the run.
        config: its entries as they were kept, `_meta_` among them.
        summary: its figures and labels.
        network: maps images (B, C, *spatial) to logits (B, K, *spatial).
        preprocessing, inferer: how the network sees a case.
        patch_size: in voxels; the network takes any sizes that are multiples of the same divisors.
        channels: of an image.
        label_names: of the codes 0 to K-1.
        codes: the source's code of each class; none where it is the class's own number.
        folds: how many networks of a cross-validated run predict together; 0 of a single run.
    """

    folder: Path
    config: Config
    summary: RunSummary
    network: nn.Module
    preprocessing: Compose
    inferer: SlidingWindow
    patch_size: tuple[int, ...]
    channels: int
    label_names: tuple[str, ...]
    codes: tuple[int, ...]
    folds: int

    @property
    def further_packages(self) -> tuple[str, ...]:
        """What the network needs beside mednoisy and what comes with it."""
        return (PACKAGE,) if any(isinstance(part, NNUNet) for part in self.network.modules()) else ()

    def random_patch(self, count: int = 1, seed: int = 0, sizes: Sequence[int] | None = None) -> Tensor:
        """(count, C, *patch) of normal noise, as z-scored images are; `sizes` in place of the patch's."""
        shape = (count, self.channels, *(sizes or self.patch_size))
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def deployed_run(folder: Path | str, *, trust: bool = False) -> DeployedRun:
    """The finished run in a folder.

    Args:
        folder: of the run, perhaps a cross-validated one.
        trust: whether its configuration may be any program, see `check_trusted`.

    Raises:
        UserError: as `of_run` (E312, E108, E390), `read_finished_run` (E402, it is not finished), `check_predicts`
            (E509) and `checkpoint.load`.
    """
    folder = Path(folder)
    with telling_values():
        composition = of_run(folder, {"device": '$torch.device("cpu")'}, trust)
        summary = read_finished_run(folder).summary
        check_predicts(summary, folder)
        parser = composition.workflow().parser
        parser.parse(reset=True)
        network = next(iter(deployed_networks(parser, folder).values()))
        config: dict[str, Any] = deepcopy(composition.config)
        return DeployedRun(
            folder,
            config,
            summary,
            network.eval().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
            parser.get_parsed_content("preprocessing"),
            parser.get_parsed_content("evaluation#inferer"),
            tuple(parser.get_parsed_content("patch_size")),
            _channels(network),
            tuple(parser.get_parsed_content("label_names")),
            source_codes(folder),
            len(folds_of(folder)),
        )


def _channels(network: nn.Module) -> int:
    """Of the images that a network takes: those of its first convolution."""
    convolutions = (part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Conv3d))
    return next(convolutions).in_channels
