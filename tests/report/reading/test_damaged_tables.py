"""Tables of a run that lack what a page shows are refused by name."""

from __future__ import annotations

import pytest

from mednoisy.errors import UserError
from mednoisy.report.reading.runs import _progress


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("step,dice\n1,2\n", "it lacks the columns step and stage"),
        ("step,stage\na,b\n", "a row is of step 'a'"),
        ("step,stage,seconds\n1,b,soon\n", "could not convert string to float: 'soon'"),
        ("step,stage\n1\n", "line 2 has another number of cells"),
    ],
)
def test_progress_that_is_none(tmp_path, content, why):
    (tmp_path / "progress.csv").write_text(content)
    with pytest.raises(UserError, match=f"E404 .*progress.csv cannot be used: {why}"):
        _progress(tmp_path / "progress.csv")
