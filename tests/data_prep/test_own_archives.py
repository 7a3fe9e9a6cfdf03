"""`mednoisy prepare own --from`: folders of published layouts, whole and damaged, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from tests.data_prep.own_files import ids, label, loaded, scan

MEND = "Mend it, or give --images and --labels."


@pytest.fixture
def decathlon(tmp_path, monkeypatch) -> dict:
    """The table of two training cases and an unlabeled one, whose files lie in T."""
    monkeypatch.chdir(tmp_path)
    for number, part in ((1, "Tr"), (2, "Tr"), (9, "Ts")):
        scan(Path(f"T/images{part}/a_{number}.nii.gz"), number)
    for number in (1, 2):
        label(Path(f"T/labelsTr/a_{number}.nii.gz"), 1)
    pairs = [{"image": f"./imagesTr/a_{n}.nii.gz", "label": f"./labelsTr/a_{n}.nii.gz"} for n in (1, 2)]
    return {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver"},
        "training": pairs,
        "test": ["./imagesTs/a_9.nii.gz"],
    }


@pytest.fixture
def nnunet(tmp_path, monkeypatch) -> Path:
    """Two training cases of two channels, as nnU-Net has them; the folder."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        for channel in (0, 1):
            scan(Path(f"T/imagesTr/a_{number}_000{channel}.nii.gz"), 10 * number + channel)
        label(Path(f"T/labelsTr/a_{number}.nii.gz"), 1)
    Path("T/dataset.json").write_text(
        json.dumps({"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "liver": 1}})
    )
    return Path("T")


def run(code: int = 0) -> Datalist | None:
    assert main(["prepare", "own", "--from", "T", "--output", "mine"]) == code
    return Datalist.load("mine/datalist.json") if code == 0 else None


def refused(capsys) -> str:
    """The one line of the refusal; nothing is written."""
    run(2)
    assert not Path("mine").exists()
    return capsys.readouterr().err.splitlines()[-1].removeprefix("mednoisy: ")


def write(table: object) -> None:
    Path("T/dataset.json").write_text(table if isinstance(table, str) else json.dumps(table))


def test_a_list_may_hold_cases_without_label_and_tests_with_one(decathlon):
    """A label of a test case is nobody's: Decathlon gives none, and what is listed there is not to be learned from."""
    decathlon["training"][1].pop("label")
    decathlon["test"] = [{"image": "./imagesTs/a_9.nii.gz", "label": "./labelsTr/a_2.nii.gz"}]
    write(decathlon)
    datalist = run()
    assert (ids(datalist, "labeled"), ids(datalist, "unlabeled")) == (["a_1"], ["a_2", "a_9"])


def test_a_modality_of_one_word_and_no_labels_are_taken(decathlon):
    write(decathlon | {"modality": "CT", "labels": {}})
    assert run().channels == {0: "image"}


def test_an_older_list_names_a_case_and_means_its_channels(nnunet):
    """nnU-Net 1 listed `imagesTr/a_1.nii.gz`, whose files are `a_1_0000.nii.gz` and `a_1_0001.nii.gz`."""
    pairs = [{"image": f"./imagesTr/a_{n}.nii.gz", "label": f"./labelsTr/a_{n}.nii.gz"} for n in (1, 2)]
    write({"modality": {"0": "T1", "1": "T2"}, "labels": {"0": "background", "1": "liver"}, "training": pairs})
    datalist = run()
    assert datalist.channels == {0: "T1", 1: "T2"}
    image = loaded(datalist)[1]["image"]
    wanted = [np.random.default_rng(seed).integers(0, 1000, (16, 18, 8)).astype(np.int16) for seed in (20, 21)]
    np.testing.assert_array_equal(image, wanted)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: "{", "E257 T/dataset.json is no JSON: Expecting property name enclosed in double quotes"),
        (lambda table: "[" * 5000, "E257 T/dataset.json is no JSON: it is nested deeper than"),
        (lambda table: [], f"E257 T/dataset.json holds no table. {MEND}"),
        (lambda table: table | {"labels": ["liver"]}, "E257 T/dataset.json has ['liver'] as `labels`, wanted a table."),
        (
            lambda table: table | {"labels": {"liver": "one"}},
            "E257 T/dataset.json has 'liver' with 'one' under `labels`. Write a code and a name.",
        ),
        (
            lambda table: table | {"modality": {"first": "CT"}},
            "E257 T/dataset.json has a channel 'first'. Number channels from \"0\" on.",
        ),
        (lambda table: table | {"modality": ["CT"]}, "E257 T/dataset.json has ['CT'] as `modality`, wanted a table."),
        (lambda table: table | {"test": 3}, f"E257 dataset.json in T has 3 as `test`, wanted a list. {MEND}"),
        (
            lambda table: table | {"training": [{"label": "x"}]},
            "E257 dataset.json in T lists {'label': 'x'}. Write a path, or `image` and `label`.",
        ),
        (
            lambda table: table | {"training": [{**table["training"][0], "label": 3}]},
            "E257 dataset.json in T lists {'image': './imagesTr/a_1.nii.gz', 'label': 3}. Write a path, or",
        ),
        (
            lambda table: table | {"test": ["imagesTs/a_8.nii.gz"]},
            "E255 dataset.json in T lists files that are not there: imagesTs/a_8.nii.gz. Restore them, or take them",
        ),
        (
            lambda table: table | {"training": [*table["training"], table["training"][0]]},
            "E255 dataset.json and the folders of T have cases twice: a_1. Keep one of each,",
        ),
        (
            lambda table: table | {"training": [], "test": []},
            "E255 T has dataset.json, but neither a list of cases in it nor an image in imagesTr.",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(decathlon, capsys, change, told):
    write(change(decathlon))
    assert refused(capsys).startswith(told)


def channel_away(folder):
    (folder / "imagesTr/a_2_0001.nii.gz").unlink()


def image_away(folder):
    for path in folder.glob("imagesTr/a_2_*"):
        path.unlink()


def unnumbered(folder):
    scan(folder / "imagesTr/b.nii.gz", 5)


def no_images(folder):
    (folder / "imagesTr").rename(folder / "images")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (channel_away, "E255 imagesTr in T lacks a channel of a_2. Add the missing files ID_0000, ID_0001 and so on"),
        (image_away, "E255 labelsTr in T has labels without image: a_2. Add the images."),
        (unnumbered, "E255 imagesTr in T has files without the number of their channel: b.nii.gz. Call them ID_0000"),
        (no_images, "E255 T has dataset.json, but neither a list of cases in it nor an image in imagesTr."),
    ],
)
def test_a_folder_of_nnunet_that_is_not_whole_is_one_line(nnunet, capsys, fault, told):
    fault(nnunet)
    assert refused(capsys).startswith(told)


def test_what_lies_beside_the_images_of_nnunet_is_passed_over(nnunet):
    (nnunet / "imagesTr/._a_1_0000.nii.gz").write_bytes(b"\0\5\26\7")
    (nnunet / "imagesTr/readme.txt").write_text("thanks")
    (nnunet / "labelsTr/a_1.json").write_text("{}")  # spacings of pictures, as nnU-Net keeps them
    assert ids(run(), "labeled") == ["a_1", "a_2"]


@pytest.mark.parametrize("labels", ["labels", "masks"])
def test_a_folder_of_images_and_labels(tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        scan(Path(f"T/images/{number}.nii.gz"), number)
    label(Path(f"T/{labels}/2.nii.gz"), 1)
    datalist = run()
    assert (ids(datalist, "labeled"), ids(datalist, "unlabeled")) == (["2"], ["1"])


def test_images_alone_are_unlabeled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scan(Path("T/image/a.nii.gz"), 1)
    assert ids(run(), "unlabeled") == ["a"]


def test_a_path_that_is_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys) == "E255 T is no folder. Correct the path."
