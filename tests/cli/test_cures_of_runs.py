"""Cures followed: damaged files of runs and datalists, folders to be scored, runs to be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.images import read_image, write_picture
from tests.cli.test_cures import lesions, refused
from tests.small_runs import small_dataset


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of lesions, `data`, and a finished run on it, `run`."""
    folder = tmp_path_factory.mktemp("base")
    small_dataset(folder / "data", "dermoscopy")
    assert main(lesions(folder / "data", folder / "run", "supervised")) == 0
    return folder


@pytest.fixture
def work(base, tmp_path) -> Path:
    """A copy of the two."""
    shutil.copytree(base, tmp_path / "work")
    return tmp_path / "work"


# A datalist is mended as it is told


def change(work: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = work / "data" / "datalist.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "fault", "cure", "mend"),
    [
        (
            "E211",
            lambda content: content.update(labelled=content.pop("labeled")),
            "Did you mean 'labeled'?",
            lambda content: content.update(labeled=content.pop("labelled")),
        ),
        (
            "E211",
            lambda content: content.pop("labels"),
            "Add it",
            lambda content: content.update(labels={"0": "background", "1": "lesion"}),
        ),
        (
            "E212",
            lambda content: content.update(labels={"0": "background", "2": "lesion"}),
            'Number them "0", "1", "2" and so on, without a gap',
            lambda content: content.update(labels={"0": "background", "1": "lesion"}),
        ),
        (
            "E212",
            lambda content: content.update(ignore=[1]),
            "[255] for example",
            lambda content: content.update(ignore=[255]),
        ),
        (
            "E216",
            lambda content: content["labeled"].pop(),
            "or remove `split_digest` if the change is meant",
            lambda content: content.pop("split_digest"),
        ),
        (
            "E213",
            lambda content: content["test"][0].update(lable=content["test"][0].pop("label")),
            "Did you mean 'label'?",
            lambda content: content["test"][0].update(label=content["test"][0].pop("lable")),
        ),
    ],
)
def test_a_datalist(work, capsys, code, fault, cure, mend):
    change(work, fault)
    refused(capsys, ["inspect", str(work / "data")], code, cure)
    change(work, mend)
    assert main(["inspect", str(work / "data")]) == 0


def test_a_case_twice_and_one_that_is_gone_are_taken_out(work, capsys):
    change(work, lambda content: content.pop("split_digest"))
    change(work, lambda content: content["test"].append(content["test"][0]))
    command = ["inspect", str(work / "data")]
    line = refused(capsys, command, "E207", "Remove one")
    assert "entries 1 and 3" in line
    change(work, lambda content: content["test"].pop(2))
    image = json.loads((work / "data" / "datalist.json").read_text())["test"][1]["image"]
    (work / "data" / image).unlink()
    assert "section 'test'" in refused(capsys, command, "E215", "or remove the entry")
    change(work, lambda content: content["test"].pop(1))
    assert main(command) == 0


# A run's files are made again, or removed


@pytest.mark.parametrize(
    ("name", "code", "cure"),
    [
        ("summary.json", "E402", "or evaluate it again"),
        ("metrics.csv", "E401", "Evaluate the run again"),
        ("scores.csv", "E401", "Evaluate the run again"),
    ],
)
def test_a_run_is_evaluated_again(work, capsys, name, code, cure):
    report = ["report", str(work / "run"), "--output", str(work / "page.html")]
    before = (work / "run" / name).read_bytes()
    (work / "run" / name).write_bytes(before[:-30] + b'"')
    refused(capsys, report, code, cure)
    assert main(["evaluate", str(work / "run"), "--device", "cpu"]) == 0
    assert main(report) == 0
    if name != "summary.json":
        assert (work / "run" / name).read_bytes() == before


def test_a_damaged_progress_is_removed(work, capsys):
    resume = ["train", "--resume", str(work / "run")]
    path = work / "run" / "progress.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\xff", 1))
    refused(capsys, resume, "E319", "Remove it, then its plots begin anew")
    path.unlink()
    assert main(resume) == 0


def test_damaged_facts_of_the_training_data_are_removed(work, capsys):
    image = next((work / "data" / "images").iterdir())
    predict = ["predict", str(work / "run"), str(image), "--output", str(work / "out"), "--device", "cpu"]
    path = work / "run" / "training_data.json"
    path.write_text("[" * 5000)
    refused(capsys, predict, "E319", "or remove it; scans are not compared with it then")
    path.unlink()
    assert main(predict) == 0


def test_a_stride_is_chosen_within_the_patch(work, capsys):
    image = next((work / "data" / "images").iterdir())
    predict = ["predict", str(work / "run"), str(image), "--output", str(work / "out"), "--device", "cpu"]
    refused(capsys, [*predict, "--stride", "99"], "E375", "Give 2 numbers from 1 to these, or one")
    assert main([*predict, "--stride", "32", "16"]) == 0


def test_a_changed_label_is_restored(work, capsys):
    resume = ["train", "--resume", str(work / "run")]
    label = work / "data" / json.loads((work / "data" / "datalist.json").read_text())["labeled"][0]["label"]
    before = label.read_bytes()
    write_picture(label, np.ones(read_image(label).shape, bool))
    config = (work / "run" / "config.yaml").read_text()
    where = ["--data", str(work / "data")] if str(work) not in config else []
    refused(capsys, [*resume, *where], "E381", "Restore the label and resume")
    label.write_bytes(before)
    assert main([*resume, *where]) == 0


def test_a_run_goes_on_with_the_same_settings(work, capsys):
    resume = ["train", "--resume", str(work / "run")]
    refused(capsys, [*resume, "--seed", "7"], "E313", "Resume with the same settings, or give another --output")
    assert main(resume) == 0


# Figures


def test_one_run_is_reported(work, capsys):
    refused(capsys, ["compare", str(work / "run")], "E114", "Give two or more, or call mednoisy report")
    assert main(["report", str(work / "run")]) == 0


def test_a_metric_that_exists(work, capsys):
    runs = [str(work / "run"), str(work / "run2")]
    shutil.copytree(*runs)
    refused(capsys, ["compare", *runs, "--metric", "dise"], "E115", "Did you mean 'dice'?")
    assert main(["compare", *runs, "--metric", "dice", "--output", str(work / "page.html")]) == 0


@pytest.fixture
def masks(work) -> list[str]:
    """Predictions and references of four cases; the arguments to score them."""
    draw = np.random.default_rng(0)
    for name in "abcd":
        for side in ("predictions", "references"):
            write_picture(work / side / f"{name}.png", draw.integers(0, 2, (24, 24)) > 0)
    folders = ["--predictions", str(work / "predictions"), "--references", str(work / "references")]
    return ["evaluate", *folders, "--output", str(work / "scores")]


def renamed(work: Path) -> None:
    for path in (work / "predictions").iterdir():
        path.rename(path.with_name(f"{path.stem}_pred.png"))


def one_less(work: Path) -> None:
    (work / "predictions" / "c.png").unlink()


def empty(work: Path) -> None:
    for path in work.glob("*s/?.png"):
        write_picture(path, np.zeros((24, 24), bool))


def marked(work: Path) -> None:
    array = np.zeros((24, 24), np.uint8)
    array[3:9], array[9:12] = 1, 9
    write_picture(work / "references" / "b.png", array)


@pytest.mark.parametrize(
    ("code", "fault", "given", "cure", "followed"),
    [
        ("E422", renamed, (), "--strip ENDING cuts endings off", ("--strip", "_pred")),
        ("E423", one_less, (), "leave them out by --allow-missing", ("--allow-missing",)),
        ("E434", empty, (), "Name the classes by --labels", ("--labels", "1=lesion")),
        ("E206", marked, ("--labels", "1=lesion"), "leaves a mark out (--ignore)", ("--ignore", "9")),
        ("E206", marked, ("--labels", "1=lesion"), "maps codes (--map OLD=NEW, 0 is background)", ("--map", "9=0")),
    ],
)
def test_folders_are_scored_as_the_cure_says(work, masks, capsys, code, fault, given, cure, followed):
    fault(work)
    refused(capsys, [*masks, *given], code, cure, end=1 if code == "E206" else 2)  # others are scored
    assert main([*masks, *given, *followed]) == 0
    assert (work / "scores" / "metrics.csv").is_file()


def test_scores_go_to_a_folder_that_holds_no_run(work, masks, capsys):
    taken = [*masks[:-1], str(work / "run")]
    refused(capsys, taken, "E430", "Give another --output")
    assert main(masks) == 0
