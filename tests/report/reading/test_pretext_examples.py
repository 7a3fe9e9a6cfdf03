"""Pictures of a pretext, read from the run's folder."""

from __future__ import annotations

import base64
import json

import pytest

from mednoisy.errors import UserError
from mednoisy.report.reading.pretext_examples import read_examples


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pretext" / "restoration"
    place.mkdir(parents=True)
    (place / "0.png").write_bytes(b"a picture")
    examples = [{"case": "p1", "pictures": {"original": "0.png"}}]
    (place / "examples.json").write_text(json.dumps({"stage": "restoration", "examples": examples}))
    return tmp_path


def test_pictures_travel_inside_the_page(folder):
    (example,) = read_examples(folder)["restoration"]
    kind, _, text = example.pictures["original"].partition(",")
    assert (example.case, kind) == ("p1", "data:image/png;base64")
    assert base64.b64decode(text) == b"a picture"


def test_a_run_without_pretext_has_none(tmp_path):
    assert read_examples(tmp_path) == {}


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"examples": [{"case": 1}]}', '{"examples": [{"case": 1, "pictures": {"a": "gone.png"}}]}']
)
def test_damaged_lists_and_lost_pictures_are_named(folder, content):
    path = folder / "pretext" / "restoration" / "examples.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"E404 .*examples\.json cannot be used"):
        read_examples(folder)


def test_no_file_elsewhere_is_read(folder):
    """A picture lies beside its list, whatever that says."""
    (folder / "secret.png").write_bytes(b"secret")
    path = folder / "pretext" / "restoration" / "examples.json"
    path.write_text('{"examples": [{"case": "p", "pictures": {"a": "../../secret.png"}}]}')
    with pytest.raises(UserError, match="E404"):
        read_examples(folder)
