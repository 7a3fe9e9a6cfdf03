"""`mednoisy evaluate`, `compare` and `report` on label maps: what they print, leave, and refuse."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.images import write_nifti

CASES = ("a b", "ü", "<script>alert(1)<-script>")  # a slash would be a folder


def maps(folder: Path, shift: int, code: int = 1) -> Path:
    """A cube in each case, moved by `shift` voxels of 1 mm."""
    for number, case in enumerate(CASES):
        labels = np.zeros((14, 12, 10), np.uint8)
        labels[2 + shift : 6 + shift + number, 2:7, 2:7] = code
        write_nifti(folder / f"{case}.nii.gz", labels, np.diag([1, 1, 2, 1.0]))
    return folder


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """Folders with blanks and umlauts: two predictions and the reference."""
    return {
        "near": maps(tmp_path / "Vorhersage nah", 1),
        "far": maps(tmp_path / "Vorhersage fern", 4),
        "references": maps(tmp_path / "Prüfung", 0),
        "output": tmp_path / "scores of all",
    }


def call(places: dict[str, Path], *more: str, predictions: str = "near") -> list[str]:
    return [
        "evaluate", "--predictions", str(places[predictions]), "--references", str(places["references"]),
        "--output", str(places["output"]), "--workers", "1", *more,
    ]  # fmt: skip


def lines(capsys: pytest.CaptureFixture) -> tuple[list[str], list[str]]:
    """Lines of stdout, and those of stderr that are mednoisy's own."""
    shown = capsys.readouterr()
    return shown.out.splitlines(), [line for line in shown.err.splitlines() if line.startswith("mednoisy:")]


def test_evaluate_writes_tables_and_page_and_prints_the_means(places, capsys):
    assert main(call(places, "--labels", "1=heart chamber")) == 0
    out, err = lines(capsys)
    assert err == []
    assert "3 cases" in out[0]
    assert "Dice 0.7" in out[0]
    assert out[-1] == f"report: {places['output'] / 'report.html'}"
    written = {path.name for path in places["output"].iterdir()}
    assert written == {".lock", "metrics.csv", "summary.json", "report.html"}
    page = (places["output"] / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "heart chamber" in page


def test_workers_are_processes_of_their_own(places):
    assert main([*call(places)[:-2], "--workers", "2"]) == 0
    with open(places["output"] / "metrics.csv", newline="", encoding="utf-8") as stream:
        assert [row["case"] for row in csv.DictReader(stream)] == sorted(CASES)


def test_damaged_files_are_named_and_the_exit_code_is_1(places, capsys):
    (places["near"] / "ü.nii.gz").write_bytes(b"")
    assert main(call(places)) == 1
    out, err = lines(capsys)
    assert len(err) == 1
    assert "'ü'" in err[0]
    assert "0 bytes" in err[0]
    assert "2 cases" in out[0]
    assert "0 bytes" in (places["output"] / "report.html").read_text(encoding="utf-8")


def volume_of_four_axes(places: dict[str, Path]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4, 2), np.uint8), np.eye(4)), places["near"] / "ü.nii.gz")


def fractions(places: dict[str, Path]) -> None:
    write_nifti(places["near"] / "ü.nii.gz", np.full((14, 12, 10), 0.5), np.diag([1, 1, 2, 1.0]))


def another_grid(places: dict[str, Path]) -> None:
    write_nifti(places["near"] / "ü.nii.gz", np.ones((14, 12, 9), np.uint8), np.diag([1, 1, 2, 1.0]))


def unknown_code(places: dict[str, Path]) -> None:
    write_nifti(places["near"] / "ü.nii.gz", np.full((14, 12, 10), 9, np.uint8), np.diag([1, 1, 2, 1.0]))


@pytest.mark.parametrize(
    ("damage", "told"),
    [(volume_of_four_axes, "E208"), (fractions, "0.5"), (another_grid, "14x12x9"), (unknown_code, "9")],
)
def test_a_case_that_does_not_fit_is_told_in_one_line(places, capsys, damage, told):
    damage(places)
    assert main(call(places, "--labels", "1")) == 1
    _, err = lines(capsys)
    assert len(err) == 1
    assert told in err[0]


def nothing_in_common(places: dict[str, Path]) -> list[str]:
    for file in places["near"].iterdir():
        file.rename(file.with_name(f"other {file.name}"))
    return call(places)


def empty_folder(places: dict[str, Path]) -> list[str]:
    for file in places["near"].iterdir():
        file.unlink()
    return call(places)


def an_id_twice(places: dict[str, Path]) -> list[str]:
    (places["near"] / "ü.nii").write_bytes(b"x")
    return call(places)


def one_missing(places: dict[str, Path]) -> list[str]:
    (places["near"] / "ü.nii.gz").unlink()
    return call(places)


def run_and_folders(places: dict[str, Path]) -> list[str]:
    return [*call(places), str(places["near"])]


REFUSED = {
    "E422": nothing_in_common,
    "E420": empty_folder,
    "E421": an_id_twice,
    "E423": one_missing,
    "E113": run_and_folders,
    "E100": lambda places: call(places, "--labels", "1=a", "zwei=b"),
    "E100 --map": lambda places: call(places, "--map", "1=2", "1=3"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_refusals_are_one_line_and_leave_nothing(places, capsys, code):
    assert main(REFUSED[code](places)) == 2
    out, err = lines(capsys)
    assert out == []
    assert len(err) == 1
    assert err[0].startswith(f"mednoisy: {code} ")
    assert not places["output"].exists()


def test_folders_alone_or_a_run_alone(places, capsys):
    assert main(["evaluate", "--predictions", str(places["near"])]) == 2
    assert lines(capsys)[1] == [
        "mednoisy: E113 --references and --output missing. "
        "Give --predictions, --references and --output, or the folder of a run."
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(places, capsys):
    places["output"].mkdir()
    places["output"].chmod(0o500)
    assert main(call(places)) == 2
    assert "E106" in lines(capsys)[1][0]


def test_an_output_that_is_a_file(places, capsys):
    places["output"].write_text("mine")
    assert main(call(places)) == 2
    assert "E430" in lines(capsys)[1][0]
    assert places["output"].read_text() == "mine"


@pytest.fixture
def evaluated(places: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> list[str]:
    """Folders of two evaluations, the far one first."""
    outputs = [tmp_path / "scores far", tmp_path / "scores near"]
    for predictions, output in zip(("far", "near"), outputs, strict=True):
        assert main(call(places | {"output": output}, predictions=predictions)) == 0
    capsys.readouterr()
    return [str(output) for output in outputs]


def test_compare_prints_differences_and_ranking(evaluated, tmp_path, capsys):
    page = tmp_path / "comparison.html"
    assert main(["compare", *evaluated, "--output", str(page)]) == 0
    text = "\n".join(lines(capsys)[0])
    assert "Vorhersage nah" in text
    assert "3 / 0 / 0" in text  # better, tied, worse
    assert text.splitlines()[-1] == f"report: {page}"
    assert page.is_file()


@pytest.mark.parametrize(("table", "begins"), [("latex", "\\begin{tabular}{lrrrrrr}"), ("markdown", "| Run |")])
def test_the_table_alone_goes_to_a_file(evaluated, tmp_path, capsys, table, begins):
    assert main(["compare", *evaluated, "--output", str(tmp_path / "page.html"), "--table", table]) == 0
    out, _ = lines(capsys)
    assert out[0].startswith(begins)
    assert sum("Vorhersage" in line for line in out) == 2
    assert main(["report", evaluated[0], "--table", table]) == 0
    assert sum("Vorhersage" in line for line in lines(capsys)[0]) == 1


def test_compare_refuses_what_cannot_be_compared(evaluated, tmp_path, capsys):
    page = tmp_path / "page.html"
    for arguments, code in (
        ([evaluated[0]], "E114"),
        ([*evaluated, "--metric", "dise"], "E115"),
        ([*evaluated, "--metric", "volume_prediction"], "E115"),
        ([evaluated[0], str(tmp_path)], "E402"),
    ):
        assert main(["compare", *arguments, "--output", str(page)]) == 2
        assert lines(capsys)[1][0].startswith(f"mednoisy: {code} ")
        assert not page.exists()
