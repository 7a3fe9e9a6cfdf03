"""`mednoisy check`: sound pairs pass, and each fault is told in the words of a bundle's author."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mednoisy.bundle_check import check, table
from mednoisy.cli import main
from mednoisy.composition import bundles_folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the phantom bundle that tests may damage."""
    return Path(shutil.copytree(bundles_folder() / "phantom", tmp_path / "own"))


def damage(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def faults(bundle: Path, method: str = "supervised", recipe: str = "default") -> str:
    return "\n".join(fault for each in check([str(bundle)], [method], [recipe]) for fault in each.faults)


def test_sound_pairs_pass(capsys):
    """One row for the bundle itself and one for each method; exit code 0."""
    assert main(["check", "phantom", "--method", "supervised", "unimatch", "--recipe", "default", "strong"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "| bundle | method | default | strong |"
    assert rows[2:] == [
        "| phantom | metadata, inference | ok | - |",
        "| phantom | supervised | ok | ok |",
        "| phantom | unimatch | ok | ok |",
    ]


def test_an_entry_that_an_overlay_needs(bundle, capsys):
    """Exit code 1; the row says FAULT and stderr which reference leads nowhere."""
    damage(bundle / "dataset.yaml", "batch_size: 2\n", "")
    assert main(["check", str(bundle), "--method", "bcp", "--recipe", "default"]) == 1
    shown = capsys.readouterr()
    assert f"| {bundle} | bcp | FAULT |" in shown.out
    assert f"{bundle} with method bcp and recipe default: " in shown.err
    assert "refers to @batch_size, which is not there" in shown.err


def test_files_that_are_not_what_the_page_says(bundle):
    """The page was changed after its bundle was rendered."""
    damage(bundle / "dataset.yaml", "[background, atrium]", "[background, body]")
    told = faults(bundle)
    for name in ("train.yaml", "inference.yaml", "metadata.json"):
        assert f"configs/{name} is not what the bundle's parts say" in told


def test_a_network_of_another_number_of_classes(bundle):
    damage(bundle / "dataset.yaml", 'num_classes: "@num_classes"', "num_classes: 5")
    assert "predictor 'student' gives (1, 5, 40, 40, 24)" in faults(bundle)


def test_a_patch_that_the_network_cannot_halve(bundle):
    damage(bundle / "dataset.yaml", "patch_size: [40, 40, 24]", "patch_size: [40, 40, 25]")
    assert "E112 patch size [40, 40, 25] is no multiple of 8" in faults(bundle)


def test_an_argument_that_a_method_does_not_know(bundle, tmp_path):
    overlay = Path(shutil.copy(bundles_folder() / "methods" / "supervised.yaml", tmp_path / "mine.yaml"))
    damage(overlay, "dice: '@dice'", "dise: '@dice'")
    assert "unexpected keyword argument 'dise'" in faults(bundle, str(overlay))


def test_a_key_given_twice(bundle):
    damage(bundle / "dataset.yaml", "labeled: 2\n", "labeled: 2\nlabeled: 3\n")
    assert "Duplicate key: `labeled`" in faults(bundle)


def test_augmentation_that_changes_the_shape(bundle):
    turn = "{_target_: mednoisy.perturb.geometry.QuarterTurns, axes: [0, 2]}"
    damage(bundle / "dataset.yaml", "width: 8\n", f"width: 8\ntrain#spatial#transforms: [{turn}]\n")
    assert "E231 crops are 40 and 24 voxels long on axes 0 and 2" in faults(bundle)


def test_a_transform_that_draws_and_changes_at_once(bundle):
    noise = "{_target_: monai.transforms.RandGaussianNoised, keys: image}"
    damage(bundle / "dataset.yaml", "width: 8\n", f"width: 8\ntrain#intensity: {noise}\n")
    assert "E229 train#intensity is of the class RandGaussianNoised" in faults(bundle)


def test_an_unknown_name_is_refused(capsys):
    assert main(["check", "acdcc"]) == 2
    assert "E101 unknown bundle 'acdcc'. Did you mean 'acdc'?" in capsys.readouterr().err


@pytest.mark.slow
def test_all_that_comes_with_the_package_is_sound():
    checked = check()
    assert [f"{each.name}: {fault}" for each in checked for fault in each.faults] == []
    assert not any("FAULT" in line for line in table(checked))
