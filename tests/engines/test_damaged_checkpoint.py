"""A checkpoint that the disk has damaged: never loaded, and the one before it takes its place."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from mednoisy.cli import main
from mednoisy.engines import checkpoint
from mednoisy.errors import UserError
from tests.engines.small import At, assert_same, kept, sdcl_stages, small_trainer
from tests.small_runs import small_dataset, train_arguments


class Killed(Exception):
    """Stands for a kill."""


def kill(engine: object) -> None:
    raise Killed


def run(folder: Path, **options: object) -> None:
    trainer = small_trainer(folder, sdcl_stages(), **options)
    try:
        trainer.run()
    finally:
        trainer.run_folder.close()


def flip(path: Path, place: int) -> None:
    payload = bytearray(path.read_bytes())
    payload[place] ^= 1 << place % 8
    path.write_bytes(payload)


def damage(path: Path) -> None:
    """Flip a byte in the middle of the largest tensor; a record's bytes begin behind its name and padding."""
    with ZipFile(path) as records:
        largest = max(records.infolist(), key=lambda record: record.file_size)
    lengths = struct.unpack("<HH", path.read_bytes()[largest.header_offset + 26 : largest.header_offset + 30])
    flip(path, largest.header_offset + 30 + sum(lengths) + largest.file_size // 2)


def test_no_flipped_byte_is_loaded_as_another_tensor(tmp_path):
    """200 bytes at random: refused as E322, or of no tensor and no value (padding, times)."""
    path = tmp_path / "last.pt"
    generator = torch.Generator().manual_seed(0)
    content = {"step": 3, "method": {f"w{n}": torch.randn(40, 30, generator=generator) for n in range(6)}, "best": {}}
    checkpoint.save(path, content)
    whole, refused = path.read_bytes(), 0
    for place in np.random.default_rng(0).integers(0, len(whole), 200):
        path.write_bytes(whole)
        flip(path, int(place))
        refused += _is_refused(path, content)
    assert refused > 180


def _is_refused(path: Path, content: dict) -> bool:
    try:
        found = checkpoint.load(path)
    except UserError as fault:
        return fault.code == "E322" and "\n" not in str(fault)
    assert_same(found, content)
    return False


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path, capsys):
    """And the run ends as the one that nothing befell, bit for bit."""
    whole, folder = tmp_path / "whole", tmp_path / "run"
    run(whole)
    with pytest.raises(Killed):
        run(folder, handlers=[At(9, kill)])
    last, previous = folder / "checkpoints" / "last.pt", folder / "checkpoints" / "previous.pt"
    steps = checkpoint.load(last)["step"], checkpoint.load(previous)["step"]
    assert steps[0] > steps[1] > 0
    damage(last)
    capsys.readouterr()
    run(folder, resume=True)
    said = f"E322 checkpoint {last} cannot be read (damaged: the checksum of "
    lines = [line for line in capsys.readouterr().err.splitlines() if said in line]
    assert len(lines) == 1
    assert lines[0].startswith("mednoisy: ")
    assert lines[0].endswith(f"going on from previous.pt, step {steps[1]}")
    assert lines[0].removeprefix("mednoisy: ") in (folder / "log.txt").read_text()
    assert_same(kept(folder), kept(whole))


def test_a_missing_last_checkpoint_gives_way_too(tmp_path, capsys):
    """As a kill leaves it between two renamings, on a file system without links."""
    checkpoint.save(tmp_path / "previous.pt", {"step": 4})
    assert checkpoint.load_last(tmp_path) == {"step": 4}
    assert "last.pt is missing: going on from previous.pt, step 4" in capsys.readouterr().err


def test_two_damaged_checkpoints_are_refused(tmp_path):
    assert checkpoint.load_last(tmp_path) is None
    checkpoint.save_last(tmp_path, {"step": 1, "w": torch.zeros(500)})
    checkpoint.save_last(tmp_path, {"step": 2, "w": torch.ones(500)})
    for name in ("last.pt", "previous.pt"):
        damage(tmp_path / name)
    with pytest.raises(UserError, match=r"E322 checkpoint .*previous\.pt cannot be read \(damaged: .*Use another"):
        checkpoint.load_last(tmp_path)
    with pytest.raises(UserError, match=r"E322 .*last\.pt .* Go on from the one before it: mednoisy train --resume "):
        checkpoint.load(tmp_path / "last.pt")


@pytest.mark.parametrize("links", [True, False])
def test_the_one_before_is_kept_at_every_save(tmp_path, monkeypatch, links):
    if not links:

        def refuse(*arguments: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    for step in range(4):
        checkpoint.save_last(tmp_path, {"step": step})
        assert checkpoint.load(tmp_path / "last.pt") == {"step": step}
        names = ["last.pt", "previous.pt"][: step + 1]
        assert sorted(path.name for path in tmp_path.iterdir()) == names
        if step:
            assert checkpoint.load(tmp_path / "previous.pt") == {"step": step - 1}


def test_a_save_that_failed_leaves_nothing_behind(tmp_path, monkeypatch):
    """The disk fills up at the last renaming: both names are of one file then."""
    checkpoint.save_last(tmp_path, {"step": 1})
    replace = os.replace

    def full(source: object, target: object) -> None:
        if str(target).endswith("last.pt"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match=r"E320 cannot write .*last\.pt: No space left"):
            checkpoint.save_last(tmp_path, {"step": 2})
    assert checkpoint.load(tmp_path / "last.pt") == {"step": 1}
    checkpoint.save_last(tmp_path, {"step": 3})
    assert checkpoint.load(tmp_path / "previous.pt") == {"step": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]


def test_the_command_line_tells_it_in_one_line(tmp_path, capsys):
    """A finished run whose last checkpoint was damaged later: `evaluate` refuses, and its cure works."""
    folder = tmp_path / "run"
    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, folder, "--method", "supervised", "--steps", "4", "--validation", "1")) == 0
    scores = (folder / "metrics.csv").read_text()
    last = folder / "checkpoints" / "last.pt"
    damage(last)
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"E322 checkpoint {last} cannot be read (damaged" in said
    assert main(said.split("mednoisy ")[-1].rstrip(".").split()) == 0
    assert (folder / "metrics.csv").read_text() == scores


def test_a_damaged_best_checkpoint_can_be_removed(tmp_path, capsys):
    """As the message says: scoring then shows the last one."""
    folder, data = tmp_path / "run", small_dataset(tmp_path / "data")
    assert main(train_arguments(data, folder, "--method", "supervised", "--validation", "1")) == 0
    best = folder / "checkpoints" / "best_honest.pt"
    damage(best)
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    assert f"E322 checkpoint {best} cannot be read (damaged" in capsys.readouterr().err
    best.unlink()
    assert main(["evaluate", str(folder)]) == 0
