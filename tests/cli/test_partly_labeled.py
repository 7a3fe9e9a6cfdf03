"""`train` on labels that hold an ignored code: volumes, slices and pictures, every method and recipe."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.composition import known
from mednoisy.data.phantoms import make_dataset
from tests.small_runs import KIND_OF, train_arguments

MARK = 100
MORE = {"noisy_student": ("--set", "rounds=1", "--set", "minimum_area=0")}
QUICK = [
    ("phantom", "sdcl", "strong"),
    ("acdc", "fixmatch", "published"),
    ("polyp", "noisy_student", "noisy"),
    ("dermoscopy", "online_labels", "strong"),
]


def mark(path: Path, first_slices: bool) -> None:
    """Give a part of a label file the ignored code: its first slices, or rows of a picture."""
    if path.suffix == ".png":
        with Picture.open(path) as picture:
            array = np.asarray(picture).astype(np.uint8) * 255
        array[: len(array) // 3] = MARK
        Picture.fromarray(array).save(path)
        return
    label = nibabel.load(path)
    array = np.asarray(label.dataobj).copy()
    array[..., : array.shape[-1] // 3] = MARK
    if not first_slices:
        array[:4] = MARK
    nibabel.save(nibabel.Nifti1Image(array, label.affine, label.header), path)


def partly_labeled(folder: Path, bundle: str) -> Path:
    """Phantoms of which a third is ignored in every label and reference."""
    make_dataset(folder, KIND_OF.get(bundle, "atrium"), labeled=2, unlabeled=3, test=2)
    for path in sorted((folder / "labels").iterdir()):
        mark(path, first_slices=bundle == "acdc")
    content = json.loads((folder / "datalist.json").read_text(encoding="utf-8"))
    (folder / "datalist.json").write_text(json.dumps(content | {"ignore": [MARK]}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {bundle: partly_labeled(tmp_path_factory.mktemp(bundle), bundle) for bundle in known("bundle")}


def runs() -> list:
    """Some quick ones, and every method under every recipe."""
    methods = [method for method in known("method") if method != "colorization"]  # which phantoms have no colours for
    rest = [("phantom", method, recipe) for method in methods for recipe in known("recipe")]
    return [*QUICK, *(pytest.param(*run, marks=pytest.mark.slow) for run in rest if run not in QUICK)]


@pytest.mark.parametrize(("bundle", "method", "recipe"), runs())
def test_training_ends_with_figures(bundle, method, recipe, datasets, tmp_path):
    """All losses are finite, checkpoints are chosen, pseudo-labels watched, and the page is made."""
    run = tmp_path / "run"
    more = ("--method", method, "--recipe", recipe, "--validation", "1", *MORE.get(method, ()))
    assert main(train_arguments(datasets[bundle], run, *more, bundle=bundle)) == 0
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["run"]["ignored_codes"] == [MARK]
    with open(run / "progress.csv", newline="", encoding="utf-8") as stream:
        terms = [(name, value) for row in csv.DictReader(stream) for name, value in row.items() if "/" in name]
    figures = {name: float(value) for name, value in terms if value}
    assert figures
    assert np.isfinite(list(figures.values())).all()
    with open(run / "metrics.csv", newline="", encoding="utf-8") as stream:
        assert {row["case"] for row in csv.DictReader(stream)} == {case["id"] for case in summary["cases"]}
    assert (run / "report.html").is_file()


def refusal(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, *more: str) -> str:
    """The line that refuses a run, which leaves nothing."""
    assert main(train_arguments(data, tmp_path / "run", "--method", "supervised", *more)) == 2
    assert not (tmp_path / "run").exists()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy: ")]
    return line


def with_ignored(data: Path, folder: Path, codes: list[int]) -> Path:
    """The dataset's list with other codes to ignore, its files where they are."""
    content = json.loads((data / "datalist.json").read_text(encoding="utf-8"))
    for section in ("labeled", "unlabeled", "validation", "test", "hidden"):
        for case in content[section]:
            case.update({key: str(data / case[key]) for key in ("image", "label") if key in case})
    (folder / "datalist.json").write_text(json.dumps(content | {"ignore": codes}), encoding="utf-8")
    return folder


def test_a_code_that_is_not_declared_is_refused(datasets, tmp_path, capsys):
    """Also where another one is, and where labels hold what the product uses inside."""
    data = with_ignored(datasets["phantom"], tmp_path, [])
    assert refusal(data, tmp_path, capsys).startswith("mednoisy: E206 case 'test_000': label holds 100; known codes")
    data = with_ignored(datasets["phantom"], tmp_path, [255])
    assert " holds 100; known codes are 0, 1. " in refusal(data, tmp_path, capsys)


def test_labels_of_which_nobody_looked_at_anything_are_refused(datasets, tmp_path, capsys):
    data = partly_labeled(tmp_path / "data", "phantom")
    for number in range(2):
        path = data / "labels" / f"labeled_{number:03d}.nii.gz"
        label = nibabel.load(path)
        everywhere = np.full(label.shape, MARK, np.uint8)
        nibabel.save(nibabel.Nifti1Image(everywhere, label.affine, label.header), path)
    line = refusal(data, tmp_path, capsys)
    assert line.startswith(
        "mednoisy: E249 every voxel of all 2 labeled cases has a code that the datalist ignores. Take"
    )
