"""Bundles with networks of MONAI or nnU-Net train, ask and learn pretexts by name, or are refused in a line."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mednoisy.argument_parser import NETWORKS
from mednoisy.cli import main
from mednoisy.configure import new_bundle
from mednoisy.configure.machine import Machine, Speed
from mednoisy.configure.networks import FAMILIES, FLAT_WIDTH, WIDTHS, pair_of
from mednoisy.configure.timing import _built, _width
from mednoisy.data.phantoms import make_dataset
from mednoisy.report import run_page
from tests.configure.made import write_dataset
from tests.configure.test_new_bundle import scan

INSTALLED = ["monai", *(["nnunet"] if find_spec("dynamic_network_architectures") else [])]
SLOW = Machine(2, 24.0, None, tuple(Speed(width, "fp32", 3.0 * width / 16) for width in (32, 16)))


@pytest.fixture
def data(tmp_path) -> Path:
    cases = {f"case{n}": scan(n) if n < 2 else (scan(n)[0], None) for n in range(4)}
    return write_dataset(tmp_path / "mine", cases, np.diag([1.0, 1.0, 3.0, 1.0]))


def test_options_are_the_families():
    assert NETWORKS == tuple(FAMILIES) == tuple(WIDTHS) == tuple(FLAT_WIDTH)


@pytest.mark.parametrize("family", ["mednoisy", *INSTALLED])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_pair_is_of_two_architectures_and_tells_its_width(family, axes):
    entries = pair_of(family, axes, 1, 3, 2, [[2] * axes] * 4, norm="instance", page=False)
    assert [_width(entry) for entry in entries] == [2, 2]
    first, second = (_built(entry) for entry in entries)
    assert [*first.state_dict()] != [*second.state_dict()]
    for network in (first, second):
        assert network.eval()(torch.rand(1, 1, *[32] * axes)).shape == (1, 3, *[32] * axes)


@pytest.mark.parametrize("family", INSTALLED)
def test_a_bundle_of_volumes_trains_and_asks(family, data, tmp_path, monkeypatch):
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)
    new_bundle(data, data / "bundle", 600, machine=SLOW, networks=family)
    page = yaml.safe_load((data / "bundle" / "dataset.yaml").read_text(encoding="utf-8"))
    assert f"| networks | {family} |" in (data / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
    filters = page["network_def"].get("filters", [32])
    assert (page["width"], filters[0]) == (32, 32)
    narrow = ["--set", "width=2"] if family == "nnunet" else ["--set", f"network_def#filters={[2] * len(filters)}"]
    words = ["train", str(data), "--method", "supervised", "--steps", "1", "--device", "cpu", *narrow]
    assert main([*words, "--output", str(tmp_path / "run")]) == 0
    query = ["query", str(tmp_path / "run"), "--strategy", "typiclust", "--budget", "1", "--device", "cpu"]
    assert main([*query, "--output", str(tmp_path / "query")]) == (0 if family == "nnunet" else 2)


@pytest.mark.parametrize("family", INSTALLED)
def test_what_has_no_encoder_learns_no_pretext(family, data, tmp_path, capsys):
    new_bundle(data, data / "bundle", 600, machine=SLOW, networks=family)
    words = ["check", str(data), "--method", "sdcl", "--recipe", "default", "--pretext", "restoration"]
    assert main(words) == (0 if family == "nnunet" else 1)
    assert ("E503 DynUNet cannot learn a pretext" in capsys.readouterr().err) == (family == "monai")


def test_a_bundle_of_pictures_checks(tmp_path):
    make_dataset(tmp_path, "lesion", labeled=2, unlabeled=2, test=1)
    new_bundle(tmp_path, tmp_path / "bundle", machine=SLOW, networks="monai")
    assert main(["check", str(tmp_path), "--method", "supervised_pair", "--recipe", "default"]) == 0


def test_without_the_package_nothing_is_begun(data, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("dynamic_network_architectures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dynamic_network_architectures", None)
    told = "E595 nnU-Net's networks need dynamic-network-architectures"
    own = ["prepare", "own", "--images", str(data), "--output", str(tmp_path / "own")]
    for words in (["bundle", "new", str(data), str(data / "bundle")], own):
        assert main([*words, "--networks", "nnunet"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"mednoisy: {told}")
        assert line.endswith("pip install 'mednoisy[nnunet-networks]', or take other networks.")
    assert not (data / "bundle").exists()
    assert not (tmp_path / "own").exists()
