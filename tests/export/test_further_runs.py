"""Exports of runs of several networks, and of data whose files hold codes of their own."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from mednoisy.cli import main
from mednoisy.export.deployed_run import deployed_run
from mednoisy.export.export_run import export_run
from mednoisy.export.verification import network_of_bundle
from tests.small_runs import small_dataset, train_arguments


@pytest.mark.slow
def test_the_networks_of_a_cross_validation_predict_together(tmp_path):
    """Served as one network; not trained on from, and the page says so."""
    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, tmp_path / "run", "--folds", "2")) == 0
    exported = export_run(tmp_path / "run", tmp_path / "atrium", "monai-label")
    assert exported.difference == 0
    run = deployed_run(tmp_path / "run")
    assert (run.folds, len(network_of_bundle(tmp_path / "atrium").members)) == (2, 2)
    assert not (tmp_path / "atrium" / "configs" / "train.yaml").exists()
    assert "cannot train on" in (tmp_path / "atrium" / "docs" / "README.md").read_text()


def test_codes_of_the_source_stand_in_what_the_bundle_writes_and_not_in_its_classes(tmp_path):
    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, tmp_path / "run")) == 0
    facts = json.loads((tmp_path / "run" / "run.json").read_text()) | {"source_codes": [0, 421]}
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    export_run(tmp_path / "run", tmp_path / "atrium", "monai-label")
    inference = yaml.safe_load((tmp_path / "atrium" / "configs" / "inference.yaml").read_text())
    assert inference["saving"]["codes"] == [0, 421]
    metadata = json.loads((tmp_path / "atrium" / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "atrium"}


def test_training_goes_on_with_the_networks_that_are_served(tmp_path):
    """The network of `train.yaml` is made of those that the method trains, with the weights of `inference.yaml`."""
    from monai.bundle import ConfigParser

    data = small_dataset(tmp_path / "data")
    assert main(train_arguments(data, tmp_path / "run", "--method", "sdcl")) == 0
    export_run(tmp_path / "run", tmp_path / "atrium", "monai-label")
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "atrium" / "configs" / "train.yaml"))
    network = parser.get_parsed_content("network")
    network.load_state_dict(torch.load(tmp_path / "atrium" / "models" / "model.pt", weights_only=True))
    students = parser.get_parsed_content("stages")[-1].method().students
    assert list(network.members) == list(students.values())
