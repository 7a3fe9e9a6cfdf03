"""The overlay `noisy_student` from the command line: rounds on volumes, slices and pictures, and a run as teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.composition import compose
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from mednoisy.runs.predict_with_run import deployed_of_run
from tests.small_runs import small, small_dataset, train_arguments

KEEP_ALL = ("--set", "minimum_area=0")  # a step or two teach nothing worth keeping
TYPES = {"phantom": ".nii.gz", "acdc": ".nii.gz", "dermoscopy": ".png"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


def arguments(dataset: Path, run: Path, *more: str, bundle: str = "phantom") -> list[str]:
    return train_arguments(dataset, run, "--method", "noisy_student", "--steps", "3", *KEEP_ALL, *more, bundle=bundle)


@pytest.mark.parametrize("bundle", ["phantom", pytest.param("acdc", marks=pytest.mark.slow), "dermoscopy"])
def test_three_stages_and_two_rounds(bundle, tmp_path):
    """Masks and confidence have the size of their images; both rounds have a page, and the report leads to it."""
    data = small_dataset(tmp_path / "data", bundle)
    run = tmp_path / "run"
    assert main(arguments(data, run, bundle=bundle)) == 0
    cases = Datalist.load(data / "datalist.json").cases("unlabeled")
    assert len(cases) == 2
    for stage, teacher in (("student1", "teacher"), ("student2", "student1")):
        folder = run / "rounds" / stage
        figures = json.loads((folder / "round.json").read_text())
        assert (figures["teacher"], figures["teacher_step"], figures["kept"]) == (teacher, int(stage[-1]), 2)
        pseudo = Datalist.load(folder / "datalist.json").cases("pseudo")
        assert [case["id"] for case in pseudo] == [case["id"] for case in cases]
        for case in cases:
            shape = read_image(case["image"]).shape
            for kind in ("masks", "confidence"):
                assert read_image(folder / kind / f"{case['id']}{TYPES[bundle]}").array.shape == shape
        assert (folder / "page.html").is_file()
        assert f"rounds/{stage}/page.html" in (run / "report.html").read_text(encoding="utf-8")
    if bundle == "dermoscopy":
        with Picture.open(run / "rounds" / "student1" / "masks" / f"{cases[0]['id']}.png") as mask:
            assert mask.mode == "L"
            assert {grey for _, grey in mask.getcolors()} <= {0, 255}


def test_a_finished_run_is_the_teacher_of_the_first_round(dataset, tmp_path):
    """Any method's: its deployed predictor labels, and there is no stage `teacher`."""
    before, run = tmp_path / "before", tmp_path / "run"
    assert main(train_arguments(dataset, before, "--method", "sdcl")) == 0
    assert main(arguments(dataset, run, "--teacher", str(before), "--set", "rounds=1")) == 0
    figures = json.loads((run / "rounds" / "student1" / "round.json").read_text())
    assert (figures["teacher"], figures["predictor"], figures["teacher_step"]) == (str(before), "mean", 2)
    assert figures["teacher_digest"] == deployed_of_run(before, torch.device("cpu")).digest
    assert not (run / "rounds" / "teacher").exists()
    assert json.loads((run / "summary.json").read_text())["run"]["steps"] == 3
    assert main([*arguments(dataset, run, "--teacher", str(before), "--set", "rounds=1"), "--resume"]) == 0


def test_a_folder_that_is_no_run_is_no_teacher(dataset, tmp_path, capsys):
    assert main(arguments(dataset, tmp_path / "run", "--teacher", str(tmp_path))) == 2
    assert f"E312 {tmp_path} holds no run" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_not_finished_or_damaged_is_no_teacher(dataset, tmp_path, capsys):
    """The first stage's network would pass for the last one's."""
    before, run = tmp_path / "before", tmp_path / "run"
    assert main(arguments(dataset, before, "--set", "minimum_area=1.0")) == 1  # stops where the round begins
    assert main(arguments(dataset, run, "--teacher", str(before))) == 2
    assert f"E402 {before / 'summary.json'} cannot be used" in capsys.readouterr().err
    (before / "config.yaml").write_text("steps: [")
    assert main(arguments(dataset, run, "--teacher", str(before))) == 2
    assert f"E108 {before / 'config.yaml'} is no configuration" in capsys.readouterr().err
    assert not run.exists()


def test_a_teacher_keeps_its_own_patch_size(dataset, tmp_path):
    before, run = tmp_path / "before", tmp_path / "run"
    wide = [word for key in ("patch_size", "stride") for word in ("--set", f"{key}=[32,32,32]")]
    assert main(train_arguments(dataset, before, "--method", "supervised", *wide)) == 0
    assert deployed_of_run(before, torch.device("cpu")).inferer.patch_size == (32, 32, 32)
    assert main(arguments(dataset, run, "--teacher", str(before), "--set", "rounds=1")) == 0


def test_a_teacher_of_volumes_is_refused_on_pictures(dataset, tmp_path, capsys):
    before, run = tmp_path / "before", tmp_path / "run"
    assert main(train_arguments(dataset, before, "--method", "supervised")) == 0
    pictures = small_dataset(tmp_path / "pictures", "dermoscopy")
    assert main(arguments(pictures, run, "--teacher", str(before), bundle="dermoscopy")) == 2
    assert "E363 the teacher" in capsys.readouterr().err
    assert not run.exists()


def test_other_methods_take_no_teacher(dataset, tmp_path, capsys):
    assert main(train_arguments(dataset, tmp_path / "run", "--teacher", str(tmp_path))) == 2
    told = capsys.readouterr().err
    assert told.endswith("E103 the configuration has no entry 'teacher_run'. It is an entry of noisy_student.\n")


def test_a_finished_run_predicts_without_its_dataset(dataset, tmp_path):
    run = tmp_path / "run"
    assert main(arguments(small_dataset(tmp_path / "data"), run, "--set", "rounds=1")) == 0
    (tmp_path / "data" / "datalist.json").unlink()
    image = str(next((tmp_path / "data" / "images").glob("test*")))
    assert main(["predict", str(run), image, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0


@pytest.mark.parametrize(
    ("recipe", "dice", "share"), [("default", "per_sample", 0.5), ("published", "foreground_linear", 1)]
)
def test_the_published_loss_is_dice_alone(recipe, dice, share):
    settings = small("phantom") | {"bundle_root": "."}
    parser = compose("phantom", "noisy_student", recipe, overrides=settings).workflow().parser
    parser.parse(reset=True)
    stages = parser.get_parsed_content("stages")
    assert [stage.name for stage in stages] == ["teacher", "student1", "student2"]
    for stage in stages:
        assert (stage.method().dice, stage.method().dice_share) == (dice, share)
    if recipe == "published":
        options = stages[0].optimiser([torch.nn.Parameter(torch.zeros(1))]).defaults
        assert [options[name] for name in ("lr", "momentum", "weight_decay")] == [0.006, 0.81, 0.02]
