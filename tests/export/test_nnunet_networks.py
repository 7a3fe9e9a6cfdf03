"""nnU-Net's own networks, plain and residual, anisotropic volumes and pictures, as TorchScript and ONNX."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mednoisy.export import check
from mednoisy.export.deployed_run import DeployedRun
from mednoisy.export.verification import largest_difference, same_at_another_size
from mednoisy.networks.nnunet import NNUNet
from tests.export.test_networks_of_pictures import opened

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
