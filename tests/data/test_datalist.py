from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mednoisy.data.datalist import Datalist
from mednoisy.errors import UserError


@pytest.fixture
def written(tmp_path):
    """Writes a datalist of five labeled, three unlabeled (two with a reference) and one test case; its path."""

    def write(change=lambda content: None):
        def entry(name, *parts):
            for part in parts:
                (tmp_path / part).mkdir(exist_ok=True)
                (tmp_path / part / name).touch()
            return {"id": name, **{part: f"{part}/{name}" for part in parts}}

        content = {
            "name": "toy",
            "channels": {"0": "MRI"},
            "labels": {"0": "background", "1": "atrium"},
            "labeled": [entry(f"p{n}", "image", "label") for n in range(5)],
            "unlabeled": [entry(f"u{n}", "image") for n in range(3)],
            "test": [entry("t0", "image", "label")],
            "hidden": [entry("u0", "label"), entry("u2", "label")],
        }
        change(content)
        path = tmp_path / "datalist.json"
        path.write_text(json.dumps(content))
        return path

    return write


def ids(datalist, section):
    return [case["id"] for case in datalist.cases(section)]


def test_cases_have_absolute_paths_and_only_what_their_section_may_show(written, tmp_path):
    datalist = Datalist.load(written())
    assert datalist.cases("labeled")[1] == {
        "id": "p1",
        "image": str(tmp_path / "image" / "p1"),
        "label": str(tmp_path / "label" / "p1"),
    }
    assert datalist.cases("unlabeled")[2] == {"id": "u2", "image": str(tmp_path / "image" / "u2")}
    assert datalist.cases("hidden")[1]["image"] == str(tmp_path / "image" / "u2")
    assert datalist.cases("validation") == []
    assert datalist.labels == {0: "background", 1: "atrium"}


def test_pseudo_labels_are_training_cases_in_a_section_of_their_own(written, tmp_path):
    """Saved and loaded again they are the same; the references of all unlabeled cases stay hidden ones."""
    datalist = Datalist.load(written())
    assert "pseudo" not in json.loads(datalist.save(tmp_path / "again.json").read_text())
    first, *rest = datalist.cases("unlabeled")
    pseudo = {**first, "label": str(tmp_path / "label" / "u0"), "confidence": str(tmp_path / "image" / "u0")}
    extended = replace(datalist, sections={**datalist.sections, "unlabeled": rest, "pseudo": [pseudo]})
    again = Datalist.load(extended.save(tmp_path / "rounds" / "datalist.json"))
    assert again.cases("pseudo") == [pseudo]
    assert again.cases("hidden")[-1] == {**first, "label": str(tmp_path / "label" / "u0")}
    assert sorted(ids(again, "hidden")) == ["u0", "u2"]
    assert (datalist.split_digest, extended.split_digest == datalist.split_digest) == ("9be25e186bd56305", False)


def with_pseudo(**entry):
    """A change that adds one pseudo-labeled case, `q0` with an image of its own unless told otherwise."""
    whole = {"id": "q0", "image": "label/u0", "label": "label/p0", "confidence": "label/p0"}

    def change(content):
        content["pseudo"] = [{key: value for key, value in (whole | entry).items() if value is not None}]

    return change


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"image": "image/p0"}, "E207 case 'q0': its image is also that of 'p0'"),
        ({"id": "u1"}, "E207 case 'u1': is in 'unlabeled' and in 'pseudo'"),
        ({"confidence": None}, "E213 case 'q0': 'confidence' is missing"),
        ({"confidence": "absent"}, "E215 case 'q0': confidence .*absent does not exist"),
    ],
)
def test_pseudo_labels_are_checked_as_other_cases_are(written, entry, told):
    with pytest.raises(UserError, match=told):
        Datalist.load(written(with_pseudo(**entry)))


def test_a_patient_with_pseudo_labels_is_in_training(written):
    def change(content):
        content["test"][0]["patient"] = "one"
        with_pseudo(patient="one")(content)

    with pytest.raises(UserError, match=r"E226 .*patient 'one' is in"):
        Datalist.load(written(change))


def test_no_validation_case_is_of_a_patient_with_pseudo_labels(written):
    def change(content):
        content["unlabeled"][0]["patient"] = "one"
        with_pseudo(patient="one")(content)

    assert ids(Datalist.load(written(change), validation=1), "validation") == ["u2"]
    with pytest.raises(UserError, match="E217 2 validation cases are asked for; 1 unlabeled"):
        Datalist.load(written(change), validation=2)


def test_the_first_k_keep_their_label(written):
    subset = Datalist.load(written()).with_labeled(2)
    assert ids(subset, "labeled") == ["p0", "p1"]
    assert ids(subset, "unlabeled") == ["p2", "p3", "p4", "u0", "u1", "u2"]
    assert ids(subset, "hidden") == ["p2", "p3", "p4", "u0", "u2"]
    assert all("label" not in case for case in subset.cases("unlabeled"))


def test_validation_is_the_same_for_any_number_of_labels(written):
    """The last cases of the pool that have a reference; u1 has none. Nothing else may read their label."""
    for labeled in (1, 2, 4):
        subset = Datalist.load(written(), labeled=labeled, validation=2)
        assert ids(subset, "validation") == ["u0", "u2"]
        assert all("label" in case for case in subset.cases("validation"))
        assert not {"u0", "u2"} & {*ids(subset, "hidden"), *ids(subset, "unlabeled"), *ids(subset, "labeled")}


def test_no_case_is_lost(written):
    datalist = Datalist.load(written())
    everything = sorted(name for section in ("labeled", "unlabeled", "test") for name in ids(datalist, section))
    for labeled in (None, 1, 3, 5):
        for validation in (0, 1, 2):
            subset = datalist.with_labeled(labeled, validation)
            found = [n for section in ("labeled", "unlabeled", "validation", "test") for n in ids(subset, section)]
            assert sorted(found) == everything


def test_saved_and_loaded_elsewhere_it_is_the_same(written, tmp_path):
    subset = Datalist.load(written()).with_labeled(2, validation=1)
    again = Datalist.load(subset.save(tmp_path / "run" / "split" / "datalist.json"))
    assert again.sections == subset.sections
    assert again.split_digest == subset.split_digest
    assert '"../../image/p0"' in (tmp_path / "run" / "split" / "datalist.json").read_text()


def test_labels_of_unlabeled_cases_may_be_absent(written, tmp_path):
    path = written()
    for name in ("p3", "p4", "u0", "u2"):
        (tmp_path / "label" / name).unlink()
    subset = Datalist.load(path, labeled=3)
    assert ids(subset, "unlabeled") == ["p3", "p4", "u0", "u1", "u2"]
    assert ids(subset, "hidden") == []
    with pytest.raises(UserError, match=r"E215 case 'p3': label .*label/p3 does not exist \(.*section 'labeled'\)"):
        Datalist.load(path)


def test_absent_references_choose_no_checkpoint(written):
    """Validation cases come from those whose label file is there."""
    path = written()
    Path(Datalist.load(path).with_labeled(2).cases("hidden")[-1]["label"]).unlink()  # of u2
    assert ids(Datalist.load(path, labeled=2, validation=2), "validation") == ["p4", "u0"]


def edit(section, number, **values):
    def change(content):
        entry = content.setdefault(section, [{}])[number]
        entry.update({key: value for key, value in values.items() if value is not None})
        for key in [key for key, value in values.items() if value is None]:
            del entry[key]

    return change


def put(key, value):
    return lambda content: content.update({key: value})


def of_patients(**patients):
    """The change that names the patients of some cases, by id."""

    def change(content):
        for section in ("labeled", "unlabeled", "test"):
            for entry in content[section]:
                if entry["id"] in patients:
                    entry["patient"] = patients[entry["id"]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("test", 0, id="p3"), r"E207 case 'p3': is in 'labeled' and in 'test' \(.*, entries 4 and 1\). Remove"),
        (edit("labeled", 4, id="p1"), r"E207 case 'p1': is twice in 'labeled' \(.*, entries 2 and 5\)"),
        (edit("test", 0, image="image/p2"), r"E207 case 't0': its image is also that of 'p2' \(.*'test', entry 1\)"),
        (put("unlabelled", []), "E211 .*unknown section or key 'unlabelled'. Did you mean 'unlabeled'"),
        (put("labeled", {}), "E211 .*'labeled' is not a list of entries"),
        (lambda content: content.pop("labels"), "E211 .*'labels' is missing. Add it"),
        (put("labels", {"0": "background", "2": "a"}), "E212 .*'labels' has the codes 0, 2. Number them"),
        (put("labels", {"0": "background", "one": "a"}), "E212 .*'labels' has the codes 0, one"),
        (edit("unlabeled", 1, label="x"), r"E213 case 'u1': an unlabeled case has a label \(.*entry 2\)"),
        (edit("labeled", 0, mask="x"), r"E213 case 'p0': unknown key 'mask' \(.*section 'labeled', entry 1\)"),
        (edit("test", 0, label=None), r"E213 case 't0': 'label' is missing \(.*section 'test', entry 1\)"),
        (edit("test", 0, image=7), r"E213 an entry is a table of non-empty texts.*\(.*section 'test', entry 1\)"),
        (edit("test", 0, id="../x"), r"E213 case '../x': the id cannot be a file's name"),
        (edit("hidden", 1, id="p0"), r"E214 case 'p0': is hidden but not in 'unlabeled' \(.*entry 2\)"),
        (edit("hidden", 0, patient="a"), r"E213 case 'u0': unknown key 'patient' \(.*section 'hidden', entry 1\)"),
        (of_patients(p1="a", t0="a"), r"E226 case 't0': patient 'a' is in training and in test \(.*'test', entry 1\)"),
        (edit("unlabeled", 2, image="image/gone"), r"E215 case 'u2': image .*gone does not exist.*Restore"),
        (put("split_digest", "0123"), "E216 .*not those that `split_digest` was taken of. Restore"),
    ],
)
def test_a_faulty_datalist_is_one_line_that_names_file_and_entry(written, change, message):
    path = written(change)
    with pytest.raises(UserError, match=message) as fault:
        Datalist.load(path)
    assert str(path) in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_datalist_is_refused(tmp_path, text):
    (tmp_path / "datalist.json").write_text(text)
    with pytest.raises(UserError, match=r"E210 datalist .*datalist.json"):
        Datalist.load(tmp_path / "datalist.json")


def test_an_absent_datalist_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"E210 datalist .* does not exist. Prepare the dataset first"):
        Datalist.load(tmp_path / "datalist.json")


@pytest.mark.parametrize(
    ("labeled", "validation", "message"),
    [
        (6, 0, "E217 6 labeled cases are asked for; .*datalist.json has 5. Ask for 1 to 5"),
        (0, 0, "E217 0 labeled cases"),
        (2, 6, "E217 6 validation cases are asked for; 5 unlabeled cases have a reference. Use --validation 5 or less"),
    ],
)
def test_more_cases_than_there_are_is_refused(written, labeled, validation, message):
    with pytest.raises(UserError, match=message):
        Datalist.load(written()).with_labeled(labeled, validation)


def test_another_number_of_classes_than_the_network_has_is_refused(written):
    path = written()
    assert Datalist.load(path, codes=2).labels == Datalist.load(path).labels
    with pytest.raises(UserError, match=r"E219 .*datalist\.json lists 2 label codes, the configuration has 4"):
        Datalist.load(path, codes=4)


TWO_EACH = {"p0": "a", "p1": "b", "p2": "b", "p3": "c", "p4": "a", "u0": "d", "u2": "d"}


def test_patients_are_what_is_counted(written):
    """Two labeled of patients a (p0, p4), b (p1, p2), c (p3): all scans of a and b, and only they."""
    datalist = Datalist.load(written(of_patients(**TWO_EACH)), labeled=2, validation=1)
    assert ids(datalist, "labeled") == ["p0", "p1", "p2", "p4"]
    assert ids(datalist, "validation") == ["u0", "u2"]
    assert ids(datalist, "unlabeled") == ["p3", "u1"]
    assert ids(datalist, "hidden") == ["p3"]
    assert datalist.patients("labeled") == ["a", "b"]
    assert datalist.patients("unlabeled") == ["c", "u1"]
    assert datalist.cases("validation")[1]["patient"] == "d"
    assert "label" not in datalist.cases("unlabeled")[0]


def test_a_patient_with_labels_chooses_no_checkpoint(written):
    """Of patient a one scan is labeled, the other (u2) not: validation takes u0 though u2 is the later one."""
    datalist = Datalist.load(written(of_patients(p0="a", u2="a")), labeled=1, validation=5)
    assert ids(datalist, "validation") == ["p1", "p2", "p3", "p4", "u0"]
    with pytest.raises(UserError, match="E217 6 validation cases are asked for; 5 unlabeled cases have a reference"):
        Datalist.load(written(of_patients(p0="a", u2="a")), labeled=1, validation=6)


def test_more_patients_than_there_are_is_refused(written):
    with pytest.raises(UserError, match=r"E217 4 labeled patients are asked for; .* has 3. Ask for 1 to 3"):
        Datalist.load(written(of_patients(**TWO_EACH)), labeled=4)


def test_patients_and_centres_are_kept(written, tmp_path):
    def change(content):
        of_patients(**TWO_EACH)(content)
        content["test"][0]["centre"] = "C4"

    datalist = Datalist.load(written(change))
    datalist.save(tmp_path / "again.json")
    again = Datalist.load(tmp_path / "again.json")
    assert again.sections == datalist.sections
    assert again.cases("test")[0]["centre"] == "C4"


def test_scenes_change_no_split(written):
    """Frames of one scene are labeled one by one, as if none were named, and a scene may be on both sides."""
    plain = Datalist.load(written(), labeled=2, validation=1)

    def of_one_scene(content):
        for section in ("labeled", "unlabeled", "test"):
            for case in content[section]:
                case["scene"] = "s"

    scenic = Datalist.load(written(of_one_scene), labeled=2, validation=1)
    for section in ("labeled", "unlabeled", "validation", "test"):
        assert ids(scenic, section) == ids(plain, section)
        assert {case["scene"] for case in scenic.cases(section)} == {"s"}
    assert scenic.split_digest == plain.split_digest


def test_codes_to_ignore_go_with_cases_that_somebody_labeled(written, tmp_path):
    """Unlabeled cases have no voxel to ignore, and of a pseudo-label 255 may be a class: white."""
    datalist = Datalist.load(written(lambda content: content.update(ignore=[255, 9, 255])), labeled=2, validation=1)
    assert datalist.ignore == (9, 255)
    for section in ("labeled", "validation", "test", "hidden"):
        assert {case["ignore"] for case in datalist.cases(section)} == {"9 255"}
    assert all("ignore" not in case for case in datalist.cases("unlabeled"))
    pseudo = [{**case, "label": case["image"], "confidence": case["image"]} for case in datalist.cases("unlabeled")]
    labeled_by_machine = replace(datalist, sections={**datalist.sections, "pseudo": pseudo, "unlabeled": []})
    assert all("ignore" not in case for case in labeled_by_machine.cases("pseudo"))
    again = Datalist.load(datalist.with_labeled(2).save(tmp_path / "again.json"))
    assert again.ignore == (9, 255)
    assert "ignore" not in json.loads(Datalist.load(written()).save(tmp_path / "without.json").read_text())


def test_more_classes_than_8_bits_hold_beside_the_ignored_are_refused(written):
    """255 classes are the most: their codes end at 254."""
    most = {str(code): f"class {code}" for code in range(255)}
    assert len(Datalist.load(written(lambda content: content.update(labels=most))).labels) == 255
    with pytest.raises(UserError, match=r"E248 .*'labels' has 256 codes; labels have 8 bits.* until there are 255 or"):
        Datalist.load(written(lambda content: content.update(labels=most | {"255": "one more"})))


@pytest.mark.parametrize("codes", [[1], ["255"], [-1], [True], [2.0]])
def test_codes_to_ignore_that_are_none_are_refused(written, codes):
    with pytest.raises(UserError, match=r"E212 .*'ignore' lists .*, which is a class or no code. List codes that"):
        Datalist.load(written(lambda content: content.update(ignore=codes)))


def with_codes(tmp_path, **keys):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    cases = [{"id": name, "image": name, "label": "b" if name == "a" else "a"} for name in ("a", "b")]
    content = {"name": "d", "channels": {"0": "CT"}, "labels": {"0": "background", "1": "liver", "2": "tumour"}}
    (tmp_path / "datalist.json").write_text(json.dumps(content | {"labeled": cases} | keys))
    return tmp_path / "datalist.json"


def test_the_sources_codes_go_with_labels_that_hold_them(tmp_path):
    """Under every section to which a label moves; the file is written as it was read."""
    codes = {"0": 0, "1": 2, "2": 4}
    path = with_codes(tmp_path, codes=codes, label_files="source")
    datalist = Datalist.load(path, labeled=1)
    assert datalist.codes == (0, 2, 4)
    assert [datalist.cases(section)[0].get("codes") for section in ("labeled", "hidden", "unlabeled")] == [
        "0 2 4",
        "0 2 4",
        None,
    ]
    again = json.loads(datalist.as_json(tmp_path))
    assert (again["codes"], again["label_files"]) == (codes, "source")
    classes = Datalist.load(with_codes(tmp_path, codes=codes))
    assert classes.codes == (0, 2, 4)
    assert "codes" not in classes.cases("labeled")[0]
    equal = Datalist.load(with_codes(tmp_path, codes={"0": 0, "1": 1, "2": 2}))
    assert equal.codes == ()


@pytest.mark.parametrize(
    "keys",
    [
        {"codes": {"0": 0, "1": 1}},
        {"codes": {"0": 0, "1": 4, "2": 4}},
        {"codes": {"0": 1, "1": 0, "2": 4}},
        {"codes": {"0": 0, "1": 2, "2": 70000}},
        {"codes": {"0": 0, "1": True, "2": 4}},
        {"label_files": "theirs"},
    ],
)
def test_codes_that_fit_no_class_are_refused(tmp_path, keys):
    with pytest.raises(UserError, match="E254"):
        Datalist.load(with_codes(tmp_path, **keys))


SETS = {"skin or not": {"not skin": [0], "skin": [1, 2]}, "first": {"one": [1]}}


def with_regions(folder: Path, regions: object) -> Path:
    path = folder / "datalist.json"
    labels = {"0": "background", "1": "a", "2": "b"}
    path.write_text(json.dumps({"name": "x", "channels": {"0": "grey"}, "labels": labels, "regions": regions}))
    return path


def test_regions_come_back_as_they_were_written(tmp_path):
    datalist = Datalist.load(with_regions(tmp_path, SETS))
    assert datalist.regions == {"skin or not": {"not skin": (0,), "skin": (1, 2)}, "first": {"one": (1,)}}
    assert json.loads(datalist.as_json(tmp_path))["regions"] == SETS
    assert "regions" not in json.loads(replace(datalist, regions={}).as_json(tmp_path))


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ({"skin": [1, 2]}, "E545 .*: the regions 'skin' are no table of lists of codes"),
        ({"skin": {}}, "E545 .*: the regions 'skin' are no table"),
        ({"skin": {"all": []}}, "E545 .* are no table of lists"),
        ({"skin": {"all": [True]}}, "E545 .* are no table of lists"),
        ({"skin": {"all": ["1"]}}, "E545 .* are no table of lists"),
        ({"skin": {"all": [1, 3]}}, "E545 .*: the region 'all' of 'skin' has the code 3, which `labels` has not"),
        ({"sk\nin": {"all": [1]}}, r"E545 .* holds the character '\\n'"),
        ([], "E211 .*: 'regions' is not a table"),
    ],
)
def test_regions_of_no_classes_are_refused(tmp_path, regions, message):
    with pytest.raises(UserError, match=message):
        Datalist.load(with_regions(tmp_path, regions))
