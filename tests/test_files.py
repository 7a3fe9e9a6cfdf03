"""Files are whole or absent."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from mednoisy.errors import UserError
from mednoisy.files import ASIDE, folder_written_aside, sweep, write_text, written_aside


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


def test_sweeping_leaves_what_is_being_written(tmp_path):
    dead = tmp_path / "below" / ".partial-dead.png"
    dead.parent.mkdir()
    dead.write_bytes(b"half")
    with written_aside(tmp_path / "below" / "case.png") as aside:
        aside.write_bytes(b"whole")
        sweep(tmp_path)
        assert dead.exists()  # one level down
        sweep(tmp_path, "**")
        assert not dead.exists()
        assert aside.exists()
    assert [entry.name for entry in (tmp_path / "below").iterdir()] == ["case.png"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_full_or_failing_disk_is_told_with_exit_code_1(tmp_path, monkeypatch, code):
    def full(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=rf"E320 cannot write .*a\.txt: {os.strerror(code)}\. Free some") as fault:
        write_text(tmp_path / "a.txt", "text")
    assert fault.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    """What raises leaves nothing; what a killed process left is swept, what a living one writes is not."""
    place = tmp_path / "bundle"
    with pytest.raises(IsADirectoryError), folder_written_aside(place) as aside:
        aside.write_text("a folder is no file")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f"{ASIDE}left").mkdir()
    (tmp_path / f"{ASIDE}left" / "a").write_text("of a killed process")
    with folder_written_aside(place) as aside, folder_written_aside(tmp_path / "other") as other:
        (aside / "a").write_text("whole")
        assert not place.exists()
        assert other.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "other"]
    assert (place / "a").read_text() == "whole"
    with pytest.raises(OSError, match="not empty"), folder_written_aside(place) as aside:  # somebody was quicker
        (aside / "b").write_text("")
    assert [path.name for path in place.iterdir()] == ["a"]
