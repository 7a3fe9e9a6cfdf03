"""nnU-Net's own networks, plain and residual, anisotropic volumes and pictures, as TorchScript and ONNX."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mednoisy.cli import main
from mednoisy.export import check
from mednoisy.export.deployed_run import DeployedRun
from mednoisy.export.verification import largest_difference, same_at_another_size
from mednoisy.networks.nnunet import NNUNet
from tests.export.test_networks_of_pictures import opened
from tests.small_runs import small_dataset, train_arguments

ONNX = pytest.param("onnx", marks=pytest.mark.skipif(bool(check.missing_for_onnx()), reason="extra `export`"))
ANISOTROPIC = [[2, 2, 1], [2, 2, 2]]
NETWORKS = {
    "plain, volumes": (lambda: NNUNet(3, 1, 2, 2, strides=ANISOTROPIC), (16, 8, 4)),
    "residual, volumes": (lambda: NNUNet(3, 1, 2, 2, strides=ANISOTROPIC, residual=True), (16, 8, 4)),
    "residual, pictures": (lambda: NNUNet(2, 3, 2, 2, norm="batch", strides=[[2, 2]] * 2, residual=True), (16, 24)),
}


@pytest.mark.parametrize("kind", ["torchscript", ONNX])
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_network_at_any_size(name, kind, tmp_path):
    torch.manual_seed(0)
    build, patch = NETWORKS[name]
    network, channels = build().eval(), 1 if len(patch) == 3 else 3
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_var.uniform_(0.5, 2)  # not those of an untrained network
    summary = SimpleNamespace(facts={"dataset": "organs"})
    run = DeployedRun(Path(), {}, summary, network, None, None, patch, channels, ("background", "organ"), (), 0)
    other = opened(run, kind, tmp_path)
    with torch.no_grad():
        assert run.network(run.random_patch()).std() > 0.01  # else a tolerance would tell nothing
    assert largest_difference(run, other) < 1e-5
    assert same_at_another_size(run, other)


def test_a_run_is_exported_with_a_word_of_whose_networks_it_has(tmp_path):
    """By the command: its bundle names the package, without which nobody could open it."""
    network = {"_target_": "mednoisy.networks.nnunet.NNUNet", "width": "@width", "strides": [[2, 2, 2]] * 2}
    words = train_arguments(
        small_dataset(tmp_path / "data"),
        tmp_path / "run",
        "--method",
        "supervised",
        "--set",
        f"network_def={json.dumps(network)}",
    )
    assert main(words) == 0
    for kind, name in {"torchscript": "a.ts", "monai-label": "a"}.items():
        assert main(["export", str(tmp_path / "run"), str(tmp_path / name), "--for", kind]) == 0
    needed = json.loads((tmp_path / "a" / "configs" / "metadata.json").read_text())["required_packages_version"]
    assert needed["dynamic-network-architectures"] == version("dynamic-network-architectures")
    assert "dynamic-network-architectures, too" in (tmp_path / "a" / "docs" / "README.md").read_text()
