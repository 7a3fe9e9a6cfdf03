"""`train --pretrained`: the run starts from the file's weights, or is refused before anything is written."""

from __future__ import annotations

import re

import pytest
import torch

from mednoisy.cli import main
from mednoisy.networks.encoders import ImageNetEncoder
from tests.small_runs import small_dataset, train_arguments

DEEPLAB = ("--set", "network_def=%deeplab_def", "--set", "deeplab_def#encoder=resnet18")
UNET = ("--set", "network_def=%unet_def")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A file in torchvision's names, its values unlike any that an initialisation draws."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        encoder = ImageNetEncoder(2, 3, "resnet18").state_dict()
    entries = {key.split(".", 2)[2]: value for key, value in encoder.items()}  # without `levels.N.`
    entries |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    file = tmp_path_factory.mktemp("weights") / "resnet18 für alle.pth"
    torch.save(entries, file)
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_dataset(tmp_path_factory.mktemp("lesions"), "dermoscopy")


def train(data, run, file, *more, network=DEEPLAB):
    without = ("width",) if network[1] == "network_def=%deeplab_def" else ()
    weights = ("--pretrained", str(file))
    return main(train_arguments(data, run, *network, *weights, *more, bundle="dermoscopy", without=without))


def test_a_run_starts_from_the_file(released, data, tmp_path, capfd):
    """At learning rate 0 the encoder of the trained network is the file's, and what was read is told."""
    assert train(data, tmp_path / "run", released, "--set", "learning_rate=0.0") == 0
    assert "resnet18: 120 entries read, 2 of the classifier left out" in capfd.readouterr().out
    trained = torch.load(tmp_path / "run" / "models" / "model.pt", weights_only=True)
    wanted = torch.load(released, weights_only=True)
    found = {re.sub(r"^encoder\.levels\.\d+\.", "", name): value for name, value in trained.items()}
    kernels = [key for key in wanted if key.endswith("weight") and not key.startswith("fc")]
    assert len(kernels) == 40  # 20 convolutions, each with its norm
    assert all(torch.equal(found[key], wanted[key]) for key in kernels)


def test_files_that_do_not_fit_are_refused(released, data, tmp_path, capfd):
    """One line that says what did not match, exit code 2, no run folder."""
    foreign = tmp_path / "foreign.pth"
    torch.save({"layer1.weight": torch.zeros(2)}, foreign)
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(released.read_bytes()[:1000])
    deeper = (*DEEPLAB, "--set", "deeplab_def#encoder=resnet34")
    for file, network, message in (
        (tmp_path / "none.pth", DEEPLAB, f"E340 checkpoint {tmp_path / 'none.pth'} does not exist"),
        (damaged, DEEPLAB, f"E340 checkpoint {damaged} cannot be read"),
        (foreign, DEEPLAB, "1 of 1 entries of the file have no place (layer1.weight)"),
        (released, deeper, "E344 weights"),
        (released, deeper, "80 of 216 needed entries are missing (layer1.2.conv1.weight, "),
        (released, UNET, "E343 UNet has no encoder that ImageNet weights exist for"),
    ):
        assert train(data, tmp_path / "run", file, network=network) == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mednoisy: ")]
        assert message in line
        assert not (tmp_path / "run").exists()


def test_a_run_is_scored_again_without_the_file(released, data, tmp_path):
    """What it started from is no part of what it has become."""
    gone = tmp_path / "gone.pth"
    gone.write_bytes(released.read_bytes())
    assert train(data, tmp_path / "run", gone) == 0
    before = (tmp_path / "run" / "scores.csv").read_bytes()
    gone.unlink()
    assert main(["evaluate", str(tmp_path / "run"), "--device", "cpu"]) == 0
    assert (tmp_path / "run" / "scores.csv").read_bytes() == before
