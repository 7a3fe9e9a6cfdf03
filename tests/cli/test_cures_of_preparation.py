"""Cures followed: what `prepare` and `bundle new` tell to do with folders of one's own."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from mednoisy.cli import main
from mednoisy.configure import timing
from tests.cli.test_cures import refused
from tests.data_prep.own_files import AFFINE, label, scan


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Three scans, two masks; no step is timed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing, "seconds_a_step", lambda *_: 0.1)
    for number, name in enumerate(("Ann", "Bob", "Cleo")):
        scan(Path(f"scans/{name}.nii.gz"), number)
    for name in ("Ann", "Bob"):
        label(Path(f"masks/{name}.nii.gz"), 1)
    return tmp_path


OWN = ["prepare", "own", "--images", "scans", "--labels", "masks", "--output", "mine"]
WITHOUT = [word for word in OWN if word not in ("--labels", "masks")]


def unknown() -> None:
    Path("scans/Dora.xyz").write_bytes(b"1")


def beside() -> None:
    for path in Path("masks").iterdir():
        path.rename(Path("scans") / f"{path.name[:-7]}_seg.nii.gz")


def off_grid() -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 2
    label(Path("masks/Bob.nii.gz"), 1, affine=moved)


def a_little_off_grid() -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 0.05
    label(Path("masks/Bob.nii.gz"), 1, affine=moved)


def marked() -> None:
    label(Path("masks/Bob.nii.gz"), 1, 9)


def elsewhere() -> None:
    for path in Path("scans").iterdir():
        path.rename(path.with_name(f"T1 of {path.name}"))
    for number, path in enumerate(sorted(Path("masks").iterdir())):
        path.rename(path.with_name(f"{'xy'[number]} {path.name[:-7]} z.nii.gz"))


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("code", "fault", "words", "cure", "followed"),
    [
        ("E108", nothing, [*OWN, "--workers", "0"], "Choose at least 1", [*OWN, "--workers", "1"]),
        ("E108", nothing, [*OWN[:-1], "scans/mine"], "Give another --output", OWN),
        ("E113", nothing, ["prepare", "own", "--output", "mine"], "by --images", WITHOUT),
        ("E113", nothing, [*OWN, "--label-suffix", "x"], "Give one of the two", OWN),
        ("E242", unknown, OWN, "move them away if they are no cases", [*OWN, "--skip-unknown"]),
        ("E255", beside, WITHOUT, "Say --label-suffix _seg if names", [*WITHOUT, "--label-suffix", "_seg"]),
        ("E256", off_grid, OWN, "or resample them by --match-grids", [*OWN, "--match-grids"]),
        ("E257", marked, [*OWN, "--names", "1=liver"], "Name them by --names CODE=NAME", [*OWN, "--names", "1=a,9=b"]),
        ("E257", marked, [*OWN, "--names", "1=liver"], "or leave them out by --ignore CODE", [*OWN, "--ignore", "9"]),
        ("E257", nothing, [*OWN, "--names", "a,1=b"], "Write all as CODE=NAME", [*OWN, "--names", "0=a,1=b"]),
        ("E258", a_little_off_grid, [*OWN, "--link"], "Drop --link", OWN),
        ("E368", nothing, [*OWN, "--patients", "("], "Correct it", [*OWN, "--patients", "(.)"]),
        ("E368", nothing, [*OWN, "--patients", "9"], "that every FOLDER/FILE has", [*OWN, "--patients", "scans/(.)"]),
        ("E420", nothing, [*OWN[:-3], "absent", *OWN[-2:]], "Known: .nii, ", OWN),
    ],
)
def test_a_preparation_is_called_again_as_the_cure_says(capsys, code, fault, words, cure, followed):
    if code == "E420":
        Path("absent").mkdir()
    fault()
    refused(capsys, words, code, cure)
    assert main(followed) == 0


def test_a_mask_that_pairs_with_none_is_paired_by_a_pattern(capsys):
    """The cure names three ways; a pattern settles whatever the names are."""
    elsewhere()
    label(Path("masks/q Zoe z.nii.gz"), 1)
    line = refused(capsys, OWN, "E255", "or the case (--pattern 'Patient (\\d+)')")
    assert "Zoe" in line
    Path("masks/q Zoe z.nii.gz").unlink()
    assert main([*OWN, "--pattern", "(Ann|Bob|Cleo)"]) == 0


def test_the_command_that_a_dataset_without_bundle_is_told_works(capsys):
    assert main(OWN) == 0
    shutil.rmtree("mine/bundle")
    line = refused(capsys, ["check", "mine"], "E382", "Make one: ")
    command = shlex.split(re.search(r"Make one: mednoisy (.*?), or name a bundle", line)[1])
    assert main(command) == 0
    assert main(["check", "mine"]) == 0


def test_a_bundle_is_replaced_by_force_and_nothing_else_is(capsys):
    assert main(OWN) == 0
    new = ["bundle", "new", "mine", "mine/bundle"]
    refused(capsys, new, "E386", "or replace it with --force")
    assert main([*new, "--force"]) == 0
    refused(capsys, ["bundle", "new", "mine", "scans"], "E387", "Choose another place")
    assert main(["bundle", "new", "mine", "another"]) == 0


def test_a_dataset_without_labels_gets_a_bundle_once_some_are_labeled(capsys):
    assert main(WITHOUT) == 0
    refused(capsys, ["bundle", "new", "mine", "mine/bundle"], "E383", "Label some cases, and list them in the section")
    assert main(OWN) == 0
    assert Path("mine/bundle/dataset.yaml").is_file()
