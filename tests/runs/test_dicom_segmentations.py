"""Label maps of DICOM series as segmentations: in files with codes of the source, and where some cannot become one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mednoisy.data.images import read_series, write_nifti
from mednoisy.errors import UserError
from mednoisy.runs import dicom_segmentations as module
from tests.data.formats.dicom_files import SIZE, oblique_series
from tests.inference.test_dicom_seg import points_of_nifti, points_of_segment

CODES = (0, 421, 7)


@pytest.fixture
def run(monkeypatch) -> Path:
    """A run whose label maps carry the source's codes."""
    summary = SimpleNamespace(labels={0: "background", 1: "liver", 2: "spleen"}, name="sdcl")
    monkeypatch.setattr(module, "read_finished_run", lambda folder: SimpleNamespace(summary=summary))
    monkeypatch.setattr(module, "source_codes", lambda folder: CODES)
    return Path("run")


@pytest.fixture
def predicted(tmp_path) -> tuple[list[dict[str, str]], list[Path]]:
    """Two series and their label maps; of the second one voxel has a code that is none."""
    series, files = [tmp_path / name for name in "ab"], [tmp_path / "out" / f"{name}.nii.gz" for name in "ab"]
    for number, (folder, file) in enumerate(zip(series, files, strict=True)):
        oblique_series(str(folder))
        codes = np.random.default_rng(number).choice(np.array(CODES, np.int16), SIZE)
        codes[0, 0, 0] = 5 if number else 0
        write_nifti(file, codes, read_series(folder).affine)
    return [{"id": folder.name, "image": str(folder)} for folder in series], files


def test_segments_are_classes_whatever_their_codes(run, predicted):
    """And what cannot become one is given back, the other is made."""
    faults: list[UserError] = []
    made = module.dicom_segmentations(run, *predicted, on_fault=faults.append)
    assert [path.name for path in made] == ["a.dcm"]
    for number, code in ((1, 421), (2, 7)):
        wanted = points_of_nifti(predicted[1][0], code)
        assert len(wanted) > 50
        np.testing.assert_allclose(points_of_segment(made[0], number), wanted, atol=1e-3)
    assert [(fault.code, fault.case) for fault in faults] == [("E206", "b")]


def test_the_first_that_cannot_become_one_ends_it_where_nobody_listens(run, predicted):
    with pytest.raises(UserError, match=r"^E206 case 'b'"):
        module.dicom_segmentations(run, *predicted)
