"""A seeded share of the campaign: no mutated input ends in a traceback, and what a mutation is."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.faults import mutations
from tests.faults.forked import Ended
from tests.faults.mutated_inputs import INPUTS, end_of, fault_of

ROOT = Path(__file__).parents[2]
TREE = {"a": [1, {"b": "c"}], "d": None, "e": 0.5}
TABLE = b"case,class,dice\nA1,1,0.5\nA2,1,0.25\n"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a campaign, which may share its cores
def test_a_share_of_all_inputs_ends_as_it_should(tmp_path):
    """In a process of its own: forks must not come of one that has computed something."""
    command = [sys.executable, "-m", "tests.faults.mutated_inputs", "--folder", str(tmp_path / "work"), "--count", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()[1:]]
    assert [line[0] for line in lines] == [kind.name for kind in INPUTS]
    assert all(sum(map(int, line[1:6])) == 2 and line[5] == "0" for line in lines)


@pytest.mark.parametrize(
    ("code", "output", "seconds", "fault"),
    [
        (0, "", 1, ""),
        (2, "mednoisy: E210 no JSON. Mend it.\n", 1, ""),
        (2, "a: 1\n", 1, "refused without a line"),
        (1, "mednoisy: a\x1b[2J\n", 1, "steers a terminal"),
        (99, "Traceback (most recent call last):\n  a\nKeyError: 'a'\n", 1, "traceback: KeyError: 'a'"),
        (-11, "", 1, "exit -11"),
        (None, "", 700, "no end"),
        (None, "run: 10%|2/20 [00:01<00:01, 1.2step/s]", 700, ""),
    ],
)
def test_the_campaign_tells_good_ends_from_bad_ones(code, output, seconds, fault):
    ended = Ended(code, output, seconds, seconds)
    assert fault in fault_of(ended)
    assert bool(fault) == (end_of(ended) == "fault")
    if code is None and not fault:
        assert end_of(ended) == "cut off"


@pytest.mark.parametrize(
    ("mutated", "content"),
    [
        (mutations.mutated_json, json.dumps(TREE).encode()),
        (mutations.mutated_yaml, yaml.safe_dump(TREE).encode()),
        (mutations.mutated_table, TABLE),
        (mutations.mutated_bytes, TABLE),
    ],
)
def test_mutations_are_many_and_come_again_with_their_seed(mutated, content):
    first = [mutated(content, random.Random(seed)) for seed in range(200)]
    assert first == [mutated(content, random.Random(seed)) for seed in range(200)]
    assert len(set(first)) > 100
    assert sum(each == content for each in first) < 20


def test_what_python_would_not_write_is_written():
    texts = [mutations.mutated_json(b'{"a": {"b": [1]}}', random.Random(seed)) for seed in range(600)]
    for raw in mutations.RAW.values():
        assert any(raw.encode() in text for text in texts), raw[:20]
    assert any(b"\xed\xa0\x80" in text or b"\\ud800" in text for text in texts)


def test_settings_are_of_entries_that_exist_and_of_others():
    drawn = [mutations.setting(["width", "dice"], random.Random(seed)) for seed in range(300)]
    assert all("=" in text and "\0" not in text for text in drawn)
    names = {text.partition("=")[0] for text in drawn}
    assert {"width", "dice", "absent", ""} <= names
