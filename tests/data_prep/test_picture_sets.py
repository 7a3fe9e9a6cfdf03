"""Published sets of pictures from miniatures of their archives to datalists."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from data_prep.kvasir_seg import LISTS
from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image

SIZE = (48, 64)
MASK = np.zeros(SIZE, np.uint8)
MASK[12:36, 16:48] = 255


def put(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Picture.fromarray(array).save(path)


def put_pair(image: Path, mask: Path, array: np.ndarray = MASK) -> None:
    """A picture in colour that differs by its path, and a mask."""
    put(image, np.random.default_rng(sum(str(image).encode())).integers(0, 256, (*SIZE, 3)).astype(np.uint8))
    put(mask, array)


def isic2018(raw: Path) -> None:
    for part in ("Training", "Validation", "Test"):
        for number in range(2):
            folder, name = raw / f"ISIC2018_Task1-2_{part}_Input", f"ISIC_{len(part)}{number:06d}"
            mask = raw / f"ISIC2018_Task1_{part}_GroundTruth" / f"{name}_segmentation.png"
            put_pair(folder / f"{name}.jpg", mask)
        (folder / "ATTRIBUTION.txt").write_text("thanks")


def ph2(raw: Path) -> None:
    for name in ("IMD002", "IMD003", "IMD437"):
        folder = raw / "PH2 Dataset images" / name
        put_pair(folder / f"{name}_Dermoscopic_Image" / f"{name}.bmp", folder / f"{name}_lesion" / f"{name}_lesion.bmp")
        put(folder / f"{name}_roi" / f"{name}_R1_Label4.bmp", MASK)


def kvasir_seg(raw: Path) -> None:
    for name in (*LISTS["train"][:2], LISTS["val"][0]):
        put_pair(raw / "Kvasir-SEG" / "images" / f"{name}.jpg", raw / "Kvasir-SEG" / "masks" / f"{name}.jpg")
    (raw / "Kvasir-SEG" / "kavsir_bboxes.json").write_text("{}")


def cvc_clinicdb(raw: Path) -> None:
    for number in (1, 2, 3):
        put_pair(raw / "Original" / f"{number}.tif", raw / "Ground Truth" / f"{number}.tif")
    (raw / "cases.csv").write_text("id,sequence\n1,1\n2,1\n3,2\n")


def cvc_colondb(raw: Path) -> None:
    for number in (1, 2, 10):
        put_pair(raw / "CVC-ColonDB" / f"{number}.bmp", raw / "CVC-ColonDB" / f"p{number}.bmp")
        for other in "sc":
            put(raw / "CVC-ColonDB" / f"{other}{number}.bmp", MASK)


def etis_larib(raw: Path) -> None:
    for number in (1, 2):
        put_pair(raw / "ETIS-LaribPolypDB" / f"{number}.tif", raw / "Ground Truth" / f"p{number}.tif")


def endoscene(raw: Path) -> None:
    bordered = np.where(MASK > 0, 1, 0).astype(np.uint8)
    bordered[:4] = 2
    for part, count in (("train", 2), ("valid", 1), ("test", 1)):
        for number in range(count):
            folder = raw / "CVC-912" / part
            put_pair(folder / "images" / f"{part}{number}.bmp", folder / "masks2" / f"{part}{number}.tif", bordered)


SETS: dict[str, tuple[Callable[[Path], None], dict[str, int], str]] = {
    "isic2018": (isic2018, {"labeled": 2, "validation": 2, "test": 2}, "2592 of the 2594 train pictures"),
    "ph2": (ph2, {"test": 3}, "197 of the 200 train pictures"),
    "kvasir_seg": (kvasir_seg, {"labeled": 2, "validation": 1}, f"train pictures {LISTS['train'][2]}, "),
    "cvc_clinicdb": (cvc_clinicdb, {"labeled": 3}, "train pictures 4, 5, 6, "),
    "cvc_colondb": (cvc_colondb, {"test": 3}, "297 of the 300 train pictures"),
    "etis_larib": (etis_larib, {"test": 2}, "train pictures 3, 4, 5, "),
    "endoscene": (endoscene, {"labeled": 2, "validation": 1, "test": 1}, "545 of the 547 train pictures"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_published_layout_becomes_a_dataset(name, tmp_path):
    """Sections as published, or as the set is used; masks are the drawn rectangle whatever their codes or JPEG made."""
    write, wanted, _ = SETS[name]
    write(tmp_path / "raw")
    assert main(["prepare", name, str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing"]) == 0
    datalist = Datalist.load(tmp_path / "out" / "datalist.json")
    assert {section: len(cases) for section, cases in datalist.sections.items() if cases} == wanted
    for section in wanted:
        for case in datalist.cases(section):
            assert read_image(case["image"]).shape == SIZE
            differing = (read_image(case["label"]).array > 0) != (MASK > 0)
            assert differing.mean() < (0.05 if name == "kvasir_seg" else 1e-9)
    assert "compare with published figures accordingly" in datalist.protocol


@pytest.mark.parametrize(
    ("name", "images", "masks", "prefix"),
    [
        ("cvc_clinicdb", "TIF/Original", "TIF/Ground Truth", ""),
        ("cvc_colondb", "CVC-ColonDB/images", "CVC-ColonDB/masks", ""),
        ("cvc_colondb", "", "", "p"),
        ("etis_larib", "images", "masks", ""),
        ("etis_larib", "ETIS-LaribPolypDB/ETIS-LaribPolypDB", "ETIS-LaribPolypDB/Ground Truth", "p"),
        ("ph2", "IMD002/IMD002_Dermoscopic_Image", "IMD002/IMD002_lesion", ""),
    ],
)
def test_other_ways_in_which_archives_are_unpacked(name, images, masks, prefix, tmp_path):
    stem, ending = ("IMD002", "_lesion") if name == "ph2" else ("7", "")
    put_pair(tmp_path / "raw" / images / f"{stem}.bmp", tmp_path / "raw" / masks / f"{prefix}{stem}{ending}.bmp")
    words = ["prepare", name, str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing", "--section", "test"]
    assert main(words) == 0
    (case,) = Datalist.load(tmp_path / "out" / "datalist.json").cases("test")
    assert case["id"] == stem
    np.testing.assert_array_equal(read_image(case["label"]).array > 0, MASK > 0)


@pytest.mark.parametrize("name", SETS)
def test_missing_pictures_are_named_and_refused(name, tmp_path, capsys):
    write, _, told = SETS[name]
    write(tmp_path / "raw")
    assert main(["prepare", name, str(tmp_path / "raw"), str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("mednoisy: E379 published cases are not there: ")
    assert told in line
    assert not (tmp_path / "out").is_dir() or not (tmp_path / "out" / "datalist.json").exists()


@pytest.mark.parametrize("name", SETS)
def test_a_folder_of_something_else_is_refused(name, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    assert main(["prepare", name, str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("mednoisy: E222 ")


def test_frames_of_a_sequence_are_one_scene_and_a_set_without_split_goes_where_one_says(tmp_path):
    cvc_clinicdb(tmp_path / "raw")
    words = ["prepare", "cvc_clinicdb", str(tmp_path / "raw"), str(tmp_path / "out"), "--allow-missing"]
    assert main([*words, "--section", "test"]) == 0
    datalist = Datalist.load(tmp_path / "out" / "datalist.json")
    assert [case["scene"] for case in datalist.cases("test")] == ["1", "1", "2"]
    assert {case["centre"] for case in datalist.cases("test")} == {"CVC-ClinicDB"}
    assert "No split is published: all pictures are test cases" in datalist.protocol


def test_lists_of_kvasir_seg_are_whole_and_apart():
    assert (len(set(LISTS["train"])), len(set(LISTS["val"]))) == (880, 120)
    assert not set(LISTS["train"]) & set(LISTS["val"])


def test_real_files_of_two_collections(shared_data, tmp_path):
    """TIFF files with broken headers and JPEG masks, as they are published."""
    raw = shared_data("raw_samples/polyp")
    for part, folder in (("images", "Original"), ("masks", "Ground Truth")):
        (tmp_path / "clinic" / folder).mkdir(parents=True)
        for number, path in enumerate(sorted((raw / part).glob("cvc_*.tif")), start=1):
            shutil.copy(path, tmp_path / "clinic" / folder / f"{number}.tif")
        (tmp_path / "kvasir" / part).mkdir(parents=True)
        for path, name in zip(sorted((raw / part).glob("kvasir_*.jpg")), LISTS["val"], strict=False):
            shutil.copy(path, tmp_path / "kvasir" / part / f"{name}.jpg")
    for module, folder, section, count in (
        ("cvc_clinicdb", "clinic", "labeled", 2),
        ("kvasir_seg", "kvasir", "validation", 3),
    ):
        out = import_module(f"data_prep.{module}").prepare(
            tmp_path / folder, tmp_path / f"{folder} out", allow_missing=True
        )
        cases = Datalist.load(out).cases(section)
        assert len(cases) == count
        for case in cases:
            image, mask = read_image(case["image"]), read_image(case["label"])
            assert image.shape == mask.shape
            assert 0.001 < (mask.array > 0).mean() < 0.8
