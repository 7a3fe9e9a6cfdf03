"""Cures followed: what an error tells a user to do works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.composition import bundles_folder
from tests.small_runs import small_dataset, train_arguments

STRIDES = ("--set", "stride=[16,16]", "--set", "coarse_stride=[16,16]")  # that fit a patch of 30


def refused(capsys: pytest.CaptureFixture, words: list[str], code: str, cure: str, end: int = 2) -> str:
    """The one line with which a command is refused; it has the code and the cure."""
    capsys.readouterr()
    assert main(words) == end
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"mednoisy: {code} ")
    assert cure in line
    return line


def refused_with(
    capsys: pytest.CaptureFixture, words: list[str], code: str, pattern: str, end: int = 2
) -> re.Match[str]:
    """What a pattern finds in the one line with which a command is refused."""
    line = refused(capsys, words, code, "", end)
    found = re.search(pattern, line)
    assert found, line
    return found


def filled(words: list[str], proposed: re.Match[str]) -> list[str]:
    """Words of a command; in place of `<1>` and so on stands what a cure proposes, taken apart as a shell would."""
    return [
        part
        for word in words
        for part in (shlex.split(proposed[int(word[1])]) if re.fullmatch(r"<\d>", word) else [word])
    ]


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


@pytest.mark.parametrize(
    ("code", "given", "cure", "followed"),
    [
        ("E101", ("--method", "supervisd"), "Did you mean 'supervised'?", ("--method", "supervised")),
        ("E101", ("--recipe", "publishd"), "Did you mean 'published'?", ("--recipe", "published")),
        ("E102", ("--set", "width"), "Write for example --set batch_size=2", ("--set", "batch_size=2")),
        ("E103", ("--set", "widht=2"), "Did you mean 'width'?", ("--set", "width=2")),
        ("E105", ("--device", "gpu"), "Use cpu, cuda or cuda:1", ("--device", "cpu")),
        ("E107", ("--set", "batch_size=two"), "Correct it (--set ID=VALUE)", ("--set", "batch_size=2")),
        ("E111", ("--set", "precision=fp8"), "Use fp32 or bf16", ("--set", "precision=bf16")),
        ("E217", ("--labeled", "9"), "Ask for 1 to 2", ("--labeled", "2")),
        ("E312", ("--resume",), "Drop --resume or correct --output", ()),
        ("E370", ("--folds", "9"), "Ask for 2, or train without --folds", ("--folds", "2")),
        ("E113", ("--folds", "2", "--validation", "1"), "Drop --validation", ("--folds", "2")),
    ],
)
def test_a_training_is_called_again_as_the_cure_says(code, given, cure, followed, dataset, tmp_path, capsys):
    arguments = lesions(dataset, tmp_path / "run", "supervised")
    if "--folds" in given:  # of which the cases of `validation` are no business
        at = arguments.index("--validation")
        del arguments[at : at + 2]
    refused(capsys, [*arguments, *given], code, cure)
    assert not (tmp_path / "run").exists()
    assert main([*arguments, *followed]) == 0


@pytest.mark.parametrize(
    ("code", "method", "given", "pattern"),
    [
        (
            "E112",
            "supervised",
            ("--set", "patch_size=[30,30]", *STRIDES),
            r"Use for example (--set \S+)\.$",
        ),
        ("E110", "sdcl", ("--steps", "1"), r"Use (--steps \d+) or more"),
    ],
)
def test_the_value_that_a_cure_proposes_works(code, method, given, pattern, dataset, tmp_path, capsys):
    arguments = lesions(dataset, tmp_path / "run", method)
    line = refused(capsys, [*arguments, *given], code, "Use ")
    proposed = re.search(pattern, line)
    assert proposed, line
    assert main([*arguments, *given, *shlex.split(proposed[1])]) == 0  # the last word counts


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
