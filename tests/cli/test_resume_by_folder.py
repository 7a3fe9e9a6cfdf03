"""`mednoisy train --resume RUN`: a run goes on from what its folder holds, as if nothing had interrupted it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mednoisy.cli import main
from mednoisy.composition import bundles_folder
from mednoisy.data.phantoms import make_dataset
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.sdcl import SDCL
from tests.blank_plots import COMMAND
from tests.engines.small import assert_same, kept
from tests.small_runs import small_dataset, train_arguments

STEPS = 6  # of SDCL under the strong recipe: one of pre-training, five of self-training
ROOT = Path(__file__).parents[2]
WRITTEN = ("metrics.csv", "scores.csv", "run.json", "predictions/test_000.nii.gz")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test phantoms."""
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


def arguments(dataset: Path, run: Path, *more: str) -> list[str]:
    """SDCL in single precision, in which resuming is exact."""
    settings = ("--method", "sdcl", "--recipe", "strong", "--steps", str(STEPS), "--set", "precision=fp32")
    return train_arguments(dataset, run, *settings, *more)


@pytest.fixture(scope="module")
def uninterrupted(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(arguments(dataset, run)) == 0
    return run


@pytest.fixture(params=[(SupervisedCopyPaste, 0), (SDCL, 2)], ids=["pre-training", "self-training"])
def interrupted(request, dataset: Path, tmp_path: Path, monkeypatch, capsys) -> Path:
    """A run that SIGTERM reached in a step of one of its stages."""
    method, at = request.param
    losses = method.losses

    def losses_and_signal(self, batch, step):
        if step.number == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses(self, batch, step)

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(method, "losses", losses_and_signal)
        assert main(arguments(dataset, run)) == 1
    assert "E331 stopped by SIGTERM" in capsys.readouterr().err
    assert not (run / "summary.json").exists()
    return run


def assert_equal_runs(run: Path, whole: Path) -> None:
    """Checkpoints and progress but for times, figures and predictions byte for byte."""
    assert_same(kept(run), kept(whole))
    for name in WRITTEN:
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_stopped_run_goes_on_from_its_folder_alone(interrupted, uninterrupted, capsys):
    assert main(["train", "--resume", str(interrupted)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {interrupted / 'report.html'}"
    assert_equal_runs(interrupted, uninterrupted)


def test_all_arguments_again_do_the_same(interrupted, dataset, uninterrupted):
    assert main(arguments(dataset, interrupted, "--resume")) == 0
    assert_equal_runs(interrupted, uninterrupted)


def test_run_and_data_may_have_moved(interrupted, dataset, uninterrupted, tmp_path):
    """Nothing is written where the run was."""
    moved, data = tmp_path / "moved", tmp_path / "data"
    shutil.move(interrupted, moved)
    shutil.copytree(dataset, data)
    assert main(["train", str(moved), "--resume", "--data", str(data), "--set", "workers=1"]) == 0
    assert_equal_runs(moved, uninterrupted)
    assert not interrupted.exists()
    config = yaml.safe_load((moved / "config.yaml").read_text(encoding="utf-8"))
    assert (config["dataset_dir"], config["output_dir"]) == (str(data), str(moved))


def test_a_finished_run_is_scored_again(uninterrupted, tmp_path):
    finished = tmp_path / "run"
    shutil.copytree(uninterrupted, finished)
    (finished / "metrics.csv").unlink()
    assert main(["train", "--resume", str(finished)]) == 0
    assert_equal_runs(finished, uninterrupted)


def test_one_process_scores_a_run_of_several(uninterrupted, tmp_path):
    """What such a run keeps of `multi_gpu.yaml` asks for torchrun."""
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    config |= yaml.safe_load((bundles_folder() / "phantom" / "configs" / "multi_gpu.yaml").read_text(encoding="utf-8"))
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (run / "metrics.csv").unlink()
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    assert_equal_runs(run, uninterrupted)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--seed", "5"), "E313 the run in {run} has seed 0, this one 5"),
        (("--steps", "7"), "E313 the run in {run} has steps 6, this one 7"),
        (("--set", "teachers=each"), "E313 the run in {run} has teachers 'one', this one 'each'"),
        (("--set", "widht=3"), "E103 the configuration has no entry 'widht'"),
        (("--method", "sdcl"), "E113 --method does not go with the folder of a run alone"),
        (("--recipe", "default"), "E113 --recipe does not go with"),
        (("--data", "nowhere"), "E210 datalist "),
    ],
)
def test_other_settings_are_refused_and_nothing_is_changed(more, message, uninterrupted, capsys):
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*") if path.is_file()}
    assert main(["train", "--resume", str(uninterrupted), *more]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy:")]
    assert line.startswith("mednoisy: " + message.format(run=uninterrupted))
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*") if path.is_file()} == before


def test_a_damaged_configuration_is_refused(uninterrupted, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("- no\n- table\n")
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "E108 " in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_on_two(dataset, tmp_path, capsys):
    """Alone it is refused, and so is a run of one process on two."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    start = [*launcher, *COMMAND[1:]]
    run, alone = tmp_path / "two", tmp_path / "one"
    words = [*train_arguments(dataset, run), "--set", "batch_size=1"]
    subprocess.run([*start, *words], check=True, capture_output=True)
    before = kept(run)
    assert main(["train", "--resume", str(run)]) == 2
    assert "E316 the run was on 2 processes, this is on 1" in capsys.readouterr().err
    subprocess.run([*start, "train", "--resume", str(run)], check=True, capture_output=True)
    assert_same(kept(run), before)
    assert main([*train_arguments(dataset, alone), "--set", "batch_size=1"]) == 0
    done = subprocess.run([*start, "train", "--resume", str(alone)], capture_output=True, text=True)
    assert "E316 the run was on 1 processes, this is on 2" in done.stderr


@pytest.mark.slow
def test_torchrun_starts_a_run_again_whose_process_died(tmp_path):
    """Rank 1 is killed; rank 0 says so in one line; with --max-restarts the run ends as if nothing had been."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    dataset = tmp_path / "data"
    make_dataset(dataset, "atrium", labeled=4, unlabeled=4, test=1)
    runs = {name: tmp_path / name for name in ("whole", "restarted")}
    words = {name: arguments(dataset, run, "--labeled", "4") for name, run in runs.items()}

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*start, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400
        )

    whole = call(*COMMAND[1:], *words["whole"])
    assert whole.returncode == 0, whole.stderr[-2000:]
    restarted = call("--max-restarts=1", "-m", "tests.cli.dying_process", *words["restarted"])
    assert restarted.returncode == 0, restarted.stderr[-2000:]
    (line,) = [line for line in restarted.stderr.splitlines() if line.startswith("mednoisy:")]
    assert line.startswith("mednoisy: E376 another process of this run ended in or after step 3.")
    assert_same(kept(runs["restarted"]), kept(runs["whole"]))
