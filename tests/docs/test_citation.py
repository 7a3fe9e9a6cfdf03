"""CITATION.cff against the software and the page of methods."""

from __future__ import annotations

import re

import yaml

import mednoisy
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
