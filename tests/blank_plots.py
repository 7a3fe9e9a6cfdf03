"""Pages of runs without the plots and pictures that take seconds, for tests that look at neither.

`python -m tests.blank_plots train ...` is `python -m mednoisy train ...` with such pages, whichever process draws.
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "tests.blank_plots"]  # from the repository's root, in place of `python -m mednoisy`


def blank(kind: str) -> str:
    """The address of one black pixel, as `png` or `jpeg`."""
    stream = io.BytesIO()
    Image.new("RGB", (1, 1)).save(stream, kind)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


@contextmanager
def blank_plots() -> Iterator[None]:
    """Within it, plots and pictures show nothing; all else of a page is as ever."""
    from mednoisy.report.pictures import case_pictures
    from mednoisy.report.plots import plot_kinds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_kinds, "_png", lambda *_: blank("png"))
        patch.setattr(case_pictures, "data_address", lambda figure, kind, **_: blank(kind))
        yield


class Started(subprocess.Popen):
    """A process whose pages are blank too, where it is a command of mednoisy."""

    def __init__(self, command: Sequence[str], *arguments: Any, **options: Any) -> None:
        ours = list(command[:3]) == [sys.executable, "-m", "mednoisy"]
        super().__init__([*COMMAND, *command[3:]] if ours else command, *arguments, **options)


if __name__ == "__main__":
    from mednoisy.cli import main

    subprocess.Popen = Started  # type: ignore[misc]
    with blank_plots():
        sys.exit(main())
