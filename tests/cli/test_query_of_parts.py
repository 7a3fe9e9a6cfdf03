"""`mednoisy query --unit slice` and `box`, and the labels that come back from them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import monai.bundle
import nibabel
import numpy as np
import pytest

from mednoisy.active.pool import Pick
from mednoisy.active.regions import apart, inside
from mednoisy.cli import main
from mednoisy.data.images import read_image
from mednoisy.queries.query_with_run import answered
from mednoisy.queries.question import Question
from mednoisy.runs.opened_run import opened_run
from tests.runs.test_cross_validation import refusal
from tests.small_queries import array, query, read, train, write_pool
from tests.small_runs import SMALL_PICTURES, as_arguments, small_dataset

SLICES, BOXES = ("--unit", "slice"), ("--unit", "box", "--box", "8", "6", "5")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    return train(data, tmp_path_factory.mktemp("runs") / "run")


def regions(folder: Path) -> dict[str, list]:
    """Corners by case."""
    of_case: dict[str, list] = {}
    for entry in read(folder)["chosen"]:
        of_case.setdefault(entry["id"], []).append((entry["start"], entry["stop"]))
    return of_case


def annotate(asked: Path, data: Path, folder: Path, value: int = 1) -> dict[str, np.ndarray]:
    """Corrections that label all that is asked, and scribble outside; where they were asked, by case."""
    folder.mkdir()
    wanted = {}
    for name, corners in regions(asked).items():
        source = read_image(data / "images" / f"{name}.nii.gz")
        labels = np.zeros(source.shape, np.uint8)
        labels[:3] = 1
        wanted[name] = inside(source.shape, corners)
        labels[wanted[name]] = value
        nibabel.save(nibabel.Nifti1Image(labels, source.affine), folder / f"{name}.nii.gz")
    return wanted


def test_slices_are_named_marked_and_pictured(run, data, tmp_path, capsys):
    output = tmp_path / "query"
    assert query(run, output, *SLICES, budget=5) == 0
    told = capsys.readouterr().out
    content = read(output)
    assert content["unit"] == "slice"
    assert content["ignore"] == 255
    assert content["pool"] == sum(read_image(data / "images" / f"u{n}.nii.gz").shape[2] for n in range(1, 6))
    for entry, line in zip(content["chosen"], told.splitlines(), strict=False):
        assert line.startswith(f"{entry['id']} slice {entry['slice']} of axis 2  uncertainty")
        assert (entry["axis"], entry["start"][2], entry["stop"][2]) == (2, entry["slice"], entry["slice"] + 1)
    for name, corners in regions(output).items():
        labels = array(output / "pre_annotations" / f"{name}.nii.gz")
        np.testing.assert_array_equal(labels != 255, inside(labels.shape, corners))
    assert main(["predict", str(run), str(data / "images"), "--output", str(tmp_path / "all"), "--device", "cpu"]) == 0
    predicted = array(tmp_path / "all" / f"{name}.nii.gz")
    np.testing.assert_array_equal(labels[labels != 255], predicted[labels != 255])
    with open(output / "query.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == content["pool"]
    assert rows[0]["stop"].split()[2] == str(content["chosen"][0]["slice"] + 1)
    assert {row["slice"] for row in rows if row["id"] == "u1"} == {
        str(number) for number in range(read_image(data / "images" / "u1.nii.gz").shape[2])
    }
    page = (output / "query.html").read_text(encoding="utf-8")
    assert page.count("<img") == 10
    assert "No picture" not in page
    assert f"slice {content['chosen'][0]['slice']} of axis 2" in page


def test_rounds_of_slices_and_boxes_add_labels_to_the_same_cases(run, data, tmp_path, capsys, monkeypatch):
    """A round of slices, then one of boxes in the same cases; only what was asked is labeled, and `train` takes it."""
    monkeypatch.chdir(tmp_path)
    only = ("--images", str(data / "images" / "u1.nii.gz"), str(data / "images" / "u2.nii.gz"))
    assert query(run, Path("q0"), *only, *SLICES, budget=3) == 0
    first = annotate(Path("q0"), data, Path("c0"))
    assert main(["annotate", "q0", "c0", "--data", str(data), "--output", "d1"]) == 0
    told = capsys.readouterr().out
    assert "--unit slice" in told
    for name, asked in first.items():
        labels = array(Path("d1/labels") / f"{name}.nii.gz")
        assert (labels[asked] == 1).all()
        assert (labels[~asked] == 255).all()
    with open("d1/annotations.csv", newline="", encoding="utf-8") as stream:
        assert {row["ignored_voxels"] for row in csv.DictReader(stream)} == {"0"}
    content = json.loads(Path("d1/datalist.json").read_text(encoding="utf-8"))
    assert content["ignore"] == [255]
    assert {case["id"] for case in content["labeled"]} == {"a1", "b1", "c1", *first}
    train(Path("d1"), Path("r1"), "supervised", None, "--labeled", "5")

    again = ("--per-patient", "2", *BOXES)
    assert query(Path("r1"), Path("q1"), *again, budget=8, strategy="random") == 0
    capsys.readouterr()
    asked_of = {
        name: inside(first[name].shape, corners) for name, corners in regions(Path("q1")).items() if name in first
    }
    assert asked_of  # of partly labeled cases there are boxes, and none on what is labeled
    assert all(not (first[name] & mask).any() for name, mask in asked_of.items())
    second = annotate(Path("q1"), data, Path("c1"), value=0)
    assert main(["annotate", "q1", "c1", "--data", "d1", "--output", "d2"]) == 0
    told = capsys.readouterr().out
    assert "other cases" not in told
    for name, asked in second.items():
        labels = array(Path("d2/labels") / f"{name}.nii.gz")
        before = first.get(name, np.zeros(asked.shape, bool))
        assert (labels[asked] == 0).all()
        assert (labels[before] == 1).all()
        assert (labels[~asked & ~before] == 255).all()
    assert "--unit box --box 8 6 5 --per-patient 2" in told
    order = [case["id"] for case in json.loads(Path("d2/datalist.json").read_text())["labeled"]]
    assert order[: len(content["labeled"])] == [case["id"] for case in content["labeled"]]
    train(Path("d2"), Path("r2"), "supervised", None, "--labeled", str(len(order) - 1))
    # the same corrections once more, late: nothing is left to take
    assert "E523" in refusal(capsys, ["annotate", "q1", "c1", "--data", "d2", "--output", "d3"])


def test_what_a_corrected_slice_marks_stays_unknown_and_one_wholly_marked_is_refused(run, data, tmp_path, capsys):
    output, corrected = tmp_path / "query", tmp_path / "corrected"
    assert query(run, output, *SLICES, budget=2) == 0
    wanted = annotate(output, data, corrected)
    (first, asked), *others = wanted.items()
    path = corrected / f"{first}.nii.gz"
    labels = array(path).copy()
    labels[asked] = 255
    half = asked.copy()
    half[labels.shape[0] // 2 :] = False
    affine = nibabel.load(path).affine
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    words = ["annotate", str(output), str(corrected), "--data", str(data), "--output"]
    assert main([*words, str(tmp_path / "a")]) == (1 if others else 2)
    assert f"E528 case '{first}': all that was asked for is marked" in capsys.readouterr().err
    labels[half] = 1
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    assert main([*words, str(tmp_path / "b")]) == 0
    assert f"{int((asked & ~half).sum())} voxels ignored" in capsys.readouterr().out
    np.testing.assert_array_equal(array(tmp_path / "b" / "labels" / path.name) != 255, half)


def test_boxes_of_a_cold_start_are_drawn_without_a_network(data, tmp_path):
    output = tmp_path / "query"
    assert query(data, output, *BOXES, strategy="random", budget=4) == 0
    assert not (output / "pre_annotations").exists()
    wanted = annotate(output, data, tmp_path / "corrected")
    words = ["annotate", str(output), str(tmp_path / "corrected"), "--data", str(data)]
    assert main([*words, "--output", str(tmp_path / "next")]) == 0
    for name, asked in wanted.items():
        np.testing.assert_array_equal(array(tmp_path / "next" / "labels" / f"{name}.nii.gz") == 1, asked)
    page = (output / "query.html").read_text(encoding="utf-8")
    assert page.count("<img") == 4
    assert "No picture" not in page


def test_an_oracle_draws_slices_by_their_true_foreground(run, data, tmp_path):
    """All reach the foreground where only foreground is drawn by: its slices are few."""
    assert query(run, tmp_path / "query", *SLICES, strategy="foreground_random_66", budget=4) == 0
    scores = [entry["score"] for entry in read(tmp_path / "query")["chosen"]]
    for entry, score in zip(read(tmp_path / "query")["chosen"], scores, strict=True):
        label = array(data / "labels" / f"{entry['id']}.nii.gz")
        assert int((label[:, :, entry["slice"]] == 1).sum()) == score


def test_boxes_of_pictures_are_patches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_dataset(Path("data"), "dermoscopy")
    words = as_arguments(SMALL_PICTURES)
    command = ["train", "dermoscopy", "--data", "data", "--method", "supervised", "--labeled", "2", "--validation", "0"]
    assert main([*command, "--steps", "2", "--device", "cpu", "--output", "run", *words]) == 0
    assert query(Path("run"), Path("query"), "--unit", "box", "--box", "12", "10", budget=3) == 0
    content = read(Path("query"))
    assert content["ignore"] not in (0, 1, 254, 255)
    for entry in content["chosen"]:
        labels = array(Path("query") / entry["pre_annotation"])
        start, stop = entry["start"], entry["stop"]
        assert len(start) == 2
        assert (labels[start[0] : stop[0], start[1] : stop[1]] != content["ignore"]).all()
    Path("corrected").mkdir()
    for path in Path("query/pre_annotations").iterdir():
        (Path("corrected") / path.name).write_bytes(path.read_bytes())
    assert main(["annotate", "query", "corrected", "--data", "data", "--output", "next"]) == 0
    told = json.loads(Path("next/datalist.json").read_text(encoding="utf-8"))
    for entry in content["chosen"]:
        labels = array(Path("next/labels") / f"{entry['id']}.png")
        assert int((labels != told["ignore"][0]).sum()) >= 12 * 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--unit", "voxel"), "E527 unknown --unit 'voxel'"),
        (("--unit", "box"), "E527 --unit box has no size"),
        (("--box", "4", "4", "4"), "E527 --box does not go with --unit case"),
        (("--unit", "box", "--box", "4", "4"), "E527 --box has 2 numbers"),
        (("--per-patient", "2"), "E527 --per-patient counts slices or boxes"),
        ((*SLICES, "--pooling", "top_share"), "E527 --pooling top_share is of whole cases"),
        ((*SLICES, "--per-patient", "2", "--same-patient"), "E527 --same-patient and --per-patient contradict"),
        ((*SLICES, "--budget", "999"), "E394 999 slices are asked for"),
        (("--unit", "box", "--box", "0", "4", "4"), "is no whole number from 1 on"),
    ],
)
def test_what_cannot_be_asked_of_parts_is_refused(words, told, run, tmp_path, capsys):
    given = ["query", str(run), "--output", str(tmp_path / "out"), "--device", "cpu", "--strategy", "entropy"]
    assert told in refusal(capsys, [*given, "--budget", "2", *words])
    left = [path.name for path in (tmp_path / "out").glob("*")]
    assert sorted(left) in ([], [".lock", "scored"])  # what was scored serves a question that can be answered


@pytest.mark.filterwarnings("ignore:parsing config_file")
def test_a_bundle_asks_for_boxes(run, tmp_path):
    config = Path(__file__).parents[2] / "bundles" / "phantom" / "configs" / "query.yaml"
    more = {"run_dir": str(run), "output_dir": str(tmp_path / "query"), "budget": 2, "unit": "box", "box": [8, 6, 5]}
    monai.bundle.run(run_id="run", config_file=str(config), sources=f"$Sources(Path('{run}'), device='cpu')", **more)
    content = read(tmp_path / "query")
    assert content["box"] == [8, 6, 5]
    assert len(content["chosen"]) == 2


@pytest.mark.parametrize(
    ("unit", "strategies"),
    [
        (("slice", ()), ("clusters", "typiclust", "probcover", "uncertain_and_different")),
        (("box", (12, 12, 8)), ("kcenter", "badge", "badge")),
    ],
)
def test_strategies_that_compare_features_choose_parts(unit, strategies, run):
    """Regions that lie apart, the same again."""
    opened = opened_run(run)
    sections = [opened.datalist.cases(name) for name in ("unlabeled", "labeled")]
    known: dict[str, list[Pick]] = {}
    for strategy in strategies:
        question = Question(strategy, 4, unit=unit[0], box=unit[1])
        answer = answered(question, *sections, opened, opened, opened.datalist)
        assert answer.picks == known.setdefault(strategy, answer.picks)
        assert answer.regions is not None
        chosen = answer.regions[np.array([pick.index for pick in answer.picks])]
        assert sum(len(apart(chosen[chosen.case == case])) for case in {*chosen.case}) == 4
        assert all(np.isfinite(pick.score) for pick in answer.picks)


def test_a_query_of_parts_by_features_tells_whose_they_are_and_leaves_no_files_of_them(run, tmp_path):
    output = tmp_path / "query"
    assert query(run, output, *SLICES, strategy="kcenter", budget=4) == 0
    content = read(output)
    assert {*content["features"]} == {"network", "preprocessing"}
    assert all(entry["reason"].endswith("from all that is labeled or chosen") for entry in content["chosen"])
    files = sorted(path.name for path in output.iterdir() if path.is_file() and path.name != ".lock")
    assert files == ["query.csv", "query.html", "query.json"]
    assert not (output / "scored").exists()
