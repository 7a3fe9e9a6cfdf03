"""A seeded share of the campaign: damage of every format is refused, harmless, or of a kind that nobody could tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mednoisy.cli import main
from mednoisy.data.images import Image, read_image
from mednoisy.errors import UserError
from tests.faults import damaged_files
from tests.faults.file_formats import FORMATS

SHARE, SEED = 40, 26
WITHOUT_CHECKSUM = {"nii", "nhdr", "mhd", "jpg", "bmp"}


@pytest.mark.parametrize("name", FORMATS)
def test_a_share_of_damaged_images_and_labels(tmp_path, name):
    counts, bugs = damaged_files.image_ends(FORMATS[name], SHARE, SEED, tmp_path)
    assert not bugs
    assert counts.total() == SHARE
    assert counts["refused"] >= SHARE // 4
    if name not in WITHOUT_CHECKSUM:  # of the others a header may be damaged unseen, seldom
        assert counts["unseen"] <= SHARE // 10


def test_a_share_of_damaged_checkpoints(tmp_path):
    counts, bugs = damaged_files.checkpoint_ends(SHARE, SEED, tmp_path)
    assert not bugs
    assert counts["unseen"] == 0
    assert counts["refused"] > SHARE // 2


def test_the_command_line_names_each_damaged_file_and_scores_the_others(tmp_path, capsys):
    """One file of each format that has a checksum, damaged in its midst, beside one that is whole."""
    theirs, references = tmp_path / "theirs", tmp_path / "references"
    theirs.mkdir()
    references.mkdir()
    names = sorted(set(FORMATS) - WITHOUT_CHECKSUM - {"png", "tif"})  # pictures are not scored beside volumes
    for name in names:
        FORMATS[name].write(references / f"{name.replace('.', '_')}.{name}", "label")
        path = theirs / f"{name.replace('.', '_')}.{name}"
        FORMATS[name].write(path, "label")
        payload = bytearray(path.read_bytes())
        start, end = FORMATS[name].covered(bytes(payload), path)[0]
        payload[(start + end) // 2] ^= 8
        path.write_bytes(payload)
    for folder in (theirs, references):
        FORMATS["nii"].write(folder / "whole.nii", "label")
    folders = ["--predictions", str(theirs), "--references", str(references), "--output", str(tmp_path / "scores")]
    assert main(["evaluate", *folders, "--workers", "1"]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if " E202 " in line]
    assert [line.split("'")[1] for line in lines] == [name.replace(".", "_") for name in names]
    assert (tmp_path / "scores" / "metrics.csv").read_text().count("whole") >= 1


def zeros(path: Path) -> Image:
    return Image(np.zeros((16, 18, 12), np.int16), np.eye(4), (1.0, 1.0, 1.0))


def raising(path: Path) -> Image:
    raise IndexError


def of_two_lines(path: Path) -> Image:
    fault = UserError("E202", "damaged", "Copy it again")
    fault.args = ("E202 damaged\nCopy it again",)
    raise fault


def refusing(path: Path) -> Image:
    raise UserError("E202", "damaged", "Copy it again")


@pytest.mark.parametrize(
    ("reader", "end"), [(zeros, "lost"), (raising, "fault"), (of_two_lines, "fault"), (refusing, "refused")]
)
def test_the_campaign_tells_what_is_lost(tmp_path, reader, end):
    """A reader that heeds no checksum, one that raises and one that tells stories are found out."""
    answers = iter([read_image])  # for the whole file
    readers = {"image": lambda path: next(answers, reader)(path)}
    counts, bugs = damaged_files.image_ends(FORMATS["nii.gz"], 8, SEED, tmp_path, readers)
    assert counts[end] == 8
    assert len(bugs) == (0 if end == "refused" else 8)
