"""A run that goes on refuses other labels than it began with."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from mednoisy.cli import main
from mednoisy.engines.kept_labels import check_labels
from mednoisy.errors import UserError
from tests.small_runs import small_dataset, train_arguments


def test_labels_that_changed_between_stop_and_resume_are_refused_by_name(tmp_path, capsys):
    data, run = small_dataset(tmp_path / "data"), tmp_path / "run"
    more = ("--method", "supervised", "--set", "val_interval=1")
    assert main(train_arguments(data, run, *more)) == 0
    first, _ = json.loads((data / "datalist.json").read_text())["labeled"]
    path = data / first["label"]
    kept = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(kept), 1))  # packed anew: the same label
    assert main(["train", "--resume", str(run)]) == 0
    label = nibabel.load(path)
    array = np.asarray(label.dataobj).copy()
    array[5:9] = 1 - array[5:9]
    nibabel.save(nibabel.Nifti1Image(array, label.affine, label.header), path)
    capsys.readouterr()
    before = (run / "metrics.csv").read_bytes()
    assert main(["train", "--resume", str(run)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mednoisy: ")]
    assert line.startswith(f"mednoisy: E381 case '{first['id']}': its label has changed since the run in ")
    assert (run / "metrics.csv").read_bytes() == before
    path.write_bytes(kept)  # the cure
    assert main(["train", "--resume", str(run)]) == 0


def cases(*values: int) -> list[dict]:
    return [
        {"id": f"case{number}", "label": torch.full((2, 3), value, dtype=torch.uint8)}
        for number, value in enumerate(values)
    ]


def test_a_case_that_came_or_went_is_named(tmp_path):
    check_labels(tmp_path, cases(1, 0))
    check_labels(tmp_path, cases(1, 0))
    with pytest.raises(UserError, match=r"E381 case 'case1': "):
        check_labels(tmp_path, cases(1))
    with pytest.raises(UserError, match=r"E381 case 'case2': .* began\. Restore"):
        check_labels(tmp_path, cases(1, 0, 0))
    with pytest.raises(UserError, match=r"E381 case 'case0': .* began \(so have 1 others\)"):
        check_labels(tmp_path, cases(0, 1))


def test_the_same_codes_in_another_shape_are_another_label(tmp_path):
    check_labels(tmp_path, [{"id": "a", "label": torch.zeros((2, 3), dtype=torch.uint8)}])
    with pytest.raises(UserError, match="E381"):
        check_labels(tmp_path, [{"id": "a", "label": torch.zeros((3, 2), dtype=torch.uint8)}])


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_note_is_told(tmp_path: Path, text: str):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"E319 .*labels\.json is damaged"):
        check_labels(tmp_path, cases(1))
