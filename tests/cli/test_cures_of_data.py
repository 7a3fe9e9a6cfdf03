"""Cures followed: cases and datalists that a training, an inspection or a bundle of one's own refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.folds import patients_by_fold
from mednoisy.data.phantoms import make_dataset
from mednoisy.errors import UserError
from mednoisy.report import run_page
from tests.cli.test_cures import filled, refused_with
from tests.folded_runs import arguments, write_dataset
from tests.small_runs import small_dataset, train_arguments

IMAGE, LABEL = Path("phantom/images/labeled_000.nii.gz"), Path("phantom/labels/labeled_000.nii.gz")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of each of three bundles."""
    folder = tmp_path_factory.mktemp("base")
    for bundle in ("phantom", "acdc", "dermoscopy"):
        small_dataset(folder / bundle, bundle)
    return folder


@pytest.fixture(autouse=True)
def work(base, tmp_path, monkeypatch) -> Path:
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    shutil.copytree(base, tmp_path / "sound")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)  # takes longer than all else
    return tmp_path


def nothing() -> None:
    pass


def restored() -> None:
    """Whatever was damaged is as before."""
    for bundle in ("phantom", "acdc", "dermoscopy"):
        shutil.copytree(f"sound/{bundle}", bundle, dirs_exist_ok=True)


def changed(edit: Callable[[dict[str, Any]], Any], data: str = "phantom") -> Callable[[], None]:
    """A change of a datalist."""

    def change() -> None:
        path = Path(data, "datalist.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop("split_digest", None)
        edit(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return change


def rewritten(
    path: Path, edit: Callable[[np.ndarray], np.ndarray], affine: np.ndarray | None = None
) -> Callable[[], None]:
    """A change of a volume's voxels or place."""

    def rewrite() -> None:
        image = nibabel.load(path)
        array = edit(np.asarray(image.dataobj))
        nibabel.save(nibabel.Nifti1Image(array, image.affine if affine is None else affine), path)

    return rewrite


def with_one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def edit(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float32)
        array.flat[0] = value
        return array

    return edit


def pictures(edit: Callable[[np.ndarray], np.ndarray], suffix: str = ".png") -> Callable[[], None]:
    """A change of a picture's pixels."""

    def rewrite() -> None:
        path = next(Path("dermoscopy/images").glob("test_000*"))
        with Picture.open(path) as picture:
            array = edit(np.asarray(picture))
        path.unlink()
        Picture.fromarray(array).save(path.with_suffix(suffix))
        if suffix != path.suffix:
            changed(lambda content: content["test"][0].update(image=f"images/test_000{suffix}"), "dermoscopy")()

    return rewrite


def cubes(*parts: str) -> Callable[[], None]:
    """No axis of the slices' dataset is coarser than the others."""

    def write() -> None:
        for part in parts:
            for path in Path("acdc", part).glob("*.nii.gz"):
                rewritten(path, lambda array: array, np.diag([2.0, 2.0, 2.0, 1.0]))()

    return write


def without_spacing() -> None:
    """As HDF5, which need not state any."""
    with h5py.File("phantom/plain.h5", "w") as file:
        for key, path in (("image", IMAGE), ("label", LABEL)):
            file[key] = np.asarray(nibabel.load(path).dataobj)
    changed(lambda content: content["labeled"][0].update(image="plain.h5", label="plain.h5"))()


def all_ignored() -> None:
    for path in Path("phantom/labels").glob("labeled*"):
        rewritten(path, lambda array: np.full_like(array, 9))()
    changed(lambda content: content.update(ignore=[9]))()


def of(bundle: str, *more: str) -> list[str]:
    return train_arguments(Path(bundle), Path("run"), "--method", "supervised", *more, bundle=bundle)


TRAIN = of("phantom")


@pytest.mark.parametrize(
    ("code", "fault", "words", "cure", "mend", "followed"),
    [
        ("E202", rewritten(IMAGE, np.zeros_like), TRAIN, "Export the image again", restored, TRAIN),
        ("E202", lambda: IMAGE.write_bytes(b""), TRAIN, "or drop the case", changed(lambda content: content["labeled"].append(content["labeled"].pop(0))), [*TRAIN, "--labeled", "1", "--set", "batch_size=1"]),
        ("E203", rewritten(IMAGE, with_one(np.nan)), TRAIN, "Replace them, by the background's value", rewritten(IMAGE, np.nan_to_num), TRAIN),
        ("E204", rewritten(LABEL, lambda array: array[:-1]), TRAIN, "Re-export the label on the image's grid", restored, TRAIN),
        ("E205", rewritten(LABEL, np.copy, np.diag([1, 1, 1, 1.0])), TRAIN, "Re-export the label on the image's grid", restored, TRAIN),
        ("E219", changed(lambda content: content["labels"].update({"2": "clot"})), TRAIN, r"or the bundle's `(label_names)`", nothing, [*TRAIN, "--set", "label_names=['background', 'atrium', 'clot']"]),
        ("E219", changed(lambda content: content["labels"].update({"2": "clot"})), TRAIN, r"Correct `labels` there", changed(lambda content: content["labels"].pop("2")), TRAIN),
        ("E225", pictures(lambda array: array[..., 0].astype(np.float32), ".tif"), of("dermoscopy"), "Store pictures with 8 or 16 bits", pictures(lambda array: array.astype(np.uint8), ".tif"), of("dermoscopy")),
        ("E227", nothing, train_arguments(Path("dermoscopy"), Path("run"), "--set", "label_names=['background', 'lesion']"), r"or take a bundle for images of 2 axes", nothing, of("dermoscopy")),
        ("E228", without_spacing, [*TRAIN, "--set", "spacing=[2.5,2.5,2.5]"], r"Store it with its spacing", restored, [*TRAIN, "--set", "spacing=[2.5,2.5,2.5]"]),
        ("E228", without_spacing, [*TRAIN, "--set", "spacing=[2.5,2.5,2.5]"], r"take its grid as it is \((--set spacing=null)", nothing, [*TRAIN, "<1>"]),
        ("E240", rewritten(IMAGE, with_one(1e20)), TRAIN, "Replace what stands for no data, by the background's value", rewritten(IMAGE, lambda array: np.where(array > 1e19, 0, array)), TRAIN),
        ("E249", all_ignored, TRAIN, "or label some voxels", restored, TRAIN),
        ("E250", cubes("images", "labels"), of("acdc"), r"Say along which: (--set slices=\d)", nothing, [*of("acdc"), "<1>"]),
        ("E371", nothing, [*TRAIN, "--set", "fold=1"], "Give its number from 0 and the number of folds", nothing, [*TRAIN, "--labeled", "2", "--set", "fold=[1,2]", "--set", "batch_size=1"]),
        ("E371", nothing, [*TRAIN, "--set", "fold=[2,2]"], r"Number folds from 0 to (\d)", nothing, [*TRAIN, "--set", "fold=[1,2]", "--set", "batch_size=1"]),
    ],
)  # fmt: skip
def test_a_training_begins_once_its_data_are_as_the_cure_says(capsys, code, fault, words, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, words, code, cure)
    assert not Path("run").exists()
    mend()
    assert main(filled(followed, proposed)) == 0


CLASSES = {str(code): f"class {code}" for code in range(256)}
PLAIN = {"0": "background", "1": "atrium"}


@pytest.mark.parametrize(
    ("code", "fault", "cure", "mend"),
    [
        ("E210", lambda: Path("phantom/datalist.json").unlink(), "Prepare the dataset first, or mend the path", restored),
        ("E210", lambda: Path("phantom/datalist.json").write_text("{"), "Mend the file", restored),
        ("E210", lambda: Path("phantom/datalist.json").write_text("[]"), "Write one JSON object", restored),
        ("E214", changed(lambda content: content["hidden"].append({"id": "x", "label": "labels/test_000.nii.gz"})), "Remove the entry", changed(lambda content: content["hidden"].pop())),
        ("E226", changed(lambda content: [content[part][0].update(patient="a") for part in ("labeled", "test")]), "Move all scans of a patient to one of them", changed(lambda content: content["labeled"].append(content["test"].pop(0)))),
        ("E248", changed(lambda content: content.update(labels=CLASSES)), "Merge classes until there are 255 or fewer", changed(lambda content: content.update(labels=PLAIN))),
        ("E254", changed(lambda content: content.update(label_files="theirs")), r"Write '(classes)' or 'source'", changed(lambda content: content.update(label_files="classes"))),
        ("E254", changed(lambda content: content.update(codes={"0": 0, "1": 70000})), "Give every class a whole code of its own", changed(lambda content: content.update(codes={"0": 0, "1": 7}, label_files="classes"))),
        ("E365", changed(lambda content: content.update({part: [] for part in ("labeled", "unlabeled", "test", "hidden")})), "Prepare the dataset again", restored),
    ],
)  # fmt: skip
def test_a_dataset_can_be_inspected_once_its_list_is_as_the_cure_says(capsys, code, fault, cure, mend):
    fault()
    refused_with(capsys, ["inspect", "phantom"], code, cure)
    mend()
    assert main(["inspect", "phantom"]) == 0


def test_phantoms_are_of_a_kind_that_there_is(tmp_path):
    """No command draws another kind."""
    with pytest.raises(UserError, match=r"E218 unknown kind of phantom 'hart'. Did you mean 'heart'\?"):
        make_dataset(tmp_path / "a", "hart", labeled=1, unlabeled=1, test=1)
    make_dataset(tmp_path / "a", "heart", labeled=1, unlabeled=1, test=1)


def channels(odd: int) -> Callable[[], None]:
    """Images of two channels, as vectors, but for one."""

    def write() -> None:
        for path in Path("phantom/images").iterdir():
            image = nibabel.load(path)
            volume = np.asarray(image.dataobj).reshape(*image.shape[:3], -1)[..., 0]
            stacked = np.stack([volume] * (odd if path.name.startswith("labeled_001") else 2), axis=3)
            vectors = nibabel.Nifti1Image(stacked[:, :, :, np.newaxis], image.affine)
            vectors.header.set_intent("vector")
            nibabel.save(vectors, path)
        changed(lambda content: content.update(channels={"0": "CT", "1": "PET"}))()

    return write


def flat() -> None:
    rewritten(IMAGE, lambda array: array[:, :, 0])()
    rewritten(LABEL, lambda array: array[:, :, 0])()


def one_slice() -> None:
    rewritten(IMAGE, lambda array: array[np.newaxis])()
    rewritten(LABEL, lambda array: array[np.newaxis])()


@pytest.mark.parametrize(
    ("code", "fault", "cure", "mend"),
    [
        ("E384", channels(3), "Give every image the same channels", channels(2)),
        ("E385", flat, "or as a volume of one slice", one_slice),
    ],
)
def test_a_bundle_is_made_once_images_are_as_the_cure_says(capsys, code, fault, cure, mend, monkeypatch):
    from mednoisy.configure import timing

    monkeypatch.setattr(timing, "seconds_a_step", lambda *_: 0.1)
    fault()
    refused_with(capsys, ["bundle", "new", "phantom", "mine"], code, cure)
    assert not Path("mine").exists()
    mend()
    assert main(["bundle", "new", "phantom", "mine"]) == 0


def test_folds_are_scored_in_one_unit(capsys):
    """Label files of the held-out patients of a fold do not say how large their voxels are."""
    balls = write_dataset(Path("balls"))
    path = balls / "datalist.json"
    whole = json.loads(path.read_text())
    content = json.loads(path.read_text())
    held_out = patients_by_fold(Datalist.load(path, 3).cases("labeled"), 2, 0)[0]
    for case in content["labeled"]:
        if case["patient"] in held_out:
            with h5py.File(balls / f"{case['id']}.h5", "w") as file:
                file["label"] = np.asarray(nibabel.load(balls / case["label"]).dataobj)
            case["label"] = f"{case['id']}.h5"
    path.write_text(json.dumps(content))
    refused_with(capsys, arguments(balls, Path("run"), method="supervised"), "E373", "Let all label files state", end=1)
    path.write_text(json.dumps(whole))
    assert main(arguments(balls, Path("again"), method="supervised")) == 0
