"""What is appended is there after a kill; what is torn or damaged is not known."""

from __future__ import annotations

import numpy as np
import pytest

from mednoisy.active.rows_journal import Journal, JournalWriter

FACTS = {"network": "a"}
ROWS = {"features": np.arange(3, dtype=np.float32), "uncertainty": np.asarray(0.25), "start": np.zeros((0, 3), int)}


def written(folder, *cases, made_of="x"):
    with JournalWriter(folder, FACTS) as journal:
        for case in cases:
            journal.add(case, made_of, ROWS)


def test_rows_come_back_as_they_were_and_the_last_ones_count(tmp_path):
    written(tmp_path, "a", "b")
    written(tmp_path, "a", made_of="y")
    journal = Journal(tmp_path, FACTS)
    assert len(journal) == 2
    assert (journal.made_of("a"), journal.made_of("b"), journal.made_of("c")) == ("y", "x", None)
    for name, array in journal.rows("b").items():
        np.testing.assert_array_equal(array, ROWS[name])
        assert (array.dtype, array.shape) == (ROWS[name].dtype, ROWS[name].shape)
    assert not len(Journal(tmp_path, {"network": "b"}))
    assert not len(Journal(tmp_path / "absent", FACTS))


def test_nothing_is_written_where_nothing_is_added(tmp_path):
    with JournalWriter(tmp_path / "journal", FACTS):
        pass
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("lost", [1, 40, 100, 10_000])
def test_a_torn_record_ends_its_file(lost, tmp_path):
    written(tmp_path, *(f"case {number}" for number in range(9)))
    (path,) = tmp_path.glob("*.rows")
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost] if lost < len(whole) else b"")
    known = Journal(tmp_path, FACTS)
    assert len(known) == {1: 8, 40: 8, 100: 8, 10_000: 0}[lost]
    written(tmp_path, "case 8")
    assert "case 8" in Journal(tmp_path, FACTS)


def test_a_changed_byte_is_noticed(tmp_path):
    written(tmp_path, "a", "b")
    (path,) = tmp_path.glob("*.rows")
    whole = bytearray(path.read_bytes())
    for place in range(len(whole) // 2 + 1, len(whole), 5):
        whole[place] ^= 255
        path.write_bytes(whole)
        known = Journal(tmp_path, FACTS)
        assert "b" not in known
        whole[place] ^= 255
