"""What each of two gloo processes does in `test_two_processes.py`; started by torch's launcher with a folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mednoisy.data.datalist import Datalist
from mednoisy.engines.pseudo_label_files import RoundFiles
from tests.engines.small import At, mean_teacher_stages, sdcl_stages, small_trainer
from tests.engines.small_pictures import colouring_stages, picture_stream
from tests.engines.small_rounds import noisy_stages, noisy_trainer, on_disk, planted

STAGES = {"sdcl": sdcl_stages, "mean_teacher": mean_teacher_stages}


def trained(folder: Path, resume: bool = False, **options: Any) -> dict:
    """Train; weights, data and choices as this process saw them."""
    seen: list[list[str]] = []
    trainer = small_trainer(folder, STAGES[folder.name](), resume=resume, **options)
    trainer.run_folder.main = dist.get_rank() == 0
    batch_of = trainer.loader.stream.batch

    def noted(*arguments: Any, **keywords: Any) -> Any:
        batch = batch_of(*arguments, **keywords)
        seen.append(batch.labeled_ids + batch.unlabeled_ids)
        return batch

    trainer.loader.stream.batch = noted
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()
    return {"method": trainer.training.method.state_dict(), "best": trainer.training.best, "ids": seen}


def colours(folder: Path) -> dict:
    """An adversarial pair in its own stage."""
    stages = [replace(stage, images=2) for stage in colouring_stages()]
    trainer = small_trainer(folder, stages, steps=4, stream=picture_stream(), validate_every=None)
    trainer.run_folder.main = dist.get_rank() == 0
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()
    return {"method": trainer.training.method.state_dict()}


def round_of_both(folder: Path) -> dict:
    """A round of a planted teacher and its student; which cases this process labeled, and the student."""
    if dist.get_rank() == 0:
        on_disk(folder / "data")
    dist.barrier()
    datalist = Datalist.load(folder / "data" / "datalist.json")
    written: list[str] = []
    write = RoundFiles.write_case
    RoundFiles.write_case = lambda files, case, *rest: (written.append(case["id"]), write(files, case, *rest))[1]
    trainer = noisy_trainer(folder / "noisy", noisy_stages(1, teacher=planted), datalist, steps=2)
    trainer.run_folder.main = dist.get_rank() == 0
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()
    return {"method": trainer.training.method.state_dict(), "labeled": written}


def stop(engine: Any) -> None:
    """A signal that reaches one process alone."""
    if dist.get_rank() == 1:
        engine._signals.received = 15


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    for name in STAGES:
        torch.save(trained(folder / "whole" / name), folder / f"{name}_{dist.get_rank()}.pt")
    torch.save(round_of_both(folder), folder / f"round_{dist.get_rank()}.pt")
    torch.save(colours(folder / "colours"), folder / f"colours_{dist.get_rank()}.pt")
    message = ""
    try:
        trained(folder / "stopped" / "sdcl", handlers=[At(6, stop)])
    except Exception as fault:
        message = str(fault)
    dist.barrier()
    torch.save(
        trained(folder / "stopped" / "sdcl", True) | {"message": message}, folder / f"resumed_{dist.get_rank()}.pt"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
