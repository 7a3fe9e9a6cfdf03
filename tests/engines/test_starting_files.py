"""Networks started from files of this package: whole encoders or nothing."""

from __future__ import annotations

import pytest
import torch

from mednoisy.engines.stages import Stage
from mednoisy.engines.starting_files import start_from_file
from mednoisy.errors import UserError
from mednoisy.methods.copy_paste import SupervisedCopyPaste
from mednoisy.methods.supervised import Supervised
from mednoisy.networks.ensemble import MeanEnsemble
from mednoisy.networks.unet import ResUNet, UNet

WIDTHS = [2, 4, 6, 8, 10]


def unet(in_channels: int = 3, **changes) -> UNet:
    return UNet(spatial_dims=2, in_channels=in_channels, num_classes=3, **({"widths": WIDTHS} | changes))


def residual() -> ResUNet:
    return ResUNet(spatial_dims=2, in_channels=3, num_classes=3, widths=WIDTHS)


def stage_of(**networks) -> Stage:
    if len(networks) == 1:
        (network,) = networks.values()
        return Stage("training", lambda: Supervised(network), labeled=2)
    return Stage("training", lambda: SupervisedCopyPaste(networks), labeled=2)


def encoder(network) -> dict[str, torch.Tensor]:
    entries = network.state_dict().items()
    return {name: value.clone() for name, value in entries if name.startswith("encoder.") and "num_batches" not in name}


def same(first, second) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kept", ["bare", "pretext", "checkpoint", "ensemble"])
def test_every_file_of_the_package_will_do(kept, tmp_path):
    """The encoder is the file's, decoder and head are the network's own."""
    source, network = unet(), unet()
    content = {
        "bare": source.state_dict(),
        "pretext": {"step": 3, "stage": "restoration", "students": {"student": source.state_dict()}},
        "checkpoint": {"method": {f"students.student.{key}": value for key, value in source.state_dict().items()}},
        "ensemble": MeanEnsemble([residual(), source]).state_dict(),
    }[kept]
    torch.save(content, tmp_path / "w.pt")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    (line,) = start_from_file([stage_of(student=network)], tmp_path / "w.pt")
    count = len(encoder(network))
    assert line.startswith(f"student: {count} of {count} entries (")
    assert same(encoder(source), encoder(network))
    others = {name: value for name, value in before.items() if not name.startswith("encoder.")}
    assert same(others, network.state_dict())


def test_each_network_takes_the_encoder_that_fits_it_as_a_whole(tmp_path):
    """One that none fits keeps its weights, though some entries may have the same names and shapes."""
    source, first, second = unet(), unet(), residual()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    before = encoder(second)
    lines = start_from_file([stage_of(a=first, b=second)], tmp_path / "w.pt")
    assert same(encoder(source), encoder(first))
    assert same(before, encoder(second))
    assert lines[1].startswith("b: ")
    assert "entries match" in lines[1]


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (unet(in_channels=1), r"have another shape \(encoder\.[\w.]+ \[2, 3, 3, 3\] for \[2, 1, 3, 3\]\)"),
        (unet(widths=[3, 4, 6, 8, 10]), "have another shape"),
        (residual(), "are missing"),
    ],
)
def test_a_file_for_another_network_changes_nothing(network, why, tmp_path):
    torch.save(unet().state_dict(), tmp_path / "w.pt")
    before = encoder(network)
    with pytest.raises(UserError, match=rf"E547 .*student: \d+ of \d+ entries match; .*{why}"):
        start_from_file([stage_of(student=network)], tmp_path / "w.pt")
    assert same(before, encoder(network))


def test_files_without_an_encoder_are_taken_for_imagenet(tmp_path):
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="E343 UNet has no encoder that ImageNet weights exist for"):
        start_from_file([stage_of(student=unet())], tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"E340 checkpoint .* does not exist"):
        start_from_file([stage_of(student=unet())], tmp_path / "gone.pt")
