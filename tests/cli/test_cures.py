"""Cures followed: what an error tells a user to do works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.composition import bundles_folder
from tests.small_runs import small_dataset, train_arguments


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("lesions"), "dermoscopy")


def lesions(dataset: Path, run: Path, method: str, *more: str) -> list[str]:
    return train_arguments(dataset, run, "--method", method, *more, bundle="dermoscopy")


@pytest.mark.parametrize(
    ("method", "given", "cure", "followed"),
    [
        ("bcp", ("--labeled", "1"), "Raise --labeled", ("--labeled", "2")),
        (
            "bcp",
            ("--labeled", "1"),
            "or take --method supervised with --set batch_size=1",
            ("--labeled", "1", "--method", "supervised", "--set", "batch_size=1"),
        ),
    ],
)
def test_too_few_cases(method, given, cure, followed, dataset, tmp_path, capsys):
    """A batch of 0 is no cure."""
    arguments = lesions(dataset, tmp_path / "run", method)
    assert main([*arguments, *given]) == 2
    told = capsys.readouterr().err
    assert "E220" in told
    assert cure in told
    assert main([*arguments, *followed]) == 0


def test_an_empty_folder_of_images_is_told_to_be_one(dataset, tmp_path, capsys):
    run, images = tmp_path / "run", dataset / "images"
    (tmp_path / "empty").mkdir()
    assert main(lesions(dataset, run, "supervised")) == 0
    predict = ["predict", str(run), "--device", "cpu", "--output", str(tmp_path / "predicted")]
    assert main([*predict, str(tmp_path / "empty")]) == 2
    told = capsys.readouterr().err
    assert f"E374 the folder {tmp_path / 'empty'}: there is no file. Correct the path" in told
    assert main([*predict, str(images)]) == 0


@pytest.mark.parametrize(("name", "told"), [("imags", "does not exist"), ("empty", "holds no image")])
def test_inference_of_nothing_is_no_success(name, told, tmp_path):
    (tmp_path / "empty").mkdir()
    config = bundles_folder() / "dermoscopy" / "configs" / "inference.yaml"
    words = ["--config_file", str(config), "--dataset_dir", str(tmp_path / name), "--network_def", "%unet_def"]
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode != 0
    assert "E392" in done.stderr
    assert told in done.stderr
