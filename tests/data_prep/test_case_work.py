"""Work that is done once for each case: what counts as done, and what a damaged record costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.case_work import in_processes
from mednoisy.cli import main
from mednoisy.data.images import write_picture
from mednoisy.errors import UserError

CASES = "abcd"


@pytest.fixture
def raw(tmp_path) -> Path:
    draw = np.random.default_rng(0)
    for case in CASES:
        write_picture(tmp_path / f"raw/images/{case}.png", draw.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        write_picture(tmp_path / f"raw/masks/{case}.png", draw.integers(0, 2, (24, 24)) > 0)
    (tmp_path / "raw/split.json").write_text('{"train": ["a", "b"], "val": ["c"], "test": ["d"]}')
    return tmp_path / "raw"


def prepared(raw: Path) -> dict[str, bytes]:
    """The files of the prepared dataset by name."""
    out = raw.with_name("out")
    assert main(["prepare", "dermoscopy", str(raw), str(out)]) == 0
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.*") if path.name != ".lock"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "Expecting value"),
        ('{"a": ', "Expecting value"),
        ("[1, 2]", "it holds no table"),
        ("[" * 5000, "it is nested deeper than"),
        ("\udc80", "'utf-8' codec can't decode"),
    ],
)
def test_a_damaged_record_is_told_and_every_case_prepared_again(raw, capsys, content, why):
    wanted = prepared(raw)
    record = raw.with_name("out") / ".prepared.json"
    record.write_bytes(content.encode(errors="surrogateescape"))
    (raw.with_name("out") / "images" / "a.png").write_bytes(b"something else")
    capsys.readouterr()
    assert prepared(raw) == wanted
    told = capsys.readouterr().err
    assert f"mednoisy: note: {record} is damaged ({why}" in told
    assert "every case is prepared again" in told
    assert sorted(json.loads(record.read_text())) == [*CASES]


@pytest.mark.parametrize("entry", [None, 3, "0" * 16, ["a"], {"a": 1}])
def test_an_entry_that_is_no_stamp_is_a_case_to_be_prepared(raw, entry):
    wanted = prepared(raw)
    record = raw.with_name("out") / ".prepared.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"b": entry}))
    (raw.with_name("out") / "images" / "b.png").write_bytes(b"something else")
    assert prepared(raw) == wanted


def _killed(number: int) -> int:
    import os
    import signal

    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_is_killed_is_told():
    with pytest.raises(
        UserError, match=r"E380 a worker was killed, perhaps because memory ran out\. Call again"
    ) as end:
        list(in_processes(_killed, [0, 1, 2], 2))
    assert end.value.exit_code == 1
