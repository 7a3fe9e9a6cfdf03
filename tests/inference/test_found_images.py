from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.inference.found_images import found_images


def test_files_of_the_kind_are_found_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert found_images(str(tmp_path), (".png", ".jpg")) == [str(tmp_path / "a.jpg"), str(tmp_path / "b.PNG")]


@pytest.mark.parametrize(("name", "told"), [("imags", "does not exist"), ("", r"holds no image \(.png\)")])
def test_nothing_to_segment_is_refused(tmp_path, name, told):
    """With exit code 0 and nothing written it would pass for done."""
    with pytest.raises(UserError, match=f"E392 .*{told}.*--dataset_dir"):
        found_images(str(tmp_path / name), (".png",))
