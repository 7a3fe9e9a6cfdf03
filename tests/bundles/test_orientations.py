"""Bundles for volumes, from the command line, on scans that are stored in other orders and at other spacings."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from mednoisy.cli import main
from mednoisy.composition import compose
from mednoisy.data.datalist import Datalist
from mednoisy.data.training_data import TrainingData
from tests.bundles.test_pairs import segmented
from tests.small_runs import small, small_dataset, train_arguments
from tests.stored_orders import ORDERS, SOME_ORDERS, name_of, stored, upright

OTHER = ORDERS[30]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {bundle: small_dataset(tmp_path_factory.mktemp(bundle), bundle) for bundle in ("phantom", "acdc")}


def stored_anew(dataset: Path, target: Path, order: np.ndarray) -> Path:
    """The dataset with all its files in another order."""
    shutil.copytree(dataset, target)
    for path in target.rglob("*.nii.gz"):
        nibabel.save(stored(nibabel.load(path), order), path)
    return target


def parser_of(bundle: str, dataset: Path, output: Path, **more: Any) -> Any:
    places = {"dataset_dir": str(dataset), "output_dir": str(output), "labeled": 2, "validation": 0}
    parser = compose(bundle, "sdcl", overrides=small(bundle) | places | more).workflow().parser
    parser.parse(reset=True)
    return parser


@pytest.mark.parametrize("order", SOME_ORDERS[1:4], ids=name_of)
@pytest.mark.parametrize(
    ("bundle", "more"),
    [("phantom", {}), ("phantom", {"spacing": [4.0, 5.0, 3.0]}), ("acdc", {}), ("acdc", {"plane_spacing": 3.0})],
)
def test_a_dataset_stored_in_another_order_trains_alike(bundle, more, order, datasets, tmp_path):
    """Cached cases and the batch of a step, bit for bit."""
    other = stored_anew(datasets[bundle], tmp_path / "other", order)
    parsers = [parser_of(bundle, dataset, tmp_path / "run", **more) for dataset in (datasets[bundle], other)]
    for section in ("dataset", "unlabeled"):
        for here, there in zip(*(parser.get_parsed_content(f"train#{section}") for parser in parsers), strict=True):
            assert torch.equal(here["image"], there["image"])
            assert ("label" in here) == ("label" in there) == (section == "dataset")
            assert section != "dataset" or torch.equal(here["label"], there["label"])
    here, there = (parser.get_parsed_content("train#stream").batch("stage", 3, 2, 2) for parser in parsers)
    assert torch.equal(here.labeled, there.labeled)
    assert torch.equal(here.labels, there.labels)
    assert torch.equal(here.unlabeled, there.unlabeled)


@pytest.mark.parametrize(("bundle", "case"), [("left_atrium", None), ("acdc", "patient001_frame01")])
def test_published_files_are_seen_as_they_are_stored(bundle, case, shared_data, tmp_path):
    """Left atria are RAS, ACDC is LPS: the bundles' orientations change nothing about them, nor copy anything."""
    images = shared_data(f"{bundle}/images")
    path = images / f"{case}.nii.gz" if case else sorted(images.iterdir())[0]
    item = {"id": "a", "image": str(path)}
    dataset = small_dataset(tmp_path / "data", bundle)
    seen, as_stored = (
        parser_of(bundle, dataset, tmp_path / "run", **more).get_parsed_content("preprocessing")(item)["image"]
        for more in ({}, {"orientation": None})
    )
    assert torch.equal(seen.as_tensor(), as_stored.as_tensor())
    assert [step["class"] for step in seen.applied_operations] == [
        step["class"] for step in as_stored.applied_operations
    ]


@pytest.mark.parametrize(("bundle", "more"), [("phantom", ("--set", "spacing=[4,5,3]")), ("acdc", ())])
def test_predictions_of_a_scan_stored_in_another_order(bundle, more, datasets, tmp_path, capsys):
    """By `mednoisy predict` and by `inference.yaml`, as the run's evaluation had them, each on its own grid."""
    run, images = tmp_path / "run", tmp_path / "images"
    assert main([*train_arguments(datasets[bundle], run, bundle=bundle), *more]) == 0
    cases = Datalist.load(datasets[bundle] / "datalist.json").cases("test")
    images.mkdir()
    for case in cases:
        nibabel.save(stored(nibabel.load(case["image"]), OTHER), images / Path(case["image"]).name)
    capsys.readouterr()
    paths = [str(path) for path in sorted(images.iterdir())]
    assert main(["predict", str(run), *paths, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert "note" not in told.err
    spacing = {"spacing": [4, 5, 3]} if more else {}
    inferred = segmented(bundle, images, run / "models" / "model.pt", tmp_path / "inferred", **spacing)
    for path, of_predict in zip(map(Path, paths), map(Path, told.out.split()), strict=True):
        wanted = upright(nibabel.load(run / "predictions" / path.name))
        found = nibabel.load(of_predict)
        assert np.array_equal(upright(found), wanted)
        assert found.header.structarr["srow_x"].tolist() == nibabel.load(path).header.structarr["srow_x"].tolist()
        by_monai = nibabel.load(inferred / path.name)
        assert (upright(by_monai) != wanted).mean() < 1e-3  # MONAI's evaluator may sum in another order
        assert np.array_equal(by_monai.header.structarr["pixdim"], nibabel.load(path).header.structarr["pixdim"])


def test_a_scan_unlike_those_of_training_is_told(datasets, tmp_path, capsys):
    """Its voxels, its brightness, and that it states no orientation: a line each, told of a few cases only."""
    run = tmp_path / "run"
    assert main(train_arguments(datasets["phantom"], run)) == 0
    assert TrainingData.load(run).spacing_mm == ((2.5, 2.5),) * 3
    assert TrainingData.load(run).oriented == TrainingData.load(run).cases == 2  # supervised: the labeled ones
    scan = nibabel.load(Datalist.load(datasets["phantom"] / "datalist.json").cases("test")[0]["image"])
    paths = []
    for number in range(6):
        silent = nibabel.Nifti1Image(scan.get_fdata().astype(np.float32) * 100, None)
        silent.header.set_zooms((0.5, 0.5, 5.0))
        paths.append(str(tmp_path / f"strange {number}.nii.gz"))
        nibabel.save(silent, paths[-1])
    capsys.readouterr()
    assert main(["predict", str(run), *paths, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "note" in line]
    start = "mednoisy: note: case 'strange 0': image"
    assert f"{start} has voxels of 0.5x0.5x5 mm; the network was trained on 2.5 x 2.5 x 2.5 mm" in told
    assert any(line.startswith(f"{start} has intensities of ") for line in told)
    assert any(
        line.startswith(f"{start} does not state its orientation, so it was taken as stored; 2 of") for line in told
    )
    assert len(told) == 3 * 4
    assert sum("further cases of this kind are not told" in line for line in told) == 3


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory, datasets: dict[str, Path]) -> Path:
    """Hearts whose voxels are cubes: nothing says which way they were sliced."""
    folder = tmp_path_factory.mktemp("cubes") / "data"
    shutil.copytree(datasets["acdc"], folder)
    for path in folder.rglob("*.nii.gz"):
        image = nibabel.load(path)
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return folder


def test_where_slices_lie_is_asked_and_can_be_said(cubes, tmp_path, capsys):
    run = tmp_path / "run"
    arguments = train_arguments(cubes, run, bundle="acdc")
    assert main(arguments) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("mednoisy: E250 case 'test_000': slices are cut along the axis of the coarsest voxels, and")
    assert "Say along which: --set slices=0, 1 or 2, an axis of LPS (predict: --slices)." in told
    assert not run.exists()
    assert main([*arguments, "--set", "slices=2"]) == 0
    images = [case["image"] for case in Datalist.load(cubes / "datalist.json").cases("test")]
    predict = ["predict", str(run), *images, "--device", "cpu", "--output"]
    assert main([*predict, str(tmp_path / "as the run")]) == 0
    assert main([*predict, str(tmp_path / "across"), "--slices", "0"]) == 0
    for path in (run / "predictions").iterdir():
        (again,) = (tmp_path / "as the run").rglob(path.name)
        (across,) = (tmp_path / "across").rglob(path.name)
        maps = [np.asarray(nibabel.load(each).dataobj) for each in (path, again, across)]
        assert np.array_equal(maps[0], maps[1])
        assert not np.array_equal(maps[0], maps[2])


def test_a_test_case_without_an_axis_of_slices_is_refused_before_training(datasets, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(datasets["acdc"], data)
    for part in ("images", "labels"):
        path = data / part / "test_001.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj), np.diag([2.0, 2, 2, 1])), path)
    assert main(train_arguments(data, tmp_path / "run", bundle="acdc")) == 2
    assert "E250 case 'test_001'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("bundle", "setting", "told"),
    [
        ("phantom", "orientation=XYZ", "orientation is 'XYZ'; it must be one each of R or L, A or P, S or I"),
        ("phantom", "spacing=2", "spacing is 2; it must be three numbers above 0, in mm, or null"),
        ("acdc", "slices=3", "slices is 3; it must be 0, 1 or 2"),
    ],
)
def test_what_is_no_geometry_is_refused(bundle, setting, told, datasets, tmp_path, capsys):
    assert main([*train_arguments(datasets[bundle], tmp_path / "run", bundle=bundle), "--set", setting]) == 2
    assert told in (error := capsys.readouterr().err)
    assert "E107" in error
    assert not (tmp_path / "run").exists()


def test_an_axis_of_slices_is_of_no_use_to_networks_in_3d(datasets, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(train_arguments(datasets["phantom"], run)) == 0
    scan = Datalist.load(datasets["phantom"] / "datalist.json").cases("test")[0]["image"]
    assert main(["predict", str(run), scan, "--output", str(tmp_path / "out"), "--slices", "0"]) == 2
    assert "E103 the configuration has no entry 'slices'. It is an entry of acdc" in capsys.readouterr().err
