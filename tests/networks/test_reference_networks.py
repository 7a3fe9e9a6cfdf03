"""Our networks against figures computed with the authors' classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mednoisy.networks.authors_checkpoints import used_keys
from mednoisy.networks.unet import ResUNet, UNet
from mednoisy.networks.vnet import ResVNet, VNet
from tests.reference import arrays_of, checksums, fill_by_rule, reference, reference_keys

BUILDERS = {
    "sdcl_la_vnet": lambda: VNet(),
    "sdcl_la_resvnet": lambda: ResVNet(),
    "sdcl_acdc_unet": lambda: UNet(),
    "sdcl_acdc_resunet": lambda: ResUNet(),
    "bcp_la_vnet": lambda: VNet(norm="batch"),
    "bcp_acdc_unet": lambda: UNet(),
    "bcp_pancreas_vnet": lambda: VNet(bottleneck_dropout=0.0, head_dropout=0.0),
    "uamt_la_vnet": lambda: VNet(norm="batch"),
}
SLICES = {"whole": (...,), "[:,:,::2,::2,::2]": (..., *[slice(None, None, 2)] * 3)}


def filled(name: str) -> nn.Module:
    network = BUILDERS[name]()
    fill_by_rule(network, name)
    return network


def without_dropout(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return network.train()


def reference_input(name: str) -> torch.Tensor:
    shape = reference(name)["input"]["shape"]
    return torch.from_numpy(np.random.Generator(np.random.PCG64(7)).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("name", BUILDERS)
def test_parameter_count_is_that_of_the_parameters_in_use(name):
    parameters = sum(parameter.numel() for parameter in BUILDERS[name]().parameters())
    assert parameters == reference(name)["n_parameters_used_by_logits"]


@pytest.mark.parametrize("name", BUILDERS)
def test_state_dict_follows_the_authors_entry_by_entry(name):
    """Order, shape and role (weight, bias, running_mean ...) agree, so that weights can be matched by position."""
    shapes = {key: tuple(shape) for key, shape, _ in reference(name)["state_dict"]}
    theirs = [(key.rpartition(".")[2], shapes[key]) for key in used_keys(shapes)]
    ours = [(key.rpartition(".")[2], tuple(value.shape)) for key, value in BUILDERS[name]().state_dict().items()]
    assert ours == theirs


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_skipped_has_no_gradient(name):
    """Every skipped parameter is one that the reference found unreached by its logits, and every such is skipped."""
    keys = reference_keys(name)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    skipped = {key for key in keys if not key.endswith(buffers)} - set(used_keys(keys))
    assert skipped == set(reference(name)["parameters_without_gradient_from_logits"])


@pytest.mark.parametrize("name", BUILDERS)
def test_float64_outputs_equal_the_reference(name, device):
    network, image = filled(name).double().to(device), reference_input(name).double().to(device)
    _assert_float64(network.eval(), image, reference(name)["float64_outputs_eval"][0])
    if "float64_outputs_train_p0" in reference(name):
        _assert_float64(without_dropout(network), image, reference(name)["float64_outputs_train_p0"][0])


def _assert_float64(network: nn.Module, image: torch.Tensor, expected: dict) -> None:
    with torch.no_grad():
        logits = network(image)
    assert list(logits.shape) == expected["shape"]
    found = [logits.mean().item(), logits.std(correction=0).item(), logits.abs().sum().item()]
    np.testing.assert_allclose(found, [expected["mean"], expected["std"], expected["abs_sum"]], rtol=1e-9)
    np.testing.assert_allclose(logits.flatten()[expected["flat_index"]].cpu(), expected["flat_value"], rtol=1e-9)


@pytest.mark.parametrize("name", BUILDERS)
def test_float32_outputs_equal_the_reference(name, golden, device):
    arrays, network = arrays_of(golden("reference_networks.npz")), filled(name).to(device)
    image = reference_input(name).to(device)
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        _assert_float32(network.eval()(image), reference(name)["outputs"][0], arrays)
        if "outputs_train_p0" in reference(name):
            _assert_float32(without_dropout(network)(image), reference(name)["outputs_train_p0"][0], arrays)


def _assert_float32(logits: torch.Tensor, output: dict, arrays: np.lib.npyio.NpzFile) -> None:
    ours = logits[SLICES[output["stored"]]].cpu()
    np.testing.assert_allclose(ours, arrays[output["npz_key"]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in BUILDERS if "buffers_after_one_train_forward" in reference(name)])
def test_running_statistics_after_one_pass_equal_the_reference(name):
    network, expected = without_dropout(filled(name)), reference(name)["buffers_after_one_train_forward"]
    with torch.no_grad():
        network(reference_input(name))
    rows = dict(zip(used_keys(reference_keys(name)), checksums(network), strict=True))
    for key in used_keys(expected):
        wanted = (expected[key]["mean"], expected[key]["abs_sum"])
        np.testing.assert_allclose(rows[key], wanted, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["sdcl_la_vnet", "sdcl_la_resvnet"])
def test_instance_norm_does_not_know_training_from_evaluation(name):
    network, image = filled(name), reference_input(name)
    with torch.no_grad():
        assert torch.equal(network.eval()(image), without_dropout(network)(image))


def test_published_dropout():
    """Probabilities and kinds as the reference lists them; the U-Net's decoder has dropout 0, ours none."""
    for name, build in BUILDERS.items():
        listed = [(layer["type"], layer["p"]) for layer in reference(name)["dropout_layers"] if layer["p"] > 0]
        if name == "sdcl_la_resvnet":
            listed = listed[1:]  # its bottleneck dropout stands in the encoder that is never reached
        if name == "uamt_la_vnet":
            listed *= 2  # one layer, used at both places
        modules = [module for module in build().modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
        assert [(type(module).__name__, module.p) for module in modules if module.p > 0] == listed
