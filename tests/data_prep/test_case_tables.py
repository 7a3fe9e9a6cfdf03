"""`cases.csv` as spreadsheets write it."""

from __future__ import annotations

import pytest

from data_prep.case_tables import origins_of
from mednoisy.errors import UserError

EXPECTED = {"a": ("Köln", None), "b": ("C2", None)}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("id,centre\na,Köln\nb,C2\n", "utf-8"),
        ("id,centre\na,Köln\nb,C2\n", "utf-8-sig"),
        ("id;centre\r\na;Köln\r\nb;C2\r\n", "cp1252"),
        ("ID\tCenter\na\tKöln\nb\tC2\n", "utf-16"),
        ("Age, Image ID , Hospital\n3,a.png,Köln\n4,b.png,C2\n", "utf-8"),
        ('"id","centre"\n"a","Köln"\n\n"b","C2"\n"c",""\n', "utf-8"),
        ("\n\nfilename;site\na.nii.gz;Köln\nb.nii.gz;C2\n", "utf-8-sig"),
    ],
)
def test_usual_tables_are_read(tmp_path, text, encoding):
    (tmp_path / "cases.csv").write_bytes(text.encode(encoding))
    assert origins_of(tmp_path / "cases.csv") == EXPECTED


def test_no_table_is_no_centre(tmp_path):
    assert origins_of(tmp_path / "cases.csv") == {}


@pytest.mark.parametrize(("text", "columns"), [("id,width\na,3\n", "id, width"), ("", "(none)")])
def test_a_table_without_centres_is_told(tmp_path, capsys, text, columns):
    """Tables hold other facts, too."""
    (tmp_path / "cases.csv").write_text(text)
    assert origins_of(tmp_path / "cases.csv") == {}
    told = capsys.readouterr().err
    assert "has no column of centres, call it `centre` if there is one; " in told
    assert told.endswith(f"its columns are {columns}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patient,centre\na,3\n",
            r"E243 .*cases.csv has the columns patient, centre. Call the column of case ids `id`",
        ),
        (
            'id,centre\n"a' + "," * 200_000,
            r"E243 .*cases.csv cannot be read: field larger than .* Save the table as CSV",
        ),
        ("id,centre\na,C1\na,C2\n", r"E243 case 'a': .* twice, in C1 and in C2. Keep one"),
    ],
)
def test_other_tables_are_one_line(tmp_path, text, message):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        origins_of(tmp_path / "cases.csv")


def test_scenes_are_numbered_by_centre(tmp_path):
    (tmp_path / "cases.csv").write_text("id,centre,sequence\na,C1,1\nb,C2,1\nc,C2,\n")
    expected = {"a": ("C1", "C1_1"), "b": ("C2", "C2_1"), "c": ("C2", None)}
    assert origins_of(tmp_path / "cases.csv") == expected


def test_scenes_alone_do(tmp_path, capsys):
    (tmp_path / "cases.csv").write_text("id;video\na;7\n")
    assert origins_of(tmp_path / "cases.csv") == {"a": (None, "7")}
    assert "has no column of centres" in capsys.readouterr().err
