"""A disk that fills up at any writing: one line, exit code 1, the last checkpoint whole, and the run goes on later."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from mednoisy import files
from mednoisy.engines import checkpoint
from mednoisy.engines.run_folder import RunFolder
from mednoisy.errors import UserError
from tests.engines.small import assert_same, kept, sdcl_stages, small_trainer

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("whole") / "run"
    trainer = small_trainer(folder, sdcl_stages())
    trainer.run()
    trainer.run_folder.close()
    return kept(folder)


def fill_at(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, matching: str, count: int, fault: Exception
) -> None:
    """Let call `count` of `owner.name` for a path with `matching`, and all later ones, fail half-way."""
    original, calls = getattr(owner, name), []

    def full(*arguments: Any, **options: Any) -> Any:
        names = [str(argument) for argument in arguments if isinstance(argument, (str, Path))]
        if any(matching in text for text in names):
            calls.append(names)
            if len(calls) >= count:
                for text in names:
                    if ".partial-" in text:
                        Path(text).write_bytes(b"half")
                raise fault
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, full)


TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nmore")
CASES = {
    "last.pt, as the system tells it": (torch, "save", ".pt", 7, FULL, r"last\.pt: No space left on device"),
    "last.pt, as torch tells it": (torch, "save", ".pt", 7, TORCH, r"last\.pt: \[enforce fail .* vs 0\. Free"),
    "best_pretraining.pt": (torch, "save", ".pt", 1, FULL, r"best_pretraining\.pt: No space"),
    "renaming": (files.os, "replace", "last.pt", 3, FULL, r"last\.pt: No space"),
    "progress.csv": (files.os, "replace", "progress.csv", 2, FULL, r"progress\.csv: No space"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_stops_the_run_in_one_line_and_it_goes_on(tmp_path, monkeypatch, whole, case):
    owner, name, matching, count, fault, message = CASES[case]
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        fill_at(patch, owner, name, matching, count, fault)
        trainer = small_trainer(folder, sdcl_stages())
        with pytest.raises(UserError, match=f"E320 cannot write .*{message}") as stopped:
            trainer.run()
        trainer.run_folder.close()
    assert stopped.value.exit_code == 1
    assert "\n" not in str(stopped.value)
    assert not list(folder.rglob(".partial-*"))
    for path in (folder / "checkpoints").glob("*.pt"):
        checkpoint.load(path)
    again = small_trainer(folder, sdcl_stages(), resume=True)
    again.run()
    again.run_folder.close()
    assert_same(kept(folder), whole)


def test_a_log_that_cannot_be_written_stops_the_run(tmp_path, capsys):
    folder = RunFolder(tmp_path / "run")
    folder.open()

    class Full:
        def write(self, text: str) -> None:
            raise FULL

        def flush(self) -> None:
            pass

        def close(self) -> None:
            pass

    folder._log.setStream(Full()).close()
    with pytest.raises(UserError, match=r"E320 cannot write .*log\.txt: No space left"):
        logging.getLogger("mednoisy").info("more")
    folder.close()
    assert capsys.readouterr().err == ""


def test_events_that_cannot_be_written_stop_the_run(tmp_path):
    trainer = small_trainer(tmp_path / "run", sdcl_stages())
    start = trainer.training.progress.start

    def started(*arguments: Any) -> None:
        start(*arguments)

        def full(*rest: Any) -> None:
            raise FULL

        trainer.training.progress._writer.add_scalar = full

    trainer.training.progress.start = started
    with pytest.raises(UserError, match=r"E320 cannot write .*tensorboard: No space left"):
        trainer.run()
    trainer.run_folder.close()


def test_a_checkpoint_is_read_back_as_it_was(tmp_path):
    content = {"step": 3, "method": {"weight": torch.arange(4.0)}, "best": {"best_honest": 0.5}, "pending": [{}]}
    checkpoint.save(tmp_path / "new" / "last.pt", content)
    assert_same(checkpoint.load(tmp_path / "new" / "last.pt"), content)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.pt"]


def test_a_checkpoint_that_is_missing_or_broken_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"E321 checkpoint .*last\.pt is missing"):
        checkpoint.load(tmp_path / "last.pt")
    checkpoint.save(tmp_path / "last.pt", {"weight": torch.zeros(1000)})
    whole = (tmp_path / "last.pt").read_bytes()
    for broken in (b"", b"nonsense", whole[: len(whole) // 2]):
        (tmp_path / "last.pt").write_bytes(broken)
        with pytest.raises(UserError, match=r"E322 checkpoint .*last\.pt cannot be read"):
            checkpoint.load(tmp_path / "last.pt")


def test_a_checkpoint_runs_nobodys_code(tmp_path):
    torch.save({"step": Path("x")}, tmp_path / "last.pt")  # a class that is not tensors or plain Python
    with pytest.raises(UserError, match=r"E322"):
        checkpoint.load(tmp_path / "last.pt")
