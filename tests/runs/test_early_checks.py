"""Numbers of cases that a bundle has for its own dataset, on another one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mednoisy.composition import compose
from mednoisy.errors import UserError
from mednoisy.runs.early_checks import check_composition, with_numbers_that_fit


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Three labeled and nine unlabeled scans, as a user has them; files without content."""

    def entry(name: str, *parts: str) -> dict[str, str]:
        for part in parts:
            (tmp_path / part).mkdir(exist_ok=True)
            (tmp_path / part / name).touch()
        return {"id": name, **{part: f"{part}/{name}" for part in parts}}

    content = {
        "name": "mine",
        "channels": {"0": "MR"},
        "labels": {"0": "background", "1": "atrium"},
        "labeled": [entry(f"p{n}", "image", "label") for n in range(3)],
        "unlabeled": [entry(f"u{n}", "image") for n in range(9)],
    }
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path


def overrides(scans: Path, **given: int) -> dict:
    composition = compose("left_atrium", "sdcl", overrides={"dataset_dir": str(scans), **given})
    fitted = with_numbers_that_fit(composition)
    check_composition(fitted)
    return {name: fitted.overrides.get(name) for name in ("labeled", "validation")}


def test_a_bundle_asks_for_no_more_than_there_is(scans, capsys):
    """The bundle's 8 labeled and 4 validation cases are none of this dataset's."""
    assert overrides(scans) == {"labeled": 3, "validation": 0}
    told = capsys.readouterr().err
    assert "the bundle's 8 labeled cases are more than there are: all 3 are used (--labeled N)" in told
    assert "the bundle's 4 validation cases cannot be had: none chooses the checkpoint (--validation N)" in told
    assert overrides(scans, labeled=2, validation=1) == {"labeled": 2, "validation": 1}  # which has a reference
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("given", "told"), [({"labeled": 8}, "8 labeled"), ({"validation": 4}, "4 validation")])
def test_what_was_asked_for_is_refused(scans, given, told):
    with pytest.raises(UserError, match=f"E217 {told} cases are asked for"):
        overrides(scans, **given)
