"""The page of error codes against the source it is made from, and against what other pages say of codes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

import pytest

from docs.generate.error_codes import GROUPS, PACKAGES, ROOT, Fault, faults, page, texts

SHARED = {  # codes of several modules: the one fault that each stands for
    "E100": "arguments that do not parse",
    "E101": "a name that does not exist",
    "E102": "text that is no ID=VALUE",
    "E103": "an entry that the configuration lacks",
    "E107": "a value of the configuration that is refused",
    "E108": "a configuration file, or an argument of `prepare`, that cannot be used",  # two faults, told apart by texts
    "E113": "options that do not go together",
    "E201": "an image that does not exist",
    "E202": "an image that cannot be read",
    "E207": "two cases that would be one",
    "E211": "an unknown section or key of a datalist",
    "E222": "a raw folder without the dataset",
    "E224": "a picture whose greys or colours are no codes",
    "E243": "a table of cases that cannot be used",
    "E255": "names of a source's files that do not pair, or are not there",
    "E256": "labels, or channels, on another grid than their image",
    "E257": "codes, channels or kinds of a source that do not go together",
    "E259": "a DICOM series that is no volume, or not one alone",
    "E312": "a folder without a run",
    "E319": "a file of a run that is damaged",
    "E367": "a source of which nothing can be read",
    "E368": "a pattern that is none, or finds nothing",
    "E370": "a number of folds that cannot be",
    "E378": "a label that does not fit its scan",
    "E393": "what a strategy needs of a case, and is not there or no finite number",
    "E394": "more cases than can be chosen from or compared",
    "E422": "two folders without an id in common",
    "E423": "a file without its partner",
    "E501": "a pretext that does not exist",
    "E509": "a run that predicts nothing",
    "E395": "an unknown strategy",
    "E396": "no case that tells how good agreement is",
    "E511": "features of others",
    "E512": "a file of features that is none",
    "E520": "a folder that cannot be asked, or not once more",
    "E527": "what cannot be asked of slices and boxes",
    "E515": "an unknown rule or kind of a query",
    "E553": "an output that is there already, and is not to be replaced",
    "E571": "a study, a label, a model or a trainer that the server has not",
    "E572": "a name in a request that leads elsewhere",
    "E575": "segments that lead to no class",
    "E586": "what the server does not do over a network",
}


@pytest.fixture(scope="module")
def found() -> list[Fault]:
    return faults()


def test_every_place_in_the_source_has_its_line(found):
    """As many as there are calls of `UserError`, but for the one that makes an error of a worker process again."""
    calls = 0
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            calls += sum(isinstance(node, ast.Call) and ast.unparse(node.func) == "UserError" for node in tree)
    assert len(found) == calls - 1
    text = page()
    assert text.count("\n- **") == len(found)
    for code in {fault.code for fault in found}:
        assert re.fullmatch(r"E[1-5]\d\d", code)
        assert f"\n### {code}\n" in text
    assert [f"{prefix}xx" for prefix in GROUPS] == re.findall(r"^## (E\dxx)", text, re.MULTILINE)


def test_a_code_stands_for_one_fault(found):
    """A code that further modules use must be entered above with what it means in all of them."""
    modules = defaultdict(set)
    for fault in found:
        modules[fault.code].add(fault.module)
    assert {code for code, users in modules.items() if len(users) > 1} == set(SHARED)


def test_every_fault_says_what_was_found_and_what_to_do(found):
    for fault in found:
        for text in (*fault.causes, *fault.cures):
            assert text.strip(), fault
            assert not text.endswith("."), fault
            assert "<var>…</var>" not in text, fault


def test_codes_that_pages_name_exist(found):
    known = {fault.code for fault in found}
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bundles").rglob("*.md")]
    named = {code: page for page in pages for code in re.findall(r"\bE[1-5]\d\d\b", page.read_text(encoding="utf-8"))}
    assert {"E123", "E361", "E403"} <= named.keys()
    assert not {code: page for code, page in named.items() if code not in known}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a*b'", ("a\\*b",)),
        ("f'{path} has {len(cases)} cases'", ("<var>path</var> has <var>number of cases</var> cases",)),
        ("'one' if few else 'many'", ("one", "many")),
        ("'a ' + ('b' if x else 'c')", ("a b", "a c")),
        ("f\"{', '.join(missing)} missing\"", ("<var>missing</var> missing",)),
        ("f\"{facts['step']}, {image.shape}\"", ("<var>step</var>, <var>shape of image</var>",)),
        ("did_you_mean(name, known)", ("Did you mean <var>the nearest</var>? Known: <var>all of them</var>",)),
        ("cause", ("first", "second")),
    ],
)
def test_texts(expression, expected):
    """Placeholders have the plainest name of the value, alternatives come in the order of the source."""
    known = {"cause": [ast.Constant("first"), ast.Constant("second")]}
    assert texts(ast.parse(expression, mode="eval").body, known) == expected
