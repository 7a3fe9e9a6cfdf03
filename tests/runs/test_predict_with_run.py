"""What a run folder says of the codes that its label maps carry."""

from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.runs.predict_with_run import source_codes


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ('{"source_codes": [0, 7]}', (0, 7)),
        ('{"source_codes": null}', ()),
        ("{}", ()),
        ('\ufeff{"source_codes": []}', ()),
    ],
)
def test_codes_are_those_of_the_run(tmp_path, content, codes):
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    assert source_codes(tmp_path) == codes


def test_a_folder_without_facts_has_classes_numbers(tmp_path):
    assert source_codes(tmp_path) == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "the file is no table"),
        ("[" * 5000, "it is nested deeper than"),
        ('{"source_codes": 3}', "source_codes is no list"),
        ('{"source_codes": [0, 1.5]}', "a source code is no whole number from 0 on"),
        ('{"source_codes": [0, -1]}', "a source code is no whole number from 0 on"),
    ],
)
def test_damaged_facts_are_refused(tmp_path, content, why):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError) as refusal:
        source_codes(tmp_path)
    assert str(refusal.value).startswith(f"E319 {tmp_path / 'run.json'} is damaged: {why}")
