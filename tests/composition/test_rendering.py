"""Bundles as MONAI's tools find them, rendered from their pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from monai.bundle import ConfigParser

from mednoisy.composition import bundles_folder, compose, known
from mednoisy.composition.rendering import NOT_FOR_TRAINING, render, rendered
from mednoisy.errors import UserError


@pytest.mark.parametrize("bundle", known("bundle"))
def test_bundles_are_as_their_parts_say(bundle):
    """Else call `make bundles`."""
    for name, text in rendered(bundles_folder() / bundle).items():
        assert (bundles_folder() / bundle / name).read_text(encoding="utf-8") == text, name


@pytest.mark.parametrize("bundle", known("bundle"))
def test_the_rendered_file_alone_is_what_is_composed_without_a_method(bundle):
    alone = ConfigParser.load_config_file(str(bundles_folder() / bundle / "configs" / "train.yaml"))
    composed = compose(bundle).workflow().parser.get()
    of_others = {*NOT_FOR_TRAINING, "bundle_root", "_meta_"}
    wanted = {key: value for key, value in composed.items() if key not in of_others}
    assert {key: value for key, value in alone.items() if key != "bundle_root"} == json.loads(json.dumps(wanted))


def test_a_page_of_ones_own_becomes_a_bundle(tmp_path):
    """One file is all that a dataset needs."""
    page = (bundles_folder() / "phantom" / "dataset.yaml").read_text(encoding="utf-8")
    mine = tmp_path / "mine"
    mine.mkdir()
    page = page.replace("[background, atrium]", "[background, liver, spleen]").replace(
        "method: supervised", "method: sdcl"
    )
    (mine / "dataset.yaml").write_text(page, encoding="utf-8")
    names = {str(path.relative_to(mine)) for path in render(mine)}
    assert names == {
        *(f"configs/{name}.yaml" for name in ("train", "inference", "evaluate", "multi_gpu", "query")),
        *("configs/metadata.json", "LICENSE"),
    }
    metadata = json.loads((mine / "configs" / "metadata.json").read_text(encoding="utf-8"))
    prediction = metadata["network_data_format"]["outputs"]["pred"]
    assert prediction["channel_def"] == {"0": "background", "1": "liver", "2": "spleen"}
    inference = yaml.safe_load((mine / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    members = inference["network_def"]["members"]
    assert [member["_target_"].rpartition(".")[2] for member in members] == ["VNet", "ResVNet"]
    assert compose(str(mine), "supervised").workflow().parser["label_names"] == ["background", "liver", "spleen"]


def test_a_page_that_lacks_what_metadata_need_is_refused(tmp_path):
    mine = Path(shutil.copytree(bundles_folder() / "phantom", tmp_path / "mine"))
    page = (mine / "dataset.yaml").read_text(encoding="utf-8")
    (mine / "dataset.yaml").write_text(page.replace("  modality: MR\n", ""), encoding="utf-8")
    with pytest.raises(UserError, match=r"E108 .*`about` lacks 'modality'"):
        rendered(mine)
