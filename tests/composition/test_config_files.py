"""What is refused of an overlay before MONAI reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mednoisy.composition import bundles_folder, compose
from mednoisy.errors import UserError


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.yaml", b"steps: [1", "expected ',' or ']'"),
        ("a.json", b'{"steps": ', "expected the node content"),
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
    ("content", "cause", "cure"),
    [
        ("lable_names: [a, b]\n", "'lable_names'", "'label_names'"),
        ("train#spatail: null\n", "'train#spatail'", "'train#spatial'"),
        ("train::spatail: null\n", "'train::spatail'", "'train#spatial'"),
        ("train#nothing#transforms: []\n", "'train#nothing#transforms'", ""),
        ("train#spatial#transforms#9#prob: 1\n", "'train#spatial#transforms#9#prob'", ""),
        ("rounds: 1  # of a method, which stands behind the data\n", "'rounds'", ""),
        ("size: [3, 3]\npatch_size: '@size_of_patch'\n", "'size'", ""),
    ],
)
def test_entries_that_would_change_nothing_are_refused(content, cause, cure, tmp_path):
    """Else a slip of the pen trains for hours on the bundle's own value."""
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(UserError, match=r"E103 .*data\.yaml sets") as told:
        compose("acdc", "noisy_student", dataset=tmp_path / "data.yaml")
    assert f"sets {cause}, which the configuration does not have" in str(told.value)
    assert cure in str(told.value)


@pytest.mark.parametrize(
    "content",
    [
        "label_names: [a, b]\ndataset_name: mine\n",
        "own: 3\nwidth: '@own'\n",
        "own_def: {_target_: torch.nn.Identity}\nnetwork_def: '%own_def'\n",
        "train#intensity: null\n+train#spatial#transforms: []\n",
        "validate#evaluator#new_argument: 1\n",
        '{"steps": 3}',
    ],
)
def test_entries_that_something_refers_to_are_taken(content, tmp_path):
    (tmp_path / "data.yaml").write_text(content)
    files = compose("acdc", "sdcl", dataset=tmp_path / "data.yaml").config_files
    assert files[:2] == [(bundles_folder() / "acdc/configs/train.yaml").resolve(), Path(tmp_path / "data.yaml")]
