"""Files are whole or absent."""

from __future__ import annotations

import os
import stat

import pytest

from mednoisy.files import write_text, written_aside


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "case.nii.gz"
    with written_aside(path) as aside:
        assert aside.parent == path.parent
        assert aside.name.endswith(".nii.gz")
        aside.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["case.nii.gz"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_fault_leaves_the_old_file(tmp_path, fault):
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def write_half() -> None:
        with written_aside(path) as aside:
            aside.write_text("half")
            raise fault

    with pytest.raises(fault):
        write_half()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_text_is_utf8_and_replaces(tmp_path):
    write_text(tmp_path / "a.txt", "long text before")
    write_text(tmp_path / "a.txt", "Ä")
    assert (tmp_path / "a.txt").read_bytes() == "Ä".encode()


def test_permissions_are_those_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
