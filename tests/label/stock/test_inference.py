"""Exported networks in the stock app: what the real client is answered equals `mednoisy predict`, on the same grid."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from mednoisy.cli import main
from tests.label.stock.conftest import METHODS, conf, model_of
from tests.small_runs import small_dataset

TURNED = SimpleITK.VersorTransform((0.3, 0.9, 0.2), 0.4)  # by 23 degrees around no axis of the scanner


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """Volumes of each bundle as NIfTI, oblique NIfTI and NRRD, pictures of unequal sides as PNG and JPEG."""
    folder = tmp_path_factory.mktemp("studies")
    for bundle in ("phantom", "acdc"):
        images = small_dataset(tmp_path_factory.mktemp("volumes"), bundle) / "images"
        shutil.copy(images / "test_000.nii.gz", folder / f"{bundle}_plain.nii.gz")
        scan = SimpleITK.ReadImage(str(images / "test_001.nii.gz"))
        SimpleITK.WriteImage(scan, str(folder / f"{bundle}_scan.nrrd"))
        turned = scan[2:, :-3, :]
        turned.SetDirection(TURNED.GetMatrix())
        turned.SetOrigin((-30.5, 12.25, 40))
        SimpleITK.WriteImage(turned, str(folder / f"{bundle}_oblique.nii.gz"))
    pictures = small_dataset(tmp_path_factory.mktemp("pictures"), "dermoscopy") / "images"
    picture = Image.open(pictures / "test_000.png").resize((72, 56))
    picture.save(folder / "drawn.png")
    picture.save(folder / "photo.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def running(server, app, studies):
    return server(app, studies, conf(*map(model_of, METHODS)))


@pytest.fixture(scope="module")
def slicer(running, client):
    return client(running)


def predicted(run: Path, image: Path, output: Path) -> Path:
    """What `mednoisy predict` says."""
    assert main(["predict", str(run), str(image), "--output", str(output), "--device", "cpu"]) == 0
    return next(path for path in output.iterdir() if path.name.startswith(image.name.split(".")[0]))


def files_of(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_the_server_lists_each_network_with_its_labels(slicer):
    models = slicer.info()["models"]
    assert models[model_of("phantom")]["labels"] == {"atrium": 1}
    assert models[model_of("phantom")]["dimension"] == 3
    assert models[model_of("dermoscopy")]["labels"] == {"lesion": 1}
    assert models[model_of("dermoscopy")]["dimension"] == 2
    assert sorted(slicer.info()["trainers"]) == sorted(map(model_of, METHODS))


@pytest.mark.parametrize("bundle", ["phantom", "acdc"])
@pytest.mark.parametrize("name", ["plain.nii.gz", "oblique.nii.gz", "scan.nrrd"])
@pytest.mark.parametrize("asked", [{}, {"result_extension": ".nrrd", "result_dtype": "uint8"}])  # the second: Slicer
def test_a_volume_comes_back_on_its_own_grid(slicer, runs, studies, tmp_path, bundle, name, asked):
    image = studies / f"{bundle}_{name}"
    answer, told = slicer.infer(model_of(bundle), image.name.split(".")[0], {"device": "cpu", **asked})
    found, source = SimpleITK.ReadImage(answer), SimpleITK.ReadImage(str(image))
    wanted = SimpleITK.ReadImage(str(predicted(runs(bundle), image, tmp_path)))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(wanted))
    assert found.GetPixelID() == SimpleITK.sitkUInt8
    np.testing.assert_allclose(corners(found), corners(source), atol=1e-3)
    assert told["label_names"]


def corners(image: SimpleITK.Image) -> np.ndarray:
    """Where the first voxel, the last one and those along the axes lie, in mm."""
    sizes = image.GetSize()
    places = [[0, 0, 0], [size - 1 for size in sizes], *(np.eye(3, dtype=int) * (np.array(sizes) - 1)).tolist()]
    return np.array([image.TransformIndexToPhysicalPoint(place) for place in places])


@pytest.mark.parametrize("name", ["drawn.png", "photo.jpg"])
def test_a_picture_comes_back_as_a_picture_of_its_size(slicer, runs, studies, tmp_path, name):
    answer, _ = slicer.infer(model_of("dermoscopy"), name.split(".")[0], {"device": "cpu"})
    found = Image.open(answer)
    assert (found.format, found.mode, found.size) == ("PNG", "L", (72, 56))
    wanted = Image.open(predicted(runs("dermoscopy"), studies / name, tmp_path))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))
    assert 0 < np.asarray(found).mean() < 1  # neither empty nor full, so a turned one would be told


def test_nothing_is_written_into_a_bundle_however_often_it_is_asked(slicer, app, studies):
    before = files_of(app / "model")
    for bundle, name in (("phantom", "phantom_plain"), ("acdc", "acdc_plain"), ("dermoscopy", "drawn")):
        for _ in range(2):
            slicer.infer(model_of(bundle), name, {"device": "cpu"})
    assert files_of(app / "model") == before
