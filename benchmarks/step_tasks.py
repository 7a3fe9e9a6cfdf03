"""What benchmarks/step.py times: a step of SDCL or BCP at a size, as the trainer takes it and as a plain loop does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from plain_steps import PlainCopyPaste
from torch import nn

from mednoisy.data.batch import Batch
from mednoisy.data.counter_based_random import Draw
from mednoisy.engines.progress_log import Progress
from mednoisy.engines.run_folder import RunFolder
from mednoisy.engines.stages import Stage
from mednoisy.engines.trainer import SemiSupervisedTrainer
from mednoisy.methods.bcp import BCP
from mednoisy.methods.method import Method
from mednoisy.methods.sdcl import SDCL
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet


@dataclass(frozen=True)
class Setting:
    """How our step runs."""

    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool | str = False
    deterministic: bool = False

    def __str__(self) -> str:
        more = [", channels last" if self.channels_last else ""]
        more += [f", compiled ({self.compiled})" if self.compiled else ""]
        more += [", deterministic" if self.deterministic else ""]
        return f"ours {self.precision}{''.join(more)}"


ON_CPU = (Setting(), Setting(channels_last=True), Setting("bf16"), Setting("bf16", True))


ON_GPU = (*ON_CPU, Setting("bf16", deterministic=True))


COMPILED = {mode: (Setting("bf16"), Setting("bf16", compiled=mode)) for mode in ("default", "reduce-overhead")}


@dataclass(frozen=True)
class Task:
    """A method on networks and batches of a size: 2n labeled and 2n unlabeled crops."""

    method: str
    patch: tuple[int, ...]
    crops: int
    width: int

    @property
    def title(self) -> str:
        kind = "volumes" if len(self.patch) == 3 else "slices"
        sizes = f"{self.crops} + {self.crops} crops of {'x'.join(map(str, self.patch))}, width {self.width}"
        return f"{self.method} on {kind}, {sizes}"

    def networks(self) -> list[nn.Module]:
        """Without dropout, so that two carryings-out of a step can be compared."""
        torch.manual_seed(0)
        if len(self.patch) == 3:
            made: list[nn.Module] = [VNet(width=self.width), ResVNet(width=self.width)]
        else:
            widths = [self.width * 2**level for level in range(5)]
            made = [UNet(num_classes=4, widths=widths), ResUNet(num_classes=4, widths=widths)]
        for network in made:
            for layer in network.modules():
                if isinstance(layer, nn.modules.dropout._DropoutNd):
                    layer.p = 0.0
        return made if self.method == "SDCL" else made[:1]

    @property
    def dice(self) -> Any:
        return "per_sample" if len(self.patch) == 3 else "batch_squared"

    def learns(self, networks: Sequence[nn.Module]) -> Method:
        if self.method == "SDCL":
            return SDCL(networks[0], networks[1], dice=self.dice)
        return BCP(networks[0], dice=self.dice)

    def batch(self) -> Batch:
        """Noise with a ball in each crop, so that a teacher has something to find."""
        torch.manual_seed(1)
        axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in self.patch), indexing="ij")
        ball = torch.stack(axes).square().sum(0) < 0.3
        images = torch.randn(2 * self.crops, 1, *self.patch) * 0.5 + 2 * ball
        labels = ball.long().expand(self.crops, *self.patch).clone()
        unlabeled = images[self.crops :].clone()
        return Batch(images[: self.crops].clone(), labels, unlabeled, unlabeled)


SIZES = {
    "tiny": (Task("SDCL", (32, 32, 16), 2, 2), Task("SDCL", (32, 32), 4, 2), Task("BCP", (32, 32), 4, 2)),
    "half": (Task("SDCL", (64, 64, 48), 2, 8), Task("SDCL", (96, 96), 12, 16), Task("BCP", (96, 96), 12, 16)),
    "full": (Task("SDCL", (112, 112, 80), 4, 16), Task("SDCL", (256, 256), 12, 16), Task("BCP", (256, 256), 12, 16)),
}


class OneBatch:
    """Stands for a loader: the trainer is stepped by hand."""

    def __init__(self, patch_size: Sequence[int]):
        self.stream = self
        self.patch_size = tuple(patch_size)

    def augmented(self, batch: Batch) -> Batch:
        return batch


def our_step(task: Task, setting: Setting, device: torch.device, folder: Path) -> tuple[Callable[[], Any], Any]:
    """A step of the trainer itself, from the batch in host memory on; and the trainer."""
    networks = task.networks()
    stage = Stage("step", lambda: task.learns(networks), 1, partial(torch.optim.Adam, lr=1e-3), task.crops, task.crops)
    trainer = SemiSupervisedTrainer(
        device=device,
        max_epochs=1,
        epoch_length=10**6,
        train_data_loader=OneBatch(task.patch),  # type: ignore[arg-type]
        stages=[stage],
        run_folder=RunFolder(folder),
        precision=setting.precision,
        channels_last=setting.channels_last,
        compiled=setting.compiled,
        deterministic=False,
    )
    trainer.training.progress = Progress(None, interval=10)
    trainer.training.enter(trainer.training.plan[0])
    batch = task.batch()
    batch = batch.pin_memory() if device.type == "cuda" else batch

    def step() -> None:
        torch.use_deterministic_algorithms(setting.deterministic, warn_only=True)
        trainer.state.iteration += 1
        trainer._iteration(trainer, batch)

    return step, trainer


def plain_step(task: Task, device: torch.device) -> Callable[[], dict[str, float]]:
    """A step of the plain loop, from the batch in host memory on."""
    networks = [network.to(device) for network in task.networks()]
    plain = PlainCopyPaste(
        dict(zip("ab", networks, strict=False)), "cross" if task.method == "SDCL" else "same", task.dice
    )
    batch, box, done = task.batch(), task.learns(networks).box, [0]

    def step() -> dict[str, float]:
        torch.use_deterministic_algorithms(False)
        draw = Draw(0, "step/method/0", done[0])
        done[0] += 1
        return plain.step(batch.to(device), box(task.patch, draw.generator("box")))  # type: ignore[operator]

    return step
