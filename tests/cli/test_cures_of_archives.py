"""Cures followed: what `prepare` tells of published archives, tables of cases, DICOM and masks of several files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from tests.cli.test_cures import filled, refused_with
from tests.data.formats.dicom_files import series
from tests.data_prep.own_files import label, scan
from tests.data_prep.test_picture_sets import etis_larib
from tests.data_prep.test_pictures import write


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    """Pictures with a split and a table of centres in `raw`; scans and masks of one's own; two DICOM series."""
    monkeypatch.chdir(tmp_path)
    split = {"train": ["t0", "t1"], "val": ["v0"], "test_seen": ["s0"], "test": ["u0"]}
    cases = [case for part in split.values() for case in part]
    for case in cases:
        write(Path("raw"), f"{case}.png", f"{case}.png")
    Path("raw/split.json").write_text(json.dumps(split))
    table("id,centre", *(f"{case},C{number}" for number, case in enumerate(cases)))()
    etis_larib(Path("archive"))
    for number, name in enumerate(("Ann", "Bob")):
        scan(Path(f"scans/{name}.nii.gz"), number)
        label(Path(f"masks/{name}.nii.gz"), 1)
        series(f"dicom/Case {number}", number)
    return tmp_path


def table(*lines: str, path: str = "raw/cases.csv") -> Callable[[], None]:
    def save() -> None:
        Path(path).write_text("\n".join(lines) + "\n")

    return save


def nothing() -> None:
    pass


def one_more() -> None:
    split = json.loads(Path("raw/split.json").read_text())
    Path("raw/split.json").write_text(json.dumps({**split, "val": ["v0", "v9"]}))


def added() -> None:
    write(Path("raw"), "v9.png", "v9.png")


def no_list() -> None:
    shutil.copy("raw/split.json", "kept.json")
    Path("raw/split.json").write_text('{"train": []}')


def listed() -> None:
    shutil.copy("kept.json", "raw/split.json")


def two_series() -> None:
    series("dicom/Case 1", 3, number=2)


def a_folder_each() -> None:
    shutil.rmtree("dicom")
    for number in range(2):
        series(f"dicom/Case {number}", number)


def probabilities() -> None:
    for name in ("Ann", "Bob"):
        label(Path(f"masks/{name}.nii.gz"), 0.4, kind=np.float32)


def codes() -> None:
    for name in ("Ann", "Bob"):
        label(Path(f"masks/{name}.nii.gz"), 1)


def two_of_three() -> None:
    """One mask of three is of probabilities."""
    scan(Path("scans/Cleo.nii.gz"), 5)
    label(Path("masks/Cleo.nii.gz"), 1)
    label(Path("masks/Bob.nii.gz"), 0.4, kind=np.float32)


def overlapping() -> None:
    label(Path("gut/Ann.nii.gz"), 0, 1)
    label(Path("gut/Bob.nii.gz"), 1)


def apart() -> None:
    for name in ("Ann", "Bob"):
        label(Path(f"gut/{name}.nii.gz"), 0, 1)


def torn() -> None:
    for name in ("Ann", "Bob"):
        Path(f"scans/{name}.nii.gz").write_bytes(b"torn")


def whole() -> None:
    for number, name in enumerate(("Ann", "Bob")):
        scan(Path(f"scans/{name}.nii.gz"), number)


def link_to_nothing() -> None:
    os.symlink("gone.nii.gz", "scans/Cleo.nii.gz")


def taken_away() -> None:
    Path("scans/Cleo.nii.gz").unlink()


POLYP = ["prepare", "polyp", "raw", "out"]
ETIS = ["prepare", "etis_larib", "archive", "out", "--allow-missing"]
OWN = ["prepare", "own", "--images", "scans", "--labels", "masks", "--output", "out"]
TWO = ["prepare", "own", "--images", "scans", "--labels", "liver=masks", "gut=gut", "--output", "out"]
DICOM = ["prepare", "own", "--images", "dicom", "--output", "out"]


@pytest.mark.parametrize(
    ("code", "end", "fault", "words", "cure", "mend", "followed"),
    [
        ("E100", 2, nothing, [*POLYP, "--colour"], r"See mednoisy prepare polyp --help", nothing, POLYP),
        ("E221", 2, nothing, ["prepare", "polyp", "raw", "raw/cases.csv/out"], "choose a folder that can be", nothing, POLYP),
        ("E222", 2, nothing, ["prepare", "polyp", "scans", "out"], "Name the folder that holds them", nothing, POLYP),
        ("E222", 2, nothing, ["prepare", "etis_larib", "raw/masks", "out", "--allow-missing"], "Name the folder that holds them", nothing, ETIS),
        ("E222", 2, no_list, POLYP, "Write a list of ids for each", listed, POLYP),
        ("E222", 2, one_more, POLYP, "Add them, or take them out of the split", added, POLYP),
        ("E243", 2, table("case number,centre", "t0,C1"), POLYP, r"Call the column of case ids `(id)`", table("id,centre", "t0,C1"), POLYP),
        ("E243", 2, table("id,centre", "t0,C1", "t0,C2"), POLYP, "Keep one of the two lines", table("id,centre", "t0,C2"), POLYP),
        ("E243", 2, table("id,centre", "T00,C1"), POLYP, "Write the ids as split.json has them", table("id,centre", "t0,C1"), POLYP),
        ("E259", 1, two_series, DICOM, "Give each series a folder of its own", a_folder_each, DICOM),
        ("E366", 2, overlapping, TWO, "Decide to which class they belong", apart, TWO),
        ("E367", 2, torn, OWN, "Copy or export the file again", whole, OWN),
        ("E367", 1, link_to_nothing, OWN, "or take the case away", taken_away, [*OWN[:-1], "other"]),
        ("E369", 2, probabilities, OWN, "Store whole label codes", codes, OWN),
        ("E223", 2, two_of_three, OWN, "Store whole label codes", codes, OWN),
        ("E379", 2, nothing, ETIS[:-1], r"or go on with what is there by (--allow-missing)", nothing, [*ETIS[:-1], "<1>"]),
    ],
)  # fmt: skip
def test_a_source_is_prepared_as_the_cure_says(capsys, code, end, fault, words, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, words, code, cure, end)
    mend()
    assert main(filled(followed, proposed)) == 0
