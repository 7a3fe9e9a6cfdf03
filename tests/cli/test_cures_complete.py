"""Every error's cure is followed by a test of cures, or stands here with the reason why no command can follow it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from docs.generate.error_codes import faults

REQUESTS = Path(__file__).parents[1] / "label" / "app" / "test_requests.py"  # to a running annotation server
FOLLOWED_BY = sorted(path for path in Path(__file__).parent.glob("test_cures*.py") if path != Path(__file__))
CODE = re.compile(r"\bE[1-9]\d\d\b")
NOT_FOLLOWED = {  # code: why
    "E316": "needs torchrun; as many processes as before resume in test_resume_by_folder.py",
    "E320": "needs a full disk; what is called again goes on in tests/engines/test_full_disk.py and tests/faults",
    "E353": "tells of other lines, each with a cure of its own",
    "E376": "needs torchrun; --max-restarts and --resume go on in test_resume_by_folder.py",
    "E378": "needs an archive of CT again; what a sound one becomes is in tests/data_prep/test_pancreas.py",
    "E380": "needs a system that ends a worker; told in tests/data_prep/test_case_work.py",
    "E432": "needs a system that ends a worker; told in tests/evaluation/test_folder_scoring.py",
    "E505": "needs a network whose norm takes one voxel: others refuse such a crop before (E112)",
    "E536": "needs another program's query: `mednoisy simulate` chooses from its own pool alone",
    "E561": "needs torchrun; what is called again goes on in test_shared_query.py",
    "E595": "needs an environment without the package; what is told is in tests/configure/test_network_families.py",
    # to a running server, by tests/label/app/test_requests.py:
    "E574": "needs a request; test_what_is_too_large_is_taken_where_more_may_be_sent goes on",
    "E585": "needs a request; test_slicer_saves_with_its_own_numbers_and_our_map_is_no_class sends a JSON object",
    "E586": "needs a request; test_slicer_uploads_an_image_to_a_session_and_predicts_it, test_slicer_predicts_a_study "
    "and, of a file that is removed, test_slicer_uploads_an_image_as_a_study go on",
}


def test_the_requests_that_reasons_name_are_tests():
    named = {name for why in NOT_FOLLOWED.values() for name in re.findall(r"\btest_\w+\b(?!\.py)", why)}
    there = {node.name for node in ast.parse(REQUESTS.read_text(encoding="utf-8")).body if hasattr(node, "name")}
    assert named
    assert named <= there


def codes_named(text: str) -> set[str]:
    """The codes in strings of a test, such as its tables, but for docstrings."""
    tree = ast.parse(text)
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return {
        code
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
        for code in CODE.findall(node.value)
    }


def test_the_cure_of_every_code_is_followed_or_cannot_be():
    raised = {fault.code for fault in faults()}
    followed = {code for path in FOLLOWED_BY for code in codes_named(path.read_text(encoding="utf-8"))}
    neither = sorted(raised - followed - NOT_FOLLOWED.keys())
    todo = "follow the cure in a table of tests/cli/test_cures*.py, or say in NOT_FOLLOWED why no command can"
    assert not neither, f"{', '.join(neither)}: {todo}"
    assert not followed & NOT_FOLLOWED.keys(), "these are followed; take them out of NOT_FOLLOWED"
    assert not (followed | NOT_FOLLOWED.keys()) - raised, "these are raised nowhere"


def test_a_code_counts_as_followed_where_a_table_has_it():
    text = '"""E101 is spoken of."""\nTABLE = [("E102", f"{1} E103 x")]\n\ndef test():\n    """E104."""\n    # E105\n'
    assert codes_named(text) == {"E102", "E103"}
