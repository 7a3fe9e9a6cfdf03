"""Cures followed: label maps and images that cannot be read, or do not fit each other, under `mednoisy evaluate`."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.data.images import write_nifti
from mednoisy.report import run_page
from tests.cli.test_cures import filled, refused_with

AFFINE = np.diag([1, 1, 2, 1.0])
BOX = np.zeros((8, 9, 10), np.uint8)
BOX[2:5, 2:5, 2:5] = 1
ROWS, COLUMNS = np.mgrid[:60, :80]
FAR = np.hypot(ROWS - 30, COLUMNS - 40)
DISC = (FAR < 12).astype(np.uint8)
ONE = Path("p/two.nii.gz")  # a prediction

WRITE_REPORT = run_page.write_report


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> Path:
    """Two pairs of label maps, in the folders `p` and `r`, and of pictures, in `pp` and `rr`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_page, "write_report", lambda *_: None)  # takes longer than all else
    for folder in "pr":
        for name in ("one", "two"):
            write_nifti(Path(folder) / f"{name}.nii.gz", BOX, AFFINE)
            picture(Path(2 * folder) / f"{name}.png", DISC * np.uint8(255))
    return tmp_path


def picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Picture.fromarray(array).save(path)


def sound() -> None:
    write_nifti(ONE, BOX, AFFINE)


def empty() -> None:
    ONE.write_bytes(b"")


def damaged() -> None:
    ONE.write_bytes(ONE.read_bytes()[:-20])


def nan() -> None:
    write_nifti(ONE, np.where(BOX > 0, 1.0, np.nan), AFFINE)


def four_axes() -> None:
    nibabel.save(nibabel.Nifti1Image(np.stack([BOX, BOX], axis=3), AFFINE), ONE)


def singular() -> None:
    image = nibabel.Nifti1Image(BOX, AFFINE)
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    image.header["srow_x"] = image.header["srow_y"] = (1, 0, 0, 0)
    image.header["srow_z"] = (0, 0, 2, 0)
    image.header.set_data_dtype(np.uint8)
    raw = bytearray(image.header.binaryblock + b"\0" * 4 + BOX.tobytes(order="F"))
    raw[108:112] = np.float32(352).tobytes()
    import gzip

    ONE.write_bytes(gzip.compress(bytes(raw)))


def probabilities() -> None:
    write_nifti(ONE, BOX * 0.7, AFFINE)


def negative() -> None:
    write_nifti(ONE, BOX.astype(np.int16) - 1, AFFINE)


def smaller() -> None:
    write_nifti(ONE, BOX[:-1], AFFINE)


def flipped() -> None:
    write_nifti(ONE, BOX[::-1], AFFINE @ np.array([[-1, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))


def twice() -> None:
    write_nifti(Path("p/two.nii"), BOX, AFFINE)


def once() -> None:
    Path("p/two.nii").unlink()


def other_codes() -> None:
    for path in Path("p").iterdir():
        write_nifti(path, BOX * 2, AFFINE)


def taken() -> None:
    Path("o").write_text("mine")


def line_break() -> None:
    for folder in "pr":
        Path(f"{folder}/two.nii.gz").rename(f"{folder}/two\n.nii.gz")


def renamed() -> None:
    for folder in "pr":
        Path(f"{folder}/two\n.nii.gz").rename(f"{folder}/two.nii.gz")


def hdf5() -> None:
    for folder in "pr":
        Path(f"{folder}/two.nii.gz").unlink()
        with h5py.File(f"{folder}/two.h5", "w") as file:
            file["segmentation"] = BOX


def datasets_named() -> None:
    for folder in "pr":
        with h5py.File(f"{folder}/two.h5", "a") as file:
            file["label"] = file.pop("segmentation")[:]


def as_nrrd() -> None:
    """A sound NIfTI file under another suffix."""
    ONE.rename("p/two.nrrd")


def as_nifti() -> None:
    Path("p/two.nrrd").rename(ONE)


def nothing() -> None:
    pass


CALL = ["--predictions", "p", "--references", "r", "--output", "o", "--workers", "1"]


@pytest.mark.parametrize(
    ("code", "end", "fault", "given", "cure", "mend", "followed"),
    [
        ("E100", 2, nothing, ["--map", "1=2", "1=3"], "Name each code once", nothing, ["--map", "1=2"]),
        ("E106", 2, taken, ["--output", "o/scores"], "Choose another place", nothing, ["--output", "other"]),
        ("E202", 1, empty, [], "Copy the file again", sound, []),
        ("E202", 1, damaged, [], "Copy or export the file again", sound, []),
        ("E202", 1, hdf5, [], "Name the datasets `image` and `label`", datasets_named, []),
        ("E202", 1, as_nrrd, [], r"Rename it to two\.nii", as_nifti, []),
        ("E203", 1, nan, [], "Replace them, by the background's value for example", sound, []),
        ("E208", 1, four_axes, [], "Store one volume per file", sound, []),
        ("E209", 1, singular, [], "Export the file with its voxel size and orientation", sound, []),
        ("E223", 1, probabilities, [], "Store whole label codes, for example a segmentation", sound, []),
        ("E223", 1, negative, [], "Store codes from 0, the background, on", sound, []),
        ("E241", 2, other_codes, [], r"Exchange them by (--map) OLD=NEW", nothing, ["<1>", "2=1"]),
        ("E241", 2, other_codes, [], r"or name the classes by (--labels)", nothing, ["<1>", "1", "2"]),
        ("E244", 2, nothing, ["--labels", "1", "--ignore", "1"], "Name it in --ignore or in --labels", nothing, ["--labels", "1"]),
        ("E421", 2, twice, [], "Keep one of each", once, []),
        ("E424", 1, smaller, [], "Resample the prediction onto the reference's grid", sound, []),
        ("E425", 1, flipped, ["--strict"], "or call without --strict", nothing, []),
        ("E433", 2, line_break, [], "Rename the files", renamed, []),
    ],
)  # fmt: skip
def test_label_maps_are_scored_as_the_cure_says(capsys, code, end, fault, given, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, ["evaluate", *CALL, *given], code, cure, end)
    if end == 2:
        assert not Path("o/metrics.csv").exists()
    mend()
    assert main(["evaluate", *CALL, *filled(followed, proposed)]) == 0


def test_of_folders_in_which_nothing_fits_the_first_cure_counts(capsys):
    for path in Path("p").iterdir():
        path.write_bytes(b"")
    refused_with(capsys, ["evaluate", *CALL], "E431", "one: .* nor two. Copy the file again")
    shutil.copytree("r", "p", dirs_exist_ok=True)
    assert main(["evaluate", *CALL]) == 0


PICTURE = Path("rr/one.png")  # a reference


def white_and_codes() -> None:
    """A folder of codes, in one of whose pictures a mark stands alone."""
    for folder in ("pp", "rr"):
        picture(Path(folder) / "two.png", DISC + (FAR < 6).astype(np.uint8))
        picture(Path(folder) / "one.png", DISC * 0)
    picture(PICTURE, np.where(ROWS < 4, 255, 0).astype(np.uint8))


def rim() -> None:
    for folder in ("pp", "rr"):
        for name in ("one", "two"):
            picture(Path(folder) / f"{name}.png", DISC)
    picture(PICTURE, np.where(FAR < 12, 1, np.where(FAR < 16, 255, 0)).astype(np.uint8))


def likely() -> None:
    picture(PICTURE, np.clip(255 - FAR * 3, 0, 254).astype(np.uint8))


def coloured() -> None:
    picture(PICTURE, np.stack([DISC, DISC * 0, DISC * 0], axis=2) * np.uint8(255))


def lossy() -> None:
    for folder in ("pp", "rr"):
        Path(folder, "one.png").unlink()
        picture(Path(folder, "one.jpg"), DISC)


def packed_without_loss() -> None:
    for folder in ("pp", "rr"):
        Path(folder, "one.jpg").unlink()
        white()


def two_classes() -> None:
    picture(PICTURE, np.where(FAR < 12, 255, np.where(FAR < 20, 128, 0)).astype(np.uint8))


def white() -> None:
    for folder in ("pp", "rr"):
        picture(Path(folder, "one.png"), DISC * np.uint8(255))


def turned() -> None:
    picture(Path("pp/one.png"), DISC.T * np.uint8(255))


PICTURES = ["--predictions", "pp", "--references", "rr", "--output", "o", "--workers", "1"]


@pytest.mark.parametrize(
    ("code", "end", "fault", "given", "cure", "mend", "followed"),
    [
        ("E224", 1, white_and_codes, [], r"Leave such pixels out by (--ignore \d+)", nothing, ["<1>"]),
        ("E224", 1, white_and_codes, [], r"or name the classes by (--labels)", nothing, ["<1>", "1", "2", "255"]),
        ("E224", 1, rim, ["--labels", "1=lesion"], r"leave a mark out \((--ignore \d+)\)", nothing, ["--labels", "1=lesion", "<1>"]),
        ("E224", 1, rim, ["--labels", "1=lesion"], r"or map it \((--map \S+)\)", nothing, ["--labels", "1=lesion", "<1>"]),
        ("E224", 1, likely, [], "Threshold them into a mask of 0 and 255", white, []),
        ("E224", 1, coloured, [], "Store one grey for each code, as PNG without a palette", white, []),
        ("E224", 1, lossy, [], "Store the mask as PNG", packed_without_loss, []),
        ("E224", 1, two_classes, [], r"can also name each \((--map \d+)=CODE\)", nothing, ["--map", "128=2", "255=1"]),
        ("E224", 1, two_classes, [], r"or leave it out \((--ignore \d+)\)", nothing, ["<1>"]),
        ("E424", 1, turned, [], "store both upright", white, []),
    ],
)  # fmt: skip
def test_pictures_are_scored_as_the_cure_says(capsys, code, end, fault, given, cure, mend, followed):
    fault()
    proposed = refused_with(capsys, ["evaluate", *PICTURES, *given], code, cure, end)
    mend()
    assert main(["evaluate", *PICTURES, *filled(followed, proposed)]) == 0


def scored(output: str, *more: str, words: list[str] = CALL) -> str:
    """Evaluate into a folder; its name."""
    at = words.index("--output")
    assert main(["evaluate", *words[:at], "--output", output, *words[at + 2 :], *more]) == 0
    return output


def test_figures_are_compared_where_they_can_be(capsys):
    narrow, wide, pixels = scored("narrow"), scored("wide", "--tolerance", "2"), scored("pixels", words=PICTURES)
    nsd = ["compare", narrow, wide, "--metric", "nsd", "--output", "page.html"]
    refused_with(capsys, nsd, "E391", "Score again with one --tolerance, or compare by another --metric")
    assert main(["compare", narrow, wide, "--metric", "dice", "--output", "page.html"]) == 0
    scored("wide", "--tolerance", "1")
    assert main(nsd) == 0
    refused_with(capsys, ["compare", narrow, pixels, "--output", "page.html"], "E403", "Compare runs of one unit")
    assert main(["compare", narrow, wide, "--output", "page.html"]) == 0


def test_a_table_without_the_columns_of_a_page_is_restored(capsys, monkeypatch):
    scored("o")
    monkeypatch.setattr(run_page, "write_report", WRITE_REPORT)
    table = Path("o/metrics.csv")
    whole = table.read_text()
    for mend in (lambda: table.write_text(whole), lambda: scored("o")):
        table.write_text(whole.replace("asd", "azd"))
        refused_with(capsys, ["report", "o"], "E404", "Restore the file, or score again by mednoisy evaluate")
        mend()
        assert main(["report", "o"]) == 0


def test_the_help_that_is_named_shows(capsys):
    command = refused_with(capsys, ["evaluate", "--map", "1"], "E100", r"See mednoisy (evaluate --help)")
    with pytest.raises(SystemExit, match="0"):
        main(filled(["<1>"], command))
    assert "--map OLD=NEW" in capsys.readouterr().out
