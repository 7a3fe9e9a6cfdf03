"""The authors' checkpoint formats, made synthetically with their key names."""

from __future__ import annotations

import pytest
import torch

from mednoisy.errors import UserError
from mednoisy.networks.authors_checkpoints import load_published, used_keys
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from tests.reference import reference

DTYPES = {"float32": torch.float32, "int64": torch.int64}


def released(name: str) -> dict[str, torch.Tensor]:
    """A state dict as the authors' class would save it, each entry filled with a value of its own."""
    entries = reference(name)["state_dict"]
    return {key: torch.full(shape, row, dtype=DTYPES[kind]) for row, (key, shape, kind) in enumerate(entries)}


def prefixed(entries: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"module.{key}": value for key, value in entries.items()}


def beside_optimiser(entries: dict[str, torch.Tensor]) -> dict:
    return {"net": entries, "opt": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 1e-3}]}, "epoch": 3}


FORMATS = {  # METHODS 6, one row each: network, our class, what the file holds
    "sdcl_la_pretrain": ("sdcl_la_vnet", VNet, lambda entries: beside_optimiser(prefixed(entries))),
    "sdcl_la_pretrain_res": ("sdcl_la_resvnet", ResVNet, lambda entries: beside_optimiser(prefixed(entries))),
    "sdcl_la_self": ("sdcl_la_vnet", VNet, prefixed),
    "sdcl_la_self_res": ("sdcl_la_resvnet", ResVNet, prefixed),
    "sdcl_pancreas_vnet": ("sdcl_pancreas_vnet", VNet, lambda entries: {"net": prefixed(entries)}),
    "sdcl_pancreas_resvnet": ("sdcl_pancreas_resvnet", ResVNet, lambda entries: {"net": entries}),
    "sdcl_acdc": ("sdcl_acdc_unet", UNet, beside_optimiser),
    "sdcl_acdc_res": ("sdcl_acdc_resunet", ResUNet, beside_optimiser),
    "bcp_la": ("bcp_la_vnet", lambda: VNet(norm="batch"), lambda entries: entries),
    "bcp_la_pretrain": ("bcp_la_vnet", lambda: VNet(norm="batch"), beside_optimiser),
    "bcp_acdc": ("bcp_acdc_unet", UNet, lambda entries: entries),
    "bcp_pancreas": ("bcp_pancreas_vnet", VNet, lambda entries: {"state_dict": entries}),
    "uamt_la": ("uamt_la_vnet", lambda: VNet(norm="batch"), lambda entries: entries),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_published_format_is_read(name, tmp_path):
    """Each entry in use arrives at its place, told by the value that fills it."""
    of_authors, build, wrapped = FORMATS[name]
    entries, network = released(of_authors), build()
    torch.save(wrapped(entries), tmp_path / "best_model.pth")
    load_published(network, tmp_path / "best_model.pth")
    rows = [row for row, key in enumerate(entries) if key in used_keys(entries)]
    found = network.state_dict().values()
    assert [value.flatten()[0].item() for value in found] == rows
    assert all((value == value.flatten()[0]).all() for value in found)


def test_plain_encoder_is_skipped_only_beside_a_residual_one():
    plain = ["block_one.conv.0.weight", "block_five_up.conv.0.weight"]
    assert used_keys(plain) == plain
    assert used_keys(["resencoder.conv1.weight", *plain]) == ["resencoder.conv1.weight", plain[1]]


def refusal(network: torch.nn.Module, file) -> str:
    with pytest.raises(UserError) as caught:
        load_published(network, file)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_another_norm_is_refused_and_the_network_left_alone(tmp_path):
    torch.save(released("uamt_la_vnet"), tmp_path / "model.pth")
    network = VNet()
    before = [parameter.clone() for parameter in network.parameters()]
    message = refusal(network, tmp_path / "model.pth")
    assert message.startswith("E342 checkpoint ")
    assert "does not fit VNet: entry 3 'block_one.conv.1.weight' is [16], " in message
    assert "'encoder.levels.1.0.0.weight' needs [32, 16, 2, 2, 2]" in message
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_another_depth_is_refused(tmp_path):
    entries = released("sdcl_la_vnet")
    torch.save(dict(list(entries.items())[:58]), tmp_path / "model.pth")
    assert "it has 58 entries in use, the network 60" in refusal(VNet(), tmp_path / "model.pth")


def test_a_missing_file_is_named(tmp_path):
    assert refusal(VNet(), tmp_path / "none.pth").startswith(f"E340 checkpoint {tmp_path / 'none.pth'} does not exist.")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "model.pth").write_text("weights")
    assert refusal(VNet(), tmp_path / "model.pth").startswith("E340 ")


def test_pickled_objects_are_refused(tmp_path):
    torch.save(VNet(width=1), tmp_path / "model.pth")
    assert "pickled objects are refused" in refusal(VNet(), tmp_path / "model.pth")


@pytest.mark.parametrize("content", [[torch.ones(1)], {"epoch": 3}, {}, {"net": {"weight": 1.0}}])
def test_a_file_without_state_dict_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "model.pth")
    assert refusal(VNet(), tmp_path / "model.pth").startswith("E341 ")
