"""`mednoisy prepare own`: folders as people have them, through the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image as Picture

from mednoisy.cli import main
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from tests.data_prep.own_files import AFFINE, SHAPE, ids, label, loaded, prepared, refused, scan


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Five scans and three masks of two classes, called as people call them."""
    monkeypatch.chdir(tmp_path)
    for number in range(1, 6):
        scan(Path(f"scans/Patient {number:02} MR.nii.gz"), number)
    for number in (1, 2, 4):
        label(Path(f"masks/Patient {number:02} seg.nii.gz"), 1, 2)
    return tmp_path


def test_names_pair_by_what_they_share(folder, capsys):
    datalist = prepared("--names", "liver,tumour")
    assert ids(datalist, "labeled") == ["Patient_01", "Patient_02", "Patient_04"]
    assert ids(datalist, "unlabeled") == ["Patient_03", "Patient_05"]
    assert datalist.labels == {0: "background", 1: "liver", 2: "tumour"}
    assert (datalist.codes, datalist.spacing_unit) == ((), "mm")
    told = capsys.readouterr()
    assert "'Patient 01 MR' with 'Patient 01 seg' is 'Patient 01'" in told.err
    assert told.out.startswith("mine/datalist.json: 3 labeled, 2 unlabeled.")
    np.testing.assert_array_equal(loaded(datalist)[1]["image"][0], read_image("scans/Patient 02 MR.nii.gz").array)
    assert loaded(datalist)[1]["label"].unique(return_counts=True)[1].tolist() == [16 * 18 * 8 - 54, 27, 27]


def test_a_second_run_does_nothing_and_a_changed_file_is_taken_again(folder):
    prepared()
    before = {path: path.stat().st_mtime_ns for path in Path("mine").rglob("*[a-z]") if path.name != ".lock"}
    prepared()
    assert {path: path.stat().st_mtime_ns for path in Path("mine").rglob("*[a-z]") if path.name != ".lock"} == before
    array = scan(Path("scans/Patient 03 MR.nii.gz"), 77)
    np.testing.assert_array_equal(loaded(prepared(), "unlabeled")[0]["image"][0], array)


@pytest.mark.parametrize(
    ("images", "masks", "arguments", "wanted"),
    [
        (["img001", "img002"], ["mask002"], [], ["002"]),
        (["Müller 1", "Müller 2", "Ötzi 1"], ["Müller 2 Maske", "Ötzi 1 Maske"], [], ["Müller_2", "Ötzi_1"]),
        (["c1/image", "c2/image"], ["c1/label"], [], ["c1"]),
        (["only one MR"], ["only one seg"], [], ["only_one"]),
        (["T1 of A", "T1 of B"], ["A by Ann", "B by Bob"], ["--pattern", r"\b([AB])\b"], ["A", "B"]),
        (["A-mr", "B-mr"], ["A-s", "B-s"], ["--image-affix", "mr", "--label-affix", "s"], ["A", "B"]),
    ],
)
def test_ways_to_call_files(tmp_path, monkeypatch, images, masks, arguments, wanted):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(images):
        scan(Path("scans") / f"{name}.nii.gz", number)
    for name in masks:
        label(Path("masks") / f"{name}.nii.gz", 1)
    datalist = prepared(*arguments)
    assert ids(datalist, "labeled") == wanted
    for case in datalist.cases("labeled"):
        assert Path(case["image"]).name == f"{case['id']}.nii.gz"


def test_names_of_200_characters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        scan(Path("scans") / f"{'long' * 45}{'ä' * 20}{number}.nii.gz", number)
    label(Path("masks") / f"{'long' * 45}{'ä' * 20}1.nii.gz", 1)
    datalist = prepared()
    assert len(datalist.cases("labeled")) == len(datalist.cases("unlabeled")) == 1
    assert len(ids(datalist, "labeled")[0].encode()) <= 200


def test_labels_may_lie_beside_their_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        scan(Path(f"scans/scan{number:02}.nii.gz"), number)
    label(Path("scans/scan02_seg.nii.gz"), 1)
    assert "'scan02_seg' among the images looks like a label" in refused(capsys, labels="")
    datalist = prepared("--label-suffix", "_seg", labels="")
    assert (ids(datalist, "labeled"), ids(datalist, "unlabeled")) == (["scan02"], ["scan01"])


def test_a_folder_of_labels_within_that_of_images_holds_no_images(folder):
    Path("masks").rename("scans/masks")
    datalist = prepared(labels="scans/masks")
    assert len(datalist.cases("labeled")) == 3
    assert len(datalist.cases("unlabeled")) == 2


def test_globs_choose_files(folder):
    scan(Path("scans/notes/Patient 09 CT.nii.gz"), 9)
    datalist = prepared(images="scans/* MR.nii.gz", labels="masks/*.nii.gz")
    assert len(datalist.cases("labeled")) == 3
    assert len(datalist.cases("unlabeled")) == 2


@pytest.mark.parametrize("link", [False, True])
def test_codes_with_gaps_and_floats_off_whole_become_classes(folder, link):
    for number in (1, 2, 4):
        label(Path(f"masks/Patient {number:02} seg.nii.gz"), 1.0004, 4, kind=np.float32)
    label(Path("masks/Patient 02 seg.nii.gz"), 4, kind=np.float32)
    datalist = prepared("--names", "0=background", "1=edema", "2=core", "4=tumour", *(["--link"] if link else []))
    assert datalist.codes == (0, 1, 2, 4)
    assert json.loads(Path("mine/datalist.json").read_text())["codes"] == {"0": 0, "1": 1, "2": 2, "3": 4}
    assert [item["label"].unique().tolist() for item in loaded(datalist)] == [[0, 1, 3], [0, 3], [0, 1, 3]]
    where = {Path(case["image"]).parent.name for case in datalist.cases("labeled")}
    assert where == ({"scans"} if link else {"images"})


def test_codes_without_a_name_are_refused(folder, capsys):
    label(Path("masks/Patient 04 seg.nii.gz"), 1, 7)
    told = refused(capsys, "--names", "0=background,1=liver,2=tumour")
    assert told.startswith("E257 labels hold codes without a name: Patient_04 (7); names are there for [0, 1, 2].")
    assert refused(capsys, "--names", "liver,tumour").startswith(
        "E257 2 names (liver, tumour) for the codes 0, 1, 2, 7"
    )


def test_what_nobody_looked_at_keeps_a_code_of_its_own(folder):
    label(Path("masks/Patient 04 seg.nii.gz"), 1, 1, 9)
    for number in (1, 2):
        label(Path(f"masks/Patient {number:02} seg.nii.gz"), 1)
    datalist = prepared("--ignore", "9")
    assert (datalist.labels, datalist.ignore) == ({0: "background", 1: "label 1"}, (9,))
    assert np.unique(read_image("mine/labels/Patient_04.nii.gz").array).tolist() == [0, 1, 9]


def test_one_file_a_class(folder, capsys):
    for number in (1, 2):
        label(Path(f"organs/liver/Patient {number:02} liver.nii.gz"), 255)
        label(Path(f"organs/tumour/{number:02}.nii.gz"), 0, 1)
    words = ["liver=organs/liver", "tumour=organs/tumour"]
    assert main(["prepare", "own", "--images", "scans", "--labels", *words, "--output", "mine"]) == 0
    datalist = Datalist.load("mine/datalist.json")
    assert datalist.labels == {0: "background", 1: "liver", 2: "tumour"}
    item = loaded(datalist)[1]["label"][0]
    assert (item[1:4, 2:5, 2:5] == 1).all()
    assert (item[5:8, 2:5, 2:5] == 2).all()
    assert int(item.sum()) == 81
    label(Path("organs/tumour/02.nii.gz"), 1)
    assert main(["prepare", "own", "--images", "scans", "--labels", *words, "--output", "mine2"]) == 2
    assert "E366 case 'Patient_02': 27 voxels are of two classes" in capsys.readouterr().err
    assert not Path("mine2").exists()


@pytest.mark.parametrize("white", [255, 254])
@pytest.mark.parametrize("link", [False, True])
def test_white_is_one_class_in_a_whole_folder_of_pictures(tmp_path, monkeypatch, white, link):
    """Also where a mask has soft edges, and one is empty."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((20, 24), np.uint8)
    mask[5:12, 6:15], mask[4, 6:15] = white, 60
    for number, array in enumerate((mask, mask * 0, mask.T.copy().T)):
        picture = np.random.default_rng(number).integers(0, 255, (20, 24, 3)).astype(np.uint8)
        for part, name, of in (("scans", f"IMG {number}.png", picture), ("masks", f"mask-{number}.png", array)):
            Path(part).mkdir(exist_ok=True)
            Picture.fromarray(of).save(Path(part) / name)
    datalist = prepared("--names", "polyp", *(["--link"] if link else []))
    assert datalist.labels == {0: "background", 1: "polyp"}
    assert datalist.codes == (0, white)
    assert datalist.channels == {0: "red", 1: "green", 2: "blue"}
    assert datalist.spacing_unit == "pixel"
    assert [int(item["label"].sum()) for item in loaded(datalist)] == [63, 0, 63]


def test_greys_of_several_classes_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((20, 24), np.uint8)
    mask[5:15, 6:18], mask[8:13, 10:16] = 128, 255
    for part, of in (
        ("scans", np.random.default_rng(0).integers(0, 255, mask.shape).astype(np.uint8)),
        ("masks", mask),
    ):
        Path(part).mkdir()
        Picture.fromarray(of).save(Path(part) / "a.png")
    assert "--names 0=background,128=cup,255=disc" in refused(capsys)
    datalist = prepared("--names", "0=background,128=disc,255=cup")
    assert datalist.codes == (0, 128, 255)
    assert loaded(datalist)[0]["label"].unique(return_counts=True)[1].tolist() == [480 - 120, 90, 30]


@pytest.mark.parametrize("link", [False, True])
def test_a_label_a_little_beside_its_image(folder, capsys, link):
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.08
    label(Path("masks/Patient 02 seg.nii.gz"), 1, 2, affine=shifted)
    if link:
        assert "E258 --link leaves files as they are, but labels lie beside their images: Patient_02" in refused(
            capsys, "--link"
        )
        return
    datalist = prepared()
    assert "note: labels lie up to 0.08 voxels beside their images, and are put on these: Patient_02" in (
        capsys.readouterr().err
    )
    np.testing.assert_array_equal(read_image(datalist.cases("labeled")[1]["label"]).affine, AFFINE)


def test_labels_on_other_grids_are_listed_or_resampled(folder, capsys):
    """Twice as coarse from the same corner, and flipped: voxels of 2x2x2 become eight of one each."""
    coarse = AFFINE @ np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = AFFINE[:3, :3] @ [0.5, 0.5, 0.5]
    label(Path("masks/Patient 01 seg.nii.gz"), 1, affine=coarse, shape=(8, 9, 4))
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    flipped[:3, 3] = AFFINE[:3, :3] @ [SHAPE[0] - 1, 0, 0]
    label(Path("masks/Patient 04 seg.nii.gz"), 1, 2, affine=flipped)
    told = refused(capsys)
    assert told.startswith(
        "E256 labels of 2 cases do not lie on their images' grids: Patient_01 (is 8x9x4, the image 16x"
    )
    assert "Patient_04 (lies up to 15 mm (15 voxels) beside the image)" in told
    first, _, third = loaded(prepared("--match-grids"))
    assert int(first["label"].sum()) == 3 * 3 * 2 * 8  # of 27 coarse voxels 18 lie within
    assert (third["label"][0, 12:15, 2:5, 2:5] == 1).all()
    assert (third["label"][0, 8:11, 2:5, 2:5] == 2).all()
    assert "label resampled onto its image's grid: Patient_01, Patient_04" in capsys.readouterr().err


def test_patients_are_found_by_a_pattern(folder, capsys):
    assert refused(capsys, "--patients", "Case").startswith(
        "E368 --patients 'Case' finds nothing in scans/Patient 01 MR"
    )
    assert refused(capsys, "--patients", "(").startswith("E368 '(' is no regular expression")
    datalist = prepared("--patients", r"Patient 0(\d)")
    assert datalist.patients("labeled") == ["1", "2", "4"]


def test_channels_in_files_of_their_own_become_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays = {n: [scan(Path(f"scans/BRATS_{n:03}_000{c}.nii.gz"), 10 * n + c) for c in range(2)] for n in (1, 2)}
    label(Path("masks/BRATS_001.nii.gz"), 1)
    datalist = prepared("--channels", "T1,FLAIR")
    assert datalist.channels == {0: "T1", 1: "FLAIR"}
    assert ids(datalist, "labeled") == ["BRATS_001"]
    np.testing.assert_array_equal(loaded(datalist)[0]["image"], arrays[1])
    Path("scans/BRATS_002_0001.nii.gz").unlink()
    assert main(["prepare", "own", "--images", "scans", "--output", "other", "--channels", "T1,FLAIR"]) == 2
    assert "E255 cases without one file for each of 2 channels: BRATS_002" in capsys.readouterr().err


def test_frames_that_are_numbered_alike_are_no_channels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for case in ("a_0000", "a_0001", "b_0000", "b_0001"):
        scan(Path(f"scans/{case}.nii.gz"), hash(case) % 100)
    label(Path("masks/a_0001.nii.gz"), 1)
    assert len(prepared().cases("unlabeled")) == 3


def test_decathlon(tmp_path, monkeypatch):
    """Four channels in a file of four axes, a `test` list without references, a Mac's leavings."""
    monkeypatch.chdir(tmp_path)
    table = {
        "name": "BRATS",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
        "training": [
            {"image": f"./imagesTr/BRATS_{n}.nii.gz", "label": f"./labelsTr/BRATS_{n}.nii.gz"} for n in (1, 2)
        ],
        "test": ["./imagesTs/BRATS_9.nii.gz"],
    }
    arrays = {
        n: scan(Path(f"T/images{part}/BRATS_{n}.nii.gz"), n, shape=(*SHAPE, 4))
        for n, part in ((1, "Tr"), (2, "Tr"), (9, "Ts"))
    }
    for n in (1, 2):
        label(Path(f"T/labelsTr/BRATS_{n}.nii.gz"), 1, 2)
    Path("T/imagesTr/._BRATS_1.nii.gz").write_bytes(b"\0\5\26\7")
    Path("T/dataset.json").write_text(json.dumps(table))
    assert main(["prepare", "own", "--from", "T", "--output", "mine"]) == 0
    datalist = Datalist.load("mine/datalist.json")
    assert datalist.name == "BRATS"
    assert list(datalist.labels.values())[3] == "enhancing tumour"
    assert (ids(datalist, "labeled"), ids(datalist, "unlabeled")) == (["BRATS_1", "BRATS_2"], ["BRATS_9"])
    np.testing.assert_array_equal(loaded(datalist)[0]["image"], np.moveaxis(arrays[1], -1, 0))
    Path("T/labelsTr/BRATS_2.nii.gz").unlink()
    assert main(["prepare", "own", "--from", "T", "--output", "other"]) == 2


def test_nnunet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "ignore": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    for n, part in ((1, "Tr"), (2, "Tr"), (7, "Ts"), (8, "Ts")):
        scan(Path(f"Dataset001/images{part}/liver_{n}_0000.nii.gz"), n)
    for n, part in ((1, "Tr"), (2, "Tr"), (8, "Ts")):
        label(Path(f"Dataset001/labels{part}/liver_{n}.nii.gz"), 1, 2)
    Path("Dataset001/dataset.json").write_text(json.dumps(table))
    assert main(["prepare", "own", "--from", "Dataset001", "--output", "mine"]) == 0
    datalist = Datalist.load("mine/datalist.json")
    assert datalist.labels == {0: "background", 1: "liver"}
    assert datalist.ignore == (2,)
    sections = [ids(datalist, section) for section in ("labeled", "unlabeled", "test")]
    assert sections == [["liver_1", "liver_2"], ["liver_7"], ["liver_8"]]
    table["labels"]["whole"] = [1, 2]
    Path("Dataset001/dataset.json").write_text(json.dumps(table))
    assert main(["prepare", "own", "--from", "Dataset001", "--output", "other"]) == 2
    assert "has the region 'whole' of several codes" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".h5"])
def test_every_format_of_volumes_becomes_nifti(tmp_path, monkeypatch, suffix):
    import SimpleITK

    monkeypatch.chdir(tmp_path)
    array = scan(Path("scans/a.nii"), 1)
    label(Path("masks/a.nii"), 1)
    for part in ("scans", "masks"):
        if suffix == ".h5":
            with h5py.File(f"{part}/a.h5", "w") as file:
                file["image" if part == "scans" else "label"] = nibabel.load(f"{part}/a.nii").get_fdata()
                file.attrs["spacing"] = (1.0, 1.0, 2.5)
        elif suffix != ".nii":
            SimpleITK.WriteImage(SimpleITK.ReadImage(f"{part}/a.nii"), f"{part}/a{suffix}")
        if suffix != ".nii":
            Path(part, "a.nii").unlink()
    case = prepared().cases("labeled")[0]
    image = read_image(case["image"])
    np.testing.assert_array_equal(image.array, array)
    assert image.spacing == (1, 1, 2.5)
    assert image.oriented == (suffix != ".h5")
    assert read_image(case["label"]).array.sum() == 27


# Bad input


def test_an_unreadable_case_among_others_is_left_out_and_listed(folder, capsys):
    for name in ("scans/Patient 02 MR.nii.gz", "scans/Patient 05 MR.nii.gz"):
        Path(name).write_bytes(Path(name).read_bytes()[:-40])
    datalist = prepared(code=1)
    assert ids(datalist, "labeled") == ["Patient_01", "Patient_04"]
    assert ids(datalist, "unlabeled") == ["Patient_03"]
    told = [line for line in capsys.readouterr().err.splitlines() if " E202 " in line]
    assert [re.search("case '(.*?)'", line)[1] for line in told] == ["Patient_02", "Patient_05"]


def empty(folder):
    for path in Path("scans").iterdir():
        path.unlink()


def no_pair(folder):
    for number, path in enumerate(sorted(Path("masks").iterdir())):
        path.rename(path.with_name(f"mask {'xyz'[number]}.nii.gz"))


def twice(folder):
    scan(Path("scans/patient 02 MR.nii.gz"), 3)


def two_masks(folder):
    label(Path("masks/patient_02_seg.nii.gz"), 1)


def unknown(folder):
    Path("scans/Patient 06 MR.xyz").write_bytes(b"1")


def lonely(folder):
    label(Path("masks/Patient 99 seg.nii.gz"), 1)


def mixed(folder):
    Picture.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10)).save("scans/Patient 06 MR.png")


def fractions(folder):
    label(Path("masks/Patient 02 seg.nii.gz"), 0.4, kind=np.float32)


def all_broken(folder):
    for path in Path("scans").iterdir():
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (empty, "E420 scans holds no file of a known format"),
        (
            no_pair,
            "E255 labels that fit no image, or several: 'mask x' (no image), 'mask y' (no image), 'mask z' (no im",
        ),
        (twice, "E255 several images would be one case: Patient 02 MR, patient 02 MR ('02'). Keep one of each."),
        (two_masks, "E255 several labels would be one case: Patient 02 seg, patient_02_seg ('Patient 02 MR')."),
        (unknown, "E242 scans holds files that no reader knows: Patient 06 MR.xyz."),
        (lonely, "E255 labels that fit no image, or several: 'Patient 99 seg' (no image)."),
        (
            mixed,
            "E257 the images are pictures (Patient_06) and volumes (Patient_01, Patient_02, Patient_03 and 2 more).",
        ),
        (fractions, "E223 case 'Patient_02': "),
        (all_broken, "E367 case 'Patient_01': no case can be read, the first for this: "),
    ],
)
def test_what_is_wrong_with_a_source_is_one_line(folder, capsys, fault, message):
    fault(folder)
    assert refused(capsys).startswith(message)
    assert not Path("mine").exists()


def test_files_that_no_reader_knows_are_passed_over_on_request(folder):
    unknown(folder)
    assert len(prepared("--skip-unknown").cases("unlabeled")) == 2


def test_the_same_image_twice_is_told(folder, capsys):
    scan(Path("scans/Patient 05 MR.nii.gz"), 3)
    prepared()
    assert "the same image, voxel for voxel, is listed as Patient_03, Patient_05" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "mine"], "E113 one of --images and --from is needed"),
        (["--images", "scans"], "E100 the following arguments are required: --output"),
        (["--images", "nowhere", "--output", "mine"], "E255 --images nowhere: there is no such folder or file"),
        (["--images", "scans", "--output", "scans/mine"], "E108 scans/mine is in scans, where the source files are"),
        (["--images", "scans", "--output", "mine", "--workers", "0"], "E108 workers is 0"),
        (["--from", "scans", "--output", "mine"], "E255 scans holds neither dataset.json nor images/ and labels/"),
        (
            ["--images", "scans", "--output", "mine", "--names", "a,1=b"],
            "E257 --names a,1=b names some classes by their",
        ),
    ],
)
def test_arguments_that_do_not_go(folder, capsys, arguments, message):
    assert main(["prepare", "own", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"mednoisy: {message}")


def test_no_place_to_write(folder, capsys):
    assert main(["prepare", "own", "--images", "scans", "--output", "/proc/mine"]) == 2
    assert capsys.readouterr().err.startswith("mednoisy: E221 /proc/mine: ")


def test_a_full_disk_is_told_and_goes_on(folder, capsys, monkeypatch):
    from mednoisy.data_prep import own_jobs

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "mine/labels")

    with monkeypatch.context() as patch:
        patch.setattr(own_jobs, "write_nifti_like", full)
        assert main(["prepare", "own", "--images", "scans", "--labels", "masks", "--output", "mine"]) == 1
    assert "E320 cannot write " in capsys.readouterr().err
    assert not Path("mine/datalist.json").exists()
    assert len(prepared().cases("labeled")) == 3


def test_an_interrupted_look_goes_on(folder, monkeypatch):
    """What was found before stays: files that were looked at are not opened again."""
    from mednoisy.data_prep import own, own_survey

    read = own_survey.read_channels
    seen: list[str] = []

    def until(paths, case):
        seen.append(case)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return read(paths, case)

    monkeypatch.setattr(own_survey, "read_channels", until)
    with pytest.raises(KeyboardInterrupt):
        own.main(["--images", "scans", "--labels", "masks", "--output", "mine"])
    prepared()
    assert seen == [f"Patient_0{number}" for number in (1, 2, 3, 3, 4, 5)]
