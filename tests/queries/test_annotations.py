"""Corrections come back: what is taken, what was changed, what is refused, and the round after."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image, write_nifti, write_picture
from mednoisy.data.label_maps import read_reference
from mednoisy.errors import UserError
from mednoisy.queries.annotations import take_annotations
from tests.runs.test_cross_validation import refusal
from tests.small_queries import array, ids, query, read, train, write_pool
from tests.small_runs import SMALL_ARGUMENTS, SMALL_PICTURES, as_arguments, small_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    return train(data, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def asked(run, tmp_path_factory) -> Path:
    """A query of three cases."""
    output = tmp_path_factory.mktemp("queries") / "query"
    assert query(run, output, budget=3) == 0
    return output


def correct(asked: Path, folder: Path, change=lambda labels: labels) -> list[str]:
    """Pre-annotations, changed; ids of the cases."""
    folder.mkdir()
    for case in read(asked)["chosen"]:
        path = asked / case["pre_annotation"]
        source = read_image(path)
        write_nifti(folder / path.name, change(source.array.copy()).astype(np.uint8), source.affine)
    return ids(asked)


def cube(labels: np.ndarray) -> np.ndarray:
    """A cube of 64 voxels in place of everything."""
    labels[:] = 0
    labels[2:6, 2:6, 2:6] = 1
    return labels


def test_corrections_become_labels_and_changes_are_told(asked, data, tmp_path, capsys):
    chosen = correct(asked, tmp_path / "corrected", cube)
    output = tmp_path / "next"
    words = ["annotate", str(asked), str(tmp_path / "corrected"), "--data", str(data), "--output", str(output)]
    assert main(words) == 0
    datalist = Datalist.load(output / "datalist.json")
    assert [case["id"] for case in datalist.cases("labeled")] == ["a1", "b1", "c1", *chosen]
    left = [case["id"] for case in datalist.cases("unlabeled")]
    assert sorted([*left, *chosen]) == ["u1", "u2", "u3", "u4", "u5"]
    assert [case["id"] for case in datalist.cases("hidden")] == left
    with open(output / "annotations.csv", newline="", encoding="utf-8") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    for case in read(asked)["chosen"]:
        before = array(asked / case["pre_annotation"]) > 0
        after = cube(before.astype(np.uint8)) > 0
        before = array(asked / case["pre_annotation"]) > 0
        dice = 2 * (before & after).sum() / (before.sum() + after.sum())
        assert float(rows[case["id"]]["dice_atrium"]) == pytest.approx(dice, abs=1e-6)
        assert int(rows[case["id"]]["changed_voxels"]) == (before != after).sum()
        np.testing.assert_array_equal(array(output / "labels" / f"{case['id']}.nii.gz") > 0, after)
    told = capsys.readouterr().out
    assert told.count("voxels changed; Dice to the pre-annotation: atrium") == 3
    assert f"next: mednoisy train phantom --data {output} --method supervised --recipe default --labeled 6" in told
    assert "--labeled 6 --steps 2 --validation 0 --output runs/round_1\n" in told
    assert "then: mednoisy query runs/round_1 --strategy entropy --budget 3 --number 1 --pooling mean --output" in told


def test_the_command_of_the_next_round_trains_and_can_be_asked_again(asked, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = correct(asked, Path("corrected"), cube)
    words = ["annotate", str(asked), "corrected", "--data", str(data), "--output", "next"]
    assert main(words) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    command = shlex.split(line.removeprefix("next: "))
    assert command.pop(0) == "mednoisy"
    assert main([*command, "--steps", "2", "--device", "cpu", "--validation", "0", *SMALL_ARGUMENTS]) == 0
    assert query(Path("runs/round_1"), Path("query_2"), "--number", "1") == 0
    assert not {*ids(Path("query_2"))} & {*chosen}
    assert read(Path("query_2"))["labeled"] == 6


def test_what_does_not_fit_is_refused_by_case_and_the_rest_taken(asked, data, tmp_path, capsys):
    first, second, third = correct(asked, tmp_path / "corrected")
    corrected = tmp_path / "corrected"
    labels = read_image(corrected / f"{first}.nii.gz")
    write_nifti(corrected / f"{first}.nii.gz", labels.array[:-1], labels.affine)
    write_nifti(corrected / f"{second}.nii.gz", labels.array * 0 + 3, labels.affine)
    write_nifti(corrected / "stranger.nii.gz", labels.array, labels.affine)
    words = ["annotate", str(asked), str(corrected), "--data", str(data)]
    assert main([*words, "--output", str(tmp_path / "next")]) == 1
    told = capsys.readouterr()
    assert f"E204 case '{first}': image is 20x18x17, label is 19x18x17" in told.err
    assert f"E206 case '{second}': label holds 3; known codes are 0, 1" in told.err
    assert "E521 case 'stranger'" in told.err
    labeled = Datalist.load(tmp_path / "next" / "datalist.json").cases("labeled")
    assert [case["id"] for case in labeled] == ["a1", "b1", "c1", third]
    (corrected / f"{third}.nii.gz").unlink()
    assert "E523" in refusal(capsys, [*words, "--output", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()


def test_a_correction_that_was_moved_is_refused(asked, data, tmp_path):
    (first, *rest) = correct(asked, tmp_path / "corrected")
    path = tmp_path / "corrected" / f"{first}.nii.gz"
    shifted = nibabel.load(path).affine.copy()
    shifted[0, 3] += 1
    write_nifti(path, read_image(path).array, shifted)
    taken = take_annotations(asked, tmp_path / "corrected", data, tmp_path / "next")
    assert [(fault.code, fault.case) for fault in taken.faults] == [("E205", first)]
    assert [change.case for change in taken.changes] == rest


def test_cases_that_nobody_has_corrected_yet_stay_unlabeled(asked, data, tmp_path):
    first, *rest = correct(asked, tmp_path / "corrected")
    for name in rest:
        (tmp_path / "corrected" / f"{name}.nii.gz").unlink()
    taken = take_annotations(asked, tmp_path / "corrected", data, tmp_path / "next")
    assert taken.waiting == rest
    assert [(change.case, change.voxels, change.dice) for change in taken.changes] == [(first, 0, {"atrium": 1.0})]


def test_what_nobody_looked_at_is_ignored_in_the_next_round(asked, data, tmp_path):
    """Slices and boxes: the rest of a volume carries a mark, and no loss counts it."""

    def first_slices(labels: np.ndarray) -> np.ndarray:
        labels = cube(labels)
        labels[:, :, 8:] = 9
        return labels

    (first, *_) = correct(asked, tmp_path / "corrected", first_slices)
    taken = take_annotations(asked, tmp_path / "corrected", data, tmp_path / "next", ignore=[9])
    assert not taken.faults
    assert taken.changes[0].ignored == 20 * 18 * 9
    datalist = Datalist.load(taken.datalist)
    assert datalist.ignore == (255,)
    stored = array(tmp_path / "next" / "labels" / f"{first}.nii.gz")
    assert (stored[:, :, 8:] == 255).all()
    assert stored[:, :, :8].sum() == 64
    train(tmp_path / "next", tmp_path / "run", "supervised", None, "--labeled", "6")
    with pytest.raises(UserError, match="E524 --ignore 1 is the code of a class"):
        take_annotations(asked, tmp_path / "corrected", data, tmp_path / "other", ignore=[1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda words: [*words[:2], "absent", *words[3:]], "E521 the folder of corrections absent does not exist"),
        (lambda words: [words[0], "absent", *words[2:]], "E519 absent holds no query"),
        (lambda words: [*words[:4], "absent", *words[5:]], "E210 datalist absent/datalist.json does not exist"),
        (lambda words: [*words[:-1], words[4]], "E522"),
    ],
)
def test_places_that_do_not_fit_are_refused(change, told, asked, data, tmp_path, capsys):
    correct(asked, tmp_path / "corrected")
    words = ["annotate", str(asked), str(tmp_path / "corrected"), "--data", str(data)]
    assert told in refusal(capsys, change([*words, "--output", str(tmp_path / "next")]))
    assert not (tmp_path / "next").exists()


def test_a_dataset_of_other_classes_is_refused(asked, data, tmp_path, capsys):
    correct(asked, tmp_path / "corrected")
    other = shutil.copytree(data, tmp_path / "other")
    content = json.loads((other / "datalist.json").read_text())
    content["labels"]["1"] = "ventricle"
    (other / "datalist.json").write_text(json.dumps(content))
    words = ["annotate", str(asked), str(tmp_path / "corrected"), "--data", str(other)]
    assert "E521" in refusal(capsys, [*words, "--output", str(tmp_path / "next")])


def test_two_files_of_one_case_are_refused(asked, data, tmp_path):
    (first, *rest) = correct(asked, tmp_path / "corrected")
    shutil.copy(tmp_path / "corrected" / f"{first}.nii.gz", tmp_path / "corrected" / f"{first}.nii")
    taken = take_annotations(asked, tmp_path / "corrected", data, tmp_path / "next")
    assert [(fault.code, fault.case) for fault in taken.faults] == [("E521", first)]
    assert [change.case for change in taken.changes] == rest


@pytest.mark.parametrize("link", [False, True])
def test_pre_annotations_and_corrections_carry_the_codes_of_the_source(link, tmp_path, monkeypatch, capsys):
    """Files of the code 7 in, pre-annotations and corrections of 7, labels as the dataset's own files have them."""
    monkeypatch.chdir(tmp_path)
    phantoms = Datalist.load(small_dataset(tmp_path / "phantoms") / "datalist.json")
    for part in ("scans", "masks"):
        Path(part).mkdir()
    for number, case in enumerate([*phantoms.cases("labeled"), *phantoms.cases("unlabeled")]):
        shutil.copy(case["image"], f"scans/Case {number} T1.nii.gz")
        if "label" in case:
            label = nibabel.load(case["label"])
            codes = np.asarray(label.dataobj).astype(np.uint8) * 7
            nibabel.save(nibabel.Nifti1Image(codes, label.affine), f"masks/Case {number} label.nii.gz")
    words = ["--images", "scans", "--labels", "masks", "--output", "mine", "--names", "atrium"]
    assert main(["prepare", "own", *words, *(["--link"] if link else [])]) == 0
    train_words = ["train", "phantom", "--data", "mine", "--output", "run", "--device", "cpu", "--method", "supervised"]
    assert main([*train_words, "--steps", "2", "--labeled", "2", "--validation", "0", *SMALL_ARGUMENTS]) == 0
    assert query(Path("run"), Path("query"), budget=1) == 0
    (case,) = read(Path("query"))["chosen"]
    made = Path("query") / case["pre_annotation"]
    assert set(np.unique(array(made))) <= {0, 7}
    corrected = np.zeros_like(array(made))
    corrected[3:9, 3:9, 3:9] = 7
    Path("corrected").mkdir()
    write_nifti(Path("corrected") / made.name, corrected, read_image(made).affine)
    assert main(["annotate", "query", "corrected", "--data", "mine", "--output", "next"]) == 0
    stored = array(Path("next/labels") / made.name)
    assert set(np.unique(stored)) == ({0, 7} if link else {0, 1})
    assert (Path("next") / "bundle" / "dataset.yaml").is_file()
    assert "next: mednoisy train next --method supervised" in capsys.readouterr().out
    assert main([*train_words[:3], "next", "--output", "again", *train_words[6:], "--steps", "2", "--labeled", "3",
                 "--validation", "0", *SMALL_ARGUMENTS]) == 0  # fmt: skip


def test_pictures_come_as_png_and_come_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = small_dataset(tmp_path / "data", "dermoscopy")
    words = ["train", "dermoscopy", "--data", str(data), "--output", "run", "--device", "cpu", "--method", "sdcl"]
    words += ["--steps", "2", "--labeled", "2", "--validation", "0", *as_arguments(SMALL_PICTURES)]
    assert main(words) == 0
    assert query(Path("run"), Path("query"), strategy="disagreement", budget=1) == 0
    (case,) = read(Path("query"))["chosen"]
    assert case["pre_annotation"].endswith(".png")
    assert "No picture" not in Path("query/query.html").read_text(encoding="utf-8")
    shutil.copytree("query/pre_annotations", "corrected")
    taken = take_annotations("query", "corrected", data, "next")
    assert [change.voxels for change in taken.changes] == [0]
    assert len(Datalist.load("next/datalist.json").cases("labeled")) == 3


def test_masks_of_black_and_white_keep_their_foreground_beside_a_mark(tmp_path, monkeypatch):
    """White is a class of theirs, so 255 marks nothing; nor does a grey of their soft edges."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((40, 48), np.uint8)
    mask[10:20, 10:20] = 255
    mask[10:20, 20] = 253
    images = [{"id": name, "image": f"{name}.jpg.png"} for name in ("a", "b")]
    for number, case in enumerate(images):
        picture = np.random.default_rng(number).integers(0, 255, (40, 48, 3))
        write_picture(Path(case["image"]), picture.astype(np.uint8))
    write_picture(Path("a_mask.png"), mask)
    labels = {"0": "background", "1": "spot"}
    content = {"name": "spots", "channels": {"0": "red", "1": "green", "2": "blue"}, "labels": labels}
    content |= {"labeled": [{**images[0], "label": "a_mask.png"}], "unlabeled": images[1:]}
    Path("datalist.json").write_text(json.dumps(content))
    assert query(Path(), Path("query"), strategy="random", budget=1) == 0
    drawn = np.zeros((40, 48), np.uint8)
    drawn[:, :20], drawn[:, 40:] = 1, 9
    Path("corrected").mkdir()
    write_picture(Path("corrected/b.png"), drawn)
    take_annotations("query", "corrected", ".", "next", ignore=[9])
    datalist = Datalist.load("next/datalist.json")
    earlier, new = (
        read_reference(case["label"], (0, 1), ignore=datalist.ignore).array for case in datalist.cases("labeled")
    )
    np.testing.assert_array_equal(earlier, mask > 127)
    np.testing.assert_array_equal(new, np.where(drawn == 9, 255, drawn))
    write_picture(Path("a_mask.png"), np.tile(np.arange(255, dtype=np.uint8), (8, 1)))
    with pytest.raises(UserError, match="E525"):
        take_annotations("query", "corrected", ".", "other", ignore=[9])
    assert not Path("other").exists()


def test_pre_annotations_in_their_place_are_no_corrections(asked, data, tmp_path, capsys):
    """Who saves over them leaves nothing to compare with, and cases that were not touched would count as corrected."""
    (tmp_path / "link").symlink_to(asked / "pre_annotations")
    for folder in (asked / "pre_annotations", tmp_path / "link"):
        words = ["annotate", str(asked), str(folder), "--data", str(data), "--output", str(tmp_path / "next")]
        assert "E526" in refusal(capsys, words)


def test_a_case_that_the_dataset_lists_with_another_image_is_refused(asked, data, tmp_path):
    (first, *rest) = correct(asked, tmp_path / "corrected")
    content = json.loads((data / "datalist.json").read_text())
    for section in ("labeled", "unlabeled", "hidden"):
        for case in content[section]:
            case |= {key: str(data / case[key]) for key in ("image", "label") if key in case}
    entry = next(case for case in content["unlabeled"] if case["id"] == first)
    entry["image"] = shutil.copy(entry["image"], tmp_path / "other.nii.gz")
    (tmp_path / "datalist.json").write_text(json.dumps(content, default=str))
    taken = take_annotations(asked, tmp_path / "corrected", tmp_path, tmp_path / "next")
    assert [(fault.code, fault.case) for fault in taken.faults] == [("E207", first)]
    assert [change.case for change in taken.changes] == rest


def test_late_corrections_go_into_a_later_dataset(data, tmp_path, capsys):
    """Of a run that kept two labels: what became labeled in between stays so, and is taken once."""
    run = train(data, tmp_path / "run", "supervised", None, "--labeled", "2")
    assert query(run, tmp_path / "query", budget=2) == 0
    first, second = correct(tmp_path / "query", tmp_path / "corrected", cube)
    later = tmp_path / "corrected" / f"{second}.nii.gz"
    later.rename(tmp_path / later.name)
    words = ["annotate", str(tmp_path / "query"), str(tmp_path / "corrected"), "--data"]
    assert main([*words, str(data), "--output", str(tmp_path / "r1")]) == 0
    (tmp_path / later.name).rename(later)
    capsys.readouterr()
    assert main([*words, str(tmp_path / "r1"), "--output", str(tmp_path / "r2")]) == 0
    told = capsys.readouterr().out
    assert f"labeled already: {first}\n" in told
    assert "its 3 labeled ones stay labeled" in told
    datalist = Datalist.load(tmp_path / "r2" / "datalist.json")
    assert [case["id"] for case in datalist.cases("labeled")] == ["a1", "b1", first, second]
    line = refusal(capsys, [*words, str(tmp_path / "r2"), "--output", str(tmp_path / "r3")])
    assert "E523" in line
    assert not (tmp_path / "r3").exists()


def test_an_image_that_is_listed_by_another_id_is_refused_before_anything_is_written(run, data, tmp_path, capsys):
    scan = Path(shutil.copy(data / "images" / "u1.nii.gz", tmp_path / "new.nii.gz"))
    assert query(run, tmp_path / "query", "--images", str(scan), budget=1) == 0
    correct(tmp_path / "query", tmp_path / "corrected")
    content = json.loads((data / "datalist.json").read_text())
    for section in ("labeled", "unlabeled", "hidden"):
        for case in content[section]:
            case |= {key: str(data / case[key]) for key in ("image", "label") if key in case}
    content["unlabeled"].append({"id": "other", "image": str(scan)})
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    words = ["annotate", str(tmp_path / "query"), str(tmp_path / "corrected"), "--data", str(tmp_path)]
    assert "E207" in refusal(capsys, [*words, "--output", str(tmp_path / "next")])
    assert not (tmp_path / "next").exists()
