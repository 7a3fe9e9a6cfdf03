"""What is told beside a file: what could not be told to others is refused before anything is kept."""

from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.monai_label.parameters import check_file_name, check_whole_numbers, checked, parsed


def test_objects_come_as_they_are():
    assert parsed('{"label_info": [{"name": "Vorhof ü", "idx": 1}], "x": 1e300}') == {
        "label_info": [{"name": "Vorhof ü", "idx": 1}],
        "x": 1e300,
    }


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", "null", '"x"', '{"x": NaN}', '{"x": [-Infinity]}', r'{"x": "\ud800"}', r'{"\udfff": 1}',
     "[" * 100_000, '{"x": ' + "9" * 5000 + "}", '{"a":' * 900 + "1" + "}" * 900 + "]"],
)  # fmt: skip
def test_what_other_readers_refuse_is_refused(text):
    with pytest.raises(UserError, match=r"^E585 "):
        parsed(text)


def test_what_a_body_holds_is_checked_alike():
    with pytest.raises(UserError, match=r"^E585 the parameters hold what is no JSON"):
        checked({"client_id": float("nan")})
    with pytest.raises(UserError, match=r"^E585 what is told beside the file is no JSON object"):
        checked([1])


@pytest.mark.parametrize("value", ["x", -1, 1.5, True, None, [1]])
def test_other_than_whole_numbers(value):
    check_whole_numbers({"max_workers": 3, "other": value}, "max_workers", "max_batch_size")
    with pytest.raises(UserError, match=r"^E585 max_workers is .*, no whole number from 0 on\. Leave max_workers out"):
        check_whole_numbers({"max_workers": value}, "max_workers")


@pytest.mark.parametrize("name", [None, "", "a.nii.gz", "my scan é.png", "folder/../a.png", r"C:\scans\a.png"])
def test_names_of_uploads(name):
    check_file_name(name)


@pytest.mark.parametrize("name", ["..", "a/..", r"a\..", ".", "a\0.png", "a\nb.png", "a." + "b" * 300, "\ud800.png"])
def test_names_under_which_no_folder_keeps_a_file(name):
    with pytest.raises(UserError, match=r"^E572 .{1,80} is no name of a file\. Send it under a plain name"):
        check_file_name(name)
