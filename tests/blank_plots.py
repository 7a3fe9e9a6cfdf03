"""Pages of runs without the plots and pictures that take seconds, for tests that look at neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

EMPTY = "data:,"


@contextmanager
def blank_plots() -> Iterator[None]:
    """Within it, plots and pictures show nothing; all else of a page is as ever."""
    from mednoisy.report.pictures import case_pictures
    from mednoisy.report.plots import plot_kinds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_kinds, "_png", lambda *_: EMPTY)
        patch.setattr(case_pictures, "data_address", lambda *_, **__: EMPTY)
        yield
