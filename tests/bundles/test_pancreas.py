"""The pancreas bundle says what the code of SDCL does on the pancreas, and cleans every prediction it makes."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from mednoisy.cli import main
from mednoisy.composition import bundles_folder, compose
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image, write_nifti
from mednoisy.inference.coarse_to_fine import CoarseToFine
from mednoisy.networks.vnet import ResVNet, VNet
from mednoisy.pseudo.cleanup import largest_components
from tests.methods.test_trajectories import (
    GivenBoxes,
    Run,
    batch_of,
    check_checksums,
    check_sdcl,
    check_teacher,
    filled,
    recorded,  # noqa: F401, a fixture
)
from tests.reference import arrays_of
from tests.small_runs import small, small_dataset, train_arguments


def parsed(recipe: str = "default", **settings: Any) -> ConfigParser:
    parser = compose("pancreas", None, recipe, overrides=settings).workflow().parser
    parser.parse(reset=True)
    return parser


def test_the_published_recipe_is_sdcls_on_the_pancreas(tmp_path):
    places = {"dataset_dir": str(small_dataset(tmp_path / "data")), "output_dir": str(tmp_path / "run")}
    parser = parsed("published", **small("pancreas") | places | {"patch_size": [96, 96, 96]}, labeled=2, validation=0)
    trainer = parser.get_parsed_content("train#trainer")
    assert {planned.stage.name: planned.steps for planned in trainer.training.plan} == {
        "pretraining": 3030,
        "selftraining": 8025,
    }
    method = trainer.training.stages[1].method()
    assert (method.gap_weight, method.doubt_weight, method.pseudo_weight, method.connectivity) == (0.3, 0.1, 0.5, 18)
    assert (method.teachers["a"].mode, method.teachers["a"].decay) == ("train", 0.99)
    box = method.box((96, 96, 96), np.random.default_rng(0))
    assert [part.stop - part.start for part in box] == [64, 64, 64]
    stream = parser.get_parsed_content("train#stream")
    assert (stream.published_margin, stream.order.epoch, stream.spatial, stream.intensity) == (1, 10, None, None)
    assert stream.unlabeled[0]["image"].shape[1:] == (48, 48, 32)  # no axis of the phantoms is longer than the patch
    assert parser.get_parsed_content("evaluation#inferer").keep_largest is None


def test_unlabeled_scans_show_their_centre_alone_where_published(tmp_path):
    places = {"dataset_dir": str(small_dataset(tmp_path / "data")), "output_dir": str(tmp_path / "run")}
    for recipe, shape in (("published", (32, 32, 16)), ("default", (48, 48, 32))):
        parser = parsed(recipe, **small("pancreas") | places, labeled=2, validation=0)
        assert parser.get_parsed_content("train#unlabeled")[0]["image"].shape[1:] == shape
        assert parser.get_parsed_content("train#dataset")[0]["image"].shape[1:] == (48, 48, 32)


def test_windows_are_the_published_ones_and_exactness_is_a_switch():
    inferer = parsed().get_parsed_content("evaluation#inferer")
    assert isinstance(inferer, CoarseToFine)
    assert (inferer.patch_size, inferer.stride, inferer.search.stride) == ((96,) * 3, (16, 16, 4), (48,) * 3)
    assert (inferer.search_above, inferer.skip_below, inferer.keep_largest) == (0.05, 0.25, 18)
    exact = parsed(exact=True).get_parsed_content("evaluation#inferer")
    assert (exact.search_above, exact.skip_below, exact.search.skip_below) == (None, None, None)


def test_a_scan_in_hounsfield_units_and_its_prepared_file_are_seen_alike(tmp_path):
    """The bundle's chain is the preparation's last steps, and leaves what is prepared as it is."""
    hounsfield = np.random.default_rng(0).integers(-1000, 1500, (20, 18, 16)).astype(np.int16)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    write_nifti(tmp_path / "raw.nii.gz", hounsfield, affine)
    prepared = (np.clip(hounsfield, -125, 275).astype(np.float32) + 125) / 400
    write_nifti(tmp_path / "prepared.nii.gz", prepared, affine)
    write_nifti(
        tmp_path / "turned.nii.gz",
        hounsfield[::-1].transpose(2, 1, 0),
        affine[:, [2, 1, 0, 3]] @ np.diag([1, 1, -1, 1]) + np.outer(affine[:, 0] * 19, [0, 0, 0, 1]),
    )
    chain = parsed().get_parsed_content("preprocessing")
    seen = {name: chain({"image": str(tmp_path / f"{name}.nii.gz")})["image"] for name in ("raw", "prepared", "turned")}
    np.testing.assert_array_equal(seen["prepared"][0].numpy(), prepared)
    np.testing.assert_allclose(seen["raw"][0].numpy(), prepared, atol=1e-6)
    np.testing.assert_array_equal(seen["turned"][0].numpy(), seen["raw"][0].numpy())


@pytest.mark.parametrize("steps", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_the_bundles_own_self_training_follows_the_authors(golden, device, recorded, steps):  # noqa: F811
    """Networks, weights, clean-up and optimiser as configured; boxes and images are the golden ones."""
    figures = arrays_of(golden("trajectory_sdcl_pancreas.npz"))
    parser = parsed("published", device=f"$torch.device('{device}')")
    networks = parser.get_parsed_content("network_def"), parser.get_parsed_content("partner_def")
    assert [type(network) for network in networks] == [VNet, ResVNet]
    for network, name in zip(networks, ("net1", "net2"), strict=True):
        filled(network, figures[f"self_{name}_keys"], device)
    method = parser.get_parsed_content("stages#1#method")()
    method.box = GivenBoxes(figures["boxes"])
    optimiser = parser.get_parsed_content("optimiser")
    run = Run(method.train(), {name: optimiser(student.parameters()) for name, student in method.students.items()})
    for _ in range(steps):
        run.step(batch_of(figures, device))
    check_sdcl(figures, run, steps)
    check_teacher(figures, recorded, steps)
    if steps == 5:
        teacher = method.teachers["a"].network
        check_checksums(figures, "self", net1=method.students["a"], net2=method.students["b"], teacher=teacher)


def test_every_prediction_keeps_one_component(tmp_path):
    """Of evaluation, `mednoisy predict` and `inference.yaml`, which agree; figures are of what was kept."""
    data, run = small_dataset(tmp_path / "data"), tmp_path / "run"
    assert main(train_arguments(data, run, "--method", "supervised", bundle="pancreas")) == 0
    images = [case["image"] for case in Datalist.load(data / "datalist.json").cases("test")]
    assert main(["predict", str(run), *images, "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    settings = {key: value for key, value in small("pancreas").items() if key in ("patch_size", "stride", "width")}
    workflow = ConfigWorkflow(
        config_file=str(bundles_folder() / "pancreas" / "configs" / "inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(data / "images"),
        output_dir=str(tmp_path / "inferred"),
        network_def="%students",
        students=_student(settings["width"]),
        model_file=str(run / "models" / "model.pt"),
        spacing=[2.5, 2.5, 2.5],
        coarse_stride=settings["stride"],
        device="$torch.device('cpu')",
        **settings,
    )
    workflow.initialize()
    workflow.run()
    volumes = {}
    for path in sorted((run / "predictions").iterdir()):
        kept = read_image(path).array
        torch_kept = torch.from_numpy(kept)[None]
        assert torch.equal(largest_components(torch_kept, 18), torch_kept)
        np.testing.assert_array_equal(read_image(tmp_path / "out" / path.name).array, kept)
        assert (read_image(tmp_path / "inferred" / path.name).array != kept).mean() < 1e-3
        volumes[path.name.removesuffix(".nii.gz")] = float(kept.sum()) * 2.5**3 / 1000  # ml
    with open(run / "metrics.csv", newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            assert float(row["volume_prediction"]) == pytest.approx(volumes[row["case"]])


def _student(width: int) -> dict[str, Any]:
    return {
        "_target_": "mednoisy.networks.vnet.VNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "num_classes": 2,
        "norm": "instance",
        "width": width,
        "head_dropout": 0.5,
    }
