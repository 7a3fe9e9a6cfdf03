"""`mednoisy inspect`: what a dataset holds, by the command line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import write_nifti, write_picture

AFFINE = np.diag([-1.0, -1.0, 2.5, 1.0])


def write(path: str, array: np.ndarray, affine: np.ndarray = AFFINE) -> str:
    write_nifti(path, array, affine)
    return path


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 100, (12, 10, 6)).astype(np.int16)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Two labeled cases, of which one is a test case too under another name, and an unlabeled one."""
    monkeypatch.chdir(tmp_path)
    label = np.zeros((12, 10, 6), np.uint8)
    label[2:5, 2:6, 1:3] = 1
    cases = {
        name: {"id": name, "image": write(f"d/{name}.nii.gz", volume(seed))}
        for name, seed in zip("abcd", (1, 2, 3, 1), strict=True)
    }
    for name, array in (("a", label), ("b", label * 0), ("d", label)):
        cases[name]["label"] = write(f"d/{name}_label.nii.gz", array)
    sections = {"labeled": [cases["a"], cases["b"]], "unlabeled": [cases["c"]], "test": [cases["d"]]}
    Datalist("d", {0: "CT"}, {0: "background", 1: "liver", 2: "tumour"}, sections).save("d/datalist.json")
    return Path("d")


def test_counts_sizes_volumes_and_what_is_worth_knowing(data, capsys):
    assert main(["inspect", "d"]) == 0
    told = capsys.readouterr().out
    assert "| labeled | 2 | 12 x 10 x 6 | 1 x 1 x 2.5 | LPS (2) | 0 to 99 |" in told
    assert "| liver | labeled | 1 of 2 | 60 | 60 to 60 |" in told  # 24 voxels of 2.5 mm³
    assert "- No labeled case shows 'tumour'.\n- Labels that show nothing: b.\n" in told
    assert "The same image, voxel for voxel: a (labeled), d (test). Figures on it would be worthless." in told
    page = Path("d/inspection.html").read_text(encoding="utf-8")
    for text in ("d: what is in the dataset", "No labeled case shows &#39;tumour&#39;.", "data:image/jpeg;base64,"):
        assert text in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_digest_is_of_values_not_of_files(data, capsys):
    assert main(["inspect", "d", "--output", "one.html"]) == 0
    before = capsys.readouterr().out.split("digest ")[1].split()[0]
    nibabel.save(nibabel.Nifti1Image(volume(3).astype(np.float32), AFFINE), "d/c.nii.gz")
    main(["inspect", "d", "--output", "one.html"])
    assert capsys.readouterr().out.split("digest ")[1].split()[0] == before
    write("d/c.nii.gz", volume(4))
    main(["inspect", "d", "--output", "one.html"])
    assert capsys.readouterr().out.split("digest ")[1].split()[0] != before


@pytest.mark.parametrize("value", [1e20, -3.4e38])
def test_values_that_stand_for_no_data_are_named(data, capsys, value):
    array = volume(3).astype(np.float32)
    array[0, 0, :4] = value
    write("d/c.nii.gz", array)
    assert main(["inspect", "d"]) == 0
    told = capsys.readouterr().out
    assert f"- c: 4 voxels are {value:.4g}, which stands for no data and hides all else.\n" in told
    assert "| unlabeled | 1 | 12 x 10 x 6 | 1 x 1 x 2.5 | LPS (1) | 0 to 99 |" in told


def test_a_case_that_cannot_be_read_is_told_and_the_others_are_shown(data, capsys):
    Path("d/b.nii.gz").write_bytes(Path("d/b.nii.gz").read_bytes()[:-20])
    write("d/d_label.nii.gz", np.zeros((12, 10, 5), np.uint8))
    assert main(["inspect", "d/datalist.json"]) == 1
    told = capsys.readouterr()
    assert "mednoisy: E202 case 'b': " in told.err
    assert "mednoisy: E204 case 'd': image is 12x10x6, label is 12x10x5." in told.err
    assert "| labeled | 1 |" in told.out


def test_files_without_orientation_are_told(data, capsys):
    nibabel.save(nibabel.Nifti1Image(volume(3), None), "d/c.nii.gz")
    assert main(["inspect", "d"]) == 0
    assert "Files that do not state where the patient's right is: c." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "E210 datalist nowhere/datalist.json does not exist"),
        (["d", "--output", "d/c.nii.gz/page.html"], "E106 d/c.nii.gz"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(data, capsys, words, message):
    assert main(["inspect", *words]) == 2
    assert capsys.readouterr().err.startswith(f"mednoisy: {message}")


def test_a_dataset_without_cases_is_refused(data, capsys):
    Datalist("d", {0: "CT"}, {0: "background"}, {}).save("d/datalist.json")
    assert main(["inspect", "d"]) == 2
    assert capsys.readouterr().err.startswith("mednoisy: E365 d/datalist.json lists no case")


def test_pictures_are_counted_in_pixels(tmp_path, monkeypatch, capsys):
    """An outline needs a label: the picture of a case without one is shown as it is."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((20, 24), bool)
    mask[5:12, 6:15] = True
    for number in range(2):
        picture = np.random.default_rng(number).integers(0, 255, (20, 24, 3)).astype(np.uint8)
        write_picture(f"{number}.png", picture)
    write_picture("0_mask.png", mask)
    sections = {
        "labeled": [{"id": "0", "image": "0.png", "label": "0_mask.png"}],
        "unlabeled": [{"id": "1", "image": "1.png"}],
    }
    Datalist("d", {0: "red", 1: "green", 2: "blue"}, {0: "background", 1: "polyp"}, sections, "pixel").save(
        "datalist.json"
    )
    assert main(["inspect", "."]) == 0
    told = capsys.readouterr().out
    assert "| class | section | in cases | median pixels | range pixels |" in told
    assert "| polyp | labeled | 1 of 1 | 63 | 63 to 63 |" in told
    assert Path("inspection.html").read_text(encoding="utf-8").count("data:image/jpeg;base64,") == 2
