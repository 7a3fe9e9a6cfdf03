"""How bundles, methods and recipes are found and put together, and what stays of a run's configuration."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from mednoisy.composition import (
    Composition,
    bundles_folder,
    checked_path,
    compose,
    find,
    of_run,
    parse_setting,
    prepared_datasets,
)
from mednoisy.errors import UserError
from tests.small_runs import SMALL, small_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labeled, two unlabeled and two test phantoms."""
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps=3", ("steps", 3)),
        ("lr=1e-3", ("lr", 0.001)),
        ("patch_size=[16, 16]", ("patch_size", [16, 16])),
        ("train#order=@paper_order", ("train#order", "@paper_order")),
        ("note=a=b", ("note", "a=b")),
        ("resume=true", ("resume", True)),
        ("intensity=null", ("intensity", None)),
        ("name=", ("name", "")),
    ],
)
def test_settings_are_read_as_python_or_yaml_would(text, expected):
    assert parse_setting(text) == expected


def test_own_bundles_and_overlays_are_named_by_their_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundles_folder() / "phantom", tmp_path / "mine")
    (tmp_path / "overlay.yaml").write_text("method_name: own\n")
    assert find("bundle", "mine") == tmp_path / "mine"
    assert find("method", "overlay.yaml") == tmp_path / "overlay.yaml"
    assert find("recipe", "default") is None


def test_a_file_without_suffix_shadows_no_method(tmp_path, monkeypatch):
    """What lies in the working directory by chance changes nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sdcl").write_text("not an overlay")
    assert find("method", "sdcl") == (bundles_folder() / "methods" / "sdcl.yaml").resolve()
    (tmp_path / "other").write_text("not an overlay")
    with pytest.raises(UserError, match="E101 unknown method 'other'"):
        find("method", "other")


def test_later_files_come_later():
    files = compose("phantom", "sdcl", "strong", ["multi_gpu"]).config_files
    names = ["frame.yaml", "volumes.yaml", "dataset.yaml", "sdcl.yaml", "strong.yaml", "multi_gpu.yaml"]
    assert [path.name for path in files] == names


def test_the_command_says_what_the_composition_holds():
    """Words that read as a number or a list are quoted once more, or `monai.bundle` would take them for one."""
    values = {"steps": 3, "patch_size": [8, 8], "place": "/a b/ü", "text": "12", "resume": True}
    words = shlex.split(Composition([Path("/x y/train.yaml")], values).command)
    assert words[:6] == ["python", "-m", "monai.bundle", "run", "--config_file", '["/x y/train.yaml"]']
    assert words[6:] == [
        *("--steps", "3", "--patch_size", "[8, 8]", "--place", "/a b/ü", "--text", "'12'", "--resume", "True")
    ]


def test_a_home_folder_is_resolved_and_a_number_sign_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checked_path("~/run", "--output") == str(tmp_path / "run")
    with pytest.raises(UserError, match=r"E104 --output '.*/a#b' has a '#'"):
        checked_path(tmp_path / "a#b", "--output")


def test_a_nested_entry_can_be_replaced():
    workflow = compose("phantom", overrides={"train#handlers#0#interval": 7}).workflow()
    assert workflow.parser["train#handlers#0#interval"] == 7


def test_nothing_of_monais_remarks_is_shown(capfd):
    compose("phantom", "sdcl", "strong").workflow()
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_ours_keeps_its_traceback(dataset, tmp_path, monkeypatch):
    """Only what the user can mend is cut down to one line."""
    monkeypatch.setattr("mednoisy.methods.supervised.Supervised.losses", lambda self, batch, step: 1 / 0)
    places = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "run"), "model_file": str(tmp_path / "m.pt")}
    with pytest.raises(RuntimeError, match="Failed to evaluate") as fault:
        compose("phantom", overrides=SMALL | places | {"steps": 2}).run()
    assert isinstance(fault.value.__cause__, ZeroDivisionError)


def test_a_run_keeps_its_whole_configuration(dataset, tmp_path):
    """`config.yaml` alone, without bundle or overlays, makes the run's figures again, also after a move."""
    places = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "run"), "steps": 3}
    places["model_file"] = str(tmp_path / "run" / "models" / "model.pt")
    compose("phantom", "sdcl", "strong", overrides=SMALL | places).run()
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert (kept["method_name"], kept["recipe_name"], kept["steps"]) == ("sdcl", "strong", 3)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    before = (tmp_path / "moved" / "scores.csv").read_text()
    of_run(tmp_path / "moved").run("evaluate")
    assert (tmp_path / "moved" / "scores.csv").read_text() == before
    assert not (tmp_path / "run").exists()


def test_datasets_that_can_be_prepared():
    """Modules with a command line, not what they share."""
    assert {"acdc", "dermoscopy", "left_atrium", "polyp"} <= set(prepared_datasets())
    assert not {"common", "pictures", "__init__"} & set(prepared_datasets())
