"""nnU-Net's trainer for a number of steps or minutes, without its validation, and its predictor."""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

STEPS_AN_EPOCH = 25  # after which the learning rate falls and a checkpoint is written
TIMED_STEPS = 10  # after as many that warm up, to know how many fit into the minutes


class StepsTrainer(nnUNetTrainer):
    """nnU-Net's trainer, with Adam if asked, that validates nothing: the last checkpoint is the one that counts."""

    adam = False

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        if not self.adam:
            optimizer, scheduler = super().configure_optimizers()
            return optimizer, scheduler
        adam = torch.optim.Adam(self.network.parameters(), 1e-3)
        return adam, PolyLRScheduler(adam, 1e-3, self.num_epochs)

    def take_steps(self, number: int) -> float:
        """Train and return the mean loss."""
        self.network.train()
        return float(np.mean([self.train_step(next(self.dataloader_train))["loss"] for _ in range(number)]))


def train(given: argparse.Namespace, plan: dict[str, Any], described: dict[str, Any]) -> tuple[StepsTrainer, dict]:
    """The trained network in its trainer; steps, minutes of a processor and of the clock."""
    place = given.output / "training"
    place.mkdir(exist_ok=True)
    checkpoint, record = place / "last.pth", place / "record.json"
    told: dict[str, Any] = {"steps": given.steps, "taken": 0, "processor_minutes": 0.0, "clock_minutes": 0.0}
    if record.exists():
        told = json.loads(record.read_text())
    elif given.minutes:
        told["steps"] = _steps_in(given, plan, described)
    trainer = _made(given, plan, described, told["steps"])
    if told["taken"]:
        trainer.load_checkpoint(str(checkpoint))
    trainer.on_train_start()
    while told["taken"] < told["steps"]:
        processor, clock = time.process_time(), time.monotonic()
        trainer.current_epoch = told["taken"] // STEPS_AN_EPOCH
        trainer.lr_scheduler.step(trainer.current_epoch)
        number = min(STEPS_AN_EPOCH, told["steps"] - told["taken"])
        loss = trainer.take_steps(number)
        told["taken"] += number
        told["processor_minutes"] += (time.process_time() - processor) / 60
        told["clock_minutes"] += (time.monotonic() - clock) / 60
        trainer.save_checkpoint(str(checkpoint))
        record.write_text(json.dumps(told))
        print(f"{told['taken']} of {told['steps']} steps, loss {loss:.3f}", flush=True)
    return trainer, told


def predict(trainer: StepsTrainer, images: Path, output: Path) -> None:
    """Label maps of a folder of images by nnU-Net's defaults: half a window as stride, mirrored, Gaussian weights."""
    output.mkdir(exist_ok=True)
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    predictor.predict_from_files_sequential(str(images), str(output), overwrite=True)


def _made(given: argparse.Namespace, plan: dict[str, Any], described: dict[str, Any], steps: int) -> StepsTrainer:
    torch.set_num_threads(given.threads)
    random.seed(given.seed)
    np.random.seed(given.seed)  # noqa: NPY002 (which nnU-Net draws from)
    torch.manual_seed(given.seed)
    trainer = StepsTrainer(
        {**plan, "continue_training": False}, given.configuration, "all", described, torch.device("cpu")
    )
    trainer.adam = given.setting == "adam"
    trainer.num_epochs = max(1, -(-steps // STEPS_AN_EPOCH))
    trainer.initialize()
    return trainer


def _steps_in(given: argparse.Namespace, plan: dict[str, Any], described: dict[str, Any]) -> int:
    """How many steps fit into the minutes, by timing some."""
    trainer = _made(given, plan, described, steps=1)
    trainer.on_train_start()
    trainer.take_steps(2)
    started = time.process_time()
    trainer.take_steps(TIMED_STEPS)
    return max(1, round(60 * given.minutes * TIMED_STEPS / (time.process_time() - started)))
