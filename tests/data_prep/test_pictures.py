"""Dermoscopy and polyps: what the two preparations share and what is their own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as Picture

from data_prep import dermoscopy, polyp
from data_prep.listing import drawn_order
from mednoisy.data.datalist import Datalist
from mednoisy.data.images import read_image
from mednoisy.errors import UserError
from tests.data_prep.published_miniatures import MASK, colours, isic2017, pranet, split_pictures
from tests.data_prep.published_miniatures import write_pair as write


@pytest.fixture
def raw(tmp_path):
    split_pictures(tmp_path / "raw")
    return tmp_path / "raw"


def test_pictures_are_copied_and_masks_are_one_bit(raw, tmp_path):
    datalist = Datalist.load(polyp.prepare(raw, tmp_path / "out"))
    for section in ("labeled", "validation", "test"):
        for case in datalist.cases(section):
            np.testing.assert_array_equal(read_image(case["image"]).array, colours(f"{case['id']}.png"))
            with Picture.open(case["label"]) as mask:
                assert mask.mode == "1"
                np.testing.assert_array_equal(np.asarray(mask), MASK > 127)
    assert datalist.labels == {0: "background", 1: "polyp"}
    assert datalist.spacing_unit == "pixel"


def test_test_cases_name_their_centre(raw, tmp_path):
    datalist = Datalist.load(polyp.prepare(raw, tmp_path / "out"))
    assert [(case["id"], case["centre"]) for case in datalist.cases("test")] == [
        ("s0", "C1"),
        ("s1", "C2"),
        ("u0", "C4"),
    ]
    assert "Test cases by centre: 1 of C1, 1 of C2, 1 of C4 (not in training)." in datalist.protocol


def test_frames_of_a_sequence_share_a_scene_and_are_drawn_as_before(raw, tmp_path):
    """Sequences are numbered by centre, so that the first of two centres are two scenes."""
    before = Datalist.load(polyp.prepare(raw, tmp_path / "a"), labeled=4)
    assert not any("scene" in case for case in before.cases("test"))
    with_sequences = [
        f"{row},{'sequence' if row.startswith('id') else sequence}"
        for row, sequence in zip(
            (raw / "cases.csv").read_text().splitlines(), [0, *[1, 1, 1, 2, 2, 2, 3, 3], 4, 4, 1, 1, ""], strict=True
        )
    ]
    (raw / "cases.csv").write_text("\n".join(with_sequences))
    datalist = Datalist.load(polyp.prepare(raw, tmp_path / "b"), labeled=4)
    assert datalist.split_digest == before.split_digest
    assert [case.get("scene") for case in datalist.cases("test")] == ["C1_1", "C2_1", None]
    scenes = {case["id"]: case["scene"] for case in [*datalist.cases("labeled"), *datalist.cases("unlabeled")]}
    assert (scenes["t01"], scenes["t02"], scenes["t00"]) == ("C1_1", "C1_1", "C2_1")


def test_labels_are_drawn_with_the_centres_in_their_shares(raw, tmp_path):
    """Of 6 and 2 training cases the first 4 are 3 and 1; another seed draws another order, the same seed the same."""
    first = Datalist.load(polyp.prepare(raw, tmp_path / "a"), labeled=4)
    assert sorted(case["centre"] for case in first.cases("labeled")) == ["C1", "C1", "C1", "C2"]
    assert len(first.cases("unlabeled")) == len(first.cases("hidden")) == 4
    again, other = polyp.prepare(raw, tmp_path / "b"), polyp.prepare(raw, tmp_path / "c", seed=1)
    assert Datalist.load(again, labeled=4).split_digest == first.split_digest
    assert Datalist.load(other, labeled=4).split_digest != first.split_digest
    assert "drawn with seed 0" in first.protocol


def test_every_beginning_of_a_drawn_order_holds_the_strata_in_their_shares():
    strata = {"a": [f"a{n}" for n in range(50)], "b": [f"b{n}" for n in range(30)], "c": ["c0", "c1"]}
    for seed in range(5):
        order = drawn_order(strata, seed)
        assert sorted(order) == sorted(case for cases in strata.values() for case in cases)
        for count in range(1, 83):
            for name, cases in strata.items():
                share = sum(case[0] == name for case in order[:count])
                assert abs(share - count * len(cases) / 82) <= 1.5
    assert drawn_order({"a": strata["a"][::-1]}, 0) == drawn_order({"a": strata["a"]}, 0)


def test_a_second_run_does_nothing(raw, tmp_path):
    polyp.prepare(raw, tmp_path / "out", workers=2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    polyp.prepare(raw, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_official_parts_of_isic(tmp_path):
    """Superpixels are no pictures; a part without its masks is not there; a picture without mask is unlabeled."""
    isic2017(tmp_path / "raw")
    datalist = Datalist.load(dermoscopy.prepare(tmp_path / "raw", tmp_path / "out"))
    found = {name: [case["id"][-1] for case in cases] for name, cases in datalist.sections.items() if cases}
    assert found == {"labeled": ["1"], "unlabeled": ["2"], "test": ["3", "4"]}
    assert datalist.protocol.startswith("Official parts of ISIC 2017. Not here: val.")


def test_pranet_collections_are_centres(tmp_path):
    pranet(tmp_path / "raw")
    datalist = Datalist.load(polyp.prepare(tmp_path / "raw", tmp_path / "out"))
    assert {case["id"] for case in datalist.cases("labeled")} == {"CVC-ClinicDB_12", "Kvasir_cju0"}
    assert [case["id"] for case in datalist.cases("test")] == ["ETIS-LaribPolypDB_12", "Kvasir_12"]
    assert "1 of ETIS-LaribPolypDB (not in training), 1 of Kvasir." in datalist.protocol


def smaller(raw):
    Picture.fromarray(MASK[:-1]).save(raw / "masks" / "t03.jpg")


def with_three_greys(raw):
    (raw / "masks" / "t03.jpg").unlink()
    Picture.fromarray(np.where(MASK, np.uint8(3), 0)).save(raw / "masks" / "t03.png")


def truncated(raw):
    (raw / "images" / "t03.png").write_bytes((raw / "images" / "t03.png").read_bytes()[:200])


def second_image(raw):
    write(raw, "t03.bmp", None)


def without_image(raw):
    (raw / "images" / "t03.png").unlink()


def twice(raw):
    split = json.loads((raw / "split.json").read_text())
    (raw / "split.json").write_text(json.dumps({**split, "val": ["t03"]}))


def unlisted(raw):
    (raw / "split.json").write_text('{"train": []}')


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (smaller, "E204 case 't03': image is 12x16, label is 11x16."),
        (with_three_greys, "E206 case 't03': "),
        (truncated, "E202 case 't03': "),
        (second_image, "E421 "),
        (without_image, "E423 "),
        (twice, "E207 case 't03': is there twice, in one part or in two (1 such)"),
        (unlisted, "E222 "),
    ],
)
def test_what_is_damaged_or_ambiguous_is_one_line(raw, tmp_path, capsys, fault, message):
    fault(raw)
    assert polyp.main([str(raw), str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"mednoisy: {message}")
    assert not (tmp_path / "out" / "datalist.json").exists()


@pytest.mark.parametrize("module", [dermoscopy, polyp])
def test_a_folder_of_no_known_layout_is_refused(module, tmp_path):
    with pytest.raises(UserError, match=r"E222 .* holds neither split.json nor"):
        module.prepare(tmp_path / "nothing", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "counts"), [(dermoscopy, "isic2017", (107, 26, 45)), (polyp, "polyp", (86, 24, 56))]
)
def test_published_pictures(module, name, counts, shared_data, tmp_path):
    datalist = Datalist.load(module.prepare(shared_data(name), tmp_path / "out"))
    assert tuple(len(datalist.cases(section)) for section in ("labeled", "validation", "test")) == counts


@pytest.mark.parametrize("tag", [2, 3, 6])
def test_a_turned_picture_with_an_unturned_mask_is_told(tmp_path, capsys, tag):
    """Of a square even a quarter turn fits by size."""
    exif = Picture.Exif()
    exif[0x0112] = tag
    square = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[2:7, 3:12] = 255
    for part in ("images", "masks"):
        (tmp_path / "raw" / part).mkdir(parents=True)
    for case in ("a", "b", "c"):
        Picture.fromarray(square + np.uint8(ord(case))).save(tmp_path / "raw" / "images" / f"{case}.png", exif=exif)
        turned = {"exif": exif} if case == "c" else {}
        Picture.fromarray(mask).save(tmp_path / "raw" / "masks" / f"{case}.png", **turned)
    (tmp_path / "raw" / "split.json").write_text(json.dumps({"train": ["a", "b"], "val": [], "test": ["c"]}))
    assert dermoscopy.main([str(tmp_path / "raw"), str(tmp_path / "out")]) == 0
    told = f"mednoisy: note: picture and mask were not turned alike by their EXIF orientation ({tag} and none): "
    assert told + "do they fit?: a, b\n" in capsys.readouterr().err


def test_a_table_that_names_no_case_of_the_split_is_refused(raw, tmp_path, capsys):
    (raw / "cases.csv").write_text("id;centre\nT00;C1\nT01;C2\n")
    assert polyp.main([str(raw), str(tmp_path / "out")]) == 2
    assert "E243 " in (told := capsys.readouterr().err)
    assert "names none of the split's cases, but 'T00'. Write the ids as split.json has them" in told
