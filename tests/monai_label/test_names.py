"""What may name a study, a tag or a session."""

from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.monai_label.names import checked_id, checked_session, checked_tag, known_study
from mednoisy.monai_label.studies import Study


@pytest.mark.parametrize("name", ["a", "patient 1 (b)", "1.2.840.113619.2", "é", "06SR5RBREL16DQ6M8LWS"])
def test_plain_names_are_ids(name):
    assert checked_id(name) == name


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "..", ".hidden", "a/b", "a\\b", "", None, 3, "a\0b", "a\nb", "x" * 201, "a/../b"]
)
def test_ways_elsewhere_are_no_ids(name):
    with pytest.raises(UserError, match=r"^E572 "):
        checked_id(name)


@pytest.mark.parametrize("tag", ["../../../x", "", "a/b", "a b", ".", "x" * 65, None])
def test_tags_are_plain(tag):
    with pytest.raises(UserError, match=r"^E572 .*no tag"):
        checked_tag(tag)
    assert checked_tag("version_2") == "version_2"


def test_sessions_are_those_given_out():
    given = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert checked_session(given) == given
    with pytest.raises(UserError, match=r"^E572 .*session"):
        checked_session("../sessions")


def test_unknown_studies_are_told_with_the_nearest(tmp_path):
    studies = [Study("scan_1", tmp_path / "scan_1.nii.gz", None), Study("other", tmp_path / "other.nii.gz", None)]
    assert known_study(studies, "other") is studies[1]
    with pytest.raises(UserError, match=r"E571 there is no study 'scan_2'. Did you mean 'scan_1'\?"):
        known_study(studies, "scan_2")
