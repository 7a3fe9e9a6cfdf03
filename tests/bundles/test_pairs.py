"""Every method on every bundle, from the command line: trained, scored, and predicted on the grid of the source."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.composition import bundles_folder, compose, known
from mednoisy.composition.stacking import about
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from tests.small_runs import KIND_OF, small, small_dataset, train_arguments

QUICK = {"acdc": "sdcl", "dermoscopy": "mean_teacher", "polyp": "online_labels"}
MORE = {"noisy_student": ("--set", "rounds=1", "--set", "minimum_area=0")}  # one step teaches nothing worth keeping
CLASSES = {"acdc": ["1", "2", "3"], "body_skin": list("12345678")}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Phantoms for each bundle; a picture is larger than the others and no square."""
    made = {bundle: small_dataset(tmp_path_factory.mktemp(bundle), bundle) for bundle in known("bundle")}
    for bundle in ("dermoscopy", "polyp"):
        for part in ("images", "labels"):
            path = made[bundle] / part / "test_000.png"
            with Picture.open(path) as picture:
                picture.resize((150, 70), Picture.Resampling.NEAREST).save(path)
    return made


def pairs() -> list:
    """All bundles with all methods; all but a method a bundle are slow."""
    return [
        pytest.param(bundle, method, marks=[] if QUICK.get(bundle) == method else pytest.mark.slow)
        for bundle in known("bundle")
        for method in known("method")
        if method != "colorization" or about(bundles_folder() / bundle)["kind"] == "pictures"
    ]


@pytest.mark.parametrize(("bundle", "method"), pairs())
def test_two_steps_of_every_pair(bundle, method, datasets, tmp_path):
    """Both test cases have figures of every class, and predictions have the shape and place of their images."""
    run = tmp_path / "run"
    assert main(train_arguments(datasets[bundle], run, "--method", method, *MORE.get(method, ()), bundle=bundle)) == 0
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert (summary["run"]["method"], summary["run"]["steps"]) == (method, 2)
    with open(run / "metrics.csv", newline="", encoding="utf-8") as stream:
        rows = [(row["case"], row["class"]) for row in csv.DictReader(stream)]
    cases = [case["id"] for case in summary["cases"]]
    assert rows == [(case, code) for case in cases for code in CLASSES.get(bundle, ["1"])]
    for case in summary["cases"]:
        image, prediction = read_image(case["image"]), read_image(run / case["prediction"])
        pictures = KIND_OF.get(bundle) in ("body", "lesion", "polyp")
        assert Path(case["prediction"]).suffix == (".png" if pictures else ".gz")
        assert prediction.array.shape == image.shape
        np.testing.assert_allclose(prediction.affine, image.affine, atol=1e-5)
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("bundle", QUICK)
def test_predict_gives_what_the_evaluation_gave(bundle, datasets, tmp_path):
    """`mednoisy predict` and the bundle's `inference.yaml` write the files that the run's evaluation wrote."""
    run = tmp_path / "run"
    assert main(train_arguments(datasets[bundle], run, bundle=bundle)) == 0
    cases = Datalist.load(datasets[bundle] / "datalist.json").cases("test")
    images = [case["image"] for case in cases]
    assert main(["predict", str(run), *images, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    inferred = segmented(bundle, datasets[bundle] / "images", run / "models" / "model.pt", tmp_path / "inferred")
    for path in sorted((run / "predictions").iterdir()):
        wanted = read_image(path).array
        np.testing.assert_array_equal(read_image(tmp_path / "out" / path.name).array, wanted)
        found = read_image(inferred / path.name).array
        assert (found != wanted).mean() < 1e-3  # MONAI's evaluator may sum in another order


def segmented(bundle: str, images: Path, model: Path, output: Path, **more: Any) -> Path:
    """The folder of label maps that `inference.yaml` makes of a folder of images."""
    from monai.bundle import ConfigWorkflow

    settings = {
        key: value
        for key, value in small(bundle).items()
        if key in ("patch_size", "stride", "width", "device", "network_def")
    }
    workflow = ConfigWorkflow(
        config_file=str(bundles_folder() / bundle / "configs" / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(images),
        output_dir=str(output),
        model_file=str(model),
        **settings,
        **more,
    )
    workflow.initialize()
    workflow.run()
    return output


def test_acdc_trains_on_slices_of_all_volumes(datasets, tmp_path):
    """An epoch of draws holds every slice of the labeled volumes once; crops have two axes."""
    places = {"dataset_dir": str(datasets["acdc"]), "output_dir": str(tmp_path / "run"), "labeled": 2}
    parser = compose("acdc", overrides=small("acdc") | places).workflow().parser
    parser.parse(reset=True)
    stream = parser.get_parsed_content("train#stream")
    volumes = parser.get_parsed_content("train#dataset")
    wanted = [f"{volume['id']}/{z}" for volume in volumes for z in range(volume["image"].shape[-1])]
    batch = stream.batch("stage", 0, labeled=len(wanted), unlabeled=3)
    assert sorted(batch.labeled_ids) == sorted(wanted)
    assert tuple(batch.labels.shape) == (len(wanted), 32, 32)
    assert tuple(batch.unlabeled.shape) == (3, 1, 32, 32)


def test_acdc_at_one_spacing_predicts_on_the_grid_of_the_source(datasets, tmp_path):
    """Trained, scored, predicted anew and by `inference.yaml`; slices are cut around their centre, not stretched."""
    spacing = {"plane_spacing": 3.0}
    run = tmp_path / "run"
    assert main([*train_arguments(datasets["acdc"], run, bundle="acdc"), "--set", "plane_spacing=3.0"]) == 0
    images = [case["image"] for case in Datalist.load(datasets["acdc"] / "datalist.json").cases("test")]
    assert main(["predict", str(run), *images, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    inferred = segmented(
        "acdc", datasets["acdc"] / "images", run / "models" / "model.pt", tmp_path / "inferred", **spacing
    )
    for image in images:
        source = read_image(image)
        (name,) = [path.name for path in (run / "predictions").iterdir() if path.name == Path(image).name]
        prediction = read_image(run / "predictions" / name)
        assert prediction.array.shape == source.shape
        np.testing.assert_allclose(prediction.affine, source.affine, atol=1e-5)
        (again,) = (tmp_path / "out").rglob(name)
        np.testing.assert_array_equal(read_image(again).array, prediction.array)
        assert (read_image(inferred / name).array != prediction.array).mean() < 1e-3
        width = [side * step / 3.0 for side, step in zip(source.shape[:2], source.spacing[:2], strict=True)]
        assert max(width) > 32  # so that something is cut, and nothing predicted there
        assert prediction.array[0, 0].max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["dermoscopy", "polyp"])
@pytest.mark.parametrize("recipe", ["strong", "published"])
def test_the_bundles_own_network_trains(bundle, recipe, datasets, tmp_path):
    """DeepLabV3 and FPN, where other tests take the small U-Net."""
    own = "%deeplab_def" if bundle == "dermoscopy" else "%fpn_def"
    arguments = train_arguments(
        datasets[bundle], tmp_path / "run", "--recipe", recipe, bundle=bundle, without=["width"]
    )
    assert main([*arguments, "--set", f"network_def={own}", "--set", "patch_size=[64,64]"]) == 0
