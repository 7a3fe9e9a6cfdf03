"""Figures of matplotlib as addresses that carry them, so that a page is one file."""

from __future__ import annotations

import base64
import io
from typing import Any

from matplotlib.figure import Figure


def data_address(figure: Figure, kind: str, **options: Any) -> str:
    """A `data:` address that carries the figure itself.

    Args:
        figure: drawn.
        kind: `png` or `jpeg`.
        options: of `Figure.savefig`.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
