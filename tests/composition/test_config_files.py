"""What is refused of a part of a configuration before MONAI reads it, and that parts merge as MONAI merges them."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from monai.bundle import ConfigParser

from mednoisy.composition import compose
from mednoisy.composition.config_files import merge, references
from mednoisy.errors import UserError


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.yaml", b"steps: [1", "expected ',' or ']'"),
        ("a.json", b'{"steps": ', "expected (the )?node content"),
        ("a.yaml", b"- steps\n", r"it holds no entries \(`id: value`\)"),
        ("a.yaml", b"", "it holds no entries"),
        ("a.yml", b"steps: \xff\n", "'utf-8' codec can't decode byte"),
        ("a.yaml", b"3: steps\n", "3 is no name of an entry"),
        ("a.txt", b"steps: 3\n", "its name does not end in .yaml, .yml or .json"),
    ],
)
@pytest.mark.parametrize("kind", ["dataset", "method", "recipe"])
def test_a_file_that_is_no_table_is_no_overlay(kind, name, content, why, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"E108 .*{name} is no configuration: .*{why}"):
        compose("phantom", **{kind: str(tmp_path / name)})


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3}}),  # replaced whole
        ({"a": {"x": 1, "y": 2}}, {"a#x": 3, "a::z": 4}, {"a": {"x": 3, "y": 2, "z": 4}}),
        ({"a": [1, {"x": 2}]}, {"a#1#x": 5}, {"a": [1, {"x": 5}]}),
        ({"a": [1]}, {"+a": [2]}, {"a": [1, 2]}),
        ({"a": {"x": {"p": 1, "q": 2}}}, {"+a": {"x": {"p": 3}, "y": 4}}, {"a": {"x": {"p": 3}, "y": 4}}),
    ],
)
def test_entries_merge_as_monai_merges_them(below, above, merged, tmp_path):
    """The expected values are worked out by hand; MONAI gives the same."""
    ours = deepcopy(below)
    merge(ours, above, "above.yaml")
    assert ours == merged
    paths = [tmp_path / "below.json", tmp_path / "above.json"]
    for path, content in zip(paths, (below, above), strict=True):
        path.write_text(json.dumps(content))
    assert ConfigParser.load_config_files([str(path) for path in paths]) == merged


def test_what_lies_below_is_not_changed_through_what_lies_above():
    above = {"a": [1]}
    config = {}
    merge(config, above, "above.yaml")
    merge(config, {"a#0": 2}, "more.yaml")
    assert above == {"a": [1]}


@pytest.mark.parametrize(
    ("above", "refusal"),
    [
        ({"b#x": 1}, "E103 above.yaml sets 'b#x', which the configuration does not have. Known: a, n."),
        ({"a#x#y": 1}, "E103 above.yaml sets 'a#x#y', which the configuration does not have."),
        ({"a#7": 1}, "E103 above.yaml sets 'a#7', which the configuration does not have."),
        ({"n#x": 1}, "E103 above.yaml sets 'n#x', which the configuration does not have."),
        ({"+n": [1]}, "E108 above.yaml is no configuration: '+n' extends neither a list by a list nor a table"),
    ],
)
def test_ids_that_lead_nowhere_are_refused(above, refusal):
    with pytest.raises(UserError) as told:
        merge({"a": [1], "n": 3}, above, "above.yaml")
    assert str(told.value).startswith(refusal)


def test_references_are_found_wherever_they_stand():
    value = {"x": "@a", "y": ["$@b#c + len(@d)", "%e#f", 3], "z": "mail@home"}
    assert references(value) == {"a", "b#c", "d", "e#f", "home"}
