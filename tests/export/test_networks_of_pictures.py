"""DeepLabV3, DeepLabV3+ and FPN, the networks of `body_skin` and `polyp`, as TorchScript and ONNX."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mednoisy.cli import main
from mednoisy.export import check, single_files
from mednoisy.export.deployed_run import DeployedRun, deployed_run
from mednoisy.export.export_run import export_run
from mednoisy.networks.deeplab import DeepLabV3, DeepLabV3Plus
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.networks.fpn import FPN
from tests.small_runs import small_dataset, train_arguments

NAMES = ("background", "skin", "hair")
SMALL = {"encoder": "resnet18", "num_classes": len(NAMES)}
NETWORKS = {
    "deeplab and its partner": lambda: MeanEnsemble([DeepLabV3Plus(**SMALL), DeepLabV3(**SMALL)]),
    "fpn": lambda: FPN(**SMALL),
}
PATCH = (65, 49)  # sides that no stride divides, as the 513 of `body_skin`
SIZES = (PATCH, (130, 49), (64, 96), (40, 57))
SMALL_ENCODER = {"body_skin": "deeplab_def#encoder=resnet18", "polyp": "fpn_def#encoder=resnet18"}
ONNX = pytest.param("onnx", marks=pytest.mark.skipif(bool(check.missing_for_onnx()), reason="extra `export`"))


def deployed(network: nn.Module) -> DeployedRun:
    """What a run would deploy, with running statistics that are not those of an untrained network."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    summary = SimpleNamespace(facts={"dataset": "people"})
    return DeployedRun(Path(), {}, summary, network.eval(), None, None, PATCH, 3, NAMES, (), 0)


def opened(run: DeployedRun, kind: str, folder: Path):
    if kind == "onnx":
        single_files.write_onnx(run, folder / "a.onnx", any_size=True)
        return single_files.open_onnx(folder / "a.onnx")
    single_files.write_torchscript(run, folder / "a.ts")
    return single_files.open_torchscript(folder / "a.ts")


@pytest.mark.parametrize("kind", ["torchscript", ONNX])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_network_at_any_size(name, kind, tmp_path):
    torch.manual_seed(0)
    run = deployed(NETWORKS[name]())
    other = opened(run, kind, tmp_path)
    for count, sizes in enumerate(SIZES, 1):
        images = run.random_patch(count, sizes=sizes)
        with torch.no_grad():
            wanted, found = run.network(images), other(images)
        assert found.shape == (count, len(NAMES), *sizes)
        assert wanted.std() > 0.01  # else a tolerance would tell nothing
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("bundle", SMALL_ENCODER)
def test_a_run_of_the_bundle_is_exported_every_way(bundle, tmp_path):
    """With the bundle's own network on a smaller encoder: opened again and compared, as the command does it."""
    data = small_dataset(tmp_path / "data", bundle)
    more = ["--method", "supervised", "--set", SMALL_ENCODER[bundle]]
    words = train_arguments(data, tmp_path / "run", *more, bundle=bundle, without=("network_def", "width"))
    assert main(words) == 0
    assert type(deployed_run(tmp_path / "run").network) is {"body_skin": DeepLabV3Plus, "polyp": FPN}[bundle]
    endings = {"torchscript": "a.ts", "onnx": "a.onnx", "zoo": "a.zip", "monai-label": "a"}
    for kind, name in endings.items():
        assert export_run(tmp_path / "run", tmp_path / name, kind).difference < 1e-5
