"""`mednoisy prepare own` of folders whose names, channels, codes or grids do not go together, and what is taken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from tests.data_prep.own_files import AFFINE, SHAPE, ids, label, loaded, prepared, refused, scan


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Three scans, of which two have a mask."""
    monkeypatch.chdir(tmp_path)
    for name in ("Ann", "Bob", "Cleo"):
        scan(Path(f"scans/{name}.nii.gz"), len(name) * ord(name[0]))
    for name in ("Ann", "Bob"):
        label(Path(f"masks/{name}.nii.gz"), 1)
    return tmp_path


def of_words(capsys, *words: str) -> str:
    """The one line with which `prepare own` refuses these words; nothing is written."""
    assert main(["prepare", "own", *words, "--output", "mine"]) == 2
    assert not Path("mine/datalist.json").exists()
    return capsys.readouterr().err.splitlines()[-1].removeprefix("mednoisy: ")


# Names


@pytest.mark.parametrize("pattern", ["^(.)?", "[A-Z]", "(?P<id>..)"])
def test_a_pattern_finds_each_case(folder, pattern):
    """Its group `id`, else its first group, else all that it finds."""
    datalist = prepared("--pattern", pattern)
    length = 2 if "id" in pattern else 1
    assert ids(datalist, "labeled") == ["Ann"[:length], "Bob"[:length]]
    assert ids(datalist, "unlabeled") == ["Cleo"[:length]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--pattern", "digits?"], "E255 --pattern 'digits?': Ann, Bob, Cleo of the images have no match. Write a"),
        (["--image-affix", "nn", "ob", "leo"], "E255 labels without image: Ann, Bob; images without label: A, B, C."),
    ],
)
def test_a_rule_that_fits_no_name_is_refused(folder, capsys, arguments, told):
    assert refused(capsys, *arguments).startswith(told)


def test_a_rule_that_makes_two_files_one_case_is_refused(folder, capsys):
    scan(Path("scans/Bert.nii.gz"), 5)
    told = refused(capsys, "--pattern", "^(.)")
    assert told.startswith("E255 several images would be one case: Bert, Bob ('B'). Keep one of each.")
    Path("scans/Bert.nii.gz").rename("masks/Bert.nii.gz")
    told = refused(capsys, "--pattern", "^(.)")
    assert told.startswith("E255 several labels would be one case: Bert, Bob ('B'). Keep one of each.")


def test_names_that_differ_by_what_no_file_can_have_are_refused(folder, capsys):
    """Blanks become underscores in ids, and some file systems know no capital letters."""
    scan(Path("scans/A b.nii.gz"), 5)
    scan(Path("scans/a_B.nii.gz"), 6)
    assert refused(capsys).startswith("E255 several files would be one case: A b, a_B ('a_b').")


def test_names_of_signs_alone_are_refused(folder, capsys):
    scan(Path("scans/---.nii.gz"), 5)
    label(Path("masks/mask Ann.nii.gz"), 1)
    assert refused(capsys).startswith("E255 names without a letter or a digit: ---. Rename the files.")


def test_two_files_of_one_name_are_refused(folder, capsys):
    words = ["--images", "scans/Ann.nii.gz", "scans/Bob.nii.gz", "scans/A*.gz", "--labels", "masks"]
    told = of_words(capsys, *words)
    assert told.startswith("E255 --images names 'Ann' twice, ")
    assert told.endswith("Keep one of the two.")


def test_files_that_are_named_one_by_one(folder, capsys):
    words = ["prepare", "own", "--images", "scans/Ann.nii.gz", "scans/Cleo.nii.gz", "--labels", "masks/Ann.nii.gz"]
    assert main([*words, "--output", "mine"]) == 0
    datalist = Datalist.load("mine/datalist.json")
    assert (ids(datalist, "labeled"), ids(datalist, "unlabeled")) == (["Ann"], ["Cleo"])


def test_a_file_that_no_reader_knows_is_refused_or_passed_over(folder, capsys):
    Path("scans/Dora.xyz").write_bytes(b"1")
    words = ["--images", "scans/Ann.nii.gz", "scans/Dora.xyz"]
    told = of_words(capsys, *words)
    assert told.startswith("E255 --images names files that no reader knows: Dora.xyz. Convert them, or pass over them")
    assert main(["prepare", "own", *words, "--skip-unknown", "--output", "mine"]) == 0
    assert ids(Datalist.load("mine/datalist.json"), "unlabeled") == ["Ann"]


@pytest.mark.parametrize(
    ("suffix", "told"),
    [
        ("_seg", "E255 no label: of 3 names, Ann, Bob, Cleo for example, 0 end in '_seg'. Give the ending of"),
        ("", None),
    ],
)
def test_an_ending_that_no_label_has_is_refused(folder, capsys, suffix, told):
    if told:
        assert refused(capsys, "--label-suffix", suffix, labels="").startswith(told)
    else:
        assert len(prepared("--label-suffix", suffix, labels="").cases("unlabeled")) == 3


def test_labels_alone_are_no_dataset(folder, capsys):
    for path in Path("scans").iterdir():
        path.rename(path.with_name(f"{path.name[:-7]}_seg.nii.gz"))
    told = refused(capsys, "--label-suffix", "_seg", labels="")
    assert told.startswith("E255 no image: of 3 names, Ann_seg, Bob_seg, Cleo_seg for example, 3 end in '_seg'.")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "scans", "--labels", "masks"], "E113 --from says itself where labels are."),
        (["--images", "scans", "--labels", "masks", "--label-suffix", "x"], "E113 --labels and --label-suffix both"),
        (["--images", "scans", "--from", "scans"], "E113 one of --images and --from is needed."),
        (["--images", "scans", "--labels", "a=masks", "masks"], "E257 some --labels name a class, others do not."),
    ],
)
def test_options_that_do_not_go_together(folder, capsys, words, told):
    assert of_words(capsys, *words).startswith(told)


# Channels


def two_channels(case: str) -> None:
    for channel in (0, 1):
        scan(Path(f"scans/{case}_000{channel}.nii.gz"), 7 * channel + len(case))


@pytest.fixture
def channels(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    two_channels("a")
    two_channels("bb")
    label(Path("masks/a.nii.gz"), 1)
    return tmp_path


def test_channels_on_several_grids_are_refused(channels, capsys):
    scan(Path("scans/bb_0001.nii.gz"), 3, shape=(16, 18, 9))
    told = refused(capsys, "--channels", "T1,T2")
    assert told == (
        f"E256 case 'bb': channel {Path('scans/bb_0001.nii.gz').absolute()} is 16x18x9, the image 16x18x8. "
        "Store all channels of a case on one grid, one a file."
    )


def test_a_file_of_channels_beside_others_is_refused(channels, capsys):
    scan(Path("scans/bb_0001.nii.gz"), 3, shape=(*SHAPE, 2))
    told = refused(capsys, "--channels", "T1,T2")
    assert "or another one holds several channels itself. Store all channels of a case on one grid" in told


def test_channels_of_one_file_may_be_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        scan(Path(f"scans/{name}.nii.gz"), ord(name), shape=(*SHAPE, 2))
    label(Path("masks/a.nii.gz"), 1)
    assert refused(capsys, "--channels", "T1,T2,T3").startswith(
        "E257 3 channels are named (T1, T2, T3), images have 2. Name each channel once by --channels."
    )
    assert prepared("--channels", "T1", "T2").channels == {0: "T1", 1: "T2"}
    Path("mine/datalist.json").unlink()
    scan(Path("scans/b.nii.gz"), 1)
    assert refused(capsys, "--channels", "T1,T2").startswith(
        "E257 images have different numbers of channels: 1 (b), 2 (a). Give every case the same channels"
    )


# Codes


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("liver,liver", "E257 --names liver,liver has a name or a code twice. Name each class once."),
        ("1=liver,1=gut", "E257 --names 1=liver,1=gut has a name or a code twice. Name each class once."),
        ("one=liver", "E257 --names one=liver names some classes by their code only, or by something that is no code."),
        ("a,b,c", "E257 3 names (a, b, c) for the codes 0, 1. Name each code once."),
    ],
)
def test_names_that_fit_no_code(folder, capsys, names, told):
    assert refused(capsys, "--names", names).startswith(told)


@pytest.mark.parametrize("names", ["nothing,liver", "background,liver", "liver", "0=nothing,1=liver"])
def test_ways_to_name_a_class(folder, names):
    first = "nothing" if "nothing" in names else "background"
    assert prepared("--names", names).labels == {0: first, 1: "liver"}


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (255, "E257 labels hold 256 codes (0, 1, 2, 3 and 252 more). At most 255 classes can be learned; are these"),
        (256, "E257 case 'Bob': its label holds 257 codes: is it an image?. Give label maps as --labels."),
    ],
)
def test_an_image_in_the_place_of_a_label_is_refused(folder, capsys, codes, told):
    import nibabel

    array = np.zeros(SHAPE, np.int16)
    array.flat[: codes + 1] = np.arange(codes + 1)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), "masks/Bob.nii.gz")
    assert refused(capsys).startswith(told)


def test_white_may_be_named_by_its_code(tmp_path, monkeypatch):
    """255 is what the file holds, though a mask of two greys is read as 0 and 1."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((20, 24), np.uint8)
    mask[5:12, 6:15] = 255
    for part, of in (
        ("scans", np.random.default_rng(0).integers(0, 255, mask.shape).astype(np.uint8)),
        ("masks", mask),
    ):
        Path(part).mkdir()
        Picture.fromarray(of).save(Path(part) / "a.png")
    datalist = prepared("--names", "255=polyp")
    assert (datalist.labels, datalist.codes) == ({0: "background", 1: "polyp"}, (0, 255))
    assert int(loaded(datalist)[0]["label"].sum()) == 63


def test_a_file_of_one_class_that_holds_several_is_refused(folder, capsys):
    label(Path("masks/Bob.nii.gz"), 1, 2)
    told = of_words(capsys, "--images", "scans", "--labels", "liver=masks")
    path = Path("masks/Bob.nii.gz").absolute()
    assert told.startswith(f"E257 case 'Bob': {path} shows one class, but holds 2 codes. Give one file of all classes")


def test_labels_of_some_classes_only_are_refused(folder, capsys):
    label(Path("gut/Ann.nii.gz"), 0, 1)
    told = of_words(capsys, "--images", "scans", "--labels", "liver=masks", "gut=gut")
    assert told.startswith("E255 cases with labels of some classes only: Bob. Add a file of zeros where")


def test_labels_of_classes_on_several_grids_are_refused(folder, capsys):
    label(Path("gut/Ann.nii.gz"), 0, 1)
    label(Path("gut/Bob.nii.gz"), 0, 1, shape=(16, 18, 9))
    told = of_words(capsys, "--images", "scans", "--labels", "liver=masks", "gut=gut")
    assert told.startswith(f"E256 case 'Bob': label {Path('gut/Bob.nii.gz').absolute()} is 16x18x9, the image 16x18x8.")


def test_all_that_is_wrong_with_a_source_is_told_at_once(folder, capsys):
    for name in ("Ann", "Bob"):
        label(Path(f"masks/{name}.nii.gz"), 0.4, kind=np.float32)
    told = refused(capsys)
    assert told.startswith("E369 2 cases cannot be taken as they are: Ann (")
    assert ", Bob (" in told


# Grids


def h5(path: Path, key: str, array: np.ndarray, spacing: tuple[float, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = array
        file.attrs["spacing"] = spacing


def test_files_without_place_are_compared_by_the_size_of_voxels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    h5(Path("scans/a.h5"), "image", np.random.default_rng(0).normal(size=SHAPE), (1, 1, 2.5))
    h5(Path("masks/a.h5"), "label", (np.indices(SHAPE)[0] < 4).astype(np.uint8), (1, 1, 2))
    cause = "has voxels of 1x1x2 mm, the image of 1x1x2.5 mm"
    assert refused(capsys).startswith(f"E256 labels of 1 cases do not lie on their images' grids: a ({cause}).")
    told = refused(capsys, "--match-grids")
    assert f"a ({cause}, and one of the two does not say where it lies)." in told


def test_a_label_that_lies_elsewhere_altogether_is_not_resampled_to_nothing(folder, capsys):
    far = AFFINE.copy()
    far[0, 3] += 500
    label(Path("masks/Bob.nii.gz"), 1, affine=far)
    told = refused(capsys, "--match-grids")
    assert "Bob (lies up to 500 mm (5e+02 voxels) beside the image, and nothing of it lies within the image)." in told


# What changes meanwhile


def test_a_link_to_nothing_is_left_out_and_named(folder, capsys):
    """A file that is listed, but gone when it is looked at."""
    os.symlink("gone.nii.gz", "scans/Dora.nii.gz")
    datalist = prepared(code=1)
    assert ids(datalist, "unlabeled") == ["Cleo"]
    assert "E367 case 'Dora': " in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "[1]", json.dumps({"Ann": 3}), json.dumps({"Ann": {"stamp": 1}})])
def test_a_damaged_record_of_what_was_found_is_found_anew(folder, content):
    wanted = prepared().as_json(Path("mine"))
    Path("mine/.surveyed.json").write_text(content)
    assert prepared().as_json(Path("mine")) == wanted
    assert set(json.loads(Path("mine/.surveyed.json").read_text())) == {"Ann", "Bob", "Cleo"}
