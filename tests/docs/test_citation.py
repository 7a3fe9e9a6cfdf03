"""CITATION.cff against the software and the page of methods; licences of what the software needs."""

from __future__ import annotations

import re

import pytest
import yaml

import mednoisy
from benchmarks import licenses
from docs.generate.error_codes import ROOT


def test_the_citation_is_of_this_software_and_of_works_that_the_methods_name():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == mednoisy.__version__
    assert citation["license"] == re.search(r"^license = (.*)$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)[1]
    methods = (ROOT / "docs" / "reference" / "methods.md").read_text(encoding="utf-8")
    for work in citation["references"]:
        identifiers = [each["value"] for each in work.get("identifiers", [])]
        identifiers += [f"doi:{work['doi']}"] if "doi" in work else []
        assert len(identifiers) == 1
        assert identifiers[0] in methods, work["title"]
        names = [author["family-names"] for author in work["authors"] if "family-names" in author]
        assert names[0].split()[0] in methods
        assert str(work["year"]) in methods


def test_licences_of_what_is_needed_are_known_and_compatible(capsys):
    """From installed metadata alone."""
    assert licenses.main() == 0
    listed = capsys.readouterr().out
    assert "\nmonai " in listed
    assert "\npytorch-ignite " in listed  # of an extra of MONAI's


@pytest.mark.parametrize(
    ("stated", "compatible"),
    [
        ("Apache-2.0 OR BSD-2-Clause", True),
        ("LGPL-3.0-or-later", True),
        ("GNU Lesser General Public License v3", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("", False),
        ("for non-commercial use", False),
    ],
)
def test_which_licences_are_compatible(stated, compatible):
    assert licenses.is_compatible(stated) == compatible
