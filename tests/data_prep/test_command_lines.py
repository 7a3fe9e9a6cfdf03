"""The commands that prepare datasets: called alone or by `mednoisy prepare`, they refuse in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.composition import prepared_datasets


@pytest.mark.parametrize("dataset", [name for name in prepared_datasets() if name not in ("own", "phantom")])
@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ([], "the following arguments are required: raw, out"),
        (["R", "O", "--workers", "two"], "argument --workers: invalid int value: 'two'"),
        (["R", "O", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_arguments_are_refused_in_one_line(dataset, arguments, cause, capsys):
    assert main(["prepare", dataset, *arguments]) == 2
    assert capsys.readouterr().err == f"mednoisy: E100 {cause}. See mednoisy prepare {dataset} --help.\n"


@pytest.mark.parametrize("dataset", prepared_datasets())
def test_every_dataset_has_its_help(dataset, capsys):
    with pytest.raises(SystemExit) as end:
        main(["prepare", dataset, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mednoisy prepare {dataset} ")


def test_a_module_runs_from_the_checkout_too(tmp_path):
    words = [sys.executable, "-m", "data_prep.acdc", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mednoisy: E222 {tmp_path} holds no published case")
