"""What a run folder's configuration may say without `--trust`, and that nothing of what it may not is executed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shutil
from pathlib import Path

import pytest
import yaml

import mednoisy.methods
import mednoisy.perturb
from mednoisy.cli import main
from mednoisy.composition import compose, known
from mednoisy.composition.config_files import merge
from mednoisy.composition.trusted_config import check_trusted, is_known_expression
from mednoisy.errors import UserError
from tests.small_runs import small, small_dataset, train_arguments

SOURCE = Path("config.yaml")
WRITES = "__import__('os').makedirs('{marker}', exist_ok=True)"  # what a hostile configuration does, if it is executed
HOSTILE = {  # entry and value, and what is told of it
    "expression": ({"width": f"$2 + 0 * bool({WRITES})"}, "'width' holds an expression of its own"),
    "in a known list": ({"evaluate#1": f"${WRITES}"}, "'evaluate#1' holds an expression of its own"),
    "target": ({"network_def#_target_": "os.system"}, "'network_def' calls 'os.system'"),
    "import": ({"imports#0": "$from os import system"}, "'imports#0' holds an expression of its own"),
    "deployed": ({"evaluation#inferer": {"_target_": "os.mkdir", "path": "{marker}"}}, "'evaluation#inferer' calls"),
    "through a module": (
        {"preprocessing": {"_target_": "mednoisy.perturb.augmentation.torch.utils.cpp_extension.subprocess.Popen"}},
        "'preprocessing' calls",
    ),
    "reader": (
        {"preprocessing": {"_target_": "monai.transforms.LoadImaged", "keys": "image", "reader": "os.mkdir"}},
        "'preprocessing' calls 'monai.transforms.LoadImaged'",
    ),
    "macro": ({"width": "%{marker}.yaml::width"}, "'width' reads another file"),
    "writer": ({"run_folder#path": "{marker}"}, "'run_folder' calls 'mednoisy.engines.run_folder.RunFolder'"),
    "place of weights": ({"evaluation#model_file": "{marker}"}, "'evaluation' calls"),
    "page": ({"report": {"_target_": "mednoisy.report.run_page.write_report", "output": "{marker}"}}, "'report' calls"),
    "debugger": ({"optimiser#_mode_": "debug"}, "'optimiser' has the mode 'debug'"),
    "key": ({"facts_of": {"evaluate#0": "1"}}, "'facts_of' has a key that reaches elsewhere"),
    "metadata": ({"_meta_": None}, "'_meta_' is missing"),
    "teacher": ({"trust_teacher": True}, "'trust_teacher' takes another run's configuration as trusted"),
    "hidden text": ({"width": "$'@seed + 1'"}, "'width' holds an expression of its own"),
}


def hostile(config: dict, name: str, marker: Path) -> dict:
    """A run's configuration, changed."""
    text = yaml.safe_dump(HOSTILE[name][0]).replace("{marker}", str(marker))
    merge(config, yaml.safe_load(text), "test")
    return config


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_dataset(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    assert main(train_arguments(dataset, run)) == 0
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def commands(run: Path, dataset: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Every command that would execute a run's configuration."""
    image = str(dataset / "images" / "test_000.nii.gz")
    predict = ["predict", str(run), image, "--output", str(tmp_path / "predicted"), "--device", "cpu"]
    rounds = ("--method", "noisy_student", "--teacher", str(run))
    return {
        "predict": predict,
        "evaluate": ["evaluate", str(run), "--device", "cpu"],
        "resume": ["train", "--resume", str(run), "--device", "cpu"],
        "teacher": train_arguments(dataset, tmp_path / "student", *rounds),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_more_than_data_is_refused(name, finished, tmp_path):
    config = hostile(yaml.safe_load((finished / "config.yaml").read_text()), name, tmp_path / "marker")
    with pytest.raises(UserError) as caught:
        check_trusted(config, SOURCE)
    assert caught.value.code == "E390"
    assert HOSTILE[name][1] in str(caught.value)
    assert "--trust" in str(caught.value)


@pytest.mark.parametrize("command", ["predict", "evaluate", "resume", "teacher"])
def test_a_hostile_run_is_executed_by_no_command_but_with_trust(command, run, dataset, tmp_path, capsys):
    """The folder that its program would make is not there; with `--trust` it is."""
    kept, marker = run / "config.yaml", tmp_path / "marker"
    kept.write_text(yaml.safe_dump(hostile(yaml.safe_load(kept.read_text()), "expression", marker), sort_keys=False))
    arguments = commands(run, dataset, tmp_path)[command]
    assert main(arguments) == 2
    assert "E390" in (told := capsys.readouterr().err)
    assert len([line for line in told.splitlines() if "mednoisy:" in line]) == 1
    assert not marker.exists()
    assert not (tmp_path / "predicted").exists()
    assert main([*arguments, "--trust"]) == 0
    assert marker.exists()


def test_metadata_beside_a_run_are_not_read(run, dataset, tmp_path, monkeypatch):
    """MONAI would take metadata from the folder of the configuration, or from that of the bundle that it names."""
    kept, marker = run / "config.yaml", tmp_path / "marker"
    metadata = '{"width": "$2 + 0 * bool(' + WRITES.format(marker=marker) + ')"}'
    config = yaml.safe_load(kept.read_text()) | {"width": "@_meta_::width", "bundle_root": str(run)}
    config["_meta_"]["width"] = 2
    kept.write_text(yaml.safe_dump(config, sort_keys=False))
    (run / "configs").mkdir()
    for place in (run, run / "configs"):
        (place / "metadata.json").write_text(metadata)
    monkeypatch.chdir(run)
    for name in ("predict", "evaluate"):
        assert main(commands(run, dataset, tmp_path)[name]) == 0
    assert not marker.exists()


def test_a_run_predicts_what_it_was_scored_by(run, dataset, tmp_path):
    """Without a flag, bit for bit; also after it was scored again."""
    scored = (run / "predictions" / "test_000.nii.gz").read_bytes()
    arguments = commands(run, dataset, tmp_path)
    for name in ("predict", "evaluate", "predict"):
        assert main(arguments[name]) == 0
        (predicted,) = (tmp_path / "predicted").rglob("*.nii.gz")
        assert predicted.read_bytes() == (run / "predictions" / "test_000.nii.gz").read_bytes() == scored


@pytest.mark.parametrize("bundle", known("bundle"))
def test_what_the_package_composes_needs_no_trust(bundle):
    """Every method and recipe, in one process and several."""
    combinations = [(method, "strong", "multi_gpu") for method in known("method")]
    combinations += [("supervised", recipe, "evaluate") for recipe in known("recipe")]
    for method, recipe, mode in combinations:
        check_trusted({**compose(bundle, method, recipe, [mode]).config, **small(bundle), "_meta_": {}}, SOURCE)


def test_a_page_of_ones_own_needs_none_for_known_networks(finished):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["network_def"] = {
        "_target_": "monai.networks.nets.UNet",
        **{"spatial_dims": 3, "in_channels": 1, "out_channels": "@num_classes", "strides": [2, 2]},
        "channels": "$[@width * 2**level for level in range(3)]",
    }
    spacing = {"_target_": "monai.transforms.Spacingd", "keys": "@keys", "pixdim": [1, 1, 2], "mode": ["bilinear", 0]}
    config["preprocessing"]["transforms"].insert(1, spacing)
    check_trusted(config, SOURCE)


@pytest.mark.parametrize(
    ("expression", "known_one"),
    [
        ("$not @published", True),
        ("$[@width * 2**level for level in range(6)]", True),
        ("$torch.device('cuda:1')", True),
        ("$max(1, @batch_size // 2) if @width > 2 else [1, *@patch_size]", True),
        ("$@network_def.load()", False),
        ("$(lambda: 1)()", False),
        ("$@network_def(1)", False),
        ("$[range for range in @a]", False),
        ("$f'{@a}'", False),
        ("$'@a'", False),
        ("$print(1)", False),
        ("$1 #", False),
        ("$max(1, key=print)", False),
        ("$import os", True),  # to the letter as in frame.yaml
        ("$import  os", False),
        ("$torch.device('cpu') or print()", False),
        ("$1 +", False),
    ],
)
def test_which_expressions_only_compute(expression, known_one):
    assert is_known_expression(expression) == known_one


@pytest.mark.parametrize("package", [mednoisy.methods, mednoisy.perturb])
def test_what_a_star_stands_for_only_computes(package):
    """No class that the modules import from elsewhere opens files or starts processes."""
    harmless = (
        "builtins.",
        "mednoisy.",
        "torch.",
        "typing",
        "collections",
        "dataclasses",
        "enum",
        "functools",
        "fractions",
    )
    for module in pkgutil.iter_modules(package.__path__):
        content = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        for name, value in content.items():
            if name[0].isupper() and inspect.isclass(value):
                assert f"{value.__module__}.".startswith(harmless), f"{module.name}.{name} of {value.__module__}"
