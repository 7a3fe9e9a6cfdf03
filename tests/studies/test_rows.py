"""The rows of a study: how they are read, what their folders are called, and in which order they run."""

from __future__ import annotations

import pytest

from mednoisy.composition import parse_setting
from mednoisy.errors import UserError
from mednoisy.studies.rows import Row, grid


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("sdcl", Row("sdcl")),
        ("sdcl:strong", Row("sdcl", "strong")),
        ("sdcl:strong teachers=each", Row("sdcl", "strong", {"teachers": "each"})),
        ("bcp teacher_decay=0.9  width=4", Row("bcp", "default", {"teacher_decay": 0.9, "width": 4})),
        ("bcp patch_size='[8, 8]'", Row("bcp", "default", {"patch_size": [8, 8]})),
        ("bcp network_def=%unet_def", Row("bcp", "default", {"network_def": "%unet_def"})),
        ("my methods/entropy.yaml", Row("my methods/entropy.yaml")),
        ("'my methods/entropy.yaml' width=4", Row("my methods/entropy.yaml", "default", {"width": 4})),
    ],
)
def test_a_row_is_read_from_a_text(text, row):
    assert Row.parse(text) == row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sdcl teachers=each width", "E102 row 'sdcl teachers=each width': 'width' is no id=value"),
        ("sdcl =3", "E102 row 'sdcl =3': '=3' is no id=value"),
        ("sdcl a='b", "E102 row .* cannot be read: No closing quotation"),
    ],
)
def test_a_row_that_cannot_be_read(text, message):
    with pytest.raises(UserError, match=message):
        Row.parse(text)


@pytest.mark.parametrize(
    ("row", "folder", "title"),
    [
        (Row("sdcl"), "sdcl", "sdcl"),
        (Row("own/sdcl.yaml", "own/harsh.yaml"), "sdcl-harsh", "sdcl"),
        (Row("sdcl", "strong", {"teachers": "each"}), "sdcl-strong-teachers=each", "sdcl teachers=each"),
        (Row("bcp", settings={"decay": 0.5, "n": -1}), "bcp-decay=0.5-n=-1", "bcp decay=0.5 n=-1"),
        (Row("bcp", settings={"size": [96, 96]}), "bcp-size=96_96", "bcp size=[96, 96]"),
        (Row("bcp", settings={"train#order": "@a/../b"}), "bcp-train_order=a_.._b", "bcp train#order=@a/../b"),
        (Row("bcp", "strong", {"a": 1}, name="BCP: our way/1"), "BCP_our_way_1", "BCP: our way/1"),
    ],
)
def test_folders_are_called_what_the_row_is(row, folder, title):
    """No slash, number sign, blank or quote is left."""
    assert (row.folder, row.title) == (folder, title)


def test_a_definition_tells_all_rows_apart():
    """Names and quotes aside; where overlays lie does not count."""
    rows = [Row("a"), Row("a", "b"), Row("a", settings={"c": 1}), Row("a", settings={"c": "1"})]
    assert len({row.definition for row in rows}) == len(rows)
    assert Row("x/a.yaml", name="other").definition == Row("a").definition


@pytest.mark.parametrize("row", [Row("bcp", settings={"text": "x" * 300}), Row("bcp", name="??")])
def test_names_that_no_folder_can_have(row):
    with pytest.raises(UserError, match=r"E354 row .bcp:default.* which no folder can be\. Give the row a `name`"):
        row.check_name()


def test_settings_come_back_from_a_command_line():
    """As a study hands them to `mednoisy train --set`."""
    for value in (1, 0.5, "each", "@a", "12", True, None, [8, 8], {"a": "b c"}):
        assert parse_setting(f"key={value!r}") == ("key", value)


def test_rows_may_have_labels_and_seeds_of_their_own():
    """Labels vary slowest and rows fastest."""
    rows = [Row("a"), Row("b", labeled=[4]), Row("c", seeds=[0, 1]), Row("a")]
    assert [cell.name for cell in grid(rows, [4, 8], [0])] == [
        *("a-4-labeled-seed0", "b-4-labeled-seed0", "c-4-labeled-seed0", "c-4-labeled-seed1"),
        *("a-8-labeled-seed0", "c-8-labeled-seed0", "c-8-labeled-seed1"),
    ]
